//! The bytes of a file, a chunk at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// Most bytes that are read at a time.
const CHUNK_MAX: u64 = 64 << 10;

/// A body. Dropping it closes the file.
#[derive(Debug)]
pub(crate) struct FileBody {
    len: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Nothing,
    /// Read already.
    Read(Bytes),
    File {
        file: Arc<File>,
        at: u64,
        left: u64,
    },
}

impl FileBody {
    /// A body that is told to have a length but is not sent, as to HEAD.
    pub(super) fn empty(len: u64) -> FileBody {
        FileBody { len, source: Source::Nothing }
    }

    /// A part of a file; blocks to read it when it fits into one chunk.
    pub(super) fn of(file: File, at: u64, len: u64) -> io::Result<FileBody> {
        let source = match len {
            0 => Source::Nothing,
            1..=CHUNK_MAX => Source::Read(read(&file, at, len)?),
            _ => Source::File { file: Arc::new(file), at, left: len },
        };
        Ok(FileBody { len, source })
    }

    /// Its whole length in bytes, whatever was given out already.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The next chunk, of at most 64 KiB; `None` at the end. May be cancelled: nothing is lost.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter than it was.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.source {
            Source::Nothing => Ok(None),
            Source::Read(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Nothing;
                Ok(Some(bytes))
            }
            Source::File { left: 0, .. } => Ok(None),
            Source::File { file, at, left } => {
                let (start, len, file_there) = (*at, (*left).min(CHUNK_MAX), Arc::clone(file));
                let chunk = tokio::task::spawn_blocking(move || read(&file_there, start, len))
                    .await
                    .map_err(io::Error::other)??;
                *at += len;
                *left -= len;
                Ok(Some(chunk))
            }
        }
    }
}

fn read(file: &File, at: u64, len: u64) -> io::Result<Bytes> {
    // At most a chunk, so it fits.
    let mut chunk = vec![0; len as usize];
    file.read_exact_at(&mut chunk, at)?;
    Ok(chunk.into())
}
