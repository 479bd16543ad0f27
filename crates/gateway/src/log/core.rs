//! The end of the log that a core holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use traffic::{Hit, LineWriter};

use super::{CHUNK_BYTES, Format, LogCounters, Message};

/// Room for the line that completes a buffer.
const LINE_BYTES: usize = 4 << 10;

/// What one core writes to.
#[derive(Debug)]
pub struct CoreLog {
    text: Vec<u8>,
    count: u64,
    /// Bytes that were handed over and are not written yet.
    waiting: Arc<AtomicUsize>,
    /// Most bytes in `text` and waiting.
    max: usize,
    /// Bytes after which `text` is handed over.
    chunk: usize,
    lines: LineWriter,
    format: Format,
    sender: SyncSender<Message>,
    counters: Arc<LogCounters>,
}

impl CoreLog {
    pub(super) fn new(
        max: usize,
        format: Format,
        sender: SyncSender<Message>,
        counters: Arc<LogCounters>,
    ) -> CoreLog {
        // With a small limit too, one buffer can be filled while another one is written.
        let chunk = CHUNK_BYTES.min(max / 2);
        CoreLog {
            text: Vec::with_capacity(chunk + LINE_BYTES),
            count: 0,
            waiting: Arc::default(),
            max,
            chunk,
            lines: LineWriter::new(),
            format,
            sender,
            counters,
        }
    }

    /// Writes a line, or drops it when there is no room.
    pub fn write(&mut self, hit: &Hit<'_>) {
        let before = self.text.len();
        match &self.format {
            Format::Combined => self.lines.write_combined(&mut self.text, hit),
            Format::Json => self.lines.write_json(&mut self.text, hit),
            Format::Template(template) => {
                self.lines.write_template(&mut self.text, template, hit);
            }
        }
        if self.bytes() > self.max {
            self.text.truncate(before);
            self.counters.add_dropped(1);
        } else {
            self.count += 1;
        }
        if self.text.len() >= self.chunk {
            self.flush();
        }
    }

    /// Hands over what there is, if the writer has room.
    pub fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let message = self.take();
        match self.sender.try_send(message) {
            Ok(()) => self.text.reserve(self.chunk + LINE_BYTES),
            Err(TrySendError::Full(message)) => self.take_back(message),
            Err(TrySendError::Disconnected(message)) => self.lose(&message),
        }
    }

    /// Bytes that are not written yet.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.text.len()
    }

    fn take(&mut self) -> Message {
        let text = std::mem::take(&mut self.text);
        self.waiting.fetch_add(text.len(), Ordering::Relaxed);
        let count = std::mem::take(&mut self.count);
        Message::Lines { text, count, waiting: Arc::clone(&self.waiting) }
    }

    fn take_back(&mut self, message: Message) {
        if let Message::Lines { text, count, .. } = message {
            self.waiting.fetch_sub(text.len(), Ordering::Relaxed);
            (self.text, self.count) = (text, count);
        }
    }

    fn lose(&self, message: &Message) {
        if let Message::Lines { text, count, .. } = message {
            self.waiting.fetch_sub(text.len(), Ordering::Relaxed);
            self.counters.add_dropped(*count);
        }
    }
}

impl Drop for CoreLog {
    /// The last lines of a core are waited for.
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let message = self.take();
        if let Err(unsent) = self.sender.send(message) {
            self.lose(&unsent.0);
        }
    }
}
