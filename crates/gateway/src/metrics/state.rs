//! What is not counted but looked at, at the moment of asking.

use serde_json::{Value, json};

/// The state of a gateway.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Upstreams with servers.
    pub upstreams: Vec<UpstreamState>,
    /// Cache stores.
    pub stores: Vec<StoreState>,
    /// Open client connections.
    pub connections: usize,
    /// Whether it is stopping.
    pub draining: bool,
    /// Rises with every configuration.
    pub generation: u64,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Access-log lines written and dropped.
    pub log_lines: Option<(u64, u64)>,
}

/// The state of an upstream.
#[derive(Debug, Clone)]
pub struct UpstreamState {
    /// Its name.
    pub name: String,
    /// `closed`, `open` or `half-open`, when it has a breaker.
    pub breaker: Option<&'static str>,
    /// Requests that wait for room.
    pub waiting: usize,
    /// The adaptive limit, when it has one.
    pub adaptive_limit: Option<u32>,
    /// Its servers.
    pub servers: Vec<ServerState>,
}

/// The state of a server.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// Its name.
    pub id: String,
    /// Whether it gets requests.
    pub up: bool,
    /// What active checks say.
    pub healthy: bool,
    /// Whether it is ejected.
    pub ejected: bool,
    /// `normal`, `drain` or `down`.
    pub duty: &'static str,
    /// Its weight.
    pub weight: u32,
    /// Its tier.
    pub tier: u8,
    /// Requests in flight.
    pub in_flight: u32,
}

/// The state of a cache store.
#[derive(Debug, Clone)]
pub struct StoreState {
    /// Its name.
    pub name: String,
    /// Entries.
    pub entries: usize,
    /// Bytes in use.
    pub bytes: u64,
    /// Bytes it may use.
    pub max_bytes: u64,
}

impl State {
    /// As JSON, for people and scripts.
    pub fn to_json(&self) -> Value {
        let upstreams = self.upstreams.iter().map(|upstream| {
            let servers = upstream.servers.iter().map(|server| {
                json!({
                    "server": server.id, "up": server.up, "healthy": server.healthy,
                    "ejected": server.ejected, "duty": server.duty, "weight": server.weight,
                    "tier": server.tier, "in-flight": server.in_flight,
                })
            });
            json!({
                "name": upstream.name, "breaker": upstream.breaker, "waiting": upstream.waiting,
                "adaptive-limit": upstream.adaptive_limit,
                "servers": servers.collect::<Vec<Value>>(),
            })
        });
        let stores = self.stores.iter().map(|store| {
            json!({
                "name": store.name, "entries": store.entries, "bytes": store.bytes,
                "max-bytes": store.max_bytes,
            })
        });
        json!({
            "schema": "tidegate.status/1",
            "draining": self.draining,
            "generation": self.generation,
            "uptime-s": self.uptime_s,
            "connections": self.connections,
            "upstreams": upstreams.collect::<Vec<Value>>(),
            "stores": stores.collect::<Vec<Value>>(),
            "access-log": self.log_lines.map(|(written, dropped)| {
                json!({ "written": written, "dropped": dropped })
            }),
        })
    }
}
