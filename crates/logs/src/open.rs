//! Opening a log: plain or gzip, file or standard input.

use crate::LogReader;
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// First bytes of a gzip member (RFC 1952 §2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Plain text of an opened log.
pub type Input = Box<dyn Read + Send>;

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log {}: {source}; check the path and its permissions", path.display())]
pub struct OpenError {
    /// The path as given.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Opens the log at `path`, or standard input if it is `-`. Gzip, also of several members one
/// after the other, is told by its first bytes, not by the name.
///
/// # Errors
/// [`OpenError`] if the file is missing, unreadable or a directory.
pub fn open(path: &Path) -> Result<LogReader<Input>, OpenError> {
    let opened = if path == Path::new("-") {
        decoded(io::stdin()).map(|input| LogReader::new("standard input", input))
    } else {
        File::open(path)
            .and_then(decoded)
            .map(|input| LogReader::new(path.display().to_string(), input))
    };
    opened.map_err(|source| OpenError { path: path.to_path_buf(), source })
}

/// Looks at the first bytes and decompresses if need be.
fn decoded(mut raw: impl Read + Send + 'static) -> io::Result<Input> {
    let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
    raw.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
    let is_gzip = magic == GZIP_MAGIC;
    let whole = io::Cursor::new(magic).chain(raw);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}
