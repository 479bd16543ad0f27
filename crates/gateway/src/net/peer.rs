//! The other side of an exchange, whatever it speaks.

use std::io;
use std::task::{Context, Poll};

use traffic::Fields;

use crate::net::http1::{BodyError, Http1};
use crate::net::http2::Http2;

/// A client or a server, with one message each way. Bodies are read with `poll_body`, `data` and
/// `consume`, and written with `poll_write_body` and `poll_finish`.
pub(crate) enum Peer {
    Http1(Box<Http1>),
    Http2(Box<Http2>),
    /// Nobody: sends nothing and takes everything. The client of requests that tidegate makes
    /// itself.
    Nobody,
}

impl Peer {
    /// Makes bytes of the body available in [`Peer::data`]; false at its end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        match self {
            Peer::Http1(peer) => peer.poll_body(cx),
            Peer::Http2(peer) => peer.poll_body(cx),
            Peer::Nobody => Poll::Ready(Ok(false)),
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        match self {
            Peer::Http1(peer) => peer.data(),
            Peer::Http2(peer) => peer.data(),
            Peer::Nobody => &[],
        }
    }

    pub(crate) fn consume(&mut self, count: usize) {
        match self {
            Peer::Http1(peer) => peer.consume(count),
            Peer::Http2(peer) => peer.consume(count),
            Peer::Nobody => {}
        }
    }

    /// The trailers of the message that was read, if there are any.
    pub(crate) fn trailers(&self) -> Option<&Fields> {
        let trailers = match self {
            Peer::Http1(peer) => peer.trailers(),
            Peer::Http2(peer) => peer.trailers(),
            Peer::Nobody => return None,
        };
        (!trailers.is_empty()).then_some(trailers)
    }

    /// Whether the message that is being read is complete.
    pub(crate) fn has_read_all(&self) -> bool {
        match self {
            Peer::Http1(peer) => peer.has_read_all(),
            Peer::Http2(peer) => peer.has_read_all(),
            Peer::Nobody => true,
        }
    }

    /// Whether the message that is being written is complete and has left.
    pub(crate) fn has_sent_all(&self) -> bool {
        match self {
            Peer::Http1(peer) => peer.has_sent_all(),
            Peer::Http2(peer) => peer.has_sent_all(),
            Peer::Nobody => true,
        }
    }

    /// Writes some bytes of the body and tells how many; the rest must follow.
    pub(crate) fn poll_write_body(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Peer::Http1(peer) => peer.poll_write_body(cx, data),
            Peer::Http2(peer) => peer.poll_write_body(cx, data),
            Peer::Nobody => Poll::Ready(Ok(data.len())),
        }
    }

    /// Writes what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Peer::Http1(peer) => peer.poll_flush(cx),
            Peer::Http2(_) | Peer::Nobody => Poll::Ready(Ok(())),
        }
    }

    /// Sends the head of a response that is not final.
    pub(crate) fn write_interim(&mut self, status: u16, fields: &Fields) -> io::Result<()> {
        match self {
            Peer::Http1(peer) => peer.write_interim(status, fields),
            Peer::Http2(peer) => return peer.send_interim(status, fields),
            Peer::Nobody => {}
        }
        Ok(())
    }

    /// Ends the message. False when it is shorter than announced.
    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<bool>> {
        match self {
            Peer::Http1(peer) => peer.poll_finish(cx, trailers),
            Peer::Http2(peer) => Poll::Ready(peer.finish(trailers).map(|()| true)),
            Peer::Nobody => Poll::Ready(Ok(true)),
        }
    }

    /// Whether [`Peer::poll_gone`] can be asked now: bytes of a body, which are not to be read yet,
    /// stand before the end of an HTTP/1.1 connection.
    pub(crate) fn can_be_watched(&self) -> bool {
        !matches!(self, Peer::Http1(_)) || self.has_read_all()
    }

    /// Ready once the peer has gone away.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Peer::Http1(peer) => peer.poll_gone(cx),
            Peer::Http2(peer) => peer.poll_gone(cx),
            Peer::Nobody => Poll::Pending,
        }
    }
}
