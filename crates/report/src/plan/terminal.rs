//! The plan for people: the answer in a paragraph, then what it rests on.

use plan::choose::{Answer, Gain};

use super::{Sizing, demand, emit, week};
use crate::format;
use crate::table::{Style, Table, shortened};

/// Longest line of free text.
const TEXT_WIDTH_MAX: usize = 300;

/// The plan: answer, demand, plots, tables, findings. Without a policy: why there is none, and the
/// demand.
#[must_use]
pub fn plan_text(sizing: &Sizing, style: Style) -> String {
    let mut text = String::new();
    match &sizing.outcome {
        Ok(answer) => text.push_str(&paragraph(answer, style)),
        Err(reason) => {
            let title = style.verdict(false, "No policy is recommended");
            text.push_str(&format!("{title}: {reason}.\n"));
        }
    }
    text.push('\n');
    text.push_str(&demand::text(sizing, style));
    text.push_str(&plot(sizing, style));
    if let Ok(answer) = &sizing.outcome {
        text.push_str(&alternatives(answer, style));
        text.push_str(&pareto(answer, style));
        text.push_str(&stress(answer, style));
        text.push_str(&queue(answer, style));
        text.push_str(&concurrency(answer, style));
    }
    let of_answer = sizing.outcome.iter().flat_map(|answer| &answer.findings);
    let findings: Vec<&String> = sizing.findings.iter().chain(of_answer).collect();
    if !findings.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("Findings")));
        for finding in findings {
            text.push_str(&format!("  {}\n", shortened(finding, TEXT_WIDTH_MAX)));
        }
    }
    text
}

fn paragraph(answer: &Answer, style: Style) -> String {
    let good = answer.held_out.meets_objective;
    let title = if answer.gain == Gain::Significant { "Plan" } else { "Plan: no gain" };
    let hours = week::by_hour_of_day(&answer.hours);
    let hours = match hours.is_empty() {
        true => String::new(),
        false => format!(" Instances by hour of the day, on average: {hours}."),
    };
    format!("{}\n{}{hours}\n", style.verdict(good, title), answer.paragraph())
}

/// Demand, in instances at capacity, beside what is provisioned for it.
fn plot(sizing: &Sizing, style: Style) -> String {
    let rates = week::rates(&sizing.demand.masked);
    let title = style.bold("By hour of the local week");
    match (&sizing.outcome, &sizing.params) {
        (Ok(answer), Some(params)) => {
            let needed: Vec<Option<f64>> =
                rates.iter().map(|rate| rate.map(|rate| rate / params.reach_per_s())).collect();
            let provisioned = week::instances(&answer.hours);
            let curves = [("needed", &needed[..]), ("provisioned", &provisioned[..])];
            format!("\n{title}\n{}", week::plot(&curves, " instances"))
        }
        _ => format!("\n{title}\n{}", week::plot(&[("requests", &rates[..])], "/s")),
    }
}

/// What one would do without a search, the best of the search, and what is recommended.
fn alternatives(answer: &Answer, style: Style) -> String {
    let held = &answer.held_out;
    let plain = answer.baselines.iter().find(|one| one.name == "hpa-70");
    let plain = plain.map_or(f64::NAN, |one| one.instance_hours);
    // One price: of what is recommended.
    let price = held.monthly_cost / held.instance_hours;
    let columns = ["instance-hours", "of hpa-70", "cost a month", "late"];
    let mut table = Table::new(&["on held-out demand"], &columns);
    let mut row = |name: &str, hours: f64, late: f64| {
        table.row([
            name.to_owned(),
            format::amount(hours),
            times(hours / plain),
            if price.is_finite() { format::amount(hours * price) } else { "-".to_owned() },
            percent(late),
        ]);
    };
    for one in &answer.baselines {
        row(&one.name, one.instance_hours, one.late_ratio);
    }
    row("best of the search", answer.best.instance_hours, answer.best.late_ratio);
    row("recommended", held.instance_hours, held.late_ratio);
    let found = &answer.comparison;
    let [low, high] = found.cost_difference_ci;
    format!(
        "\n{}\n{}  Best of the search beside hpa-70, 95 % intervals: cost {:+.1} % to {:+.1} %, late {:+.3} % to {:+.3} %\n",
        style.bold("Alternatives"),
        table.render(),
        low * 100.0,
        high * 100.0,
        found.late_difference_ci[0] * 100.0,
        found.late_difference_ci[1] * 100.0,
    )
}

fn pareto(answer: &Answer, style: Style) -> String {
    if answer.pareto.len() < 2 {
        return String::new();
    }
    let mut table = Table::new(&[], &["instance-hours", "late"]).text_column("policy").narrow(110);
    for trial in &answer.pareto {
        table.row([
            format::amount(trial.instance_hours),
            percent(trial.late_ratio),
            trial.summary.clone(),
        ]);
    }
    format!("\n{}\n{}", style.bold("Cost against lateness: none is better in both"), table.render())
}

fn stress(answer: &Answer, style: Style) -> String {
    if answer.stress.is_empty() {
        return String::new();
    }
    let columns = ["late", "instance-hours", "hpa-70 late", "instance-hours"];
    let mut table = Table::new(&["recommended under stress"], &columns);
    for one in &answer.stress {
        table.row([
            one.name.clone(),
            percent(one.late_ratio),
            format::amount(one.instance_hours),
            percent(one.hpa_late_ratio),
            format::amount(one.hpa_instance_hours),
        ]);
    }
    format!("\n{}\n{}", style.bold("Stress"), table.render())
}

fn queue(answer: &Answer, style: Style) -> String {
    let queue = &answer.held_out.queue;
    format!(
        "\n{}: {} late, response time p95 {}, p99 {}; wait p95 {}, p99 {} ({} requests)\n",
        style.bold("Request by request"),
        percent(queue.late_ratio),
        format::time(queue.p95_s * 1e6),
        format::time(queue.p99_s * 1e6),
        format::time(queue.wait_p95_s * 1e6),
        format::time(queue.wait_p99_s * 1e6),
        format::count(queue.simulated),
    )
}

fn concurrency(answer: &Answer, style: Style) -> String {
    let advice = &answer.concurrency;
    let mut basis = format!("{} in flight at the capacity", format::amount(advice.by_littles_law));
    if let Some(knee) = advice.knee {
        basis.push_str(&format!(", latency bends upwards at {}", format::amount(knee)));
    }
    match (advice.by_usl.zip(advice.usl_peak_per_s), advice.measured_to) {
        (Some((turn, peak)), _) => basis.push_str(&format!(
            ", throughput turns at {} with {}",
            format::amount(turn),
            format::rate(peak)
        )),
        (None, Some(most)) => basis.push_str(&format!(
            ", throughput does not turn up to the {} that were measured",
            format::amount(most)
        )),
        (None, None) => basis.push_str(", by Little's law alone"),
    }
    if let Some(objective) = advice.by_objective {
        basis.push_str(&format!(", on time up to {}", format::amount(objective)));
    }
    format!(
        "\n{}: at most {} at a time\n  {basis}\n  in tidegate up, for each server:\n    [upstream.NAME]\n    {}\n",
        style.bold("Concurrency of an instance"),
        format::plural(u64::from(advice.limit), "request"),
        emit::limits(advice),
    )
}

/// A share of few late requests, to a thousandth of a percent.
fn percent(share: f64) -> String {
    match share {
        0.0 => "0 %".to_owned(),
        share if share < 5e-6 => "<0.001 %".to_owned(),
        share => format!("{:.3} %", share * 100.0),
    }
}

fn times(ratio: f64) -> String {
    if ratio.is_finite() { format!("{ratio:.2}") } else { "-".to_owned() }
}
