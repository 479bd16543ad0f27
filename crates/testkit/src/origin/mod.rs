//! A server on a port of this machine that behaves, or misbehaves, as told and records what it
//! was asked. It has its own thread and runtime, so tests may block.

mod behaviour;
mod encode;
mod faults;
mod http1;
mod http2;
mod record;
mod route;
mod tls;
mod unreachable;

pub use behaviour::{ANY_PATH, Behaviour, Fault, Response, Service};
pub use encode::Encoding;
pub use faults::FAULT_BYTES_MAX;
pub use record::{OTHER_TARGETS, RECORDED_MAX, Recorded, TARGETS_MAX};
pub use tls::{Alpn, TlsMaterial, TlsSettings};
pub use unreachable::{Blackhole, Refused};

use bytes::BytesMut;
use record::Recorder;
use route::{Action, Routes};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc as channel;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Most connections at once; more are closed when accepted.
pub const CONNECTIONS_MAX: usize = 20_000;

/// Longest request body that is read.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Connections that the kernel may queue; it cuts this to its own limit.
const BACKLOG: i32 = 4096;

/// How an [`Origin`] is reached and what it does.
#[derive(Debug, Clone)]
pub struct OriginConfig {
    /// What to do by path (without query), [`ANY_PATH`] for all others; 404 where neither is.
    pub routes: BTreeMap<String, Behaviour>,
    /// How it is reached.
    pub transport: Transport,
    /// How many requests to keep whole, [`RECORDED_MAX`] at most; more are only counted.
    pub recorded_max: usize,
}

/// How an [`Origin`] is reached. HTTP/1 and HTTP/2 with prior knowledge work over each.
#[derive(Debug, Clone)]
pub enum Transport {
    /// TCP at 127.0.0.1.
    Tcp,
    /// TLS over TCP at 127.0.0.1.
    Tls(TlsSettings),
    /// A Unix domain socket at this path, which must be free and is removed at the end.
    Unix(PathBuf),
}

impl Default for OriginConfig {
    /// No routes, over TCP.
    fn default() -> Self {
        Self { routes: BTreeMap::new(), transport: Transport::Tcp, recorded_max: RECORDED_MAX }
    }
}

impl OriginConfig {
    /// `behaviour` for every path, over TCP.
    pub fn new(behaviour: Behaviour) -> Self {
        Self::default().route(ANY_PATH, behaviour)
    }

    /// With `behaviour` for `path`.
    #[must_use]
    pub fn route(mut self, path: &str, behaviour: Behaviour) -> Self {
        self.routes.insert(path.to_owned(), behaviour);
        self
    }

    /// Reached by `transport`.
    #[must_use]
    pub fn transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Origin {
    addr: Option<SocketAddr>,
    unix_path: Option<PathBuf>,
    tls: Option<TlsMaterial>,
    shared: Arc<Shared>,
    /// Tells the thread to freeze; it ends when this is dropped.
    control: Option<channel::UnboundedSender<Freeze>>,
    /// Dropped to thaw.
    frozen: Mutex<Option<mpsc::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

/// An order to stand still.
#[derive(Debug)]
struct Freeze {
    /// Told when it stands still.
    stands: mpsc::Sender<()>,
    /// It moves again when the other end is dropped.
    thawed: mpsc::Receiver<()>,
}

impl Origin {
    /// Listens, and answers from its own thread.
    ///
    /// # Errors
    /// What the system says about the socket or the thread, or rustls about the certificates.
    pub fn start(config: OriginConfig) -> io::Result<Self> {
        let mut routes = Routes::default();
        for (path, behaviour) in config.routes {
            routes.set(path, behaviour);
        }
        let recorder = Recorder::new(config.recorded_max);
        let shared = Arc::new(Shared { routes: Mutex::new(routes), recorder });

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let (mut addr, mut unix_path, mut tls) = (None, None, None);
        let listener = match config.transport {
            Transport::Tcp => Listener::Tcp(listen(&mut addr)?),
            Transport::Tls(settings) => {
                let (acceptor, material) = tls::acceptor(&settings)?;
                tls = Some(material);
                Listener::Tls(listen(&mut addr)?, acceptor)
            }
            Transport::Unix(path) => {
                let listener = UnixListener::bind(&path)?;
                unix_path = Some(path);
                Listener::Unix(listener)
            }
        };
        drop(context);

        let (control, orders) = channel::unbounded_channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("origin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &served) => {}
                    () = obey(orders) => {}
                }
            });
        })?;
        Ok(Self {
            addr,
            unix_path,
            tls,
            shared,
            control: Some(control),
            frozen: Mutex::new(None),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    ///
    /// # Panics
    /// If that is a Unix socket.
    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("an origin at a Unix socket has no address")
    }

    /// Where it listens, if that is a Unix socket.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix_path.as_deref()
    }

    /// `http://127.0.0.1:port`, with `https` if it speaks TLS; `http://localhost` at a Unix
    /// socket. Without `/` at the end.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match self.addr {
            Some(addr) => format!("{scheme}://{addr}"),
            None => format!("{scheme}://localhost"),
        }
    }

    /// What a client needs to speak TLS with it, if it does.
    pub fn tls(&self) -> Option<&TlsMaterial> {
        self.tls.as_ref()
    }

    /// From now on, and from a fresh state, `behaviour` for `path`.
    pub fn set_route(&self, path: &str, behaviour: Behaviour) {
        self.shared.routes().set(path.to_owned(), behaviour);
    }

    /// The requests in the order in which they were read, the first [`RECORDED_MAX`] (or as
    /// configured).
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorder.seen().requests.clone()
    }

    /// How many requests were read.
    pub fn count(&self) -> u64 {
        self.shared.recorder.seen().count
    }

    /// How many requests were read by target (path and query), at most [`TARGETS_MAX`] of them.
    pub fn counts_by_target(&self) -> BTreeMap<String, u64> {
        self.shared.recorder.seen().by_target.clone()
    }

    /// How many connections were accepted.
    pub fn connections_accepted(&self) -> u64 {
        self.shared.recorder.seen().connections
    }

    /// The most requests that were read and not yet wholly answered at one time.
    pub fn in_flight_max(&self) -> usize {
        self.shared.recorder.seen().in_flight_max
    }

    /// Waits until `count` requests were read, `patience` at most; whether they were.
    pub fn wait_for_count(&self, count: u64, patience: Duration) -> bool {
        self.shared.recorder.wait_for(count, patience)
    }

    /// Stands still as if stopped by a signal: the kernel takes connections and bytes, but
    /// nothing is read or answered. Returns when that is so.
    pub fn freeze(&self) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(control) = self.control.as_ref().filter(|_| frozen.is_none()) else { return };
        let (stands, standing) = mpsc::channel();
        let (thaw, thawed) = mpsc::channel();
        if control.send(Freeze { stands, thawed }).is_ok() && standing.recv().is_ok() {
            *frozen = Some(thaw);
        }
    }

    /// Goes on, and answers all that came meanwhile.
    pub fn thaw(&self) {
        drop(self.frozen.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.thaw();
        drop(self.control.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed; a second one here would abort the tests.
            let _ = thread.join();
        }
        if let Some(path) = &self.unix_path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What all connections use.
#[derive(Debug)]
struct Shared {
    routes: Mutex<Routes>,
    recorder: Recorder,
}

impl Shared {
    fn routes(&self) -> std::sync::MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, request: &Recorded) -> Action {
        self.routes().decide(request)
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
struct Peer {
    connection: u64,
    server_name: Option<Arc<str>>,
}

/// A byte stream to a client.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes closing it a TCP reset. Unix sockets know no such thing and just close.
    fn reset_on_close(&self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Wire for TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

impl Wire for UnixStream {
    fn reset_on_close(&self) -> io::Result<()> {
        Ok(())
    }
}

enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    Unix(UnixListener),
}

/// Listens at a port that the system chooses; needs a runtime's context.
fn listen(addr: &mut Option<SocketAddr>) -> io::Result<TcpListener> {
    let socket = unreachable::bound()?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    *addr = Some(unreachable::local_addr(&socket));
    TcpListener::from_std(socket.into())
}

/// Stands still when told so, by blocking the only thread; ends when the [`Origin`] does.
async fn obey(mut orders: channel::UnboundedReceiver<Freeze>) {
    while let Some(Freeze { stands, thawed }) = orders.recv().await {
        let _ = stands.send(());
        let _ = thawed.recv();
    }
}

/// Accepts and serves connections for ever.
async fn accept(listener: Listener, shared: &Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Accepting fails when the client has already left or descriptors ran out.
        let Ok(connection) = accept_one(&listener, shared).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if connections.len() < CONNECTIONS_MAX {
            connections.spawn(connection);
        }
    }
}

/// The next connection, as what is to be done with it.
async fn accept_one(
    listener: &Listener,
    shared: &Arc<Shared>,
) -> io::Result<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let peer = Peer { connection: shared.recorder.connection(), server_name: None };
            Ok(Box::pin(serve(stream, peer, Arc::clone(shared))))
        }
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            let peer = Peer { connection: shared.recorder.connection(), server_name: None };
            Ok(Box::pin(serve(stream, peer, Arc::clone(shared))))
        }
        Listener::Tls(listener, acceptor) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = shared.recorder.connection();
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(shared));
            Ok(Box::pin(async move {
                // A client that does not like the handshake says so itself.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let server_name = stream.get_ref().1.server_name().map(Arc::from);
                serve(stream, Peer { connection, server_name }, shared).await;
            }))
        }
    }
}

/// Serves one connection by the protocol that the client speaks. How it ends is the client's to
/// notice.
async fn serve<S: Wire>(mut stream: S, peer: Peer, shared: Arc<Shared>) {
    let mut buffer = BytesMut::new();
    while http2::PREFACE.starts_with(&buffer) && buffer.len() < http2::PREFACE.len() {
        match stream.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    if buffer.starts_with(http2::PREFACE) {
        let (reader, writer) = tokio::io::split(stream);
        let reader = Cursor::new(buffer).chain(reader);
        let _ = http2::serve(tokio::io::join(reader, writer), &peer, &shared).await;
    } else {
        let _ = http1::serve(stream, buffer, &peer, &shared).await;
    }
}
