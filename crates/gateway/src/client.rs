//! The client's side of an exchange: sending what is answered, watching whether it is still there.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use traffic::{Fields, Name};
use wire::{BodyLength, Version};

use crate::failure::FailureKind;
use crate::net::deadline::Deadline;
use crate::net::peer::Peer;

/// A client and the exchange it takes part in.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) deadline: Deadline,
    pub(crate) body_timeout: Duration,
    pub(crate) send_timeout: Duration,
    /// When the exchange must be over.
    pub(crate) total: Option<Instant>,
    pub(crate) version: Version,
    /// Whether the connection ends with this exchange.
    pub(crate) close: bool,
    /// Status of the head that was sent, if one was.
    pub(crate) sent: Option<u16>,
    /// Bytes of the body that were sent.
    pub(crate) body_bytes: u64,
}

impl Client {
    /// Whether the client understands interim responses.
    pub(crate) fn takes_interim(&self) -> bool {
        self.version == Version::Http11
    }

    /// Runs a future; `None` when the client goes away first.
    pub(crate) async fn watching<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let peer = &mut self.peer;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if peer.can_be_watched() { peer.poll_gone(cx).map(|()| None) } else { Poll::Pending }
        })
        .await
    }

    /// Sends the head of a response. `body` is its length as far as it is known; what it becomes
    /// for this client is decided here. HEAD answers and bodiless statuses pass `None`.
    pub(crate) fn send_head(
        &mut self,
        status: u16,
        fields: &Fields,
        body: BodyLength,
        upgrade: Option<&[u8]>,
    ) -> Result<(), FailureKind> {
        self.sent = Some(status);
        let peer = match &mut self.peer {
            Peer::Http2(peer) => {
                let end = matches!(body, BodyLength::None | BodyLength::Length(0));
                let result = match body {
                    BodyLength::Length(length) => {
                        let mut fields = fields.clone();
                        fields.set(Name::ContentLength, length.to_string().as_bytes());
                        peer.send_head(status, &fields, end)
                    }
                    _ => peer.send_head(status, fields, end),
                };
                return result.map_err(|_| FailureKind::Gone);
            }
            Peer::Http1(peer) => peer,
            Peer::Nobody => return Ok(()),
        };
        let body = match (body, self.version) {
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http10) => {
                self.close = true;
                BodyLength::UntilClose
            }
            (BodyLength::UntilClose, Version::Http11) => BodyLength::Chunked,
            (other, _) => other,
        };
        let (close, version) = (self.close, self.version);
        peer.start(body, |out| {
            use wire::write::{write_field, write_fields, write_status_line};
            write_status_line(out, status);
            write_fields(out, fields);
            crate::open::write_length(out, body);
            match upgrade {
                Some(protocol) => {
                    write_field(out, b"Connection", b"upgrade");
                    write_field(out, b"Upgrade", protocol);
                }
                None if close => write_field(out, b"Connection", b"close"),
                None if version == Version::Http10 => {
                    write_field(out, b"Connection", b"keep-alive");
                }
                None => {}
            }
            out.extend_from_slice(b"\r\n");
        });
        Ok(())
    }

    /// Whether heads can be sent to it as they are stored: HTTP/1.1, and more to come.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.peer, Peer::Http1(_)) && self.version == Version::Http11 && !self.close
    }

    /// Sends the head of a stored response: its lines, `Content-Length` among them, and more.
    pub(crate) fn send_stored(
        &mut self,
        status: u16,
        lines: &[u8],
        more: &[u8],
        body: u64,
    ) -> Result<(), FailureKind> {
        let Peer::Http1(peer) = &mut self.peer else { return Err(FailureKind::Internal) };
        self.sent = Some(status);
        peer.start(BodyLength::Length(body), |out| {
            wire::write::write_status_line(out, status);
            out.extend_from_slice(lines);
            out.extend_from_slice(more);
            out.extend_from_slice(b"\r\n");
        });
        Ok(())
    }

    /// Sends bytes of the body.
    pub(crate) async fn send(&mut self, mut data: &[u8]) -> Result<(), FailureKind> {
        while !data.is_empty() {
            let (peer, total) = (&mut self.peer, self.total);
            let expires = || until(self.send_timeout, total);
            let written = self.deadline.guard_until(expires, |cx| peer.poll_write_body(cx, data));
            let written = written.await.ok_or_else(|| missed(total))?;
            let written = written.map_err(|_| FailureKind::Gone)?;
            self.body_bytes += written as u64;
            data = &data[written..];
        }
        Ok(())
    }

    /// Ends the response.
    pub(crate) async fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), FailureKind> {
        let (peer, total) = (&mut self.peer, self.total);
        let expires = || until(self.send_timeout, total);
        let finished =
            self.deadline.guard_until(expires, |cx| peer.poll_finish(cx, trailers)).await;
        match finished.ok_or_else(|| missed(total))? {
            Ok(true) => Ok(()),
            // Shorter than announced: only closing tells the client.
            Ok(false) => {
                self.close = true;
                Ok(())
            }
            Err(_) => Err(FailureKind::Gone),
        }
    }
}

/// When a span is over that begins now, or the whole exchange.
fn until(span: Duration, total: Option<Instant>) -> Instant {
    let expires = Instant::now() + span;
    total.map_or(expires, |total| total.min(expires))
}

/// The failure when a client could not be sent anything until then.
fn missed(total: Option<Instant>) -> FailureKind {
    match total {
        Some(total) if Instant::now() >= total => FailureKind::TotalTimeout,
        _ => FailureKind::SlowReader,
    }
}
