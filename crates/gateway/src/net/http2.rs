//! One HTTP/2 stream (RFC 9113), of a client or to a server: a message each way.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use traffic::{Fields, Name};
use wire::chunked::may_trail;

use crate::net::http1::BodyError;

/// The sending side.
enum Sending {
    /// A response whose head was not sent yet.
    Respond(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Ended,
}

/// A stream.
pub(crate) struct Http2 {
    receive: Option<RecvStream>,
    send: Sending,
    /// Received bytes that were not used yet.
    chunk: Bytes,
    trailers: Fields,
}

impl Http2 {
    /// A stream that a client opened.
    pub(crate) fn accepted(receive: RecvStream, respond: SendResponse<Bytes>) -> Http2 {
        Http2::new((!receive.is_end_stream()).then_some(receive), Sending::Respond(respond))
    }

    /// A stream to a server; `send` is `None` when the request has no body.
    pub(crate) fn opened(send: Option<SendStream<Bytes>>) -> Http2 {
        Http2::new(None, send.map_or(Sending::Ended, Sending::Body))
    }

    fn new(receive: Option<RecvStream>, send: Sending) -> Http2 {
        Http2 { receive, send, chunk: Bytes::new(), trailers: Fields::new() }
    }

    /// Takes the body of the response.
    pub(crate) fn receive(&mut self, receive: RecvStream) {
        self.receive = (!receive.is_end_stream()).then_some(receive);
    }

    /// Whether the message that is being read has no body.
    pub(crate) fn is_empty(&self) -> bool {
        self.receive.is_none()
    }

    pub(crate) fn has_read_all(&self) -> bool {
        self.receive.is_none() && self.chunk.is_empty()
    }

    pub(crate) fn has_sent_all(&self) -> bool {
        matches!(self.send, Sending::Ended)
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        while self.chunk.is_empty() {
            let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(false)) };
            match ready!(receive.poll_data(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(_)) => {
                    // Whatever the reason: a reset after the end would not show here.
                    self.receive = None;
                    return Poll::Ready(Err(BodyError::Cut));
                }
                None => {
                    let trailers = ready!(receive.poll_trailers(cx));
                    self.receive = None;
                    match trailers {
                        Ok(Some(map)) => {
                            fields_of(&map, &mut self.trailers);
                            // As with HTTP/1.1, which they may become.
                            let fields = &self.trailers;
                            if fields.iter().any(|field| !may_trail(field.name))
                                || wire::check_fields(fields).is_err()
                            {
                                return Poll::Ready(Err(BodyError::Malformed));
                            }
                        }
                        Ok(None) => {}
                        Err(_) => return Poll::Ready(Err(BodyError::Cut)),
                    }
                }
            }
        }
        Poll::Ready(Ok(true))
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.chunk
    }

    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.chunk.len());
        self.chunk.advance(count);
        if let Some(receive) = &mut self.receive {
            // Fails only when the stream is gone, which the next read tells.
            let _ = receive.flow_control().release_capacity(count);
        }
    }

    pub(crate) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Sends the head of a response that is not final.
    pub(crate) fn send_interim(&mut self, status: u16, fields: &Fields) -> io::Result<()> {
        let Sending::Respond(respond) = &mut self.send else { return Ok(()) };
        respond.send_informational(response_of(status, fields)?).map_err(io_error)
    }

    /// Sends the head of the response.
    pub(crate) fn send_head(&mut self, status: u16, fields: &Fields, end: bool) -> io::Result<()> {
        let Sending::Respond(respond) = &mut self.send else { return Ok(()) };
        let body = respond.send_response(response_of(status, fields)?, end).map_err(io_error)?;
        self.send = if end { Sending::Ended } else { Sending::Body(body) };
        Ok(())
    }

    pub(crate) fn poll_write_body(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Sending::Body(send) = &mut self.send else { return Poll::Ready(Ok(data.len())) };
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        send.reserve_capacity(data.len());
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = send.capacity().min(data.len());
        send.send_data(Bytes::copy_from_slice(&data[..count]), false).map_err(io_error)?;
        Poll::Ready(Ok(count))
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> io::Result<()> {
        let Sending::Body(mut send) = std::mem::replace(&mut self.send, Sending::Ended) else {
            return Ok(());
        };
        match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => send.send_trailers(header_map(trailers)),
            None => send.send_data(Bytes::new(), true),
        }
        .map_err(io_error)
    }

    /// Ready once the peer has reset the stream or closed the connection.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Sending::Respond(respond) => respond.poll_reset(cx).map(|_| ()),
            Sending::Body(send) => send.poll_reset(cx).map(|_| ()),
            Sending::Ended => Poll::Pending,
        }
    }

    /// Whether the client has reset the stream before its answer was complete.
    pub(crate) fn was_reset(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match &mut self.send {
            Sending::Respond(respond) => matches!(respond.poll_reset(&mut cx), Poll::Ready(Ok(_))),
            Sending::Body(send) => matches!(send.poll_reset(&mut cx), Poll::Ready(Ok(_))),
            Sending::Ended => false,
        }
    }

    /// Gives the stream up.
    pub(crate) fn reset(&mut self, reason: Reason) {
        match &mut self.send {
            Sending::Respond(respond) => respond.send_reset(reason),
            Sending::Body(send) => send.send_reset(reason),
            Sending::Ended => {}
        }
        self.send = Sending::Ended;
        self.receive = None;
    }
}

/// Whether the server says that it did not look at the request (RFC 9113 section 8.7).
pub(crate) fn is_unprocessed(error: &h2::Error) -> bool {
    let leaving = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    error.is_remote() && (leaving || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Copies received fields.
pub(crate) fn fields_of(map: &HeaderMap, fields: &mut Fields) {
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Fields as HTTP/2 sends them; what cannot be sent is left out.
pub(crate) fn header_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields.iter() {
        let of_connection = matches!(
            field.known,
            Name::Connection | Name::KeepAlive | Name::TransferEncoding | Name::Upgrade
        );
        let name = HeaderName::from_bytes(field.name);
        let value = HeaderValue::from_bytes(field.value);
        if let (false, Ok(name), Ok(value)) = (of_connection, name, value) {
            map.append(name, value);
        }
    }
    map
}

fn response_of(status: u16, fields: &Fields) -> io::Result<http::Response<()>> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(io::Error::other)?;
    *response.headers_mut() = header_map(fields);
    Ok(response)
}

fn io_error(error: h2::Error) -> io::Error {
    io::Error::other(error)
}
