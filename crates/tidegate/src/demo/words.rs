//! What the demo says about the day.

use std::time::Duration;

use load::results::{ErrorGroup, RunResult};
use report::sparkline;

use crate::demo::day::{Phase, SLOWDOWN, Visit};
use crate::demo::shop::SERVERS;

/// The parts of the day that were lived through twice.
const TWICE: [Phase; 3] = [Phase::Calm, Phase::Slow, Phase::Dead];

/// Most kinds of failures that are listed.
const FAILURES_MAX: usize = 3;

fn what(phase: Phase) -> String {
    match phase {
        Phase::Early => "the rest of the day".to_owned(),
        Phase::Calm => "all is well".to_owned(),
        Phase::Slow => format!("server 2 is {SLOWDOWN}x slower"),
        Phase::Dead => "server 3 is dead".to_owned(),
        Phase::Late => "all is well again".to_owned(),
    }
}

fn label(phase: Phase) -> String {
    let hours = phase.hours();
    format!("{:02}–{:02} h  {}", hours.start, hours.end, what(phase))
}

/// What users felt, with and without the gateway's help.
pub(crate) fn felt(day: &Visit, without: &Visit) -> String {
    let mut text = format!(
        "{:<33}{:^33}{:>14}\n{:<33}",
        "What users felt", "with the gateway's help", "without", ""
    );
    let columns = ["failed", "p50", "p95", "p99"];
    for _ in 0..2 {
        text.extend(columns.map(|column| format!("{column:>8}")));
        text.push_str("  ");
    }
    for phase in TWICE {
        text.truncate(text.trim_end().len());
        text.push_str(&format!("\n  {:<31}", label(phase)));
        for visit in [day, without] {
            let felt = visit.felt(phase);
            text.push_str(&format!("{:>8}", percent(felt.failures, felt.requests)));
            text.extend(felt.worst.map(|time| format!("{:>8}", time.map_or("-".into(), short))));
            text.push_str("  ");
        }
    }
    text.truncate(text.trim_end().len());
    text.push_str(
        "\n  Times are those of the worst second. Without: the same hours once more, the requests go\n  \
         to the servers in turn; no cache, health checks, ejection, retries or hedging.\n",
    );
    text
}

/// The day in a few lines.
pub(crate) fn course(run: &RunResult) -> String {
    let totals = &run.totals;
    let quantile = |q| {
        totals.response.quantile_us(q).map_or("-".into(), |us| short(Duration::from_micros(us)))
    };
    let line = |of: fn(&load::results::SeriesPoint) -> Option<f64>| {
        sparkline(&run.series.iter().map(of).collect::<Vec<_>>())
    };
    format!(
        "The day: {} requests, {} failed; response time p50 {}, p95 {}, p99 {}\n  \
         requests/s  {}\n  p99         {}\n",
        totals.requests,
        totals.failures,
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        line(|point| Some(point.requests_per_s)),
        line(|point| point.p99.map(|p99| p99.as_secs_f64())),
    ) + &failures(run)
}

/// What failed, the most frequent first.
fn failures(run: &RunResult) -> String {
    let line = |error: &ErrorGroup| {
        let endpoint = run.endpoints.get(error.endpoint).map_or("?", |endpoint| &endpoint.name);
        let why = if error.detail.is_empty() { error.kind.name() } else { &error.detail };
        format!("  failed      {} {endpoint}: {why}\n", error.count)
    };
    run.errors.iter().take(FAILURES_MAX).map(line).collect()
}

/// What the gateway did for it.
pub(crate) fn deeds(day: &Visit) -> String {
    let counts = day.counts();
    let mut text = format!(
        "What the gateway did\n  \
         cache hit ratio  {} of {} pages, {} of them a little beyond their time\n  \
         second chances   retries: {}, slow requests sent to a second server as well: {}, ejections: {}\n  \
         {:<33}",
        percent(counts.from_cache, counts.pages),
        counts.pages,
        percent(counts.stale, counts.from_cache),
        counts.retries,
        counts.hedges,
        counts.ejections,
        "requests that servers got",
    );
    for number in 1..=SERVERS {
        text.push_str(&format!("  server {number}"));
    }
    for phase in Phase::ALL.into_iter().skip(1) {
        text.push_str(&format!("\n    {:<31}", label(phase)));
        let attempts = day.attempts(phase);
        for count in attempts {
            text.push_str(&format!("{:>10}", percent(count, attempts.iter().sum())));
        }
    }
    text.push('\n');
    text
}

/// A share, as `12 %`.
fn percent(part: u64, whole: u64) -> String {
    let share = part as f64 / whole.max(1) as f64 * 100.0;
    match share {
        0.0 => "0 %".to_owned(),
        share if share < 9.95 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

/// A time, as `12 ms`.
fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let ms = |ms| short(Duration::from_micros(ms));
        assert_eq!([ms(400), ms(9_960), ms(999_600)], ["0.4 ms", "10 ms", "1.0 s"]);
        let shares = [percent(0, 0), percent(1, 1_000), percent(1, 3), percent(1, 1)];
        assert_eq!(shares, ["0 %", "0.1 %", "33 %", "100 %"]);
    }
}
