//! Live metrics in the Prometheus text exposition format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! The number of lines is bounded by the endpoints, the kinds of failure and the watched series of
//! the run; each of these has a limit in `load`.

use std::fmt::{Display, Write};

use load::failure::FailureKind;
use load::results::{RequestStats, Tick};
use load::scenario::Endpoint;
use stats::LatencyHistogram;

/// Value of the `Content-Type` field for [`exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of response times, in microseconds. As the histograms have three
/// significant digits, a value may be counted as up to 0.1 % smaller than it was.
const BUCKETS_US: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// The state of a run. `labels` are put on every sample, before its own; their names must be label
/// names of the format.
pub fn exposition(tick: &Tick<'_>, labels: &[(&str, &str)]) -> String {
    let mut page = Page { text: String::new(), labels: joined(labels) };
    let sent: Vec<(String, &RequestStats)> = tick
        .endpoints
        .iter()
        .zip(tick.so_far)
        .filter(|(_, stats)| !stats.is_empty())
        .map(|(endpoint, stats)| (endpoint_labels(endpoint), stats))
        .collect();

    type Counter = fn(&RequestStats) -> u64;
    let counters: [(&str, &str, Counter); 7] = [
        ("requests_total", "Requests sent and finished, well or not.", |stats| stats.requests),
        ("failures_total", "Requests that failed.", |stats| stats.failures),
        ("unsent_total", "Arrivals that were due and never sent.", |stats| stats.unsent),
        ("rate_limited_total", "Responses with status 429.", |stats| stats.rate_limited),
        ("timeouts_total", "Requests that ran into a timeout.", |stats| stats.timeouts),
        ("received_bytes_total", "Bytes of responses.", |stats| stats.bytes_received),
        ("sent_bytes_total", "Bytes of requests.", |stats| stats.bytes_sent),
    ];
    for (name, help, value) in counters {
        page.family(name, "counter", help);
        for (labels, stats) in &sent {
            page.sample(name, labels, value(stats));
        }
    }

    page.family("errors_total", "counter", "Failed requests by kind of failure.");
    for kind in FailureKind::ALL {
        let of_kind = tick.errors.iter().filter(|error| error.kind == kind);
        let count: u64 = of_kind.map(|error| error.count).sum();
        if count > 0 {
            page.sample("errors_total", &label("kind", kind.name()), count);
        }
    }

    let name = "response_time_seconds";
    page.family(name, "histogram", "Response time from the intended start of the request.");
    for (labels, stats) in &sent {
        page.histogram(name, labels, &stats.response);
    }

    let point = tick.point;
    let gauges = [
        ("users", "Users alive.", point.users as f64),
        ("in_flight", "Requests under way.", point.in_flight as f64),
        ("generator_cpu_ratio", "CPU of the busiest worker thread, 0 to 1.", point.generator_cpu),
        (
            "generator_lag_seconds",
            "Worst lag of a timer in the last interval.",
            point.lag_max.as_secs_f64(),
        ),
        ("elapsed_seconds", "Time since the start of the run.", tick.at.as_secs_f64()),
        ("paused", "1 while the run is paused.", f64::from(u8::from(tick.paused))),
    ];
    for (name, help, value) in gauges {
        page.family(name, "gauge", help);
        page.sample(name, "", value);
    }

    page.family("watched", "gauge", "Watched series of the target, in the unit of the label.");
    for (watched, value) in tick.watched.iter().zip(&point.watched) {
        if let Some(value) = value {
            let labels =
                format!("{},{}", label("series", &watched.name), label("unit", &watched.unit));
            page.sample("watched", &labels, value);
        }
    }
    page.text
}

struct Page {
    text: String,
    /// Labels of every sample, joined.
    labels: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP tidegate_load_{name} {help}"));
        self.line(format_args!("# TYPE tidegate_load_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let all = [self.labels.as_str(), labels].into_iter().filter(|part| !part.is_empty());
        let all = all.collect::<Vec<_>>().join(",");
        if all.is_empty() {
            self.line(format_args!("tidegate_load_{name} {value}"));
        } else {
            self.line(format_args!("tidegate_load_{name}{{{all}}} {value}"));
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &LatencyHistogram) {
        let mut buckets = histogram.iter_buckets().peekable();
        let mut count = 0;
        for bound in BUCKETS_US {
            while let Some((_, n)) = buckets.next_if(|(us, _)| *us <= bound + bound / 1000) {
                count += n;
            }
            let le = label("le", &(bound as f64 / 1e6).to_string());
            self.sample(&format!("{name}_bucket"), &format!("{labels},{le}"), count);
        }
        let le = label("le", "+Inf");
        self.sample(&format!("{name}_bucket"), &format!("{labels},{le}"), histogram.count());
        self.sample(&format!("{name}_sum"), labels, histogram.sum_us() as f64 / 1e6);
        self.sample(&format!("{name}_count"), labels, histogram.count());
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes every text.
        let _ = writeln!(self.text, "{line}");
    }
}

fn endpoint_labels(endpoint: &Endpoint) -> String {
    joined(&[("name", &endpoint.name), ("method", endpoint.method.as_str())])
}

fn joined(labels: &[(&str, &str)]) -> String {
    labels.iter().map(|(name, value)| label(name, value)).collect::<Vec<_>>().join(",")
}

/// `name="value"` with backslash, quote and line feed escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("name", "a\"b\\c\nd"), r#"name="a\"b\\c\nd""#);
    }

    #[test]
    fn buckets_are_cumulative_and_keep_their_bounds() {
        let mut histogram = LatencyHistogram::new();
        for us in [1_000, 1_001, 5_000, 10_000_000, 100_000_000] {
            histogram.record(us);
        }
        let mut page = Page { text: String::new(), labels: String::new() };
        page.histogram("t", "a=\"b\"", &histogram);
        let counts: Vec<&str> =
            page.text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        let buckets =
            ["2", "2", "3", "3", "3", "3", "3", "3", "3", "3", "3", "3", "4", "4", "4", "5"];
        assert_eq!(counts[..16], buckets);
        assert_eq!(counts[16..], ["110.007001", "5"]);
    }
}
