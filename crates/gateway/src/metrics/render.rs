//! Counters as Prometheus text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    AttemptResult, BOUNDS_US, CACHE_WORDS, Latencies, METHODS, REFUSALS, Registry, RouteCore,
    State, UpstreamEvent,
};
use crate::failure::FailureKind;
use crate::upstream::shared::lock;

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static str,
    /// What it counts.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

/// Every family, in the order in which they are written.
pub const METRICS: &[Metric] = &[
    metric(
        "tidegate_requests_total",
        "counter",
        "route, status",
        "Requests by the first digit of their status; 0xx: the client had no answer.",
    ),
    metric(
        "tidegate_requests_by_method_total",
        "counter",
        "method",
        "Requests by method, unrouted ones among them; other: any that is not listed.",
    ),
    metric(
        "tidegate_requests_unrouted_total",
        "counter",
        "",
        "Requests that no route took, malformed ones among them.",
    ),
    metric(
        "tidegate_request_duration_seconds",
        "histogram",
        "route",
        "From the end of a request's head to the end of its response.",
    ),
    metric("tidegate_response_bytes_total", "counter", "route", "Bytes of response bodies."),
    metric(
        "tidegate_request_bytes_total",
        "counter",
        "route",
        "Bytes of request bodies that were passed on.",
    ),
    metric(
        "tidegate_failures_total",
        "counter",
        "owner, kind",
        "Requests that failed, by who is to blame and why.",
    ),
    metric(
        "tidegate_rate_limited_total",
        "counter",
        "route",
        "Requests that a rate limit refused.",
    ),
    metric(
        "tidegate_cache_requests_total",
        "counter",
        "route, result",
        "Requests by what the cache did for them.",
    ),
    metric("tidegate_cache_entries", "gauge", "store", "Entries of a store."),
    metric("tidegate_cache_bytes", "gauge", "store", "Bytes of a store."),
    metric("tidegate_cache_limit_bytes", "gauge", "store", "Bytes that a store may have."),
    metric(
        "tidegate_upstream_events_total",
        "counter",
        "upstream, event",
        "Retries, refusals and ejections.",
    ),
    metric(
        "tidegate_upstream_duration_seconds",
        "histogram",
        "upstream",
        "From turning to an upstream to the head of its answer, waiting and retries included.",
    ),
    metric(
        "tidegate_upstream_waiting",
        "gauge",
        "upstream",
        "Requests that wait for room at a server.",
    ),
    metric(
        "tidegate_upstream_breaker_open",
        "gauge",
        "upstream",
        "0: the breaker is closed, 1: open, 0.5: half-open.",
    ),
    metric(
        "tidegate_upstream_adaptive_limit",
        "gauge",
        "upstream",
        "The adaptive limit on requests in flight.",
    ),
    metric(
        "tidegate_server_attempts_total",
        "counter",
        "upstream, server, result",
        "Attempts at a server: ok (below 500), error (500 and more), failed (no answer).",
    ),
    metric(
        "tidegate_server_attempt_duration_seconds",
        "histogram",
        "upstream, server",
        "From choosing a server to the head of its answer.",
    ),
    metric("tidegate_server_up", "gauge", "upstream, server", "Whether a server gets requests."),
    metric("tidegate_server_in_flight", "gauge", "upstream, server", "Requests in flight."),
    metric("tidegate_server_weight", "gauge", "upstream, server", "The weight of a server."),
    metric("tidegate_connections_total", "counter", "", "Client connections that were accepted."),
    metric("tidegate_connections_open", "gauge", "", "Client connections that are open."),
    metric(
        "tidegate_connections_refused_total",
        "counter",
        "reason",
        "Client connections that were given up before their first request.",
    ),
    metric(
        "tidegate_tls_handshakes_total",
        "counter",
        "",
        "TLS handshakes with clients that succeeded.",
    ),
    metric("tidegate_http2_streams_total", "counter", "", "Requests that came as HTTP/2 streams."),
    metric(
        "tidegate_http2_resets_total",
        "counter",
        "",
        "HTTP/2 streams that their client has reset before it had the whole answer.",
    ),
    metric(
        "tidegate_tunnels_total",
        "counter",
        "",
        "Connections that became tunnels (WebSocket and other upgrades).",
    ),
    metric("tidegate_tunnels_open", "gauge", "", "Tunnels that are open."),
    metric(
        "tidegate_tunnel_bytes_total",
        "counter",
        "",
        "Bytes through tunnels that ended, both ways.",
    ),
    metric(
        "tidegate_mirrored_total",
        "counter",
        "",
        "Requests that were copied to a second upstream.",
    ),
    metric(
        "tidegate_mirror_dropped_total",
        "counter",
        "",
        "Copies that were left out, as too many were under way.",
    ),
    metric(
        "tidegate_access_log_lines_total",
        "counter",
        "",
        "Lines of the access log that were written.",
    ),
    metric(
        "tidegate_access_log_dropped_total",
        "counter",
        "",
        "Lines of the access log that were lost.",
    ),
    metric(
        "tidegate_config_reloads_total",
        "counter",
        "result",
        "New configurations that were taken (ok) or refused (failed).",
    ),
    metric(
        "tidegate_config_generation",
        "gauge",
        "",
        "Rises with every configuration, changes of DNS among them.",
    ),
    metric("tidegate_uptime_seconds", "gauge", "", "Time since the start."),
];

/// Text that grows family by family.
struct Text {
    out: String,
    rest: std::slice::Iter<'static, Metric>,
    name: &'static str,
}

impl Text {
    /// Begins the next family, which must be the one of this name.
    fn family(&mut self, name: &'static str) {
        if let Some(metric) = self.rest.next() {
            debug_assert_eq!(metric.name, name, "families are written in their order");
            let _ = writeln!(self.out, "# HELP {} {}", metric.name, metric.help);
            let _ = writeln!(self.out, "# TYPE {} {}", metric.name, metric.kind);
        }
        self.name = name;
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.suffixed("", labels, value);
    }

    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.out, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    fn histogram<'a>(
        &mut self,
        labels: &[(&str, &str)],
        cores: impl Iterator<Item = &'a Latencies> + Clone,
    ) {
        let mut count = 0;
        for index in 0..=BOUNDS_US.len() {
            count += cores.clone().map(|core| core.buckets[index].get()).sum::<u64>();
            let bound = match BOUNDS_US.get(index) {
                Some(us) => format!("{}", *us as f64 / 1e6),
                None => "+Inf".to_owned(),
            };
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.suffixed("_bucket", &labels, count);
        }
        let sum = cores.map(|core| core.sum_us.get()).sum::<u64>() as f64 / 1e6;
        self.suffixed("_sum", labels, sum);
        self.suffixed("_count", labels, count);
    }
}

impl Registry {
    fn core_sum(&self, of: impl Fn(&super::CoreMetrics) -> u64) -> u64 {
        self.cores.iter().map(|core| of(core)).sum()
    }

    /// Everything in the text format of Prometheus.
    pub fn render_prometheus(&self, state: &State) -> String {
        let mut text =
            Text { out: String::with_capacity(16 << 10), rest: METRICS.iter(), name: "" };
        let routes = lock(&self.routes).clone();
        text.family("tidegate_requests_total");
        for (name, route) in &routes {
            for class in 0..6 {
                let status = format!("{class}xx");
                let count = route.sum(|core| core.statuses[class].get());
                text.sample(&[("route", name), ("status", &status)], count);
            }
        }
        text.family("tidegate_requests_by_method_total");
        for (index, method) in METHODS.iter().enumerate() {
            text.sample(&[("method", method)], self.core_sum(|core| core.methods[index].get()));
        }
        text.family("tidegate_requests_unrouted_total");
        text.sample(&[], self.core_sum(|core| core.unrouted.get()));
        text.family("tidegate_request_duration_seconds");
        for (name, route) in &routes {
            text.histogram(&[("route", name)], route.cores.iter().map(|core| &core.latencies));
        }
        type Of = fn(&RouteCore) -> u64;
        let per_route: [(&'static str, Of); 2] = [
            ("tidegate_response_bytes_total", |core| core.bytes_out.get()),
            ("tidegate_request_bytes_total", |core| core.bytes_in.get()),
        ];
        for (family, of) in per_route {
            text.family(family);
            for (name, route) in &routes {
                text.sample(&[("route", name)], route.sum(of));
            }
        }
        text.family("tidegate_failures_total");
        for kind in FailureKind::ALL {
            let labels = [("owner", kind.owner().as_str()), ("kind", kind.label())];
            text.sample(&labels, self.core_sum(|core| core.failures[*kind as usize].get()));
        }
        text.family("tidegate_rate_limited_total");
        for (name, route) in &routes {
            text.sample(&[("route", name)], route.sum(|core| core.limited.get()));
        }
        text.family("tidegate_cache_requests_total");
        for (name, route) in &routes {
            for (index, word) in CACHE_WORDS.iter().enumerate() {
                let count = route.sum(|core| core.cache[index].get());
                if count > 0 {
                    text.sample(&[("route", name), ("result", word)], count);
                }
            }
        }
        text.family("tidegate_cache_entries");
        for store in &state.stores {
            text.sample(&[("store", &store.name)], store.entries);
        }
        text.family("tidegate_cache_bytes");
        for store in &state.stores {
            text.sample(&[("store", &store.name)], store.bytes);
        }
        text.family("tidegate_cache_limit_bytes");
        for store in &state.stores {
            text.sample(&[("store", &store.name)], store.max_bytes);
        }
        self.render_upstreams(&mut text, state);
        self.render_rest(&mut text, state);
        debug_assert_eq!(text.rest.len(), 0, "every family is written");
        text.out
    }

    fn render_upstreams(&self, text: &mut Text, state: &State) {
        let upstreams = lock(&self.upstreams).clone();
        text.family("tidegate_upstream_events_total");
        for (name, upstream) in &upstreams {
            for (event, word) in UpstreamEvent::ALL {
                let count = upstream.events[event as usize].get();
                text.sample(&[("upstream", name), ("event", word)], count);
            }
        }
        text.family("tidegate_upstream_duration_seconds");
        for (name, upstream) in &upstreams {
            text.histogram(&[("upstream", name)], upstream.latencies.iter());
        }
        text.family("tidegate_upstream_waiting");
        for upstream in &state.upstreams {
            text.sample(&[("upstream", &upstream.name)], upstream.waiting);
        }
        text.family("tidegate_upstream_breaker_open");
        for upstream in &state.upstreams {
            let value = match upstream.breaker {
                Some("open") => 1.0,
                Some("half-open") => 0.5,
                Some(_) => 0.0,
                None => continue,
            };
            text.sample(&[("upstream", &upstream.name)], value);
        }
        text.family("tidegate_upstream_adaptive_limit");
        for upstream in &state.upstreams {
            if let Some(limit) = upstream.adaptive_limit {
                text.sample(&[("upstream", &upstream.name)], limit);
            }
        }
        let servers = lock(&self.servers).clone();
        text.family("tidegate_server_attempts_total");
        for ((upstream, server), counters) in &servers {
            for (result, word) in AttemptResult::ALL {
                let count: u64 =
                    counters.cores.iter().map(|core| core.results[result as usize].get()).sum();
                let labels = [("upstream", &**upstream), ("server", server), ("result", word)];
                text.sample(&labels, count);
            }
        }
        text.family("tidegate_server_attempt_duration_seconds");
        for ((upstream, server), counters) in &servers {
            let labels = [("upstream", &**upstream), ("server", server)];
            text.histogram(&labels, counters.cores.iter().map(|core| &core.latencies));
        }
        type Of = fn(&super::ServerState) -> u32;
        let gauges: [(&'static str, Of); 3] = [
            ("tidegate_server_up", |server| u32::from(server.up)),
            ("tidegate_server_in_flight", |server| server.in_flight),
            ("tidegate_server_weight", |server| server.weight),
        ];
        for (family, of) in gauges {
            text.family(family);
            for upstream in &state.upstreams {
                for server in &upstream.servers {
                    let labels = [("upstream", &*upstream.name), ("server", &server.id)];
                    text.sample(&labels, of(server));
                }
            }
        }
    }

    fn render_rest(&self, text: &mut Text, state: &State) {
        text.family("tidegate_connections_total");
        text.sample(&[], self.core_sum(|core| core.accepted.get()));
        text.family("tidegate_connections_open");
        text.sample(&[], state.connections);
        text.family("tidegate_connections_refused_total");
        for (index, reason) in REFUSALS.iter().enumerate() {
            text.sample(&[("reason", reason)], self.core_sum(|core| core.refused[index].get()));
        }
        text.family("tidegate_tls_handshakes_total");
        text.sample(&[], self.core_sum(|core| core.tls_handshakes.get()));
        text.family("tidegate_http2_streams_total");
        text.sample(&[], self.core_sum(|core| core.http2_streams.get()));
        text.family("tidegate_http2_resets_total");
        text.sample(&[], self.core_sum(|core| core.http2_resets.get()));
        let opened = self.core_sum(|core| core.tunnels.get());
        text.family("tidegate_tunnels_total");
        text.sample(&[], opened);
        text.family("tidegate_tunnels_open");
        text.sample(&[], opened - self.core_sum(|core| core.tunnels_closed.get()).min(opened));
        text.family("tidegate_tunnel_bytes_total");
        text.sample(&[], self.core_sum(|core| core.tunnel_bytes.get()));
        text.family("tidegate_mirrored_total");
        text.sample(&[], self.core_sum(|core| core.mirrored.get()));
        text.family("tidegate_mirror_dropped_total");
        text.sample(&[], self.core_sum(|core| core.mirror_dropped.get()));
        let (written, dropped) = state.log_lines.unwrap_or_default();
        text.family("tidegate_access_log_lines_total");
        text.sample(&[], written);
        text.family("tidegate_access_log_dropped_total");
        text.sample(&[], dropped);
        text.family("tidegate_config_reloads_total");
        text.sample(&[("result", "ok")], self.reloads_ok.get());
        text.sample(&[("result", "failed")], self.reloads_failed.get());
        text.family("tidegate_config_generation");
        text.sample(&[], state.generation);
        text.family("tidegate_uptime_seconds");
        text.sample(&[], state.uptime_s);
    }

    /// The state with the counters that people look at first.
    pub fn status_json(&self, state: &State) -> Value {
        let mut value = state.to_json();
        let routes = lock(&self.routes).clone();
        let routes = routes.iter().map(|(name, route)| {
            let statuses: Vec<u64> =
                (0..6).map(|class| route.sum(|core| core.statuses[class].get())).collect();
            let cache = CACHE_WORDS.iter().enumerate().filter_map(|(index, word)| {
                let count = route.sum(|core| core.cache[index].get());
                (count > 0).then(|| ((*word).to_owned(), Value::from(count)))
            });
            json!({
                "name": name,
                "requests": statuses.iter().sum::<u64>(),
                "statuses": statuses,
                "response-bytes": route.sum(|core| core.bytes_out.get()),
                "rate-limited": route.sum(|core| core.limited.get()),
                "cache": Value::Object(cache.collect()),
            })
        });
        let failures = FailureKind::ALL.iter().filter_map(|kind| {
            let count = self.core_sum(|core| core.failures[*kind as usize].get());
            (count > 0).then(|| (kind.label().to_owned(), Value::from(count)))
        });
        let upstreams = lock(&self.upstreams).clone();
        let events = upstreams.iter().map(|(name, upstream)| {
            let counts = UpstreamEvent::ALL.iter().map(|(event, word)| {
                ((*word).to_owned(), Value::from(upstream.events[*event as usize].get()))
            });
            (name.clone(), Value::Object(counts.collect()))
        });
        value["routes"] = routes.collect();
        value["failures"] = Value::Object(failures.collect());
        value["events"] = Value::Object(events.collect());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Over;

    #[test]
    fn every_family_is_written_and_counts_are_added_up() {
        let registry = Registry::new(2);
        let route = registry.route("we\"b");
        for (core, status, took_us) in [(0, 200, 50), (1, 204, 1_000), (1, 503, 9_000_000)] {
            registry.core(core).request(&Over {
                route: Some(&route),
                method: if status == 204 { "BREW" } else { "GET" },
                status,
                bytes_out: 10,
                bytes_in: 1,
                took_us,
                cache: Some("hit"),
                failure: (status == 503).then_some(FailureKind::NoServer),
            });
        }
        registry.upstream("shop").count(UpstreamEvent::Retry);
        registry.upstream("shop").answered(1, 2_000);
        registry.core(1).http2_reset();
        registry.server("shop", "a:1").attempt(1, AttemptResult::Error, 3);
        let text = registry.render_prometheus(&State::default());
        for line in [
            "tidegate_requests_total{route=\"we\\\"b\",status=\"2xx\"} 2",
            "tidegate_request_duration_seconds_bucket{route=\"we\\\"b\",le=\"0.001\"} 2",
            "tidegate_request_duration_seconds_bucket{route=\"we\\\"b\",le=\"+Inf\"} 3",
            "tidegate_request_duration_seconds_count{route=\"we\\\"b\"} 3",
            "tidegate_response_bytes_total{route=\"we\\\"b\"} 30",
            "tidegate_requests_by_method_total{method=\"GET\"} 2",
            "tidegate_requests_by_method_total{method=\"other\"} 1",
            "tidegate_upstream_duration_seconds_bucket{upstream=\"shop\",le=\"0.001\"} 0",
            "tidegate_upstream_duration_seconds_sum{upstream=\"shop\"} 0.002",
            "tidegate_http2_resets_total 1",
            "tidegate_failures_total{owner=\"tidegate\",kind=\"no-server\"} 1",
            "tidegate_cache_requests_total{route=\"we\\\"b\",result=\"hit\"} 3",
            "tidegate_upstream_events_total{upstream=\"shop\",event=\"retry\"} 1",
            "tidegate_server_attempts_total{upstream=\"shop\",server=\"a:1\",result=\"error\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        for metric in METRICS {
            assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind)));
        }
        let status = registry.status_json(&State::default());
        assert_eq!(status["routes"][0]["requests"], 3);
        assert_eq!(status["events"]["shop"]["retry"], 1);
    }

    #[test]
    fn the_reference_lists_every_family() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
        let mut page = String::from(
            "# Metrics\n\nThe gateway's metrics, in the text format of Prometheus, at `/metrics` of the \
             admin address. This page is written by a test; `UPDATE_GOLDEN=1 cargo test -p gateway \
             the_reference` writes it anew.\n\n| name | type | labels | meaning |\n|---|---|---|---|\n",
        );
        for metric in METRICS {
            let Metric { name, kind, labels, help } = metric;
            let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
        }
        page.push_str("\n## Failures\n\nThe labels of `tidegate_failures_total`, and of `failure` in the access log.\n\n| kind | owner | status | meaning |\n|---|---|---|---|\n");
        for kind in FailureKind::ALL {
            let (label, owner, status) = (kind.label(), kind.owner().as_str(), kind.status());
            let _ = writeln!(page, "| `{label}` | {owner} | {status} | {} |", kind.meaning());
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "UPDATE_GOLDEN=1 writes it anew");
    }
}
