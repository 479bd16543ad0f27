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
use crate::params::Mirror;
use crate::record::Record;
use crate::request::{Origin, Request};
use crate::snapshot::RouteState;

/// Sends a copy of a request, by chance and if there is room. Requests with a body are left out:
/// keeping them would cost memory for every one of them.
pub(crate) fn copy(
    core: &Rc<Core>,
    view: &Rc<View>,
    mirror: &Mirror,
    route: &Arc<RouteState>,
    request: &Request,
    origin: &Origin,
) {
    let Some(LocalBackend::Servers(upstream)) = view.upstreams.get(mirror.upstream) else { return };
    if !request.is_empty()
        || request.upgrade.is_some()
        || core.rng().random::<f64>() >= mirror.share.get()
    {
        return;
    }
    if core.mirrored.get() >= mirror.in_flight_max {
        core.metrics.mirror_dropped();
        return;
    }
    core.mirrored.set(core.mirrored.get() + 1);
    let (core, view) = (Rc::clone(core), Rc::clone(view));
    let (route, upstream) = (Arc::clone(route), Rc::clone(upstream));
    let (mut request, origin) = (request.copy(), origin.clone());
    let task_core = Rc::clone(&core);
    core.spawn_counted(async move {
        let core = task_core;
        let mut client = Client::nobody(&view.params.limits);
        let mut record = Record::default();
        let mut exchange = Exchange {
            core: &core,
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
        core.mirrored.set(core.mirrored.get().saturating_sub(1));
    });
}

impl Client {
    /// A client that takes everything and says nothing: of requests that tidegate makes itself.
    pub(crate) fn nobody(limits: &crate::params::ClientLimits) -> Client {
        Client {
            peer: Peer::Nobody,
            deadline: Deadline::new(),
            body_timeout: limits.body_timeout,
            send_timeout: limits.send_timeout,
            version: wire::Version::Http11,
            close: false,
            sent: None,
            body_bytes: 0,
        }
    }
}
