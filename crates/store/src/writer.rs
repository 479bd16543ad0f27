//! The thread that writes: gathers what waits into a group, makes it durable, applies it, answers.

use crate::checkpoint::{Running, Step};
use crate::events::{Message, Options, Shared};
use crate::log::{Builder, Log};
use crate::volume::Volume;
use crate::{GROUP_BYTES_MAX, QUEUE_MAX};
use experiment::event::{Encoded, Entry, decode};
use experiment::ledger::{Acknowledge, JournalError, Outcome};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often a checkpoint goes on when nothing comes in.
const IDLE_STEP: Duration = Duration::from_millis(5);

pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Box<dyn Fn() -> i64 + Send>,
    pub(crate) checkpoint: Option<Running>,
    /// Bytes that were written since the last checkpoint began.
    pub(crate) since: u64,
    /// Bytes of the last checkpoint.
    pub(crate) checkpoint_size: u64,
}

impl Writer {
    /// Runs until all senders are gone and everything that they sent is answered.
    pub(crate) fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let first = if self.checkpoint.is_some() {
                match receiver.recv_timeout(IDLE_STEP) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                let Ok(message) = receiver.recv() else { break };
                Some(message)
            };
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut next = first;
            while let Some(message) = next.take() {
                match message {
                    Message::Checkpoint => self.begin_checkpoint(),
                    Message::Entry(entry, done) => {
                        bytes += entry.as_bytes().len();
                        group.push((entry, done));
                    }
                }
                if bytes < GROUP_BYTES_MAX && group.len() < QUEUE_MAX {
                    next = receiver.try_recv().ok();
                }
            }
            self.shared.taken(bytes);
            if !group.is_empty() {
                self.commit(group);
            }
            self.step_checkpoint();
        }
        if let Some(running) = self.checkpoint.take() {
            let _ = running.join();
        }
        // Without it the next start takes the end of the log for a crash's, which is as well.
        let position = self.shared.read().position();
        let _ = self.log.write(&Builder::new().finish(position, self.now()));
    }

    /// The time of the journal, which does not go back.
    fn now(&self) -> i64 {
        let now = (self.clock)();
        let before = self.shared.read().received_us().unwrap_or(i64::MIN);
        self.shared.clock_behind(before.saturating_sub(now).max(0));
        now.max(before)
    }

    fn commit(&mut self, group: Vec<(Encoded, Acknowledge)>) {
        let received_us = self.now();
        let mut frame = Builder::new();
        let mut written: Vec<(Entry<'_>, Acknowledge)> = Vec::with_capacity(group.len());
        let ledger = self.shared.read();
        let position = ledger.position();
        let (encoded, done): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        for (encoded, done) in encoded.iter().zip(done) {
            match decode(encoded.as_bytes()) {
                // What was counted is durable; it need not be written again.
                Ok(Entry::Batch { id: Some(id), .. }) if ledger.is_duplicate(&id) => {
                    done(Ok(Outcome::Duplicate));
                }
                Ok(entry) => {
                    frame.push(encoded.as_bytes());
                    written.push((entry, done));
                }
                Err(error) => done(Err(JournalError::Unreadable(error.to_string()))),
            }
        }
        drop(ledger);
        if written.is_empty() {
            return;
        }
        let frame = frame.finish(position, received_us);
        let result = self.log.write(&frame);
        self.shared.wrote(&result);
        if let Err(error) = result {
            written.into_iter().for_each(|(_, done)| done(Err(error.clone())));
            return;
        }
        let mut ledger = self.shared.write();
        let applied = (position..)
            .zip(written)
            .map(|(position, (entry, done))| (ledger.apply(position, received_us, &entry), done));
        let applied: Vec<_> = applied.collect();
        drop(ledger);
        applied.into_iter().for_each(|(outcome, done)| done(Ok(outcome)));
        self.since += frame.len() as u64;
        if self.log.length() >= self.options.segment_bytes {
            let position = self.shared.read().position();
            let result = self.log.rotate(position);
            self.shared.wrote(&result);
        }
        // Large states are written down less often, so that the disk has at most twice the work.
        if self.since >= self.options.checkpoint_bytes.max(self.checkpoint_size) {
            self.begin_checkpoint();
        }
    }

    fn begin_checkpoint(&mut self) {
        if self.checkpoint.is_some() {
            return;
        }
        self.since = 0;
        // Everything from here on is in segments of its own, so that the others can go.
        let position = self.shared.read().position();
        let result = self.log.rotate(position).map_err(|error| error.to_string());
        let started = result.and_then(|()| {
            let (volume, folder) = (Arc::clone(&self.volume), self.folder.clone());
            let ledger = self.shared.read();
            Running::start(volume, folder, &ledger).map_err(|error| error.to_string())
        });
        match started {
            Ok(running) => self.checkpoint = Some(running),
            Err(error) => self.shared.checkpointed(Err(error)),
        }
    }

    fn step_checkpoint(&mut self) {
        let Some(running) = self.checkpoint.take() else { return };
        let ledger = self.shared.read();
        match running.step(&ledger) {
            Step::Running(running) => self.checkpoint = Some(running),
            Step::Done(result) => {
                let result = result.map(|bytes| self.checkpoint_size = bytes);
                self.shared.checkpointed(result.map_err(|error| error.to_string()));
            }
        }
    }
}
