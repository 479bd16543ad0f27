//! One HTTP/1.1 exchange on one connection (RFC 9112), parsed in place.

use std::task::{Context, Waker};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::net::buffer::{BufferPool, ReadBuffer};
use crate::net::chunked::ChunkedDecoder;
use crate::net::deadline::Deadline;
use crate::net::stream::Stream;
use crate::net::{Response, Wanted};
use crate::params::{Limits, Timeouts};

/// Header fields that are parsed without allocating.
const FIELDS_USUAL: usize = 64;
/// Most header fields that are accepted.
const FIELDS_MAX: usize = 4_096;
/// Most interim (1xx) responses before the final one.
const INTERIM_MAX: usize = 32;

/// A keep-alive connection.
pub(crate) struct H1 {
    stream: Stream,
}

/// An exchange that failed.
pub(crate) struct ExchangeError {
    pub(crate) failure: Failure,
    /// Whether not a single byte of a response had come.
    pub(crate) unanswered: bool,
}

/// What an exchange needs besides the connection.
pub(crate) struct Exchange<'a> {
    /// The request: head, and body if it is not part of the same bytes.
    pub(crate) wire: [&'a [u8]; 2],
    pub(crate) wanted: Wanted,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    /// When the request actually started; the total timeout counts from here.
    pub(crate) started: Instant,
    pub(crate) pool: &'a BufferPool,
    pub(crate) deadline: &'a mut Deadline,
    /// Receives the body when it is wanted.
    pub(crate) body: &'a mut Vec<u8>,
}

impl H1 {
    pub(crate) fn new(stream: Stream) -> H1 {
        H1 { stream }
    }

    /// Whether the target closed the connection, or sent something, while it was idle. Costs no
    /// system call unless there is news.
    pub(crate) fn is_stale(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let mut probe = tokio::io::ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        let stream = std::pin::Pin::new(&mut self.stream);
        tokio::io::AsyncRead::poll_read(stream, &mut cx, &mut probe).is_ready()
    }

    /// Sends a request and reads its response.
    pub(crate) async fn exchange(
        &mut self,
        mut ask: Exchange<'_>,
    ) -> Result<Response, ExchangeError> {
        let total = ask.started + ask.timeouts.total;
        ask.deadline.set(total);
        let wire = ask.wire;
        for bytes in wire {
            self.write_all(bytes, ask.deadline)
                .await
                .map_err(|failure| ExchangeError { failure, unanswered: true })?;
        }
        ask.deadline.set(total.min(Instant::now() + ask.timeouts.response));
        let mut buffer = ask.pool.take_read();
        let result = self.read_response(&mut buffer, &mut ask, total).await;
        ask.pool.give_read(buffer);
        result
    }

    async fn write_all(
        &mut self,
        mut bytes: &[u8],
        deadline: &mut Deadline,
    ) -> Result<(), Failure> {
        let stream = &mut self.stream;
        while !bytes.is_empty() {
            let written = deadline
                .guard(|cx| std::pin::Pin::new(&mut *stream).poll_write(cx, bytes))
                .await
                .ok_or_else(total_timeout)?
                .map_err(|error| Failure::from_io(&error))?;
            if written == 0 {
                return Err(Failure::new(FailureKind::Closed, "while the request was sent"));
            }
            bytes = &bytes[written..];
        }
        // Plain sockets have nothing to flush; TLS may hold records back.
        if matches!(stream, Stream::Tls(_)) {
            deadline
                .guard(|cx| std::pin::Pin::new(&mut *stream).poll_flush(cx))
                .await
                .ok_or_else(total_timeout)?
                .map_err(|error| Failure::from_io(&error))?;
        }
        Ok(())
    }

    async fn read_response(
        &mut self,
        buffer: &mut ReadBuffer,
        ask: &mut Exchange<'_>,
        total: Instant,
    ) -> Result<Response, ExchangeError> {
        let unanswered = |failure| ExchangeError { failure, unanswered: true };
        let answered = |failure| ExchangeError { failure, unanswered: false };
        match self.fill(buffer, ask.deadline).await.map_err(unanswered)? {
            Filled::Bytes => {}
            Filled::End => {
                return Err(unanswered(Failure::new(FailureKind::Closed, "before the response")));
            }
            Filled::TimedOut if Instant::now() >= total => return Err(unanswered(total_timeout())),
            Filled::TimedOut => {
                return Err(unanswered(Failure::new(
                    FailureKind::ResponseTimeout,
                    format!("no response within {:?}", ask.timeouts.response),
                )));
            }
        }
        let first_byte = Instant::now();
        ask.deadline.set(total);
        let mut received = 0;
        let head = self.read_head(buffer, ask, &mut received).await.map_err(answered)?;
        received += head.len as u64;
        buffer.consume(head.len);
        let framing = head.framing(ask.wanted.is_head).map_err(answered)?;
        let body_bytes =
            self.read_body(framing, buffer, ask, &mut received).await.map_err(answered)?;
        let reusable = head.persistent
            && framing != Framing::UntilClose
            && head.status != StatusCode::SWITCHING_PROTOCOLS
            // Bytes beyond the response would be taken for the next one.
            && buffer.filled().is_empty();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            first_byte,
            bytes: received,
            body_bytes,
            reusable,
        })
    }

    /// Reads until a whole final head stands in the buffer, passing over interim responses.
    async fn read_head(
        &mut self,
        buffer: &mut ReadBuffer,
        ask: &mut Exchange<'_>,
        received: &mut u64,
    ) -> Result<Head, Failure> {
        let mut interim = 0;
        loop {
            match parse_head(buffer.filled(), ask.wanted, ask.limits.head_bytes)? {
                Some(head)
                    if head.status.is_informational()
                        && head.status != StatusCode::SWITCHING_PROTOCOLS =>
                {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(Failure::new(
                            FailureKind::Malformed,
                            "too many interim responses",
                        ));
                    }
                    *received += head.len as u64;
                    buffer.consume(head.len);
                    if !buffer.filled().is_empty() {
                        continue;
                    }
                }
                Some(head) => return Ok(head),
                None if buffer.filled().len() > ask.limits.head_bytes => {
                    return Err(head_too_large(ask.limits.head_bytes));
                }
                None => {}
            }
            self.more(buffer, ask.deadline).await?;
        }
    }

    async fn read_body(
        &mut self,
        framing: Framing,
        buffer: &mut ReadBuffer,
        ask: &mut Exchange<'_>,
        received: &mut u64,
    ) -> Result<u64, Failure> {
        let mut sink = BodySink {
            kept: ask.wanted.body.then_some(&mut *ask.body),
            bytes: 0,
            limits: ask.limits,
        };
        match framing {
            Framing::Empty => {}
            Framing::Length(length) => {
                let mut left = length;
                loop {
                    let filled = buffer.filled();
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(filled.len());
                    sink.take(&filled[..n])?;
                    buffer.consume(n);
                    left -= n as u64;
                    *received += n as u64;
                    if left == 0 {
                        break;
                    }
                    self.more(buffer, ask.deadline).await?;
                }
            }
            Framing::Chunked => {
                let mut decoder = ChunkedDecoder::new();
                loop {
                    let mut overflow = Ok(());
                    let taken = decoder
                        .decode(buffer.filled(), |bytes| {
                            if overflow.is_ok() {
                                overflow = sink.take(bytes);
                            }
                        })
                        .map_err(|bad| Failure::new(FailureKind::Malformed, bad.0))?;
                    overflow?;
                    buffer.consume(taken);
                    *received += taken as u64;
                    if decoder.is_done() {
                        break;
                    }
                    self.more(buffer, ask.deadline).await?;
                }
            }
            Framing::UntilClose => loop {
                let n = buffer.filled().len();
                sink.take(buffer.filled())?;
                buffer.consume(n);
                *received += n as u64;
                match self.fill(buffer, ask.deadline).await? {
                    Filled::Bytes => {}
                    Filled::End => break,
                    Filled::TimedOut => return Err(total_timeout()),
                }
            },
        }
        Ok(sink.bytes)
    }

    /// Reads more of a response that has begun and not ended.
    async fn more(
        &mut self,
        buffer: &mut ReadBuffer,
        deadline: &mut Deadline,
    ) -> Result<(), Failure> {
        match self.fill(buffer, deadline).await? {
            Filled::Bytes => Ok(()),
            Filled::End => Err(Failure::new(FailureKind::Closed, "within the response")),
            Filled::TimedOut => Err(total_timeout()),
        }
    }

    async fn fill(
        &mut self,
        buffer: &mut ReadBuffer,
        deadline: &mut Deadline,
    ) -> Result<Filled, Failure> {
        let stream = &mut self.stream;
        match deadline.guard(|cx| buffer.poll_fill(stream, cx)).await {
            None => Ok(Filled::TimedOut),
            Some(Ok(0)) => Ok(Filled::End),
            Some(Ok(_)) => Ok(Filled::Bytes),
            // Many servers close TLS connections without the closing alert.
            Some(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Ok(Filled::End)
            }
            Some(Err(error)) => Err(Failure::from_io(&error)),
        }
    }
}

enum Filled {
    Bytes,
    End,
    TimedOut,
}

/// Counts a body, and keeps it if someone wants it.
struct BodySink<'a> {
    kept: Option<&'a mut Vec<u8>>,
    bytes: u64,
    limits: Limits,
}

impl BodySink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        let limit = match &mut self.kept {
            Some(kept) => {
                kept.extend_from_slice(bytes);
                self.limits.kept_body_bytes as u64
            }
            None => self.limits.body_bytes,
        };
        if self.bytes > limit {
            return Err(Failure::new(
                FailureKind::BodyTooLarge,
                format!("more than {limit} bytes"),
            ));
        }
        Ok(())
    }
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A parsed head.
#[derive(Debug)]
struct Head {
    /// Bytes of the head, the blank line included.
    len: usize,
    status: StatusCode,
    content_length: Option<u64>,
    /// Whether `Transfer-Encoding` is there, and whether it ends in `chunked`.
    transfer_encoding: Option<bool>,
    /// Whether the target means to keep the connection open.
    persistent: bool,
    headers: Option<HeaderMap>,
}

impl Head {
    fn framing(&self, is_head: bool) -> Result<Framing, Failure> {
        let no_body = is_head
            || self.status.is_informational()
            || self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED;
        match (self.transfer_encoding, self.content_length) {
            _ if no_body => Ok(Framing::Empty),
            // RFC 9112 §6.3: such a message may be an attempt at response splitting.
            (Some(_), Some(_)) => Err(Failure::new(
                FailureKind::Malformed,
                "both Transfer-Encoding and Content-Length",
            )),
            (Some(true), None) => Ok(Framing::Chunked),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(false) | None, None) => Ok(Framing::UntilClose),
        }
    }
}

/// Parses a head; `None` while it is incomplete.
fn parse_head(bytes: &[u8], wanted: Wanted, limit: usize) -> Result<Option<Head>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_USUAL];
    match parse_with(bytes, &mut fields, wanted) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut fields = vec![httparse::EMPTY_HEADER; FIELDS_MAX];
            match parse_with(bytes, &mut fields, wanted) {
                Err(httparse::Error::TooManyHeaders) => Err(head_too_large(limit)),
                other => other.map_err(malformed)?,
            }
        }
        other => other.map_err(malformed)?,
    }
}

type Parsed = Result<Option<Head>, Failure>;

fn parse_with<'b>(
    bytes: &'b [u8],
    fields: &mut [httparse::Header<'b>],
    wanted: Wanted,
) -> Result<Parsed, httparse::Error> {
    let mut parsed = httparse::Response::new(fields);
    Ok(match parsed.parse(bytes)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(len) => read_fields(&parsed, len, wanted).map(Some),
    })
}

fn read_fields(
    parsed: &httparse::Response<'_, '_>,
    len: usize,
    wanted: Wanted,
) -> Result<Head, Failure> {
    let bad = |problem: &str| Failure::new(FailureKind::Malformed, problem);
    let status =
        StatusCode::from_u16(parsed.code.unwrap_or(0)).map_err(|_| bad("status out of range"))?;
    let mut head = Head {
        len,
        status,
        content_length: None,
        transfer_encoding: None,
        persistent: parsed.version == Some(1),
        headers: None,
    };
    let mut collect = wanted.headers || wanted.body;
    for field in parsed.headers.iter() {
        let (name, value) = (field.name, field.value.trim_ascii());
        // The length tells most names apart before any byte is compared.
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = parse_length(value).ok_or_else(|| bad("invalid Content-Length"))?;
                if head.content_length.is_some_and(|known| known != length) {
                    return Err(bad("contradicting Content-Length fields"));
                }
                head.content_length = Some(length);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or(value);
                head.transfer_encoding = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        head.persistent = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive")
                        && parsed.version == Some(0)
                    {
                        head.persistent = true;
                    }
                }
            }
            10 if name.eq_ignore_ascii_case("set-cookie") => collect |= wanted.cookies_and_location,
            8 if name.eq_ignore_ascii_case("location") => {
                collect |= wanted.cookies_and_location && status.is_redirection();
            }
            _ => {}
        }
    }
    if collect {
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers.iter() {
            // httparse is laxer than `http` about a few bytes; such fields say nothing to anyone.
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(field.name.as_bytes()),
                HeaderValue::from_bytes(field.value),
            ) {
                let _ = headers.try_append(name, value);
            }
        }
        head.headers = Some(headers);
    }
    Ok(head)
}

/// Digits only (RFC 9110 §8.6): no sign, no space, no list.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn malformed(error: httparse::Error) -> Failure {
    Failure::new(FailureKind::Malformed, error.to_string())
}

fn head_too_large(limit: usize) -> Failure {
    Failure::new(
        FailureKind::HeadTooLarge,
        format!("more than {limit} bytes or {FIELDS_MAX} fields"),
    )
}

fn total_timeout() -> Failure {
    Failure::new(FailureKind::TotalTimeout, "the response was not complete in time")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: Wanted =
        Wanted { headers: false, cookies_and_location: true, body: false, is_head: false };

    fn head(text: &str) -> Result<Option<Head>, Failure> {
        parse_head(text.as_bytes(), WANTED, 1 << 16)
    }

    fn framing(fields: &str) -> Result<Framing, FailureKind> {
        head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
            .and_then(|head| head.unwrap().framing(false))
            .map_err(|failure| failure.kind)
    }

    #[test]
    fn framing_follows_the_fields() {
        assert_eq!(framing("content-length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("transfer-encoding: gzip\r\n"), Ok(Framing::UntilClose));
        assert_eq!(framing(""), Ok(Framing::UntilClose));
        for fields in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: -1\r\n",
            "content-length: 5, 5\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert_eq!(framing(fields), Err(FailureKind::Malformed), "{fields}");
        }
        let not_modified = head("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(not_modified.unwrap().unwrap().framing(false), Ok(Framing::Empty));
    }

    #[test]
    fn connections_persist_as_the_version_says() {
        let persistent = |text: &str| head(text).unwrap().unwrap().persistent;
        assert!(persistent("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!persistent("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!persistent("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(persistent("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn fields_are_collected_only_when_needed() {
        let headers = |text: &str| head(text).unwrap().unwrap().headers.is_some();
        assert!(!headers("HTTP/1.1 200 OK\r\nlocation: /x\r\n\r\n"));
        assert!(headers("HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n"));
        assert!(headers("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\n\r\n"));
    }

    #[test]
    fn many_fields_are_fine_up_to_the_limit() {
        let text = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
        assert!(head(&text(FIELDS_MAX)).unwrap().is_some());
        assert_eq!(head(&text(FIELDS_MAX + 1)).unwrap_err().kind, FailureKind::HeadTooLarge);
        assert!(head("HTTP/1.1 200 OK\r\nx").unwrap().is_none());
        assert_eq!(head("SSH-2.0-OpenSSH\r\n\r\n").unwrap_err().kind, FailureKind::Malformed);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let wanted = Wanted { headers: true, ..WANTED };
            let _ = parse_head(&bytes, wanted, 1 << 16);
            let mut response = b"HTTP/1.1 200 OK\r\n".to_vec();
            response.extend_from_slice(&bytes);
            let _ = parse_head(&response, wanted, 1 << 16).map(|head| head.map(|head| head.framing(false)));
        }
    }
}
