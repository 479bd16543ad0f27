//! The gateway's part of `docs/benchmarks.md`.

use std::fmt::Write as _;

use super::super::{machine, median};
use super::proxies::Proxy;
use super::{CONNECTIONS, Sample};
use crate::origin;

/// A proxy and one sample for each round.
pub(super) type Row = (Proxy, Vec<Sample>);

/// Measurements of one scenario.
pub(super) struct Scenario {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

impl Scenario {
    /// Median CPU time per request.
    fn us(samples: &[Sample]) -> f64 {
        median(samples.iter().map(|sample| sample.us_per_request).collect())
    }

    /// tidegate's samples, and those of the peer with the lowest median.
    fn pair(&self) -> Option<(&[Sample], &Row)> {
        let ours = self.rows.iter().find(|(proxy, _)| *proxy == Proxy::Tidegate)?;
        let peers = self.rows.iter().filter(|(proxy, _)| *proxy != Proxy::Tidegate);
        let best = peers.min_by(|one, other| Self::us(&one.1).total_cmp(&Self::us(&other.1)))?;
        Some((&ours.1, best))
    }
}

/// The whole part.
pub(super) fn page(
    scenarios: &[Scenario],
    versions: &[String],
    rounds: usize,
    seconds: u32,
) -> String {
    let mut page = String::from("## Gateway\n\n");
    let _ = writeln!(
        page,
        "Machine: {}. A proxy with one worker on core 0; origin (nginx, bodies of {} and {} bytes) and wrk\n\
         ({CONNECTIONS} keep-alive connections) on core 1; loopback; {rounds} rounds of {seconds} s each. CPU time is that of all\n\
         processes and threads of the proxy (user and system, `/proc/PID/stat`). Compared: {}.\n",
        machine(),
        origin::SMALL,
        origin::LARGE,
        versions.join("; ")
    );
    page.push_str(
        "Access logs are on for all: nginx and tidegate to a file through a buffer, HAProxy (`httplog`) line by line to its\n\
         standard output, which is a file, Varnish through `varnishncsa -w`, whose CPU time is counted. tidegate's metrics are on.\n\
         Caches: nginx's on disk with `open_file_cache` and `sendfile`, Varnish's and tidegate's in memory.\n\n",
    );
    page.push_str(
        "| scenario | proxy | CPU µs per request | lowest – highest | requests/s | p99 ms |\n|---|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        for (proxy, samples) in &scenario.rows {
            let all = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
            let us = all(|sample| sample.us_per_request);
            let low = us.iter().copied().fold(f64::INFINITY, f64::min);
            let high = us.iter().copied().fold(0.0, f64::max);
            let log_us = median(all(|sample| sample.log_us));
            let log = if log_us > 0.0 {
                format!(" ({log_us:.2} of it to write the log)")
            } else {
                String::new()
            };
            let _ = writeln!(
                page,
                "| {} | {} | {:.2}{log} | {low:.2} – {high:.2} | {:.0} | {:.2} |",
                scenario.title,
                proxy.name(),
                median(us),
                median(all(|sample| sample.per_s)),
                median(all(|sample| sample.p99_ms)),
            );
        }
    }
    page.push_str(
        "\ntidegate's CPU time per request relative to the best peer's; below 1.00 is better than the peer.\n\n\
         | scenario | best peer | ratio of medians | median of ratios within rounds | target |\n|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        let Some((ours, (peer, theirs))) = scenario.pair() else { continue };
        let within =
            ours.iter().zip(theirs).map(|(our, their)| our.us_per_request / their.us_per_request);
        let _ = writeln!(
            page,
            "| {} | {} | {:.2} | {:.2} | ≤ 1.15, then ≤ 1.00 |",
            scenario.title,
            peer.name(),
            Scenario::us(ours) / Scenario::us(theirs),
            median(within.collect()),
        );
    }
    page
}
