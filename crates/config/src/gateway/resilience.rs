//! What keeps an upstream well: health checks, breaker, ejection, retries, hedging, limits.

use std::time::Duration;

use gateway::params::{
    Adaptive, Breaker, Ejection, Health, HealthCheck, Hedge, Retry, RetryOn, UpstreamLimits,
};
use toml::de::DeValue;
use traffic::Rate;

use crate::errors::{Code, Problem};
use crate::expect::status_range;
use crate::gateway::balance::missing;
use crate::gateway::matches::check_local_path;
use crate::gateway::value::{flag, no_effect, percent, positive, share, size, whole};
use crate::read::{Node, Table, Text};

/// Most attempts besides the first.
pub const RETRIES_MAX: u32 = 10;

/// Reads `health`.
pub(crate) fn read_health(table: &mut Table<'_>) -> Option<Health> {
    let kind = table.one_of(&["get", "tcp"]);
    let (status, contains) = (table.get("status"), table.get("body-contains"));
    let check = match kind {
        None => {
            missing(
                table,
                "`health` does not say what is asked",
                "add `get = \"/\"` or `tcp = true`",
            );
            None
        }
        Some(kind) if kind.key.text == "tcp" => {
            for setting in [status, contains].into_iter().flatten() {
                no_effect(table.sink, setting.key, Some(kind.key), "a TCP check gets no answer");
            }
            let on = kind.boolean();
            if on == Some(false) {
                no_effect(table.sink, kind.key, None, "it is on only when it is true");
            }
            on.map(|_| HealthCheck::Tcp)
        }
        Some(kind) => read_http_check(&kind, status, contains),
    };
    let health = Health {
        every: positive(table, "every").unwrap_or(Duration::from_secs(5)),
        timeout: positive(table, "timeout").unwrap_or(Duration::from_secs(2)),
        fall: whole(table, "fall", 1..=1_000).unwrap_or(3),
        rise: whole(table, "rise", 1..=1_000).unwrap_or(2),
        check: check?,
    };
    Some(health)
}

fn read_http_check(
    get: &Node<'_>,
    status: Option<Node<'_>>,
    contains: Option<Node<'_>>,
) -> Option<HealthCheck> {
    let path = check_local_path(get);
    let expect = status.map_or_else(
        || vec![(200, 399)],
        |node| {
            let ranges = node.list_or_one();
            crate::gateway::value::not_empty(&node, &ranges);
            let read = ranges.iter().filter_map(status_range);
            read.map(|range| (range.low, range.high)).collect()
        },
    );
    let body_contains = contains.and_then(|node| node.owned_text());
    if let (Some(node), Some("")) = (contains, body_contains.as_deref()) {
        no_effect(node.sink, node.key, None, "every body contains the empty text");
    }
    Some(HealthCheck::Http { path: path?, expect, body_contains })
}

/// Reads `breaker`.
pub(crate) fn read_breaker(table: &mut Table<'_>) -> Option<Breaker> {
    Some(Breaker {
        failures: whole(table, "failures", 1..=1_000_000).unwrap_or(5),
        open_for: positive(table, "open-for").unwrap_or(Duration::from_secs(10)),
        half_open_requests: whole(table, "half-open-requests", 1..=1_000).unwrap_or(2),
    })
}

/// Reads `ejection`.
pub(crate) fn read_ejection(table: &mut Table<'_>) -> Option<Ejection> {
    let ejection = Ejection {
        consecutive_errors: whole(table, "consecutive-errors", 1..=1_000_000).unwrap_or(5),
        max_ejected: share(table, "max-ejected").unwrap_or(percent(50)),
        base: positive(table, "base").unwrap_or(Duration::from_secs(30)),
        max: positive(table, "max").unwrap_or(Duration::from_secs(300)),
    };
    check_order(table, ["base", "max"], ejection.base <= ejection.max);
    Some(ejection)
}

/// Reports two keys of which the first should not be above the second.
fn check_order<'a>(table: &mut Table<'a>, [low, high]: [&'a str; 2], ordered: bool) {
    let at = table.get(low).or(table.get(high)).map(|node| node.key);
    if let (false, Some(place)) = (ordered, at) {
        let message = format!("`{low}` should be no more than `{high}`");
        table.sink.add(Problem::new(Code::BadRange, message).at(place.at, ""));
    }
}

/// When a request is sent again unless the file says.
pub(crate) fn default_retry() -> Retry {
    Retry {
        attempts: 1,
        on: vec![RetryOn::Connect, RetryOn::Reset],
        budget: percent(20),
        budget_floor: Rate::per_s(10.0).expect("a rate"),
        per_try: None,
        backoff: Duration::from_millis(25),
        backoff_max: Duration::from_secs(1),
        non_idempotent: false,
        body_max: 64 << 10,
    }
}

/// Reads `retry`.
pub(crate) fn read_retry(table: &mut Table<'_>) -> Option<Retry> {
    let d = default_retry();
    let attempts_node = table.get("attempts");
    let attempts = attempts_node.and_then(|node| node.integer(0..=RETRIES_MAX));
    if let (Some(0), Some(node), Some(other)) = (attempts, attempts_node, table.rest().first()) {
        no_effect(table.sink, other.key, Some(node.key), "there are no more attempts");
    }
    let budget_node = table.get("budget");
    let budget = budget_node.and_then(|node| node.parsed(Code::BadShare, "20%"));
    let floor = table.get("budget-floor").and_then(|node| node.parsed(Code::BadRate, "10/s"));
    let retry = Retry {
        attempts: attempts.unwrap_or(d.attempts),
        on: table.get("on").map_or(d.on, |node| read_causes(&node)),
        budget: budget.unwrap_or(d.budget),
        budget_floor: floor.unwrap_or(d.budget_floor),
        per_try: positive(table, "per-try"),
        backoff: positive(table, "backoff").unwrap_or(d.backoff),
        backoff_max: positive(table, "backoff-max").unwrap_or(d.backoff_max),
        non_idempotent: flag(table, "non-idempotent").unwrap_or(d.non_idempotent),
        body_max: size(table, "body-max", 0..=64 << 20).unwrap_or(d.body_max),
    };
    check_order(table, ["backoff", "backoff-max"], retry.backoff <= retry.backoff_max);
    if let (Some(node), true) =
        (budget_node, retry.budget.get() == 0.0 && retry.budget_floor.as_per_s() == 0.0)
    {
        let message = "the budget allows no retry at all";
        let problem = node.problem(Code::NoEffect, message, "");
        table.sink.add(problem.help("for no retries write `retry = { attempts = 0 }`"));
    }
    Some(retry)
}

fn read_causes(node: &Node<'_>) -> Vec<RetryOn> {
    let nodes = node.list_or_one();
    crate::gateway::value::not_empty(node, &nodes);
    nodes.iter().filter_map(read_cause).collect()
}

fn read_cause(node: &Node<'_>) -> Option<RetryOn> {
    if let DeValue::Integer(_) = node.value() {
        return node.integer(400..=599).map(RetryOn::Status);
    }
    let text = node.text()?.text;
    let status = text.parse().ok().filter(|status| (400..=599).contains(status));
    let cause = match text {
        "connect" => Some(RetryOn::Connect),
        "reset" => Some(RetryOn::Reset),
        "timeout" => Some(RetryOn::Timeout),
        _ => status.map(RetryOn::Status),
    };
    if cause.is_none() {
        let words = ["connect", "reset", "timeout", "503"].into_iter();
        let message = format!("`{}` is no cause for a retry", text.escape_debug());
        node.sink.add(node.problem(Code::BadChoice, message, "").help_nearest(text, words));
    }
    cause
}

/// Reads `hedge`.
pub(crate) fn read_hedge(table: &mut Table<'_>) -> Option<Hedge> {
    table.required("after");
    let after = positive(table, "after");
    let budget = share(table, "budget").unwrap_or(percent(10));
    Some(Hedge { after: after?, budget })
}

/// Bounds unless the file says.
pub(crate) const LIMITS: UpstreamLimits =
    UpstreamLimits { connections: 1_024, pending: 1_024, pending_timeout: Duration::from_secs(1) };

/// Reads `limits`.
pub(crate) fn read_limits(table: &mut Table<'_>) -> Option<UpstreamLimits> {
    let connections = whole(table, "connections", 1..=1_000_000).unwrap_or(LIMITS.connections);
    let pending_node = table.get("pending");
    let pending = pending_node.and_then(|node| node.integer(0..=1_000_000));
    let timeout_node = table.get("pending-timeout");
    let pending_timeout = positive(table, "pending-timeout").unwrap_or(LIMITS.pending_timeout);
    if let (Some(0), Some(timeout)) = (pending, timeout_node) {
        no_effect(table.sink, timeout.key, pending_node.map(|node| node.key), "no request waits");
    }
    Some(UpstreamLimits {
        connections,
        pending: pending.unwrap_or(LIMITS.pending),
        pending_timeout,
    })
}

/// Reads `adaptive`.
pub(crate) fn read_adaptive(table: &mut Table<'_>) -> Option<Adaptive> {
    let keys = ["min", "max", "initial"];
    let [low, high, first] = keys.map(|key| table.get(key));
    let or = |node: Option<Node<'_>>, default: u32| {
        node.and_then(|node| node.integer(1..=1_000_000)).unwrap_or(default)
    };
    let adaptive = Adaptive { min: or(low, 4), max: or(high, 1_000), initial: or(first, 20) };
    if !(adaptive.min..=adaptive.max).contains(&adaptive.initial) {
        let place: Option<Text<'_>> = first.or(low).or(high).map(|node| node.key);
        let message = format!(
            "`initial` ({}) should be from `min` ({}) to `max` ({})",
            adaptive.initial, adaptive.min, adaptive.max
        );
        let problem = Problem::new(Code::BadRange, message);
        table.sink.add(problem.at(place.and_then(|place| place.at), ""));
    }
    Some(adaptive)
}
