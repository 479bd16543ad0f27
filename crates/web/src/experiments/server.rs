//! The server: connections that stay, streams among them, and a bound on their number.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use experiment::automation::Operator;
use experiment::live::params::ServiceParams;
use experiment::live::{Current, Live};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::rate::Peer;
use super::{Api, router};
use crate::guard::Guard;

/// Connections at once besides those of streams; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most header fields.
const HEADERS_MAX: usize = 64;
/// How long a request head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long connections may go on after the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait when a connection cannot be accepted, as when descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often beginnings and ends of schedules are looked at.
const SCHEDULE_EVERY: Duration = Duration::from_secs(1);

/// Serves the API of experiments, and what operators ask for, until `shutdown` is over; needs a
/// tokio runtime.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_experiments(
    listener: std::net::TcpListener,
    (live, operator): (Arc<Live>, Arc<Operator>),
    params: &ServiceParams,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?.ip();
    let api = Api::new(Arc::clone(&live), params, address);
    let guard = Guard::new(params.token.clone(), address);
    let service = TowerToHyperService::new(router(api, operator, guard));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX + params.limits.streams));
    // Both end with this function.
    let (mut connections, mut tasks) = (JoinSet::new(), JoinSet::new());
    tasks.spawn(schedules(live));
    tokio::pin!(shutdown);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let (stream, peer) = match accepted.1 {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the experiments address");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = accepted.0;
        // Without it, small answers wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (service, peer) = (service.clone(), Peer(peer.ip()));
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            let _place = place;
            // What goes wrong with a connection concerns its client only.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    // Those that are left, streams above all, are cut when the set is dropped.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, finish).await;
    Ok(())
}

/// Tells streams when a schedule or a phase begins or ends.
async fn schedules(live: Arc<Live>) {
    let mut every = tokio::time::interval(SCHEDULE_EVERY);
    let mut before = None;
    loop {
        every.tick().await;
        let now = (live.current(), live.current().boundaries_before(live.now()));
        // Another set of experiments was told of already.
        let told =
            |(set, over): &(Arc<Current>, usize)| !Arc::ptr_eq(set, &now.0) || *over == now.1;
        if !before.as_ref().is_none_or(told) {
            live.wake();
        }
        before = Some(now);
    }
}
