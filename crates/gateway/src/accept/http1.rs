//! The requests of an HTTP/1.1 connection, one after the other.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use wire::{HeadLimits, Version};

use crate::accept::listener::FIRST_REQUEST_GRACE;
use crate::client::Client;
use crate::core::Core;
use crate::exchange::{exchange, refuse};
use crate::failure::FailureKind;
use crate::net::buffer::BUFFER_BYTES;
use crate::net::deadline::Deadline;
use crate::net::http1::{HeadFailure, Http1};
use crate::net::peer::Peer;
use crate::params::ClientLimits;
use crate::request::{Origin, Request, failure_of};
use crate::tunnel;

/// How long a client may still send after it was told that the connection ends, so that it reads
/// the answer before it learns of the end.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes that are thrown away meanwhile.
const LINGER_BYTES_MAX: u64 = 1 << 20;

/// Serves a connection until it ends.
pub(crate) async fn serve(
    core: &Rc<Core>,
    connection: Box<Http1>,
    origin: Origin,
    deadline: Deadline,
) {
    let mut client = Client {
        peer: Peer::Http1(connection),
        deadline,
        body_timeout: Duration::ZERO,
        send_timeout: Duration::ZERO,
        total: None,
        version: Version::Http11,
        close: false,
        sent: None,
        body_bytes: 0,
    };
    let mut request = Request::new();
    let mut ending = std::pin::pin!(core.ending.notified());
    let mut served = 0;
    loop {
        let view = core.view();
        let limits = &view.params.limits;
        client.begin(limits);
        let got = next_head(&mut client, limits, &mut request, ending.as_mut(), served == 0).await;
        let understood = match got {
            Ok(false) => return,
            Ok(true) => request.understand(&origin).map_err(failure_of),
            Err(kind) => {
                request.forget(&origin);
                Err(kind)
            }
        };
        request.begin(core, false);
        client.version = request.head.version;
        served += 1;
        client.close = !request.head.keep_alive
            || served >= limits.requests
            || core.draining.get()
            || understood.is_err();
        let upgraded = match understood {
            Ok(()) => {
                if let Peer::Http1(connection) = &mut client.peer {
                    connection.expect_body(request.head.body);
                }
                exchange(core, &mut client, &origin, &mut request).await
            }
            Err(kind) => {
                refuse(core, &mut client, &origin, &mut request, kind).await;
                None
            }
        };
        if let Some(started) = upgraded {
            return tunnel::run(core, client.peer, *started).await;
        }
        // What is left of a body would be taken for the next request.
        if client.close || !client.peer.has_read_all() {
            return linger(client).await;
        }
        if !client.peer.has_sent_all() {
            return;
        }
    }
}

/// Reads the head of the next request; false when the connection ends instead.
async fn next_head(
    client: &mut Client,
    limits: &ClientLimits,
    request: &mut Request,
    mut ending: Pin<&mut impl Future<Output = ()>>,
    is_first: bool,
) -> Result<bool, FailureKind> {
    let Peer::Http1(connection) = &mut client.peer else { return Ok(false) };
    if connection.unread().is_empty() {
        let expires = || Instant::now() + limits.keep_alive;
        let readable = client.deadline.guard_until(expires, |cx| {
            if connection.poll_readable(cx).is_ready() {
                return Poll::Ready(true);
            }
            ending.as_mut().poll(cx).map(|()| false)
        });
        let mut readable = readable.await;
        if readable == Some(false) && is_first {
            client.deadline.set(Instant::now() + FIRST_REQUEST_GRACE);
            let waited = client.deadline.guard(|cx| connection.poll_readable(cx));
            readable = waited.await.map(|()| true);
        }
        if readable != Some(true) {
            return Ok(false);
        }
    }
    let head_limits = HeadLimits {
        line: limits.request_line,
        count: limits.header_count,
        bytes: limits.header_bytes,
    };
    let max = (limits.header_bytes + limits.request_line).max(BUFFER_BYTES);
    let head = &mut request.head;
    head.clear();
    let expires = || Instant::now() + limits.header_timeout;
    let parsed = client.deadline.guard_until(expires, |cx| {
        connection.poll_head(cx, max, |bytes| {
            let used = wire::parse_request(bytes, &head_limits, head)?;
            Ok(used.map(|used| (used, ())))
        })
    });
    match parsed.await {
        Some(Ok(())) => Ok(true),
        Some(Err(HeadFailure::Ended)) => Ok(false),
        Some(Err(HeadFailure::Malformed(error))) => Err(failure_of(error)),
        None if connection.unread().is_empty() => Ok(false),
        None => Err(FailureKind::HeaderTimeout),
    }
}

impl Client {
    /// Starts the next exchange of a connection.
    fn begin(&mut self, limits: &ClientLimits) {
        self.body_timeout = limits.body_timeout;
        self.send_timeout = limits.send_timeout;
        self.total = None;
        self.sent = None;
        self.body_bytes = 0;
    }
}

/// Closes a connection so that the client can still read what it was sent.
async fn linger(client: Client) {
    let Client { peer: Peer::Http1(mut connection), mut deadline, .. } = client else { return };
    if connection.must_reset() {
        return;
    }
    deadline.set(Instant::now() + LINGER);
    let closing = deadline.guard(|cx| {
        if connection.poll_flush(cx).is_pending() || connection.poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        let before = connection.bytes_read();
        loop {
            let unread = connection.unread().len();
            connection.use_up(unread);
            match connection.poll_fill(cx, BUFFER_BYTES) {
                Poll::Ready(Ok(true)) if connection.bytes_read() - before < LINGER_BYTES_MAX => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    // Whoever does not close in time is left alone.
    let _ = closing.await;
}
