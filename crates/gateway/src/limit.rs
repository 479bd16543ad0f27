//! Rate limits of a route, shared by all cores: one bounded table of keys per limit, in shards.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use policy::concurrency::ConcurrencyTable;
use policy::gcra::Gcra;
use policy::key_table::KeyTable;
use traffic::{Fields, Name};

use crate::params::{LimitHeaders, LimitKey, LimitUnit, RateLimit};
use crate::request::Request;
use crate::upstream::shared::lock;

/// Parts of a table, so that cores seldom wait for each other.
const SHARDS: usize = 16;

/// A limit and what is remembered for it.
pub(crate) struct Limiter {
    params: RateLimit,
    gcra: Gcra,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

enum Shard {
    Rate(KeyTable),
    Concurrency(ConcurrencyTable),
}

/// A request that a limit let pass.
pub(crate) enum Passed<'a> {
    /// Nothing to do afterwards.
    Free { remaining: u64, reset_after: Duration },
    /// Its response bytes are charged.
    Bytes { limiter: &'a Limiter, key: Vec<u8> },
    /// It holds a place.
    Place { limiter: &'a Limiter, key: Vec<u8> },
}

/// When to come again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) retry_after: Duration,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Limiter {
    pub(crate) fn new(params: RateLimit, seed: u64) -> Limiter {
        let per_shard = params.keys_max.div_ceil(SHARDS).max(1);
        let shards = (0..SHARDS as u64).map(|shard| {
            Mutex::new(match params.unit {
                LimitUnit::Concurrency => {
                    Shard::Concurrency(ConcurrencyTable::new(per_shard, seed ^ shard))
                }
                _ => Shard::Rate(KeyTable::new(per_shard, seed ^ shard)),
            })
        });
        Limiter {
            gcra: Gcra::new(params.rate.as_per_s(), params.burst),
            hasher: RandomState::new(),
            shards: shards.collect(),
            params,
        }
    }

    pub(crate) fn params(&self) -> &RateLimit {
        &self.params
    }

    /// The key of a request: parts with their lengths, so that no two keys look alike.
    fn key(&self, request: &Request, key: &mut Vec<u8>) {
        let fields = &request.head.fields;
        for part in &self.params.key {
            let mut put = |bytes: &[u8]| {
                key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                key.extend_from_slice(bytes);
            };
            match part {
                LimitKey::ClientIp => match request.client {
                    IpAddr::V4(ip) => put(&ip.octets()),
                    IpAddr::V6(ip) => put(&ip.octets()[..8]),
                },
                LimitKey::Header(name) => put(fields.get_named(name).unwrap_or(b"")),
                LimitKey::Cookie(name) => put(wire::cookie::cookie(fields, name).unwrap_or(b"")),
                LimitKey::Route => put(b""),
            }
        }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// Whether a request may pass.
    pub(crate) fn check(&self, request: &Request, now: Duration) -> Result<Passed<'_>, Refused> {
        let mut key = Vec::with_capacity(32);
        self.key(request, &mut key);
        let mut shard = lock(self.shard(&key));
        match &mut *shard {
            Shard::Concurrency(table) => {
                if !table.acquire(&key, self.params.burst) {
                    return Err(Refused { retry_after: Duration::from_secs(1) });
                }
            }
            Shard::Rate(table) => {
                let cost = u64::from(self.params.unit == LimitUnit::Requests);
                let allowed = self
                    .gcra
                    .check(table.entry(&key, now), now, cost)
                    .map_err(|limited| Refused { retry_after: limited.retry_after })?;
                if self.params.unit == LimitUnit::Requests {
                    return Ok(Passed::Free {
                        remaining: allowed.remaining,
                        reset_after: allowed.reset_after,
                    });
                }
            }
        }
        drop(shard);
        Ok(match self.params.unit {
            LimitUnit::Concurrency => Passed::Place { limiter: self, key },
            _ => Passed::Bytes { limiter: self, key },
        })
    }
}

impl Passed<'_> {
    /// Charges the bytes of the response.
    pub(crate) fn charge(&self, bytes: u64, now: Duration) {
        if let Passed::Bytes { limiter, key } = self
            && let Shard::Rate(table) = &mut *lock(limiter.shard(key))
        {
            limiter.gcra.charge(table.entry(key, now), now, bytes);
        }
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if let Passed::Place { limiter, key } = self
            && let Shard::Concurrency(table) = &mut *lock(limiter.shard(key))
        {
            table.release(key);
        }
    }
}

/// Writes the fields that tell a client about a limit.
pub(crate) fn tell(fields: &mut Fields, params: &RateLimit, remaining: u64, reset: Duration) {
    let seconds = reset.as_secs_f64().ceil() as u64;
    // The time in which the burst refills.
    let window = (params.burst as f64 / params.rate.as_per_s()).ceil().max(1.0) as u64;
    let mut numbers = |prefix: &str| {
        let values = [("Limit", params.burst), ("Remaining", remaining), ("Reset", seconds)];
        for (name, value) in values {
            fields.set_named(&format!("{prefix}-{name}"), value.to_string().as_bytes());
        }
    };
    match params.headers {
        LimitHeaders::Off => {}
        LimitHeaders::Legacy => numbers("RateLimit"),
        LimitHeaders::XPrefix => numbers("X-RateLimit"),
        LimitHeaders::Draft => {
            let policy = format!("\"default\";q={};w={window}", params.burst);
            let state = format!("\"default\";r={remaining};t={seconds}");
            fields.set_named("RateLimit-Policy", policy.as_bytes());
            fields.set_named("RateLimit", state.as_bytes());
        }
    }
}

/// Writes when to come again, in whole seconds.
pub(crate) fn tell_retry(fields: &mut Fields, after: Duration) {
    let seconds = (after.as_secs_f64().ceil() as u64).max(1);
    fields.set(Name::RetryAfter, seconds.to_string().as_bytes());
}
