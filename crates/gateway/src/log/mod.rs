//! The access log: written off the request path. Each core formats lines into a buffer of its own
//! and hands full buffers to one writer thread; when that falls behind, lines are dropped and
//! counted, and requests never wait.

mod file;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use traffic::{Hit, LineWriter, Template};

use crate::log::file::LogFile;
use crate::params::{AccessLog, LogFormat};

/// Bytes after which a buffer is handed over.
const CHUNK_BYTES: usize = 32 << 10;
/// Buffers of each core that wait to be written.
const CHUNKS_MAX: usize = 8;
/// How often an error of the file is reported.
const REPORT: Duration = Duration::from_secs(10);

/// What is counted about the log.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl LogCounters {
    /// Lines that were handed to the writer.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were lost, because the writer was behind or the file could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

enum Message {
    Lines { text: Vec<u8>, count: u64 },
    Reopen,
    Close,
}

/// The writer thread.
#[derive(Debug)]
pub struct AccessLogger {
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<LogCounters>,
    format: Format,
    buffer: usize,
}

#[derive(Debug, Clone)]
enum Format {
    Combined,
    Json,
    Template(Template),
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
        let (sender, receiver) = sync_channel(cores.max(1) * CHUNKS_MAX);
        let for_writer = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&receiver, file, &for_writer))?;
        let buffer = params.buffer.max(CHUNK_BYTES);
        Ok(AccessLogger { sender, thread: Some(thread), counters, format, buffer })
    }

    /// What a core writes to.
    pub fn core(&self) -> CoreLog {
        CoreLog {
            text: Vec::with_capacity(CHUNK_BYTES + 4_096),
            count: 0,
            max: self.buffer,
            lines: LineWriter::new(),
            format: self.format.clone(),
            sender: self.sender.clone(),
            counters: Arc::clone(&self.counters),
        }
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.counters)
    }

    /// Opens the file anew, after somebody has moved it.
    pub fn reopen(&self) {
        // The thread ends with this value only.
        let _ = self.sender.send(Message::Reopen);
    }

    /// Writes what was handed over and ends the thread.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.sender.send(Message::Close);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the access log's writer ended with a panic");
        }
    }
}

impl Drop for AccessLogger {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

/// What one core writes to.
#[derive(Debug)]
pub struct CoreLog {
    text: Vec<u8>,
    count: u64,
    max: usize,
    lines: LineWriter,
    format: Format,
    sender: SyncSender<Message>,
    counters: Arc<LogCounters>,
}

impl CoreLog {
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
        self.count += 1;
        if self.text.len() < CHUNK_BYTES {
            return;
        }
        self.flush();
        if self.text.len() > self.max {
            self.text.truncate(before);
            self.count -= 1;
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over what there is, if the writer has room.
    pub fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        match self.sender.try_send(Message::Lines { text, count: self.count }) {
            Ok(()) => {
                self.text = Vec::with_capacity(CHUNK_BYTES + 4_096);
                self.count = 0;
            }
            Err(TrySendError::Full(Message::Lines { text, .. })) => self.text = text,
            Err(_) => {
                self.counters.dropped.fetch_add(self.count, Ordering::Relaxed);
                self.count = 0;
            }
        }
    }
}

impl Drop for CoreLog {
    /// The last lines of a core are waited for.
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.sender.send(Message::Lines { text, count: self.count }).is_err()
        {
            self.counters.dropped.fetch_add(self.count, Ordering::Relaxed);
        }
    }
}

fn write_all(receiver: &Receiver<Message>, mut file: LogFile, counters: &LogCounters) {
    let mut reported: Option<Instant> = None;
    while let Ok(message) = receiver.recv() {
        let result = match message {
            Message::Lines { text, count } => {
                let written = file.write(&text);
                let counter = if written.is_ok() { &counters.written } else { &counters.dropped };
                counter.fetch_add(count, Ordering::Relaxed);
                written
            }
            Message::Reopen => file.reopen(),
            Message::Close => return,
        };
        if let Err(error) = result
            && reported.is_none_or(|at| at.elapsed() >= REPORT)
        {
            reported = Some(Instant::now());
            let dropped = counters.dropped();
            tracing::error!(path = %file.path().display(), %error, dropped, "cannot write the access log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(path: &std::path::Path) -> AccessLog {
        AccessLog {
            path: path.to_owned(),
            format: LogFormat::Template("{target}".to_owned()),
            buffer: 0,
            rotate: None,
            keep: 0,
        }
    }

    fn hit(target: &str) -> Hit<'_> {
        Hit { target: target.as_bytes(), ..Hit::default() }
    }

    #[test]
    fn every_line_arrives_also_after_the_file_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let logger = AccessLogger::open(&params(&path), 2).unwrap();
        let mut core = logger.core();
        core.write(&hit("/one"));
        core.flush();
        // The writer opens the file again once it has written the first line.
        std::fs::rename(&path, folder.path().join("moved.log")).unwrap();
        logger.reopen();
        core.write(&hit("/two"));
        drop(core);
        let counters = logger.counters();
        logger.close();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("moved.log").as_str(), read("access.log").as_str()), ("/one\n", "/two\n"));
        assert_eq!((counters.written(), counters.dropped()), (2, 0));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let logger = AccessLogger::open(&params(std::path::Path::new("/dev/full")), 1).unwrap();
        let mut core = logger.core();
        for _ in 0..10 {
            core.write(&hit("/lost"));
        }
        drop(core);
        let counters = logger.counters();
        logger.close();
        assert_eq!((counters.written(), counters.dropped()), (0, 10));
    }

    #[test]
    fn a_writer_that_is_behind_costs_lines_and_no_time() {
        let (sender, receiver) = sync_channel(1);
        let counters = Arc::new(LogCounters::default());
        let mut core = CoreLog {
            text: Vec::new(),
            count: 0,
            max: 2 * CHUNK_BYTES,
            lines: LineWriter::new(),
            format: Format::Combined,
            sender,
            counters: Arc::clone(&counters),
        };
        let long = "x".repeat(1_000);
        for _ in 0..1_000 {
            core.write(&hit(&long));
        }
        let waiting = core.count;
        let handed = match receiver.try_recv() {
            Ok(Message::Lines { count, .. }) => count,
            _ => 0,
        };
        assert_eq!(handed + waiting + counters.dropped(), 1_000);
        assert!(handed > 0 && waiting > 0 && counters.dropped() > 0);
        assert!(core.text.len() <= 2 * CHUNK_BYTES);
    }
}
