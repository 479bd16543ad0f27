//! HTTP/1.1 (RFC 9112), by hand: only so can it be done wrong on purpose.

use super::faults;
use super::record::Recorded;
use super::route::{Action, Reply};
use super::{BODY_BYTES_MAX, Peer, Shared, Wire};
use bytes::{Buf, BytesMut};
use http::{StatusCode, Version};
use std::io::{self, ErrorKind};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest request head that is read.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Most header lines of a request.
const HEADERS_MAX: usize = 256;
/// Longest chunk that is sent of a chunked body.
const CHUNK_BYTES: usize = 1024;

/// Serves the requests of one connection, of which `buffer` was already read.
pub(super) async fn serve<S: Wire>(
    stream: S,
    buffer: BytesMut,
    peer: &Peer,
    shared: &Shared,
) -> io::Result<()> {
    let mut input = Input { stream, buffer };
    loop {
        let request = match read_request(&mut input, peer).await {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let refusal = Reply::new(400, &[("connection", "close")], error.to_string());
                input.stream.write_all(&render(&refusal, true, false)).await?;
                break;
            }
            Err(error) => return Err(error),
        };
        let has_body = request.method != "HEAD";
        let keep = keeps_alive(&request);
        let old = request.version == Version::HTTP_10;
        let action = shared.decide(&request);
        let in_flight = shared.recorder.request(request);
        match action {
            Action::Reply(mut reply) => {
                reply.wait().await;
                reply.chunked &= !old;
                if !keep {
                    reply.headers.push(("connection".to_owned(), "close".to_owned()));
                } else if old {
                    reply.headers.push(("connection".to_owned(), "keep-alive".to_owned()));
                }
                input.stream.write_all(&render(&reply, has_body, reply.chunked)).await?;
                input.stream.flush().await?;
            }
            Action::Fault(fault) => {
                if !faults::play(&fault, &mut input.stream).await? {
                    return Ok(());
                }
            }
        }
        drop(in_flight);
        if !keep {
            break;
        }
    }
    input.stream.shutdown().await
}

/// Head and body of `reply` as they go over the wire.
pub(super) fn render(reply: &Reply, with_body: bool, chunked: bool) -> Vec<u8> {
    let reason =
        StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or_default());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    // These never have a body, and so no framing (RFC 9112 §6.3).
    let never_has_body = matches!(reply.status, 100..=199 | 204 | 304);
    if chunked {
        head += "transfer-encoding: chunked\r\n";
    } else if !never_has_body {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    if !with_body || never_has_body {
        return bytes;
    }
    if chunked {
        for chunk in reply.body.chunks(CHUNK_BYTES) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        bytes.extend_from_slice(&reply.body);
    }
    bytes
}

/// Whether the client wants the connection kept (RFC 9112 §9.3).
fn keeps_alive(request: &Recorded) -> bool {
    let connection = request.header("connection").unwrap_or_default().to_ascii_lowercase();
    let says = |option: &str| connection.split(',').any(|part| part.trim() == option);
    if request.version == Version::HTTP_10 { says("keep-alive") } else { !says("close") }
}

/// A stream with what was read of it ahead.
struct Input<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: Wire> Input<S> {
    /// Reads more.
    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next `length` bytes.
    async fn take(&mut self, length: usize) -> io::Result<BytesMut> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length))
    }
}

/// How the end of a request's body is found (RFC 9112 §6.3).
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// The next request, `None` at the end of the stream.
///
/// # Errors
/// `InvalidData` for what is not HTTP/1 or too long, else what the stream says.
async fn read_request<S: Wire>(input: &mut Input<S>, peer: &Peer) -> io::Result<Option<Recorded>> {
    let (mut request, framing, expects) = loop {
        if let Some((request, framing, expects, head)) = parse_head(&input.buffer, peer)? {
            input.buffer.advance(head);
            break (request, framing, expects);
        }
        if input.buffer.len() > HEAD_BYTES_MAX {
            return Err(invalid("request head too long"));
        }
        let idle = input.buffer.is_empty();
        match input.fill().await {
            Err(error) if idle && error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            filled => filled?,
        }
    };
    if expects {
        input.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        input.stream.flush().await?;
    }
    request.body = match framing {
        Framing::Length(length) if length > BODY_BYTES_MAX => {
            return Err(invalid("request body too long"));
        }
        Framing::Length(length) => input.take(length).await?.into(),
        Framing::Chunked => read_chunked(input).await?,
    };
    request.at = Instant::now();
    Ok(Some(request))
}

/// A request head, its framing, whether it expects `100 Continue`, and how many bytes it took;
/// `None` if it is not complete.
fn parse_head(buffer: &[u8], peer: &Peer) -> io::Result<Option<(Recorded, Framing, bool, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(buffer).map_err(|_| invalid("request head not understood"))?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let request = Recorded {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        version: if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 },
        headers: parsed.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
        body: Vec::new(),
        at: Instant::now(),
        connection: peer.connection,
        server_name: peer.server_name.clone(),
    };
    let framing = match (request.header("transfer-encoding"), request.header("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
        (Some(_), _) => return Err(invalid("transfer coding not understood")),
        (None, Some(length)) => {
            Framing::Length(length.parse().map_err(|_| invalid("content length not a number"))?)
        }
        (None, None) => Framing::Length(0),
    };
    let expects = request.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue"));
    Ok(Some((request, framing, expects, head)))
}

/// A chunked body (RFC 9112 §7.1) without its framing; trailers are read and dropped.
async fn read_chunked<S: Wire>(input: &mut Input<S>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (line, size) = loop {
            match httparse::parse_chunk_size(&input.buffer) {
                Ok(httparse::Status::Complete(found)) => break found,
                Ok(httparse::Status::Partial) if input.buffer.len() <= HEAD_BYTES_MAX => {
                    input.fill().await?;
                }
                Ok(_) | Err(_) => return Err(invalid("chunk size not understood")),
            }
        };
        input.buffer.advance(line);
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size.saturating_add(body.len()) > BODY_BYTES_MAX {
            return Err(invalid("request body too long"));
        }
        body.extend_from_slice(&input.take(size).await?);
        if &input.take(2).await?[..] != b"\r\n" {
            return Err(invalid("chunk without line end"));
        }
    }
    loop {
        match input.buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = input.buffer.split_to(end + 1);
                if line.trim_ascii().is_empty() {
                    return Ok(body);
                }
            }
            None if input.buffer.len() > HEAD_BYTES_MAX => return Err(invalid("trailer too long")),
            None => input.fill().await?,
        }
    }
}
