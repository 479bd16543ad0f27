//! Copies of some requests for a second upstream, whose answers are thrown away.

use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;
use tokio::time::Instant;
use traffic::Fields;

use crate::client::Client;
use crate::core::{Core, LocalBackend, View};
use crate::exchange::Exchange;
use crate::net::deadline::Deadline;
use crate::net::peer::Peer;
use crate::outgoing;
use crate::params::Mirror;
use crate::record::Record;
use crate::request::{Origin, Request};
use crate::snapshot::RouteState;

/// Sends a copy of a request, by chance and if there is room; `request` is as it came, whatever
/// will answer it, the cache included. Requests with a body are left out: keeping them would cost
/// memory for every one of them.
pub(crate) fn copy(
    core: &Rc<Core>,
    view: &Rc<View>,
    mirror: &Mirror,
    route: &Arc<RouteState>,
    request: &Request,
    origin: &Origin,
) {
    let Some(LocalBackend::Servers(upstream)) = view.upstreams.get(mirror.upstream) else { return };
    if !request.is_empty() || core.rng().random::<f64>() >= mirror.share.get() {
        return;
    }
    if core.mirrored.get() >= mirror.in_flight_max {
        core.metrics.mirror_dropped();
        return;
    }
    let (mut request, origin) = (request.copy(), origin.clone());
    // What is refused is not copied, and a tunnel has no copy.
    let prepared = outgoing::prepare(view, &origin, &route.params, &mut request);
    if prepared.is_err() || request.upgrade.is_some() {
        return;
    }
    let (view, place) = (Rc::clone(view), Place::new(core));
    let (route, upstream) = (Arc::clone(route), Rc::clone(upstream));
    core.spawn_counted(async move {
        let core = &place.0;
        let mut client = Client::nobody(&view.params.limits);
        let mut record = Record::default();
        let mut exchange = Exchange {
            core,
            view: &view,
            origin: &origin,
            client: &mut client,
            request: &mut request,
            record: &mut record,
            told: Fields::new(),
            total: Some(Instant::now() + route.params.timeouts.response),
        };
        if let Ok(started) = exchange.forward(&route, &upstream).await {
            let answer = exchange.answer_of(started);
            // What comes back is read, so that the connection can be used again, and forgotten.
            let _ = exchange.send(answer).await;
        }
        core.metrics.mirrored();
    });
}

/// A copy under way, until it is dropped.
struct Place(Rc<Core>);

impl Place {
    fn new(core: &Rc<Core>) -> Place {
        core.mirrored.set(core.mirrored.get() + 1);
        Place(Rc::clone(core))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.mirrored.set(self.0.mirrored.get().saturating_sub(1));
    }
}

impl Client {
    /// A client that takes everything and says nothing: of requests that tidegate makes itself.
    pub(crate) fn nobody(limits: &crate::params::ClientLimits) -> Client {
        Client {
            peer: Peer::Nobody,
            deadline: Deadline::new(),
            body_timeout: limits.body_timeout,
            send_timeout: limits.send_timeout,
            total: None,
            version: wire::Version::Http11,
            close: false,
            sent: None,
            body_bytes: 0,
        }
    }
}
