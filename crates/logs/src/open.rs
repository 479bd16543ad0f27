//! Opening one log to read it line by line.

use crate::{
    LogReader,
    decompress::{Input, decompressed},
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log {}: {source}; check the path and its permissions", path.display())]
pub struct OpenError {
    /// The path as given.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Opens the log at `path`, or standard input if it is `-`. Compression (gzip, Zstandard, bzip2, xz)
/// is told by the first bytes, not by the name.
///
/// # Errors
/// [`OpenError`] if the file is missing, unreadable or a directory.
pub fn open(path: &Path) -> Result<LogReader<Input>, OpenError> {
    let opened = if path == Path::new("-") {
        decompressed(io::stdin()).map(|(input, _)| LogReader::new("standard input", input))
    } else {
        File::open(path)
            .and_then(decompressed)
            .map(|(input, _)| LogReader::new(path.display().to_string(), input))
    };
    opened.map_err(|source| OpenError { path: path.to_path_buf(), source })
}
