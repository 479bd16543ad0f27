//! The sample shop: three servers of limited size, so that its speed has a real knee.
//!
//! Every page costs a fixed time of one of the [`CLERKS`] clerks of its server; who comes when all
//! are busy waits in line. A server can be slowed, killed and revived while users are in the shop.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::demo::cart::{Cart, Desk, Order};

/// Servers of the shop.
pub(crate) const SERVERS: usize = 3;
/// Requests that a server handles at the same time.
pub(crate) const CLERKS: usize = 3;
/// Requests that may wait in line at a server; more are turned away with 503.
const LINE_MAX: u64 = 4_000;
/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Most connections of a server at once.
const CONNECTIONS_MAX: usize = 10_000;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// May be kept by anybody for five seconds: what seldom changes.
const FOR_SECONDS: &str = "max-age=5";
/// May be kept for three seconds: what should be right, but need not be right at once.
const FOR_A_MOMENT: &str = "max-age=3";
/// Belongs to one user.
const PRIVATE: &str = "no-store";

/// The running shop. Closes when dropped.
pub(crate) struct Shop {
    servers: Vec<Server>,
    desk: Arc<Desk>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    /// Opens all servers on free ports of the loopback interface.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub(crate) fn open() -> io::Result<Shop> {
        let desk = Arc::new(Desk::default());
        let servers = (0..SERVERS).map(|_| Server::new(&desk));
        let servers = servers.collect::<io::Result<Vec<_>>>()?;
        let states: Vec<_> = servers
            .iter()
            .map(|server| (server.address, server.open.subscribe(), Arc::clone(&server.state)))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closed) = oneshot::channel();
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let mut all = JoinSet::new();
                for (address, open, state) in states {
                    all.spawn(live(address, open, state));
                }
                // An error tells only that the shop was dropped, which is the sign to close.
                let _ = closed.await;
            });
        })?;
        Ok(Shop { servers, desk, close: Some(close), thread: Some(thread) })
    }

    /// Its servers.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// What its servers share.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Everything as on the first day: all servers open, none of them slowed.
    pub(crate) fn restore(&self) {
        for server in &self.servers {
            server.slow(1);
            server.revive();
        }
    }

    /// How many requests the clerks could handle per second, by what those so far have cost.
    pub(crate) fn capacity_per_s(&self) -> f64 {
        let sum = |of: fn(&State) -> &AtomicU64| -> u64 {
            self.servers.iter().map(|server| of(&server.state).load(Ordering::Relaxed)).sum()
        };
        let (requests, work_ms) = (sum(|state| &state.requests), sum(|state| &state.work_ms));
        (SERVERS * CLERKS) as f64 * requests as f64 / (work_ms.max(1) as f64 / 1e3)
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

/// One server of the shop.
pub(crate) struct Server {
    address: SocketAddr,
    /// Bound and never listening: nobody else gets the port while the server is dead.
    _place: TcpSocket,
    open: watch::Sender<bool>,
    state: Arc<State>,
}

impl Server {
    fn new(desk: &Arc<Desk>) -> io::Result<Server> {
        let place = socket((Ipv4Addr::LOCALHOST, 0).into())?;
        let state = State {
            slowdown: AtomicU32::new(1),
            carts: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            work_ms: AtomicU64::new(0),
            desk: Arc::clone(desk),
        };
        Ok(Server {
            address: place.local_addr()?,
            _place: place,
            open: watch::Sender::new(true),
            state: Arc::new(state),
        })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes all work take `factor` times as long from now on.
    pub(crate) fn slow(&self, factor: u32) {
        self.state.slowdown.store(factor, Ordering::Relaxed);
    }

    /// Cuts all connections, and refuses new ones.
    pub(crate) fn kill(&self) {
        self.open.send_replace(false);
    }

    /// Starts anew after [`Server::kill`].
    pub(crate) fn revive(&self) {
        self.open.send_replace(true);
    }
}

/// What outlives a server's death.
struct State {
    slowdown: AtomicU32,
    carts: AtomicU64,
    requests: AtomicU64,
    /// What these requests cost unless slowed.
    work_ms: AtomicU64,
    desk: Arc<Desk>,
}

/// The counter where users stand in line.
struct Counter {
    clerks: Semaphore,
    in_line: AtomicU64,
    state: Arc<State>,
}

/// A socket at an address that several sockets of ours may share.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A server through all its deaths.
async fn live(address: SocketAddr, mut open: watch::Receiver<bool>, state: Arc<State>) {
    while open.wait_for(|open| *open).await.is_ok() {
        let Ok(listener) = socket(address).and_then(|socket| socket.listen(BACKLOG)) else {
            return;
        };
        let clerks = Semaphore::new(CLERKS);
        let counter = Counter { clerks, in_line: AtomicU64::new(0), state: Arc::clone(&state) };
        tokio::select! {
            () = serve(listener, Arc::new(counter)) => {}
            // Ends all connections as well: their tasks belong to `serve`.
            _ = open.wait_for(|open| !open) => {}
        }
    }
}

async fn serve(listener: TcpListener, counter: Arc<Counter>) {
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
    // Which cart the gateway wants to be shown, in an experiment.
    let cart = Cart::of(&parts.headers);
    let work_ms = match (&parts.method, path) {
        (&Method::GET, "/healthz") => return text(StatusCode::OK, "well\n"),
        (&Method::GET, "/") => 5,
        (&Method::GET, "/search") => 12,
        (&Method::GET, path) if path.starts_with("/product/") => 6,
        (&Method::POST, "/login") => 6,
        (&Method::POST, "/cart") => 8,
        (&Method::GET, "/cart") => cart.unwrap_or(Cart::Today).page_ms(),
        (&Method::POST, "/checkout") => cart.map_or(20, Cart::order_ms),
        _ => return text(StatusCode::NOT_FOUND, "no such page\n"),
    };
    if counter.in_line.load(Ordering::Relaxed) >= LINE_MAX {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the shop is full\n");
    }
    let state = &counter.state;
    {
        let _place = InLine::begin(&counter.in_line);
        // Fails only when closed, which nobody does.
        let _clerk = counter.clerks.acquire().await;
        state.requests.fetch_add(1, Ordering::Relaxed);
        state.work_ms.fetch_add(work_ms, Ordering::Relaxed);
        let slowdown = u64::from(state.slowdown.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(work_ms * slowdown)).await;
    }
    if let Some(cart) = cart {
        state.desk.saw(cart, &parts.headers);
    }
    match path {
        "/" => html(FOR_SECONDS, "<h1>The tide shop</h1><p>Boats, ropes, lamps.</p>"),
        "/search" => html(FOR_SECONDS, "<ul><li>a lamp</li><li>a boat</li></ul>"),
        "/login" => json(StatusCode::OK, PRIVATE, "{\"welcome\":true}".to_owned()),
        "/cart" if parts.method == Method::GET => {
            let questions = cart.unwrap_or(Cart::Today).questions();
            json(StatusCode::OK, PRIVATE, format!("{{\"questions\":{questions}}}"))
        }
        "/cart" => {
            let cart = state.carts.fetch_add(1, Ordering::Relaxed);
            json(StatusCode::CREATED, PRIVATE, format!("{{\"cart\":\"c-{cart}\"}}"))
        }
        "/checkout" if body.is_empty() => text(StatusCode::BAD_REQUEST, "no cart\n"),
        "/checkout" => match cart.map(|cart| state.desk.order(cart, &parts.headers, &body)) {
            None | Some(Order::Bought) => html(PRIVATE, "<p>thank you</p>"),
            Some(Order::Left) => html(PRIVATE, "<p>too many questions</p>"),
            Some(Order::Failed) => text(StatusCode::INTERNAL_SERVER_ERROR, "no such payment\n"),
        },
        product => {
            let id: u64 = product.trim_start_matches("/product/").parse().unwrap_or(0);
            let body = format!("{{\"id\":{id},\"in-stock\":true,\"price\":\"9.50\"}}");
            json(StatusCode::OK, FOR_A_MOMENT, body)
        }
    }
}

/// A place in line or at the counter, given up also when the client goes away.
struct InLine<'a>(&'a AtomicU64);

impl InLine<'_> {
    fn begin(in_line: &AtomicU64) -> InLine<'_> {
        in_line.fetch_add(1, Ordering::Relaxed);
        InLine(in_line)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    cache: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain", PRIVATE, body)
}

fn html(cache: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "text/html", cache, body)
}

fn json(status: StatusCode, cache: &'static str, body: String) -> Response<Full<Bytes>> {
    respond(status, "application/json", cache, body)
}
