//! Why a store cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused something.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process uses it.
    #[error("{path}: another process uses this folder: stop it, or choose another folder")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// Bytes in the middle of a file are not what was written, so records that were acknowledged
    /// are lost or wrong.
    #[error(
        "{path}: damaged at byte {offset} ({what}), with whole records behind it. Restore the file \
         from a backup. To go on without what is behind that place, cut the file there (truncate \
         -s {offset} '{path}') and move away later files of the folder: those records are lost"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the last whole record ends.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The checkpoint cannot be used.
    #[error(
        "{path}: damaged at byte {offset} ({what}). Restore it, and the files events-*.log of the \
         same time, from a backup"
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A part of the log is not there.
    #[error(
        "{path}: the log goes on at entry {found}, but entry {expected} is needed: a file is \
         missing. Restore the folder from a backup"
    )]
    Missing {
        /// The folder or the file that does not follow.
        path: PathBuf,
        /// The entry that is needed.
        expected: u64,
        /// The entry that there is.
        found: u64,
    },
    /// Control data cannot be opened.
    #[error("{path}: {what}")]
    Control {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |error| OpenError::Io { path, error }
    }
}
