//! A configuration, made ready: what cores look at while it holds. Never changed, only replaced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ClientConfig;

use crate::cache::RouteCache;
use crate::files::Files;
use crate::limit::Limiter;
use crate::metrics::RouteCounters;
use crate::params::{GatewayParams, Route};
use crate::router::Router;
use crate::upstream::shared::Upstream;

/// A configuration, made ready.
pub(crate) struct Snapshot {
    pub(crate) params: Arc<GatewayParams>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<Arc<RouteState>>,
    pub(crate) upstreams: Vec<Backend>,
    /// Rises with every snapshot.
    pub(crate) generation: u64,
}

/// What answers requests.
pub(crate) enum Backend {
    Servers { upstream: Arc<Upstream>, tls: Option<Arc<ClientConfig>> },
    Files(Arc<Files>),
}

/// A route and what is remembered for it.
pub(crate) struct RouteState {
    pub(crate) params: Route,
    pub(crate) limits: Vec<Arc<Limiter>>,
    /// Requests under way, whatever snapshot they follow.
    pub(crate) in_flight: Arc<AtomicUsize>,
    pub(crate) cache: Option<RouteCache>,
    pub(crate) counters: Arc<RouteCounters>,
}

impl RouteState {
    /// Takes a place among the requests under way; `None` when there are too many.
    pub(crate) fn enter(&self) -> Option<Place<'_>> {
        let place = Place { route: self };
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.params.concurrency.is_none_or(|max| before < max).then_some(place)
    }
}

/// A request of a route that is under way.
pub(crate) struct Place<'a> {
    route: &'a RouteState,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.route.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Names and addresses that a snapshot listens on.
pub(crate) fn addresses(params: &GatewayParams) -> impl Iterator<Item = SocketAddr> {
    params.listeners.iter().map(|listener| listener.address)
}
