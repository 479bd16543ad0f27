//! The event path: a bounded queue, the writer behind it, and the ledger that can be read meanwhile.

use crate::checkpoint;
use crate::error::OpenError;
use crate::recover::{Recovered, Recovery, recover};
use crate::volume::{Disk, Volume};
use crate::writer::Writer;
use crate::{QUEUE_BYTES_MAX, QUEUE_MAX};
use experiment::event::Encoded;
use experiment::ledger::{Acknowledge, Checkpoint, Journal, JournalError, Ledger, Lend, Settings};
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// How the event path works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How much the ledger holds. The number of shards is that of the first start.
    pub ledger: Settings,
    /// Bytes after which the log goes on in a new file.
    pub segment_bytes: u64,
    /// Bytes of the log after which a checkpoint is written, or those of the last checkpoint if it
    /// has more: how much a restart reads besides the checkpoint, but for what comes in while one
    /// is being written.
    pub checkpoint_bytes: u64,
}

impl Default for Options {
    /// Segments of 64 MiB, a checkpoint every 64 MiB or more.
    fn default() -> Options {
        Options { ledger: Settings::default(), segment_bytes: 64 << 20, checkpoint_bytes: 64 << 20 }
    }
}

/// How the event path does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Why the last group could not be recorded; `None` when it could.
    pub refusing: Option<JournalError>,
    /// Why the last checkpoint failed. Nothing is lost by that, but restarts take longer and the
    /// log grows.
    pub checkpoint_failed: Option<String>,
    /// Checkpoints that were written since the start.
    pub checkpoints: u64,
    /// How far the system's clock is behind the newest entry: it was put back. Until it has caught
    /// up, entries are received at the time of the newest.
    pub clock_behind_us: i64,
}

pub(crate) enum Message {
    Entry(Encoded, Acknowledge),
    Checkpoint,
}

/// What the writer shares with those who send and read.
pub(crate) struct Shared {
    ledger: RwLock<Ledger>,
    status: Mutex<Status>,
    queued_bytes: AtomicUsize,
    clock_behind_us: AtomicI64,
}

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Ledger> {
        self.ledger.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn taken(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn clock_behind(&self, by_us: i64) {
        self.clock_behind_us.store(by_us, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, result: &Result<(), JournalError>) {
        self.status().refusing = result.clone().err();
    }

    pub(crate) fn checkpointed(&self, result: Result<(), String>) {
        let mut status = self.status();
        status.checkpoints += u64::from(result.is_ok());
        status.checkpoint_failed = result.err();
    }
}

/// The event path of one process. Dropping it answers everything that waits and closes the log.
pub struct Events {
    sender: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    recovery: Recovery,
    /// Keeps other processes out as long as it lives.
    _lock: File,
}

impl Events {
    /// Opens the event path in a folder, which is made if need be, and replays what is there.
    ///
    /// # Errors
    /// [`OpenError`], with the file, the place in it, and what to do.
    pub fn open(folder: &Path, options: Options) -> Result<Events, OpenError> {
        Events::open_with(Arc::new(Disk), folder, options, Box::new(system_clock))
    }

    pub(crate) fn open_with(
        volume: Arc<dyn Volume>,
        folder: &Path,
        options: Options,
        clock: Box<dyn Fn() -> i64 + Send>,
    ) -> Result<Events, OpenError> {
        fs::create_dir_all(folder).map_err(OpenError::io(folder))?;
        let lock = lock(folder)?;
        let Recovered { ledger, log, recovery, log_bytes } =
            recover(&volume, folder, options.ledger)?;
        let shared = Arc::new(Shared {
            ledger: RwLock::new(ledger),
            status: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            clock_behind_us: AtomicI64::new(0),
        });
        let writer = Writer {
            log,
            volume,
            folder: folder.to_owned(),
            options,
            shared: Arc::clone(&shared),
            clock,
            checkpoint: None,
            since: log_bytes,
            checkpoint_size: checkpoint::size(folder),
        };
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let writer = thread::Builder::new()
            .name("events".into())
            .spawn(move || writer.run(&receiver))
            .map_err(OpenError::io(folder))?;
        let (sender, writer) = (Some(sender), Some(writer));
        Ok(Events { sender, writer, shared, recovery, _lock: lock })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> Status {
        let clock_behind_us = self.shared.clock_behind_us.load(Ordering::Relaxed);
        Status { clock_behind_us, ..self.shared.status().clone() }
    }

    /// Reads the ledger; the writer waits meanwhile, so not for long.
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.shared.read())
    }

    fn send(&self, message: Message) -> Result<(), JournalError> {
        let sender = self.sender.as_ref().ok_or(JournalError::Closed)?;
        sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => JournalError::Busy,
            TrySendError::Disconnected(_) => JournalError::Closed,
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Events").field("recovery", &self.recovery).finish_non_exhaustive()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(writer) = self.writer.take() {
            // It has answered or dropped everything; a panic of its own was told by the thread.
            let _ = writer.join();
        }
    }
}

impl Journal for Events {
    fn submit(&self, entry: Encoded, done: Acknowledge) -> Result<(), JournalError> {
        let bytes = entry.as_bytes().len();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = queued.saturating_add(bytes) <= QUEUE_BYTES_MAX;
        let sent =
            if room { self.send(Message::Entry(entry, done)) } else { Err(JournalError::Busy) };
        if sent.is_err() {
            self.shared.taken(bytes);
        }
        sent
    }
}

impl Checkpoint for Events {
    fn checkpoint(&self) -> Result<(), JournalError> {
        self.send(Message::Checkpoint)
    }
}

/// Between two loans the writer has its turn.
impl Lend for Events {
    fn lend(&self, look: &mut dyn FnMut(&Ledger)) {
        self.read(|ledger| look(ledger));
    }
}

/// Microseconds since 1970; 0 before.
fn system_clock() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
    }
}
