//! Input buffers, shared by the connections of a core: a connection without unread bytes has none.

use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of a buffer. One read takes a 16 KiB body together with its head.
pub(crate) const BUFFER_BYTES: usize = 32 << 10;
/// Buffers that a core keeps for later.
const SPARE_MAX: usize = 512;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    spare: RefCell<Vec<Box<[u8]>>>,
}

impl BufferPool {
    fn take(&self) -> Box<[u8]> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
    }

    fn give(&self, buffer: Box<[u8]>) {
        let mut spare = self.spare.borrow_mut();
        if buffer.len() == BUFFER_BYTES && spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

/// Bytes that were read and not used yet.
#[derive(Debug)]
pub(crate) struct Input {
    pool: Rc<BufferPool>,
    /// Empty while there is nothing to hold.
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new(pool: Rc<BufferPool>) -> Input {
        Input { pool, data: Box::default(), start: 0, end: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Forgets the first bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives the buffer back while nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.data.is_empty() {
            self.pool.give(std::mem::take(&mut self.data));
        }
    }

    /// Room for more bytes; grows up to `max` bytes when nothing else helps. Empty when full.
    pub(crate) fn room(&mut self, max: usize) -> &mut [u8] {
        if self.data.is_empty() {
            self.data = self.pool.take();
        }
        if self.end == self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.data.len() < max {
                let mut larger = std::mem::take(&mut self.data).into_vec();
                larger.resize((larger.len() * 2).min(max), 0);
                self.data = larger.into_boxed_slice();
            }
        }
        &mut self.data[self.end..]
    }

    /// Takes note of bytes that were put into [`Input::room`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_given_back_and_grow_to_their_limit_only() {
        let pool = Rc::new(BufferPool::default());
        let mut input = Input::new(Rc::clone(&pool));
        let room = input.room(BUFFER_BYTES * 2).len();
        input.filled(room);
        input.consume(10);
        assert_eq!(input.room(BUFFER_BYTES * 2).len(), 10);
        input.filled(10);
        assert_eq!(input.room(BUFFER_BYTES * 2).len(), BUFFER_BYTES);
        input.filled(BUFFER_BYTES);
        assert!(input.room(BUFFER_BYTES * 2).is_empty());
        input.consume(usize::MAX - BUFFER_BYTES * 4);
        assert!(input.is_empty());
        input.release();
        // Grown buffers are not kept.
        assert!(pool.spare.borrow().is_empty());
        let mut input = Input::new(Rc::clone(&pool));
        assert_eq!(input.room(BUFFER_BYTES).len(), BUFFER_BYTES);
        drop(input);
        assert_eq!(pool.spare.borrow().len(), 1);
    }
}
