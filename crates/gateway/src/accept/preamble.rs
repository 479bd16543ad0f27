//! What comes before the first request on a connection: a PROXY header, a TLS handshake, the
//! choice of the protocol.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use wire::proxy_protocol::ProxyHeader;

use crate::accept::listener::ListenerState;
use crate::core::Core;
use crate::net::deadline::Deadline;
use crate::net::http1::Http1;
use crate::net::stream::{Plain, Stream};
use crate::outgoing::is_trusted;
use crate::params::ClientLimits;
use crate::request::Origin;

/// What HTTP/2 clients send first (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection turned out to be.
pub(crate) enum Protocol {
    Http1(Box<Http1>),
    /// With bytes that were read to find out.
    Http2(Stream, Vec<u8>),
}

/// Why a connection was closed before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// A PROXY header is missing, malformed, or comes from somebody who must not send one.
    ProxyHeader,
    TlsHandshake,
    Timeout,
    Closed,
}

impl Unusable {
    /// The word in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unusable::ProxyHeader => "proxy-header",
            Unusable::TlsHandshake => "tls-handshake",
            Unusable::Timeout => "preamble-timeout",
            Unusable::Closed => "closed",
        }
    }
}

/// Does what comes before the first request.
pub(crate) async fn open(
    core: &Core,
    listener: &ListenerState,
    stream: TcpStream,
    peer: SocketAddr,
    deadline: &mut Deadline,
) -> Result<(Protocol, Origin), Unusable> {
    let params = Rc::clone(&core.view());
    let params = &params.params;
    deadline.set(Instant::now() + params.limits.header_timeout);
    let local = stream.local_addr().map_err(|_| Unusable::Closed)?;
    let mut origin = Origin {
        listener: Rc::clone(&listener.name),
        peer,
        local,
        trusted: is_trusted(params, peer.ip()),
        tls: None,
        redirect_https: listener.params.redirect_https,
    };
    let mut plain = Plain::Tcp(stream);
    if listener.params.proxy_protocol {
        if !origin.trusted {
            return Err(Unusable::ProxyHeader);
        }
        let header = deadline.guard_future(read_proxy_header(&mut plain)).await;
        if let Some((source, destination)) = header.ok_or(Unusable::Timeout)?? {
            origin.peer = source;
            origin.local = destination;
            origin.trusted = is_trusted(params, source.ip());
        }
    }
    let stream = match &listener.tls {
        None => Stream::Plain(plain),
        Some(config) => {
            let acceptor = TlsAcceptor::from(config.clone());
            let accepted = deadline.guard_future(acceptor.accept(plain)).await;
            let accepted = accepted.ok_or(Unusable::Timeout)?;
            let accepted = accepted.map_err(|_| Unusable::TlsHandshake)?;
            core.metrics.tls_handshake();
            Stream::Accepted(Box::new(accepted))
        }
    };
    origin.tls = stream.tls_version();
    if stream.negotiated_h2() {
        return Ok((Protocol::Http2(stream, Vec::new()), origin));
    }
    let mut connection = Http1::new(stream, Rc::clone(&core.buffers));
    let may_http2 = listener.tls.is_none() && listener.params.http2;
    if may_http2 && is_http2(&mut connection, deadline, &params.limits).await? {
        let (stream, read) = connection.into_parts();
        return Ok((Protocol::Http2(stream, read), origin));
    }
    Ok((Protocol::Http1(Box::new(connection)), origin))
}

/// Whether the client speaks HTTP/2 by prior knowledge: looks at its first bytes.
async fn is_http2(
    connection: &mut Http1,
    deadline: &mut Deadline,
    limits: &ClientLimits,
) -> Result<bool, Unusable> {
    // A connection may be opened long before its first request.
    deadline.set(Instant::now() + limits.keep_alive);
    loop {
        let seen = connection.unread();
        let common = seen.len().min(HTTP2_PREFACE.len());
        if seen[..common] != HTTP2_PREFACE[..common] {
            return Ok(false);
        }
        if common == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        let begun = common > 0;
        if begun {
            deadline.set(Instant::now() + limits.header_timeout);
        }
        let read = deadline.guard(|cx| {
            if connection.unread().is_empty() {
                std::task::ready!(connection.poll_readable(cx));
            }
            connection.poll_fill(cx, BUFFER_MAX)
        });
        match read.await {
            Some(Ok(true)) => {}
            Some(_) => return Err(Unusable::Closed),
            // HTTP/1.1 says that it took too long.
            None if begun => return Ok(false),
            None => return Err(Unusable::Closed),
        }
    }
}

const BUFFER_MAX: usize = crate::net::buffer::BUFFER_BYTES;

/// Bytes of the largest PROXY header that is read.
const PROXY_HEADER_MAX: usize = 4 << 10;

/// Source and destination; `None` when the proxy speaks for itself.
async fn read_proxy_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<(SocketAddr, SocketAddr)>, Unusable> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        match wire::proxy_protocol::parse(&bytes) {
            Ok(Some((header, used))) if used == bytes.len() => {
                return Ok(match header {
                    ProxyHeader::Unspecified => None,
                    ProxyHeader::Proxied { source, destination } => Some((source, destination)),
                });
            }
            Ok(None) if bytes.len() < PROXY_HEADER_MAX => {
                // Byte by byte, so that nothing of what follows is taken away from TLS.
                let byte = stream.read_u8().await.map_err(|_| Unusable::Closed)?;
                bytes.push(byte);
            }
            _ => return Err(Unusable::ProxyHeader),
        }
    }
}
