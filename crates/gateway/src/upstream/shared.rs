//! What all cores know about an upstream and its servers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::adaptive::{AdaptiveLimit, AdaptiveParams};
use policy::breaker::{Breaker, BreakerParams, State};
use policy::ejection::{EjectionParams, Ejector, Outcome};
use tokio::sync::Notify;

use crate::metrics::{ServerCounters, UpstreamCounters};
use crate::params::{Servers, UpstreamTls};

/// Where a server is, once its name is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Socket(SocketAddr),
    Unix(PathBuf),
}

/// What an operator has decided about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Duty {
    /// Health decides.
    Normal = 0,
    /// No new clients; those that stick to it stay.
    Drain = 1,
    /// No requests.
    Down = 2,
}

/// Who a server is. Equal identities share their state, also across reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) upstream: String,
    /// As the file writes it, with the resolved address behind a name.
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) tls: Option<UpstreamTls>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) identity: Identity,
    /// What `Host` and the TLS name are, unless told otherwise.
    pub(crate) host: String,
    /// Hash of the id, for sticky cookies.
    pub(crate) tag: u64,
    weight: AtomicU32,
    tier: AtomicU8,
    in_flight: AtomicU32,
    /// What active checks say.
    healthy: AtomicBool,
    duty: AtomicU8,
    /// Milliseconds of the gateway's clock; 0: never.
    ejected_until: AtomicU64,
    /// When it last came up, in milliseconds of the gateway's clock.
    up_since: AtomicU64,
    pub(crate) counters: Arc<ServerCounters>,
}

impl Server {
    pub(crate) fn new(
        identity: Identity,
        host: String,
        weight: u16,
        tier: u8,
        counters: Arc<ServerCounters>,
    ) -> Server {
        Server {
            tag: crate::sticky::tag_of(&identity.id),
            identity,
            host,
            weight: AtomicU32::new(u32::from(weight)),
            tier: AtomicU8::new(tier),
            in_flight: AtomicU32::new(0),
            healthy: AtomicBool::new(true),
            duty: AtomicU8::new(Duty::Normal as u8),
            ejected_until: AtomicU64::new(0),
            up_since: AtomicU64::new(0),
            counters,
        }
    }

    /// Its name in logs and metrics.
    pub(crate) fn id(&self) -> &str {
        &self.identity.id
    }

    pub(crate) fn configure(&self, weight: u16, tier: u8) {
        self.weight.store(u32::from(weight), Ordering::Relaxed);
        self.tier.store(tier, Ordering::Relaxed);
    }

    /// Configured weight.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(crate) fn tier(&self) -> u8 {
        self.tier.load(Ordering::Relaxed)
    }

    /// Requests in flight over all cores.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What active checks say.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub(crate) fn set_healthy(&self, healthy: bool, now: Duration) {
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy && healthy {
            self.up_since.store(millis(now), Ordering::Relaxed);
        }
    }

    /// What the operator says.
    pub(crate) fn duty(&self) -> Duty {
        match self.duty.load(Ordering::Relaxed) {
            0 => Duty::Normal,
            1 => Duty::Drain,
            _ => Duty::Down,
        }
    }

    /// Changes what the operator says.
    pub(crate) fn set_duty(&self, duty: Duty) {
        self.duty.store(duty as u8, Ordering::Relaxed);
    }

    /// Whether it is ejected at the moment.
    pub(crate) fn is_ejected(&self, now: Duration) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > millis(now)
    }

    /// Whether new requests may go to it.
    pub(crate) fn is_up(&self, now: Duration) -> bool {
        self.may_keep_clients(now) && self.duty() == Duty::Normal
    }

    /// Whether clients that stick to it may stay.
    pub(crate) fn may_keep_clients(&self, now: Duration) -> bool {
        self.is_healthy() && self.duty() != Duty::Down && self.weight() > 0 && !self.is_ejected(now)
    }

    /// How long it has been up; `None` when it never was down.
    pub(crate) fn up_for(&self, now: Duration) -> Option<Duration> {
        let since = self.up_since.load(Ordering::Relaxed);
        (since > 0).then(|| now.saturating_sub(Duration::from_millis(since)))
    }
}

fn millis(now: Duration) -> u64 {
    now.as_millis() as u64
}

/// A state machine that is left alone while nothing is wrong.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    /// Whether it has seen a failure that it has not forgotten.
    alert: AtomicBool,
    state: Mutex<T>,
}

impl<T> Watched<T> {
    fn new(state: T) -> Watched<T> {
        Watched { alert: AtomicBool::new(false), state: Mutex::new(state) }
    }

    fn is_alert(&self) -> bool {
        self.alert.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.state)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A group of servers.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) params: Arc<Servers>,
    pub(crate) servers: Vec<Arc<Server>>,
    breaker: Option<Watched<Breaker>>,
    ejector: Option<Watched<Ejector>>,
    adaptive: Option<Mutex<AdaptiveLimit>>,
    pub(crate) load: Arc<Load>,
    pub(crate) counters: Arc<UpstreamCounters>,
}

/// Requests of an upstream, whatever configuration they follow: those that wait under one are told
/// of room that comes free under another.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    /// Told once for every request that ends while others wait for room.
    released: Notify,
    waiting: AtomicUsize,
}

/// What a request may do about the breaker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Passage {
    /// There is no breaker, or nothing is wrong.
    Free,
    /// The breaker wants to know how it ends.
    Permit(policy::breaker::Permit),
}

impl Upstream {
    pub(crate) fn new(
        name: String,
        params: Arc<Servers>,
        servers: Vec<Arc<Server>>,
        counters: Arc<UpstreamCounters>,
        load: Arc<Load>,
    ) -> Upstream {
        let breaker = params.breaker.as_ref().map(|breaker| {
            Watched::new(Breaker::new(BreakerParams {
                failures: breaker.failures,
                open_for: breaker.open_for,
                half_open_requests: breaker.half_open_requests,
            }))
        });
        let ejector = params.ejection.as_ref().map(|ejection| {
            let params = EjectionParams {
                consecutive_errors: ejection.consecutive_errors,
                max_ejected: ejection.max_ejected.get(),
                base: ejection.base,
                max: ejection.max,
            };
            Watched::new(Ejector::new(params, servers.len()))
        });
        let adaptive = params.adaptive.as_ref().map(|adaptive| {
            Mutex::new(AdaptiveLimit::new(AdaptiveParams {
                min: adaptive.min,
                max: adaptive.max,
                initial: adaptive.initial,
            }))
        });
        Upstream { name, params, servers, breaker, ejector, adaptive, load, counters }
    }

    /// Its name in the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks the breaker; `Err` says after how long to ask again.
    pub(crate) fn pass_breaker(&self, now: Duration) -> Result<Passage, Duration> {
        match &self.breaker {
            Some(breaker) if breaker.is_alert() => {
                breaker.lock().try_acquire(now).map(Passage::Permit).map_err(|no| no.retry_after)
            }
            _ => Ok(Passage::Free),
        }
    }

    /// Tells the breaker how a request ended; `None`: nobody can tell.
    pub(crate) fn tell_breaker(&self, passage: Passage, ok: Option<bool>, now: Duration) {
        let Some(breaker) = &self.breaker else { return };
        let permit = match (passage, ok) {
            (Passage::Free, Some(false)) => None,
            (Passage::Free, _) => return,
            (Passage::Permit(permit), _) => Some(permit),
        };
        let mut state = breaker.lock();
        let permit = match permit {
            Some(permit) => permit,
            // It began before the breaker opened: its place is not among the probes.
            None if state.state(now) != State::Closed => return,
            // The first failure: from now on requests ask.
            None => match state.try_acquire(now) {
                Ok(permit) => permit,
                Err(_) => return,
            },
        };
        match ok {
            Some(true) => {
                state.on_success(permit);
            }
            Some(false) => {
                if state.on_failure(permit, now) {
                    tracing::warn!(upstream = %self.name, "breaker opened");
                }
            }
            None => state.on_cancel(permit),
        }
        breaker.alert.store(!state.is_quiet(), Ordering::Relaxed);
    }

    /// The word for the breaker's state, if there is one.
    pub(crate) fn breaker_state(&self, now: Duration) -> Option<State> {
        self.breaker.as_ref().map(|breaker| breaker.lock().state(now))
    }

    /// Tells how a server answered; true when it was ejected for it.
    pub(crate) fn tell_ejector(&self, server: usize, ok: bool, now: Duration) -> bool {
        let Some(ejector) = &self.ejector else { return false };
        if ok && !ejector.is_alert() {
            return false;
        }
        ejector.alert.store(true, Ordering::Relaxed);
        let outcome = if ok { Outcome::Ok } else { Outcome::Error };
        let ejected = ejector.lock().on_result(server, outcome, now);
        let Some(ejected) = ejected else { return false };
        let Some(server) = self.servers.get(ejected.server) else { return false };
        let until = millis(ejected.until);
        server.ejected_until.store(until, Ordering::Relaxed);
        server.up_since.store(until, Ordering::Relaxed);
        true
    }

    /// Whether the adaptive limit lets one more request in.
    pub(crate) fn has_room(&self) -> bool {
        self.adaptive.as_ref().is_none_or(|adaptive| {
            let waiting = u32::try_from(self.waiting()).unwrap_or(u32::MAX);
            let busy = self.load.in_flight.load(Ordering::Relaxed).saturating_add(waiting);
            busy < lock(adaptive).limit()
        })
    }

    /// The adaptive limit, if there is one.
    pub(crate) fn adaptive_limit(&self) -> Option<u32> {
        self.adaptive.as_ref().map(|adaptive| lock(adaptive).limit())
    }

    /// Tells the adaptive limit how long a request took.
    pub(crate) fn tell_adaptive(&self, now: Duration, took: Duration, ok: bool) {
        if let Some(adaptive) = &self.adaptive {
            let in_flight = self.load.in_flight.load(Ordering::Relaxed);
            lock(adaptive).on_sample(now, took, in_flight, ok);
        }
    }

    /// Requests that wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.load.waiting.load(Ordering::Relaxed)
    }

    /// Takes a place in the queue; `None` when it is full.
    pub(crate) fn queue(&self) -> Option<Queued<'_>> {
        let before = self.load.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = Queued { upstream: self };
        (before < self.params.limits.pending).then_some(queued)
    }
}

/// A place in the queue of an upstream.
pub(crate) struct Queued<'a> {
    upstream: &'a Upstream,
}

impl Queued<'_> {
    /// What tells that a request has ended.
    pub(crate) fn released(&self) -> &Notify {
        &self.upstream.load.released
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.upstream.load.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    upstream: Arc<Upstream>,
    server: usize,
}

impl InFlight {
    pub(crate) fn begin(upstream: &Arc<Upstream>, server: usize) -> InFlight {
        upstream.load.in_flight.fetch_add(1, Ordering::Relaxed);
        if let Some(server) = upstream.servers.get(server) {
            server.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        InFlight { upstream: Arc::clone(upstream), server }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let upstream = &self.upstream;
        upstream.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(server) = upstream.servers.get(self.server) {
            server.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        if upstream.waiting() > 0 {
            upstream.load.released.notify_one();
        }
    }
}
