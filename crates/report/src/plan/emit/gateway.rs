//! The concurrency limit of an instance for tidegate's own gateway, `docs/reference/gateway.md`.

use plan::choose::{Answer, Concurrency};

use super::{Names, comments, decimal, quoted};

/// Shortest time to wait that is written, in milliseconds.
const PENDING_TIMEOUT_MS_MIN: f64 = 1.0;

/// `limits` of an upstream with one server.
pub(in crate::plan) fn limits(advice: &Concurrency) -> String {
    let timeout_ms = (advice.gateway_queue_timeout_s * 1e3).floor().max(PENDING_TIMEOUT_MS_MIN);
    let (connections, pending) = (advice.gateway_max_requests_per_server, advice.gateway_queue);
    // Without anybody who waits, the gateway takes no time for it.
    let timeout = if pending > 0 {
        format!(", pending-timeout = \"{timeout_ms:.0}ms\"")
    } else {
        String::new()
    };
    format!("limits = {{ connections = {connections}, pending = {pending}{timeout} }}")
}

/// A configuration that can be run once its servers are filled in.
pub(super) fn configuration(answer: &Answer, names: &Names) -> String {
    let advice = &answer.concurrency;
    let mut about = vec![
        format!(
            "Written by tidegate plan: {} requests in flight at the capacity of a server (Little's law).",
            decimal(advice.by_littles_law)
        ),
        "`connections` counts for each server; `pending` for all together, so multiply it by their number."
            .to_owned(),
    ];
    if let (Some(turn), Some(peak)) = (advice.by_usl, advice.usl_peak_per_s) {
        about.push(format!(
            "Beyond {} in flight a server answers less, not more: {} per second at most.",
            decimal(turn),
            decimal(peak)
        ));
    }
    let name = quoted(&names.name);
    format!(
        "{}[listen.{name}]\n\
         address = \"127.0.0.1:8080\"\n\n\
         [upstream.{name}]\n\
         servers = [\"127.0.0.1:9001\"]\n\
         {}\n\n\
         [route.{name}]\n\
         upstream = {name}\n",
        comments(&about),
        limits(advice),
    )
}
