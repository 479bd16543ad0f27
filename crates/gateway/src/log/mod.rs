//! The access log: written off the request path. Each core formats lines into a buffer of its own
//! ([`CoreLog`]) and hands full buffers to one writer thread; when that falls behind, lines are
//! dropped and counted, and requests never wait.

mod core;
mod file;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use traffic::Template;

use crate::log::file::LogFile;
use crate::log::writer::Writer;
use crate::params::{AccessLog, LogFormat};

pub use self::core::CoreLog;

/// Bytes after which a buffer is handed over.
const CHUNK_BYTES: usize = 32 << 10;
/// Buffers per core that wait to be written; their bytes are limited by [`AccessLog::buffer`].
const CHUNKS_MAX: usize = 32;

/// What is counted about the log.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
}

impl LogCounters {
    /// Lines that are in the file.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were lost, because the writer was behind or the file could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How often writing, renaming or opening the file failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn add_written(&self, count: u64) {
        self.written.fetch_add(count, Ordering::Relaxed);
    }

    fn add_dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn add_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the writer is told.
enum Message {
    /// Lines of a core, and the bytes of this core that wait.
    Lines {
        text: Vec<u8>,
        count: u64,
        waiting: Arc<AtomicUsize>,
    },
    Reopen,
    Close,
}

/// What a line looks like.
#[derive(Debug, Clone)]
enum Format {
    Combined,
    Json,
    Template(Template),
}

/// The writer thread. Dropping it writes what was handed over, as [`AccessLogger::close`] does.
#[derive(Debug)]
pub struct AccessLogger {
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<LogCounters>,
    /// Set when there was no room to say it otherwise.
    reopen: Arc<AtomicBool>,
    format: Format,
    buffer: usize,
}

impl AccessLogger {
    /// Opens the file and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened, the template is none, or no thread can be started.
    pub fn open(params: &AccessLog, cores: usize) -> io::Result<AccessLogger> {
        let format = match &params.format {
            LogFormat::Combined => Format::Combined,
            LogFormat::Json => Format::Json,
            LogFormat::Template(template) => {
                let template = template.parse();
                Format::Template(template.map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"))
                })?)
            }
        };
        let file = LogFile::open(&params.path, params.rotate, params.keep)?;
        let counters = Arc::new(LogCounters::default());
        let reopen = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = sync_channel(cores.max(1) * CHUNKS_MAX);
        let writer = Writer::new(receiver, file, Arc::clone(&counters), Arc::clone(&reopen));
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())?;
        let buffer = params.buffer;
        Ok(AccessLogger { sender, thread: Some(thread), counters, reopen, format, buffer })
    }

    /// What a core writes to.
    pub fn core(&self) -> CoreLog {
        let counters = Arc::clone(&self.counters);
        CoreLog::new(self.buffer, self.format.clone(), self.sender.clone(), counters)
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.counters)
    }

    /// Opens the file anew, after somebody has moved it: lines handed over before go to the old
    /// one, unless the writer is far behind. Returns at once.
    pub fn reopen(&self) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Reopen) {
            self.reopen.store(true, Ordering::Relaxed);
        }
    }

    /// Writes what was handed over and ends the thread. Cores should be gone by now: what they
    /// hand over later is counted as dropped.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Fails only when the thread has ended already.
        let _ = self.sender.send(Message::Close);
        if thread.join().is_err() {
            tracing::error!("the access log's writer ended with a panic");
        }
    }
}

impl Drop for AccessLogger {
    fn drop(&mut self) {
        self.end();
    }
}
