//! The streams of an HTTP/2 connection, all at once.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use traffic::Name;
use wire::{BodyLength, Version};

use crate::client::Client;
use crate::core::Core;
use crate::exchange::{exchange, refuse};
use crate::failure::FailureKind;
use crate::net::deadline::Deadline;
use crate::net::http2::{Http2, fields_of};
use crate::net::peer::Peer;
use crate::net::stream::Stream;
use crate::params::ClientLimits;
use crate::request::{Origin, Request, failure_of};

/// Receive windows: what a client may send ahead of a slow server.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that wait to be sent, per stream: with all streams at once, what a client that reads
/// nothing costs.
const SEND_BUFFER: usize = 64 << 10;
/// Streams of a connection that may be refused or reset because of the client's own errors. A
/// client that opens many before it has learned the limit makes none.
const ERROR_RESETS_MAX: usize = 1_024;
/// Time over which the resets of a connection's streams are counted that were being answered
/// already. There may be as many as in two times all streams at once, which is what a browser does
/// whose user leaves one page after the other.
const RESETS_WINDOW: Duration = Duration::from_secs(10);
const RESETS_PER_STREAM: u32 = 2;

/// What a connection knows about its streams.
#[derive(Default)]
struct Streams {
    open: Cell<u32>,
    resets: Cell<u32>,
    /// When the resets began to be counted.
    since: Cell<Option<Instant>>,
}

impl Streams {
    /// Counts one more stream until what is given back is dropped.
    fn open(self: &Rc<Streams>) -> OpenStream {
        self.open.set(self.open.get() + 1);
        OpenStream(Rc::clone(self))
    }

    fn count_reset(&self) {
        let now = Instant::now();
        let in_window = |since| now.saturating_duration_since(since) < RESETS_WINDOW;
        if !self.since.get().is_some_and(in_window) {
            self.since.set(Some(now));
            self.resets.set(0);
        }
        self.resets.set(self.resets.get().saturating_add(1));
    }

    /// Whether the client has resets made, or has left streams behind that still cost something,
    /// beyond measure (rapid reset, CVE-2023-44487, at whatever pace).
    fn is_abused(&self, limits: &ClientLimits) -> bool {
        let some = u32::try_from(limits.resets).unwrap_or(u32::MAX);
        let max = limits.streams.saturating_mul(RESETS_PER_STREAM).saturating_add(some);
        self.resets.get() > max || self.open.get() > max
    }
}

/// A stream that is being answered.
struct OpenStream(Rc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    core: &Rc<Core>,
    stream: Stream,
    read: Vec<u8>,
    origin: Origin,
    mut deadline: Deadline,
) {
    // Not the view: a connection may last long, and would keep what a view holds.
    let params = Arc::clone(&core.view().params);
    let limits = &params.limits;
    let origin = Rc::new(origin);
    deadline.set(Instant::now() + limits.header_timeout);
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.resets)
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .handshake::<_, Bytes>(Rewound { read, used: 0, stream });
    let Some(Ok(mut connection)) = deadline.guard_future(handshake).await else {
        core.metrics.connection_refused("http2-handshake");
        return;
    };
    let streams = Rc::new(Streams::default());
    let mut ending = std::pin::pin!(core.ending.notified());
    let mut served = 0;
    let mut closing = false;
    loop {
        // An idle connection is closed like any other. When its last stream ends is not seen
        // here, so one that was busy is given the same time once more.
        let busy = streams.open.get() > 0;
        deadline.set(Instant::now() + limits.keep_alive);
        match next(&mut connection, &mut deadline, ending.as_mut(), closing).await {
            Event::Stream(..) if streams.is_abused(limits) => {
                core.metrics.connection_refused("http2-resets");
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                closing = true;
            }
            Event::Stream(request, respond) => {
                served += 1;
                core.metrics.http2_stream();
                let task_core = Rc::clone(core);
                let origin = Rc::clone(&origin);
                let stream = streams.open();
                core.spawn_counted(async move {
                    if one(&task_core, &origin, *request, respond).await == Ended::ByReset {
                        task_core.metrics.http2_reset();
                        stream.0.count_reset();
                    }
                });
                if served == limits.requests {
                    connection.graceful_shutdown();
                    closing = true;
                }
            }
            Event::End => return,
            Event::Close => {
                connection.graceful_shutdown();
                closing = true;
            }
            Event::Idle if busy || streams.open.get() > 0 => {}
            // The client was told and does not answer.
            Event::Idle if closing => return,
            Event::Idle => {
                connection.graceful_shutdown();
                closing = true;
            }
            Event::Failed(error) => {
                if error.is_go_away() || error.is_reset() || error.is_library() {
                    core.metrics.connection_refused("http2-protocol");
                }
                return;
            }
        }
    }
}

enum Event {
    Stream(Box<http::Request<RecvStream>>, SendResponse<Bytes>),
    /// The connection is over.
    End,
    /// The gateway stops.
    Close,
    /// Nothing happened for long.
    Idle,
    Failed(h2::Error),
}

async fn next(
    connection: &mut Connection<Rewound, Bytes>,
    deadline: &mut Deadline,
    mut ending: Pin<&mut impl Future<Output = ()>>,
    closing: bool,
) -> Event {
    let event = deadline.guard(|cx| {
        if let Poll::Ready(accepted) = connection.poll_accept(cx) {
            return Poll::Ready(match accepted {
                None => Event::End,
                Some(Ok((request, respond))) => Event::Stream(Box::new(request), respond),
                Some(Err(error)) => Event::Failed(error),
            });
        }
        if closing { Poll::Pending } else { ending.as_mut().poll(cx).map(|()| Event::Close) }
    });
    event.await.unwrap_or(Event::Idle)
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Answered,
    /// The client gave it up.
    ByReset,
}

/// One stream.
async fn one(
    core: &Rc<Core>,
    origin: &Origin,
    head: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) -> Ended {
    let view = core.view();
    let limits = &view.params.limits;
    let (parts, body) = head.into_parts();
    let mut request = Request::new();
    let understood = understand(&parts, body.is_end_stream(), limits, origin, &mut request);
    request.begin(core, true);
    let mut client = Client {
        peer: Peer::Http2(Box::new(Http2::accepted(body, respond))),
        deadline: Deadline::new(),
        body_timeout: limits.body_timeout,
        send_timeout: limits.send_timeout,
        total: None,
        version: Version::Http11,
        close: false,
        sent: None,
        body_bytes: 0,
    };
    match understood {
        Ok(()) => {
            exchange(core, &mut client, origin, &mut request).await;
        }
        Err(kind) => refuse(core, &mut client, origin, &mut request, kind).await,
    }
    let mut ended = Ended::Answered;
    if let Peer::Http2(stream) = &mut client.peer {
        if stream.was_reset() {
            ended = Ended::ByReset;
        }
        if client.close && !stream.has_sent_all() {
            stream.reset(Reason::INTERNAL_ERROR);
        } else if !stream.has_read_all() {
            // The rest of the request is not wanted any more (RFC 9113 section 8.1).
            stream.reset(Reason::NO_ERROR);
        }
    }
    ended
}

/// Turns the head of a stream into a request, by the same rules as HTTP/1.1 has.
fn understand(
    parts: &http::request::Parts,
    empty: bool,
    limits: &ClientLimits,
    origin: &Origin,
    request: &mut Request,
) -> Result<(), FailureKind> {
    let head = &mut request.head;
    head.method.push_str(parts.method.as_str());
    head.version = Version::Http11;
    head.keep_alive = true;
    fields_of(&parts.headers, &mut head.fields);
    // Clients may send each cookie as a field of its own (RFC 9113 section 8.2.3).
    if head.fields.all(Name::Cookie).nth(1).is_some() {
        let cookies = head.fields.all(Name::Cookie).collect::<Vec<_>>().join(&b"; "[..]);
        head.fields.set(Name::Cookie, &cookies);
    }
    let uri = &parts.uri;
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.target.push_str(target);
    if parts.method == http::Method::CONNECT
        || (target == "*" && parts.method != http::Method::OPTIONS)
    {
        return Err(FailureKind::BadRequest);
    }
    if head.fields.len() > limits.header_count {
        return Err(FailureKind::FieldsTooLarge);
    }
    if head.target.len() > limits.request_line {
        return Err(FailureKind::UriTooLong);
    }
    // Checked as an HTTP/1.1 head would be: what follows must survive being written as one.
    wire::check_fields(&head.fields).map_err(failure_of)?;
    if head.fields.has(Name::Connection) || head.fields.has(Name::TransferEncoding) {
        return Err(FailureKind::BadRequest);
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let mut hosts = head.fields.all(Name::Host);
    let host = hosts.next();
    match (authority, host) {
        _ if hosts.next().is_some() => return Err(FailureKind::BadRequest),
        (Some(authority), Some(host)) if !authority.as_bytes().eq_ignore_ascii_case(host) => {
            return Err(FailureKind::BadRequest);
        }
        (None, None) => return Err(FailureKind::BadRequest),
        _ => {}
    }
    drop(hosts);
    if let Some(authority) = authority {
        head.fields.set(Name::Host, authority.as_bytes());
    }
    let mut lengths = head.fields.all(Name::ContentLength);
    let length = lengths.next().map(wire::content_length).transpose().map_err(failure_of)?;
    if lengths.next().is_some() {
        return Err(FailureKind::BadRequest);
    }
    drop(lengths);
    head.body = match length {
        // Announced, or where one is expected (RFC 9110 section 8.6): some servers insist.
        Some(_) if empty => BodyLength::Length(0),
        None if empty && matches!(head.method.as_str(), "POST" | "PUT" | "PATCH") => {
            BodyLength::Length(0)
        }
        None if empty => BodyLength::None,
        Some(length) => BodyLength::Length(length),
        None => BodyLength::Chunked,
    };
    head.expect_continue = match head.fields.get(Name::Expect) {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => true,
        Some(_) => return Err(FailureKind::Expectation),
    };
    request.understand(origin).map_err(failure_of)
}

/// A stream whose first bytes were read already.
struct Rewound {
    read: Vec<u8>,
    used: usize,
    stream: Stream,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.used < self.read.len() {
            let count = buf.remaining().min(self.read.len() - self.used);
            buf.put_slice(&self.read[self.used..self.used + count]);
            self.used += count;
            if self.used == self.read.len() {
                self.read = Vec::new();
                self.used = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
