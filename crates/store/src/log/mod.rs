//! The log: files of frames, of which only the last is written to.

mod frame;

pub(crate) use frame::{Builder, Frame, any_frame};

use crate::volume::{Output, Volume};
use experiment::ledger::JournalError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a segment begins with; the last byte is the version.
pub(crate) const SEGMENT_HEAD: [u8; 16] = *b"tidegate events\x01";

/// The file of the segment whose first entry has a position.
pub(crate) fn segment_path(folder: &Path, position: u64) -> PathBuf {
    folder.join(format!("events-{position:016x}.log"))
}

/// The position in the name of a segment.
pub(crate) fn segment_position(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    u64::from_str_radix(name.strip_prefix("events-")?.strip_suffix(".log")?, 16).ok()
}

/// The segment that is written to.
pub(crate) struct Log {
    volume: Arc<dyn Volume>,
    folder: PathBuf,
    path: PathBuf,
    output: Box<dyn Output>,
    /// Bytes that are whole and durable.
    length: u64,
    /// There may be bytes behind them that are not.
    dirty: bool,
}

impl Log {
    /// Goes on with a segment of which so many bytes are whole.
    pub(crate) fn open(volume: Arc<dyn Volume>, path: PathBuf, length: u64) -> io::Result<Log> {
        let output = volume.open(&path)?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut log = Log { volume, folder, path, output, length, dirty: true };
        log.clean()?;
        Ok(log)
    }

    /// Begins a segment.
    pub(crate) fn create(volume: Arc<dyn Volume>, folder: &Path, position: u64) -> io::Result<Log> {
        let path = segment_path(folder, position);
        let mut output = volume.create(&path)?;
        output.append(&SEGMENT_HEAD)?;
        output.sync()?;
        volume.sync_folder(folder)?;
        let length = SEGMENT_HEAD.len() as u64;
        Ok(Log { volume, folder: folder.to_owned(), path, output, length, dirty: false })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Makes a frame durable, or leaves the log as it was.
    pub(crate) fn write(&mut self, frame: &[u8]) -> Result<(), JournalError> {
        let result = self.clean().and_then(|()| {
            self.dirty = true;
            self.output.append(frame)?;
            self.output.sync()
        });
        match result {
            Ok(()) => {
                self.dirty = false;
                self.length += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What was written of it goes; if that fails, it is tried before the next frame.
                let _ = self.clean();
                Err(self.failure(&error))
            }
        }
    }

    /// Cuts off what is not whole. It was never acknowledged.
    fn clean(&mut self) -> io::Result<()> {
        if self.dirty {
            self.output.truncate(self.length)?;
            self.output.sync()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Goes on in a new segment. When there is none, this one is gone on with.
    pub(crate) fn rotate(&mut self, position: u64) -> Result<(), JournalError> {
        let path = segment_path(&self.folder, position);
        if path == self.path {
            return Ok(());
        }
        // Only the last segment may end in something that is not whole.
        let next = self
            .clean()
            .and_then(|()| Log::create(Arc::clone(&self.volume), &self.folder, position));
        match next {
            Ok(next) => {
                *self = next;
                Ok(())
            }
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(self.failure(&error))
            }
        }
    }

    fn failure(&self, error: &io::Error) -> JournalError {
        let (place, cause) = (self.path.display().to_string(), error.to_string());
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => JournalError::Full { place, cause },
            _ => JournalError::Failed { place, cause },
        }
    }
}
