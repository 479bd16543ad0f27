//! One byte stream: TCP or a Unix socket, with TLS of either role or without.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// A stream without TLS.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream as HTTP sees it.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Plain),
    /// A client's stream.
    Accepted(Box<server::TlsStream<Plain>>),
    /// A stream to a server.
    Connected(Box<client::TlsStream<Plain>>),
}

macro_rules! plain {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            Plain::Tcp($stream) => $call,
            Plain::Unix($stream) => $call,
        }
    };
}

macro_rules! stream {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            Stream::Plain($stream) => $call,
            Stream::Accepted($stream) => $call,
            Stream::Connected($stream) => $call,
        }
    };
}

impl Plain {
    /// Ready once there is something to read, so that no buffer is held while there is nothing.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        plain!(self, stream => stream.poll_read_ready(cx))
    }

    fn is_read_pending(&self) -> bool {
        let mut byte = [0];
        let read = plain!(self, stream => stream.try_read(&mut byte));
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Stream {
    /// Whether the peer chose HTTP/2 by ALPN.
    pub(crate) fn negotiated_h2(&self) -> bool {
        let alpn = match self {
            Stream::Plain(_) => None,
            Stream::Accepted(tls) => tls.get_ref().1.alpn_protocol(),
            Stream::Connected(tls) => tls.get_ref().1.alpn_protocol(),
        };
        alpn == Some(b"h2")
    }

    /// The TLS version, if any.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        let version = match self {
            Stream::Plain(_) => None,
            Stream::Accepted(tls) => tls.get_ref().1.protocol_version(),
            Stream::Connected(tls) => tls.get_ref().1.protocol_version(),
        };
        version.map(|version| match version {
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
            _ => "TLSv1.3",
        })
    }

    /// Has the connection reset when it is dropped.
    pub(crate) fn reset_on_close(&self) {
        let plain = match self {
            Stream::Plain(plain) => plain,
            Stream::Accepted(tls) => tls.get_ref().0,
            Stream::Connected(tls) => tls.get_ref().0,
        };
        if let Plain::Tcp(stream) = plain {
            // Fails only on a socket that is broken already.
            let _ = stream.set_zero_linger();
        }
    }

    /// Ready once there may be something to read. With TLS that is at once.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(plain) => plain.poll_read_ready(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Whether an idle stream is still open and silent. Bytes that nobody asked for count as
    /// broken: they would be taken for the answer to the next request.
    pub(crate) fn is_silent(&mut self) -> bool {
        match self {
            Stream::Plain(plain) => plain.is_read_pending(),
            tls => {
                let mut byte = [0];
                let mut buf = ReadBuf::new(&mut byte);
                let mut cx = Context::from_waker(std::task::Waker::noop());
                Pin::new(tls).poll_read(&mut cx, &mut buf).is_pending()
            }
        }
    }

    /// Reads into `buf`; 0 at the end of the stream.
    pub(crate) fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        Pin::new(self).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        plain!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        plain!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        plain!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        plain!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        plain!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        stream!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        stream!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        stream!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
