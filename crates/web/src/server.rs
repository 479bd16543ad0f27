//! The server: one request per connection, few connections, and an end to each.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Control;
use crate::guard::Guard;
use crate::routes::{App, router};

/// Most connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most header fields.
const HEADERS_MAX: usize = 64;
/// How long a request head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take in all, a reload included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// How long connections may go on after the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait when a connection cannot be accepted, as when descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the administration address until `shutdown` is over; needs a tokio runtime.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    token: Option<String>,
    control: Arc<dyn Control>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let guard = Arc::new(Guard::new(token, listener.local_addr()?.ip()));
    let service = TowerToHyperService::new(router(App { control, guard }));
    let mut http = http1::Builder::new();
    // One request per connection: no idle connection can take a place from somebody.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let (stream, _) = match accepted.1 {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the admin address");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = accepted.0;
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(async move {
            let _place = place;
            // What goes wrong with a connection concerns its client only.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
        });
        while connections.try_join_next().is_some() {}
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    // Those that are left are cut when the set is dropped.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, finish).await;
    Ok(())
}
