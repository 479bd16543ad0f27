//! Opening a connection to a server, or a stream on one, sending the request's head, and reading
//! the head of the answer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use wire::{BodyLength, ResponseHead};

use crate::failure::FailureKind;
use crate::forward::Forwarding;
use crate::net::http1::{HeadFailure, Http1};
use crate::net::http2::{self, Http2};
use crate::net::peer::Peer;
use crate::params::{HostHeader, UpstreamProtocol};
use crate::upstream::connect::connect;
use crate::upstream::pool::{STREAMS_PER_CONNECTION, StreamSlot};
use crate::upstream::shared::InFlight;

/// Bytes of a response head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most fields of a response head.
const HEAD_FIELDS_MAX: usize = 200;
/// HTTP/2 receive windows towards servers: what a server may send ahead of a slow client.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A request that was sent (but for its body).
pub(crate) struct Opened {
    pub(crate) peer: Peer,
    pub(crate) response: Option<ResponseFuture>,
    pub(crate) head: ResponseHead,
    pub(crate) in_flight: InFlight,
    pub(crate) slot: Option<StreamSlot>,
    pub(crate) server: usize,
}

/// Sends the request on a connection that is open already.
pub(crate) fn open_kept(with: &Forwarding<'_>, server: usize) -> Option<Opened> {
    let local = with.upstream.servers.get(server)?;
    if with.upstream.shared.params.protocol == UpstreamProtocol::Http2 {
        return None;
    }
    let mut connection = local.pool.take()?;
    start_http1(with, server, &mut connection);
    Some(opened(with, server, Peer::Http1(connection), None, None))
}

fn opened(
    with: &Forwarding<'_>,
    server: usize,
    peer: Peer,
    response: Option<ResponseFuture>,
    slot: Option<StreamSlot>,
) -> Opened {
    Opened {
        peer,
        response,
        head: with.core.take_head(),
        in_flight: InFlight::begin(&with.upstream.shared, server),
        slot,
        server,
    }
}

/// Opens a connection, or a stream on one, within the time for it. That time is for everything
/// that there is to wait for: another request's handshake, and room on a connection.
pub(crate) async fn open_in_time(
    with: &Forwarding<'_>,
    server: usize,
) -> Result<Opened, FailureKind> {
    let mut opening = std::pin::pin!(open(with, server));
    // Streams are mostly there at once: the clock is not looked at for them.
    let first = std::future::poll_fn(|cx| Poll::Ready(opening.as_mut().poll(cx))).await;
    if let Poll::Ready(opened) = first {
        return opened;
    }
    let limit = with.left(with.upstream.shared.params.connect_timeout);
    let opened = tokio::time::timeout(limit, opening).await;
    opened.unwrap_or_else(|_| Err(with.missed(FailureKind::ConnectTimeout)))
}

/// Opens a connection, or a stream on one, and sends the request.
async fn open(with: &Forwarding<'_>, server: usize) -> Result<Opened, FailureKind> {
    let local = with.upstream.servers.get(server).ok_or(FailureKind::Internal)?;
    let params = &with.upstream.shared.params;
    // Counted while connecting too: a slow handshake is load.
    let connecting = InFlight::begin(&with.upstream.shared, server);
    let may_http2 = match params.protocol {
        UpstreamProtocol::Http1 => false,
        UpstreamProtocol::Http2 => true,
        UpstreamProtocol::Auto => with.upstream.tls.is_some(),
    };
    if !may_http2 {
        let tls = with.upstream.tls.as_ref();
        let stream = connect(&local.shared, params, tls, with.announced).await?;
        let mut connection = Box::new(Http1::new(stream, Rc::clone(&with.core.buffers)));
        start_http1(with, server, &mut connection);
        drop(connecting);
        return Ok(opened(with, server, Peer::Http1(connection), None, None));
    }
    // A connection that announces its client is for this client only.
    let is_shared = params.proxy_protocol.is_none();
    let mut one_at_a_time = None;
    if is_shared {
        if let Some(slot) = local.pool.stream() {
            match start_http2(with, server, slot).await {
                // The connection is about to end.
                Err(FailureKind::Connect) => {}
                other => return other,
            }
        }
        one_at_a_time = Some(local.pool.opening.lock().await);
        if let Some(slot) = local.pool.stream() {
            drop(one_at_a_time);
            return start_http2(with, server, slot).await;
        }
    }
    let tls = with.upstream.tls.as_ref();
    let stream = connect(&local.shared, params, tls, with.announced).await?;
    if params.protocol == UpstreamProtocol::Auto && !stream.negotiated_h2() {
        drop(one_at_a_time);
        let mut connection = Box::new(Http1::new(stream, Rc::clone(&with.core.buffers)));
        start_http1(with, server, &mut connection);
        return Ok(opened(with, server, Peer::Http1(connection), None, None));
    }
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        // Until the server has told its limit.
        .initial_max_send_streams(STREAMS_PER_CONNECTION)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(|_| FailureKind::Connect)?;
    let closed = Rc::new(Cell::new(false));
    let ended = Rc::clone(&closed);
    with.core.spawn(async move {
        // What goes wrong on the connection, every stream on it learns as well.
        let _ = connection.await;
        ended.set(true);
    });
    let slot = local.pool.give_http2(send, closed);
    if !is_shared {
        slot.retire();
    }
    drop(one_at_a_time);
    start_http2(with, server, slot).await
}

/// Puts the head of the request into the connection's output.
fn start_http1(with: &Forwarding<'_>, server: usize, connection: &mut Http1) {
    let request = with.request;
    let head = &request.head;
    // What the framing of the client was does not matter any more.
    let body = match head.body {
        BodyLength::UntilClose => BodyLength::None,
        other => other,
    };
    connection.start(body, |out| {
        use wire::write::{write_field, write_fields};
        out.extend_from_slice(head.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(request.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_field(out, b"Host", host_header(with, server).as_bytes());
        write_fields(out, &head.fields);
        if let Some(upgrade) = request.upgrade.as_deref() {
            write_field(out, b"Connection", b"upgrade");
            write_field(out, b"Upgrade", upgrade.as_bytes());
        }
        write_length(out, body);
        out.extend_from_slice(b"\r\n");
    });
    connection.expect_body(BodyLength::None);
}

/// The field that says how long a body is.
pub(crate) fn write_length(out: &mut Vec<u8>, body: BodyLength) {
    match body {
        BodyLength::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            wire::write::write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::None | BodyLength::UntilClose => {}
    }
}

fn host_header<'a>(with: &'a Forwarding<'_>, server: usize) -> &'a str {
    match &with.upstream.shared.params.host {
        HostHeader::Client => &with.request.authority,
        HostHeader::Fixed(host) => host,
        HostHeader::Server => {
            with.upstream.servers.get(server).map_or("", |server| &server.shared.host)
        }
    }
}

async fn start_http2(
    with: &Forwarding<'_>,
    server: usize,
    slot: StreamSlot,
) -> Result<Opened, FailureKind> {
    let request = with.request;
    let scheme = if with.upstream.tls.is_some() { "https" } else { "http" };
    let authority = host_header(with, server);
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(request.target.as_str())
        .build()
        .map_err(|_| FailureKind::BadRequest)?;
    let mut head = http::Request::new(());
    *head.method_mut() = request.head.method.parse().map_err(|_| FailureKind::BadRequest)?;
    *head.uri_mut() = uri;
    *head.version_mut() = http::Version::HTTP_2;
    *head.headers_mut() = http2::header_map(&request.head.fields);
    if request.wants_trailers {
        head.headers_mut().insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    }
    let empty = match request.head.body {
        BodyLength::None | BodyLength::UntilClose | BodyLength::Length(0) => true,
        BodyLength::Length(length) => {
            head.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
            false
        }
        BodyLength::Chunked => false,
    };
    let unusable = |_| {
        slot.retire();
        FailureKind::Connect
    };
    let mut sender = slot.sender().ready().await.map_err(unusable)?;
    let sent = sender.send_request(head, empty).map_err(unusable)?;
    let (response, send) = sent;
    let peer = Peer::Http2(Box::new(Http2::opened((!empty).then_some(send))));
    Ok(opened(with, server, peer, Some(response), Some(slot)))
}

impl Opened {
    /// Reads the head of the answer.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FailureKind>> {
        let head = &mut self.head;
        match &mut self.peer {
            Peer::Http1(connection) => {
                if connection.poll_flush(cx).is_ready() {
                    // A write that failed shows in what can be read, which may be an answer.
                }
                let limits = wire::HeadLimits {
                    line: HEAD_BYTES_MAX,
                    count: HEAD_FIELDS_MAX,
                    bytes: HEAD_BYTES_MAX,
                };
                let parsed = ready!(connection.poll_head(cx, HEAD_BYTES_MAX, |bytes| {
                    let used = wire::parse_response(bytes, &limits, head)?;
                    Ok(used.map(|used| (used, ())))
                }));
                Poll::Ready(parsed.map_err(|failure| match failure {
                    HeadFailure::Ended => FailureKind::Reset,
                    HeadFailure::Malformed(_) => FailureKind::BadResponse,
                }))
            }
            Peer::Http2(stream) => {
                let Some(response) = &mut self.response else {
                    return Poll::Ready(Err(FailureKind::Internal));
                };
                let response = match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => response,
                    Err(error) if http2::is_unprocessed(&error) => {
                        if let Some(slot) = &self.slot {
                            slot.retire();
                        }
                        return Poll::Ready(Err(FailureKind::Connect));
                    }
                    Err(_) => return Poll::Ready(Err(FailureKind::Reset)),
                };
                let (parts, body) = response.into_parts();
                head.clear();
                head.status = parts.status.as_u16();
                head.keep_alive = true;
                http2::fields_of(&parts.headers, &mut head.fields);
                stream.receive(body);
                self.response = None;
                Poll::Ready(Ok(()))
            }
            Peer::Nobody => Poll::Ready(Err(FailureKind::Internal)),
        }
    }
}
