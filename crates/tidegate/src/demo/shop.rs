//! The sample shop: an origin of limited size, so that its speed has a real knee.
//!
//! Every page costs a fixed time of one of [`CLERKS`] clerks; who comes when all are busy waits in
//! line. At the shop's usual mix it serves about 1,000 requests a second, however fast the machine.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// Requests that are served at the same time.
pub(crate) const CLERKS: usize = 8;
/// Requests that may wait in line; more are turned away with 503.
const LINE_MAX: u64 = 4_000;
/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Most connections at once.
const CONNECTIONS_MAX: usize = 10_000;

/// A running shop. Closes when dropped.
pub(crate) struct Shop {
    address: SocketAddr,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    /// Opens on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub(crate) fn open() -> io::Result<Shop> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closed) = oneshot::channel();
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    tokio::select! {
                        () = serve(listener) => {}
                        _ = closed => {}
                    }
                }
            });
        })?;
        Ok(Shop { address, close: Some(close), thread: Some(thread) })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

/// What all requests share.
struct Counter {
    clerks: Semaphore,
    in_line: AtomicU64,
    carts: AtomicU64,
}

async fn serve(listener: TcpListener) {
    let counter = Arc::new(Counter {
        clerks: Semaphore::new(CLERKS),
        in_line: AtomicU64::new(0),
        carts: AtomicU64::new(0),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(serve_connection(stream, Arc::clone(&counter)));
                }
                Ok(_) => {}
                // Out of descriptors, most likely: wait for some to be freed.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, counter: Arc<Counter>) {
    // Only a broken socket refuses this, and then reading fails as well.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let counter = Arc::clone(&counter);
        async move { Ok::<_, Infallible>(answer(request, &counter).await) }
    });
    // Clients come and go as they like.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, counter: &Counter) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
    };
    let path = parts.uri.path();
    let work = match (&parts.method, path) {
        (&Method::GET, "/") => 5,
        (&Method::GET, "/search") => 12,
        (&Method::GET, path) if path.starts_with("/product/") => 6,
        (&Method::POST, "/cart") => 8,
        (&Method::POST, "/checkout") => 20,
        _ => return text(StatusCode::NOT_FOUND, "no such page\n"),
    };
    if counter.in_line.load(Ordering::Relaxed) >= LINE_MAX {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the shop is full\n");
    }
    counter.in_line.fetch_add(1, Ordering::Relaxed);
    let clerk = counter.clerks.acquire().await;
    counter.in_line.fetch_sub(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(work)).await;
    drop(clerk);
    match path {
        "/" => html("<h1>The tide shop</h1><p>Boats, ropes, lamps.</p>"),
        "/search" => html("<ul><li>a lamp</li><li>a boat</li></ul>"),
        "/cart" => {
            let cart = counter.carts.fetch_add(1, Ordering::Relaxed);
            json(StatusCode::CREATED, format!("{{\"cart\":\"c-{cart}\"}}"))
        }
        "/checkout" if body.is_empty() => text(StatusCode::BAD_REQUEST, "no cart\n"),
        "/checkout" => html("<p>thank you</p>"),
        product => {
            let id: u64 = product.trim_start_matches("/product/").parse().unwrap_or(0);
            json(StatusCode::OK, format!("{{\"id\":{id},\"in-stock\":true,\"price\":\"9.50\"}}"))
        }
    }
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain", body)
}

fn html(body: &'static str) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "text/html", body)
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    respond(status, "application/json", body)
}
