//! What an operator is told about a running gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use policy::breaker::State as BreakerState;

use crate::cache::Store;
use crate::engine::{Inner, upstreams};
use crate::log::LogCounters;
use crate::metrics::{ServerState, State, StoreState, UpstreamState};
use crate::params::Cache;
use crate::snapshot::Snapshot;
use crate::upstream::shared::{Duty, Upstream};

/// The state at this moment.
pub(crate) fn state_of(inner: &Inner, log: Option<&LogCounters>) -> State {
    let snapshot = inner.snapshot();
    let now = inner.shared.now();
    let upstreams = upstreams(&snapshot).map(|upstream| {
        let servers = upstream.servers.iter().map(|server| ServerState {
            id: server.id().to_owned(),
            up: server.is_up(now),
            healthy: server.is_healthy(),
            ejected: server.is_ejected(now),
            duty: match server.duty() {
                Duty::Normal => "normal",
                Duty::Drain => "drain",
                Duty::Down => "down",
            },
            weight: server.weight(),
            tier: server.tier(),
            in_flight: server.in_flight(),
        });
        UpstreamState {
            name: upstream.name.clone(),
            breaker: breaker_word(upstream, now),
            waiting: upstream.waiting(),
            adaptive_limit: upstream.adaptive_limit(),
            servers: servers.collect(),
        }
    });
    let stores = stores(&snapshot).into_iter().map(|(params, store)| StoreState {
        name: params.store.clone(),
        entries: store.keys(),
        bytes: store.bytes(),
        max_bytes: params.max_bytes,
    });
    State {
        upstreams: upstreams.collect(),
        stores: stores.collect(),
        connections: inner.shared.connections(),
        draining: inner.shared.draining.load(Ordering::Relaxed),
        generation: snapshot.generation,
        uptime_s: now.as_secs_f64(),
        log_lines: log.map(|log| (log.written(), log.dropped())),
    }
}

fn breaker_word(upstream: &Upstream, now: std::time::Duration) -> Option<&'static str> {
    upstream.breaker_state(now).map(|state| match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    })
}

/// The cache stores of a snapshot, each once, with the parameters of a route that uses it.
pub(crate) fn stores(snapshot: &Snapshot) -> Vec<(&Cache, &Arc<Store>)> {
    let mut stores: Vec<(&Cache, &Arc<Store>)> = Vec::new();
    for route in &snapshot.routes {
        let (Some(params), Some(cache)) = (&route.params.cache, &route.cache) else { continue };
        if !stores.iter().any(|(_, known)| Arc::ptr_eq(known, cache.store())) {
            stores.push((params, cache.store()));
        }
    }
    stores
}
