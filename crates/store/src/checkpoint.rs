//! Checkpoints: the ledger, written part by part while the log goes on.
//!
//! The writer hands over the parts; a thread of its own writes them, so that the writer never waits
//! for it, renames the finished file over the one before, and deletes the segments that are no
//! longer needed.

use crate::error::OpenError;
use crate::log::segment_position;
use crate::volume::Volume;
use experiment::ledger::{Ledger, SHARDS_MAX, Settings};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// What a checkpoint begins with; the last byte is the version.
const HEAD: [u8; 16] = *b"tidegate state \x01";
/// Parts that wait to be written.
const PARTS_WAITING_MAX: usize = 2;

fn path_of(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

/// A checkpoint that is being written.
pub(crate) struct Running {
    generation: u64,
    next: usize,
    parts: usize,
    /// Bytes of the parts that were handed over.
    bytes: u64,
    /// A part that was made and could not be handed over yet.
    made: Option<Vec<u8>>,
    sender: Option<SyncSender<Vec<u8>>>,
    thread: JoinHandle<io::Result<()>>,
}

/// What became of a step.
pub(crate) enum Step {
    /// There is more to do.
    Running(Running),
    /// It is finished and has so many bytes, or failed.
    Done(io::Result<u64>),
}

impl Running {
    /// Begins one. Entries from `ledger.position()` on must be in segments that begin there.
    pub(crate) fn start(
        volume: Arc<dyn Volume>,
        folder: PathBuf,
        ledger: &Ledger,
    ) -> io::Result<Running> {
        let (sender, receiver) = sync_channel(PARTS_WAITING_MAX);
        let (parts, position) = (ledger.parts(), ledger.position());
        let work = move || write(volume.as_ref(), &folder, position, parts, &receiver);
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(work)?;
        let generation = ledger.generation();
        let sender = Some(sender);
        Ok(Running { generation, next: 0, parts, bytes: 0, made: None, sender, thread })
    }

    /// Does a part, and does not wait.
    pub(crate) fn step(mut self, ledger: &Ledger) -> Step {
        if self.thread.is_finished() {
            let bytes = self.bytes;
            return Step::Done(self.join().map(|()| bytes));
        }
        let Some(sender) = &self.sender else { return Step::Running(self) };
        if ledger.generation() != self.generation {
            // Parts of before and after a definition do not fit together.
            self.sender = None;
            return Step::Running(self);
        }
        let part = self.made.take().unwrap_or_else(|| ledger.part(self.next));
        let bytes = part.len() as u64;
        match sender.try_send(part) {
            Ok(()) => {
                self.next += 1;
                self.bytes += bytes;
            }
            Err(TrySendError::Full(part)) => self.made = Some(part),
            Err(TrySendError::Disconnected(_)) => self.sender = None,
        }
        if self.next == self.parts {
            self.sender = None;
        }
        Step::Running(self)
    }

    /// Ends it. Unfinished, it leaves the one before in place.
    pub(crate) fn join(mut self) -> io::Result<()> {
        self.sender = None;
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the checkpoint panicked")))
    }
}

fn write(
    volume: &dyn Volume,
    folder: &Path,
    position: u64,
    parts: usize,
    receiver: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let temporary = folder.join("checkpoint.new");
    let result = write_parts(volume, &temporary, parts, receiver);
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
        return result;
    }
    fs::rename(&temporary, path_of(folder))?;
    volume.sync_folder(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if segment_position(&path).is_some_and(|first| first < position) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn write_parts(
    volume: &dyn Volume,
    path: &Path,
    parts: usize,
    receiver: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut output = volume.create(path)?;
    output.append(&HEAD)?;
    output.append(&(parts as u32).to_le_bytes())?;
    for _ in 0..parts {
        let part = receiver.recv().map_err(|_| io::Error::other("it was given up"))?;
        output.append(&(part.len() as u64).to_le_bytes())?;
        output.append(&crc32fast::hash(&part).to_le_bytes())?;
        output.append(&part)?;
    }
    output.sync()
}

/// Bytes of the last checkpoint; 0 when there is none.
pub(crate) fn size(folder: &Path) -> u64 {
    fs::metadata(path_of(folder)).map_or(0, |metadata| metadata.len())
}

/// The ledger of the last checkpoint, if there is one.
pub(crate) fn read(folder: &Path, settings: Settings) -> Result<Option<Ledger>, OpenError> {
    let path = path_of(folder);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(&path)(error)),
    };
    let mut parts = Parts { reader: BufReader::new(file), left: 0, offset: 0, problem: None };
    let ledger = match parts.head() {
        Ok(()) => Ledger::restore(settings, &mut parts).map_err(|error| error.to_string()),
        Err(what) => Err(what),
    };
    let behind = |mut reader: BufReader<File>| !matches!(reader.read(&mut [0]), Ok(0));
    match (ledger, parts.problem) {
        (_, Some(what)) | (Err(what), None) => {
            Err(OpenError::Checkpoint { path, offset: parts.offset, what })
        }
        (Ok(_), None) if behind(parts.reader) => Err(OpenError::Checkpoint {
            path,
            offset: parts.offset,
            what: "there are bytes behind the last part".to_owned(),
        }),
        (Ok(ledger), None) => Ok(Some(ledger)),
    }
}

/// Reads one part after the other, so that the whole is never in memory twice.
struct Parts {
    reader: BufReader<File>,
    left: usize,
    /// Where the last whole part ends.
    offset: u64,
    problem: Option<String>,
}

impl Parts {
    fn head(&mut self) -> Result<(), String> {
        let head: [u8; 16] = self.array()?;
        if head != HEAD {
            return Err("this is no checkpoint, or one of another version".to_owned());
        }
        let parts = u32::from_le_bytes(self.array()?);
        if parts as usize > SHARDS_MAX + 1 {
            return Err("the number of parts is impossible".to_owned());
        }
        self.left = parts as usize;
        self.offset = 20;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn part(&mut self) -> Result<Vec<u8>, String> {
        let length = u64::from_le_bytes(self.array()?);
        let crc = u32::from_le_bytes(self.array()?);
        // Grows with what is there, not with what the length says.
        let mut part = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut part);
        read.map_err(|error| error.to_string())?;
        if part.len() as u64 != length {
            return Err("a part is cut off".to_owned());
        }
        if crc32fast::hash(&part) != crc {
            return Err("the checksum of a part is wrong".to_owned());
        }
        self.offset += length + 12;
        Ok(part)
    }
}

impl Iterator for Parts {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(1)?;
        match self.part() {
            Ok(part) => Some(part),
            Err(what) => {
                self.problem = Some(what);
                None
            }
        }
    }
}
