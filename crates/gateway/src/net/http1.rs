//! One HTTP/1.1 connection (RFC 9112), of a client or to a server: reading and writing messages
//! in turn, with every body framed anew.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use traffic::Fields;
use wire::chunked::ChunkedDecoder;
use wire::{BodyLength, HeadError};

use crate::net::buffer::{BufferPool, Input};
use crate::net::stream::Stream;

/// Bodies up to this size are copied behind the head, so that both leave in one write.
const COPIED_MAX: usize = 4 << 10;
/// Bytes that may wait in the output before it is written.
const OUTPUT_MAX: usize = 16 << 10;

/// Why a body cannot be read on.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The stream ended or failed.
    Cut,
    /// The framing is wrong.
    Malformed,
}

/// What is still to come of the message that is being read.
enum Incoming {
    Nothing,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
}

/// How the message that is being written goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    Nothing,
    Length(u64),
    /// In chunks; this many bytes of the current one are missing.
    Chunked(usize),
    UntilClose,
}

/// A connection.
pub(crate) struct Http1 {
    stream: Stream,
    input: Input,
    output: Vec<u8>,
    sent: usize,
    incoming: Incoming,
    /// Bytes at the front of the input that belong to the body.
    available: usize,
    outgoing: Outgoing,
    trailers: Fields,
    /// Whether nothing more can be read.
    ended: bool,
    bytes_in: u64,
}

impl Http1 {
    pub(crate) fn new(stream: Stream, buffers: Rc<BufferPool>) -> Http1 {
        Http1 {
            stream,
            input: Input::new(buffers),
            output: Vec::new(),
            sent: 0,
            incoming: Incoming::Nothing,
            available: 0,
            outgoing: Outgoing::Nothing,
            trailers: Fields::new(),
            ended: false,
            bytes_in: 0,
        }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The stream and the bytes that were read from it and not used.
    pub(crate) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.input.bytes().to_vec())
    }

    /// Holds no buffer while nothing is in it.
    pub(crate) fn release_input(&mut self) {
        self.input.release();
    }

    /// Bytes that were read and not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Marks bytes of [`Http1::unread`] as used.
    pub(crate) fn use_up(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_in
    }

    /// Waits until there is something to read, holding no buffer meanwhile. Ready at once when
    /// something was read already.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() || self.ended {
            return Poll::Ready(());
        }
        self.input.release();
        self.stream.poll_read_ready(cx).map(|_| ())
    }

    /// Reads once; false at the end of the stream, or when `max` unread bytes are there already.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let room = self.input.room(max);
        if room.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let read = ready!(self.stream.poll_read_into(cx, room));
        match read {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.input.filled(count);
                self.bytes_in += count as u64;
                return Poll::Ready(Ok(true));
            }
            Err(error) => {
                self.ended = true;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(false))
    }

    /// Expects a body of this length next.
    pub(crate) fn expect_body(&mut self, body: BodyLength) {
        self.available = 0;
        self.trailers.clear();
        self.incoming = match body {
            BodyLength::None | BodyLength::Length(0) => Incoming::Nothing,
            BodyLength::Length(length) => Incoming::Length(length),
            BodyLength::Chunked => Incoming::Chunked(Box::default()),
            BodyLength::UntilClose => Incoming::UntilClose,
        };
    }

    /// Whether the message that is being read is complete.
    pub(crate) fn has_read_all(&self) -> bool {
        matches!(self.incoming, Incoming::Nothing) && self.available == 0
    }

    /// Whether the message that is being written is complete and has left.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.outgoing == Outgoing::Nothing && self.output.is_empty()
    }

    /// Makes bytes of the body available; false at its end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        loop {
            if self.available > 0 {
                return Poll::Ready(Ok(true));
            }
            match &mut self.incoming {
                Incoming::Nothing => return Poll::Ready(Ok(false)),
                Incoming::Length(left) => {
                    self.available =
                        self.input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= self.available as u64;
                    if *left == 0 {
                        self.incoming = Incoming::Nothing;
                    }
                }
                Incoming::UntilClose => self.available = self.input.len(),
                Incoming::Chunked(decoder) => {
                    let step = decoder.decode(self.input.bytes(), &mut self.trailers);
                    let Ok(step) = step else {
                        return Poll::Ready(Err(BodyError::Malformed));
                    };
                    self.input.consume(step.skip);
                    self.available = step.data;
                    if step.done {
                        self.incoming = Incoming::Nothing;
                        continue;
                    }
                }
            }
            if self.available > 0 {
                continue;
            }
            let max = crate::net::buffer::BUFFER_BYTES;
            match ready!(self.poll_fill(cx, max)) {
                Ok(true) => {}
                Ok(false) if matches!(self.incoming, Incoming::UntilClose) && self.ended => {
                    self.incoming = Incoming::Nothing;
                }
                Ok(false) | Err(_) => return Poll::Ready(Err(BodyError::Cut)),
            }
        }
    }

    /// The bytes that [`Http1::poll_body`] made available.
    pub(crate) fn data(&self) -> &[u8] {
        &self.input.bytes()[..self.available]
    }

    /// Marks available bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.available);
        self.available -= count;
        self.input.consume(count);
    }

    /// The trailers of the message that was read.
    pub(crate) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Starts a message: `write` puts the head into the output, `body` follows.
    pub(crate) fn start(&mut self, body: BodyLength, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.output);
        self.outgoing = match body {
            BodyLength::None | BodyLength::Length(0) => Outgoing::Nothing,
            BodyLength::Length(length) => Outgoing::Length(length),
            BodyLength::Chunked => Outgoing::Chunked(0),
            BodyLength::UntilClose => Outgoing::UntilClose,
        };
    }

    /// Puts the head of a response that is not final into the output.
    pub(crate) fn write_interim(&mut self, status: u16, fields: &Fields) {
        wire::write::write_status_line(&mut self.output, status);
        wire::write::write_fields(&mut self.output, fields);
        self.output.extend_from_slice(b"\r\n");
    }

    /// Writes some bytes of the body and tells how many. The rest must follow in the next call.
    /// Small pieces only go to the output: flush when there is nothing more to write.
    pub(crate) fn poll_write_body(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let data = match &mut self.outgoing {
            // Nothing may follow: what a server sends beyond its own framing is dropped.
            Outgoing::Nothing => return Poll::Ready(Ok(data.len())),
            Outgoing::Length(left) => {
                &data[..data.len().min(usize::try_from(*left).unwrap_or(usize::MAX))]
            }
            Outgoing::Chunked(0) => {
                wire::chunked::write_chunk_head(&mut self.output, data.len());
                self.outgoing = Outgoing::Chunked(data.len());
                data
            }
            Outgoing::Chunked(left) => &data[..data.len().min(*left)],
            Outgoing::UntilClose => data,
        };
        let written = if data.len() <= COPIED_MAX && self.output.len() + data.len() <= OUTPUT_MAX {
            self.output.extend_from_slice(data);
            data.len()
        } else {
            let waiting = self.output.len() - self.sent;
            let slices = [IoSlice::new(&self.output[self.sent..]), IoSlice::new(data)];
            let slices = if waiting > 0 { &slices[..] } else { &slices[1..] };
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_output = written.min(waiting);
            self.sent += of_output;
            if self.sent == self.output.len() {
                self.output.clear();
                self.sent = 0;
            }
            if written == of_output {
                return self.poll_write_body(cx, data);
            }
            written - of_output
        };
        match &mut self.outgoing {
            Outgoing::Length(left) => {
                *left -= written as u64;
                if *left == 0 {
                    self.outgoing = Outgoing::Nothing;
                }
            }
            Outgoing::Chunked(left) => {
                *left -= written;
                if *left == 0 {
                    self.output.extend_from_slice(wire::chunked::CHUNK_END);
                }
            }
            Outgoing::Nothing | Outgoing::UntilClose => {}
        }
        Poll::Ready(Ok(written))
    }

    /// Ends the message and writes what waits. False when its length was announced and is not
    /// reached: the connection must be closed then.
    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<bool>> {
        let complete = match self.outgoing {
            Outgoing::Chunked(_) => {
                let trailers = trailers.filter(|trailers| !trailers.is_empty());
                wire::chunked::write_last_chunk(&mut self.output, trailers);
                true
            }
            Outgoing::Length(_) => false,
            Outgoing::Nothing | Outgoing::UntilClose => true,
        };
        if complete {
            self.outgoing = Outgoing::Nothing;
        }
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(complete))
    }

    /// Writes what waits in the output.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            let waiting = &self.output[self.sent..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.output.clear();
        self.sent = 0;
        if matches!(self.stream, Stream::Plain(_)) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ready once the peer has closed the connection. Requests that arrive meanwhile are kept, as
    /// far as there is room.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.ended {
                return Poll::Ready(());
            }
            if self.available > 0 || self.input.len() >= crate::net::buffer::BUFFER_BYTES / 2 {
                return Poll::Pending;
            }
            if self.input.is_empty() {
                let _ = ready!(self.stream.poll_read_ready(cx));
            }
            let _ = ready!(self.poll_fill(cx, crate::net::buffer::BUFFER_BYTES));
        }
    }

    /// Parses a head from the unread bytes, reading more as needed; `None` when the stream ended
    /// before its first byte.
    pub(crate) fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        mut parse: impl FnMut(&[u8]) -> Result<Option<(usize, T)>, HeadError>,
    ) -> Poll<Result<T, HeadFailure>> {
        loop {
            if !self.input.is_empty() {
                match parse(self.input.bytes()) {
                    Ok(Some((used, value))) => {
                        self.input.consume(used);
                        return Poll::Ready(Ok(value));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(HeadFailure::Malformed(error))),
                }
            }
            match ready!(self.poll_fill(cx, max)) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Poll::Ready(Err(HeadFailure::Ended)),
            }
        }
    }

    /// Whether the message that is being written is not complete, and only a reset can say so: a
    /// close would look like its end. The connection is reset then when it is dropped.
    pub(crate) fn must_reset(&self) -> bool {
        let must = self.outgoing == Outgoing::UntilClose;
        if must {
            self.stream.reset_on_close();
        }
        must
    }

    /// Closes the writing side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Why a head cannot be read.
#[derive(Debug)]
pub(crate) enum HeadFailure {
    /// The stream ended or failed.
    Ended,
    /// The bytes are no head.
    Malformed(HeadError),
}
