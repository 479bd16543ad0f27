//! Read buffers, shared by the connections of one worker: only a request under way holds one.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Size of a fresh buffer, in bytes.
pub(crate) const BUFFER_BYTES: usize = 16 << 10;

/// Most idle buffers that a worker keeps.
const IDLE_MAX: usize = 256;

/// Bytes read and not yet consumed: `data[start..end]`.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(crate) fn new() -> ReadBuffer {
        ReadBuffer { data: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// The bytes not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Drops the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once from `stream`; 0 bytes is the end of the stream. Grows when full.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.end == self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.data.resize(self.data.len() * 2, 0);
            }
        }
        let mut room = ReadBuf::new(&mut self.data[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let n = room.filled().len();
        self.end += n;
        Poll::Ready(Ok(n))
    }
}

/// Idle buffers of one worker.
#[derive(Default)]
pub(crate) struct BufferPool {
    read: RefCell<Vec<ReadBuffer>>,
    write: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// An empty read buffer.
    pub(crate) fn take_read(&self) -> ReadBuffer {
        self.read.borrow_mut().pop().unwrap_or_else(ReadBuffer::new)
    }

    /// An empty byte vector, to render into or to keep a body in.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.write.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a read buffer back. One that grew is dropped, so that one large response does not
    /// hold memory for ever.
    pub(crate) fn give_read(&self, mut buffer: ReadBuffer) {
        let mut idle = self.read.borrow_mut();
        if buffer.data.len() == BUFFER_BYTES && idle.len() < IDLE_MAX {
            (buffer.start, buffer.end) = (0, 0);
            idle.push(buffer);
        }
    }

    /// Takes a byte vector back.
    pub(crate) fn give(&self, mut bytes: Vec<u8>) {
        let mut idle = self.write.borrow_mut();
        if bytes.capacity() <= BUFFER_BYTES && idle.len() < IDLE_MAX {
            bytes.clear();
            idle.push(bytes);
        }
    }
}
