//! The thread that writes the file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::file::LogFile;
use super::{LogCounters, Message};

/// How often what went wrong is reported.
const REPORT: Duration = Duration::from_secs(10);

/// The thread's state.
pub(super) struct Writer {
    receiver: Receiver<Message>,
    file: LogFile,
    counters: Arc<LogCounters>,
    reopen: Arc<AtomicBool>,
    report: Report,
}

/// What went wrong and was not reported yet.
#[derive(Default)]
struct Report {
    last: Option<Instant>,
    error: Option<io::Error>,
    /// Dropped lines that were reported.
    dropped: u64,
}

impl Writer {
    pub(super) fn new(
        receiver: Receiver<Message>,
        file: LogFile,
        counters: Arc<LogCounters>,
        reopen: Arc<AtomicBool>,
    ) -> Writer {
        Writer { receiver, file, counters, reopen, report: Report::default() }
    }

    /// Writes until it is told to end, and what was handed over by then.
    pub(super) fn run(mut self) {
        while let Ok(message) = self.receiver.recv() {
            if matches!(message, Message::Close) {
                break;
            }
            self.obey(message);
            if self.report.last.is_none_or(|last| last.elapsed() >= REPORT) {
                self.report();
            }
        }
        while let Ok(message) = self.receiver.try_recv() {
            self.obey(message);
        }
        self.report();
    }

    fn obey(&mut self, message: Message) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            let result = self.file.reopen();
            self.note(result);
        }
        let result = match message {
            Message::Lines { text, count, waiting } => {
                let (written, result) = self.file.write(&text);
                self.counters.add_written(written);
                self.counters.add_dropped(count.saturating_sub(written));
                waiting.fetch_sub(text.len(), Ordering::Relaxed);
                result
            }
            Message::Reopen => self.file.reopen(),
            Message::Close => Ok(()),
        };
        self.note(result);
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.counters.add_error();
            self.report.error = Some(error);
        }
    }

    /// Tells the operator what went wrong since the last time, if anything.
    fn report(&mut self) {
        let total = self.counters.dropped();
        let dropped = total - self.report.dropped.min(total);
        let error = self.report.error.take();
        if dropped == 0 && error.is_none() {
            return;
        }
        let path = self.file.path().display();
        match error {
            Some(error) => tracing::error!(%path, %error, dropped, "cannot write the access log"),
            None => tracing::warn!(%path, dropped, "the access log is behind: lines were dropped"),
        }
        self.report = Report { last: Some(Instant::now()), error: None, dropped: total };
    }
}
