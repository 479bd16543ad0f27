//! Addresses that nobody answers at.

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

/// An address where connecting is refused: the port is taken, so that nobody else gets it, but
/// not listened on.
#[derive(Debug)]
pub struct Refused {
    socket: Socket,
}

impl Refused {
    /// Takes a port.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> io::Result<Self> {
        Ok(Self { socket: bound()? })
    }

    /// The address.
    ///
    /// # Panics
    /// If the system does not know the address of a bound socket.
    pub fn addr(&self) -> SocketAddr {
        local_addr(&self.socket)
    }
}

/// An address where connecting is never answered: its queue of connections is full, so the kernel
/// drops what comes (Linux).
#[derive(Debug)]
pub struct Blackhole {
    listener: Socket,
    /// Fills the queue.
    _queued: TcpStream,
}

impl Blackhole {
    /// Takes a port.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> io::Result<Self> {
        let listener = bound()?;
        // A queue of length 0 has room for one.
        listener.listen(0)?;
        let queued = TcpStream::connect(local_addr(&listener))?;
        Ok(Self { listener, _queued: queued })
    }

    /// The address.
    ///
    /// # Panics
    /// If the system does not know the address of a bound socket.
    pub fn addr(&self) -> SocketAddr {
        local_addr(&self.listener)
    }
}

/// A TCP socket at a port of this machine that the system chose.
pub(super) fn bound() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

/// Its address.
///
/// # Panics
/// If the system does not know the address of a bound socket.
pub(super) fn local_addr(socket: &Socket) -> SocketAddr {
    let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket());
    addr.expect("a bound socket has an address")
}
