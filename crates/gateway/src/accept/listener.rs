//! One listening socket of one core.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::accept::preamble::{self, Protocol};
use crate::accept::{http1, http2};
use crate::core::Core;
use crate::net::deadline::Deadline;
use crate::params::Listener;
use crate::request::canonical;

/// Connections that the kernel may queue; it cuts this to its own limit.
const BACKLOG: i32 = 4_096;
/// How long a connection without a request is kept once the gateway stops: whoever has just
/// connected is about to ask.
pub(crate) const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);
/// How long to wait when the process has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A listener, as one core has it.
pub(crate) struct ListenerState {
    pub(crate) name: Rc<str>,
    pub(crate) params: Listener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// A listening socket, whose rules may change.
pub(crate) struct Slot {
    state: RefCell<Rc<ListenerState>>,
    /// Whether no more connections are to be accepted, and who is told when that comes.
    closed: Cell<bool>,
    closing: Notify,
}

impl Slot {
    pub(crate) fn new(state: Rc<ListenerState>) -> Slot {
        Slot { state: RefCell::new(state), closed: Cell::new(false), closing: Notify::new() }
    }

    /// New connections follow other rules from now on.
    pub(crate) fn set(&self, state: Rc<ListenerState>) {
        *self.state.borrow_mut() = state;
    }

    /// Accepts no more connections.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.closing.notify_waiters();
    }
}

/// Opens a listening socket. Each core has one of its own at the same address, and the kernel
/// spreads connections over them (SO_REUSEPORT).
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts connections until it is told to stop.
pub(crate) async fn run(core: Rc<Core>, slot: Rc<Slot>, socket: TcpListener) {
    let mut closing = std::pin::pin!(slot.closing.notified());
    while !slot.closed.get() {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = &mut closing => return,
        };
        let listener = Rc::clone(&slot.state.borrow());
        match accepted {
            Ok((stream, peer)) => admit(&core, &listener, stream, peer),
            // One connection that failed says nothing about the next.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                core.metrics.connection_refused("descriptors");
                tracing::warn!(listener = %listener.name, %error, "cannot accept connections");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}

/// Lets a connection in, if there is room.
fn admit(core: &Rc<Core>, listener: &Rc<ListenerState>, stream: TcpStream, peer: SocketAddr) {
    let view = core.view();
    let limits = &view.params.limits;
    let ip = canonical(peer.ip());
    // Connections of proxies stand for many clients.
    let per_ip = if listener.params.proxy_protocol { 0 } else { limits.connections_per_ip };
    let Some(admitted) = core.shared.admit(ip, limits.connections, per_ip) else {
        core.metrics.connection_refused("limit");
        return;
    };
    // Fails only on a socket that is already broken, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let open = Open::new(core);
    let listener = Rc::clone(listener);
    core.spawn_counted(async move {
        let _admitted = admitted;
        serve(&open.0, &listener, stream, peer).await;
    });
}

/// A connection that is counted as open, also when what serves it panics.
struct Open(Rc<Core>);

impl Open {
    fn new(core: &Rc<Core>) -> Open {
        core.metrics.connection_opened();
        Open(Rc::clone(core))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connection_closed();
    }
}

async fn serve(core: &Rc<Core>, listener: &ListenerState, stream: TcpStream, peer: SocketAddr) {
    let mut deadline = Deadline::new();
    let opened = {
        let opening = preamble::open(core, listener, stream, peer, &mut deadline);
        let mut opening = std::pin::pin!(opening);
        tokio::select! {
            opened = &mut opening => opened,
            () = core.ending.notified() => {
                match tokio::time::timeout(FIRST_REQUEST_GRACE, opening).await {
                    Ok(opened) => opened,
                    // Nothing was asked.
                    Err(_) => return,
                }
            }
        }
    };
    match opened {
        Ok((Protocol::Http1(connection), origin)) => {
            http1::serve(core, connection, origin, deadline).await;
        }
        Ok((Protocol::Http2(stream, read), origin)) => {
            http2::serve(core, stream, read, origin, deadline).await;
        }
        Err(preamble::Unusable::Closed) => {}
        Err(reason) => core.metrics.connection_refused(reason.label()),
    }
}
