//! Following a log that is being written, across rotation.

use crate::{
    Counts, OpenError, Position, Sink,
    blocks::{Block, Blocks, SAMPLE_BYTES},
    decompress::compression,
    format::{Parser, table::Headers},
    position::TAIL_BYTES,
    scan::{Options, parse_block},
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Most plain text that one poll reads, in bytes.
const POLL_BYTES: usize = 4 * 1024 * 1024;

/// How much of the beginning tells that a file was emptied and written anew between two polls.
const HEAD_BYTES: usize = 1024;

/// Reads what is appended to a log. Call [`Self::poll`] a few times a second; it never waits.
///
/// Three kinds of rotation are followed: another file takes the path (then the old one is read to
/// its end first), the file is copied and emptied, and the file is emptied. A line is given out when its
/// line end is there, or when its file has been rotated away.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: Option<Open>,
    parser: Parser,
    counts: Counts,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// First bytes of the file, as many as there were, at most [`HEAD_BYTES`].
    head: Vec<u8>,
    /// When it was last changed, as far as that was looked at.
    modified: Option<SystemTime>,
    /// Where `unfinished` begins.
    offset: u64,
    headers: Headers,
    /// A line without its end.
    unfinished: Vec<u8>,
}

impl Follower {
    /// Follows the plain-text log at `path` from its end; with `from`, from that place, if it is in the
    /// file. A file that does not exist yet is waited for.
    ///
    /// # Errors
    /// [`OpenError`] if the file is there but cannot be read.
    pub fn new(path: &Path, from: Option<&Position>, options: &Options) -> Result<Self, OpenError> {
        let parser = options.parser();
        let mut follower =
            Self { path: path.to_path_buf(), file: None, parser, counts: Counts::default() };
        follower
            .open(|open, sample, length| {
                let from = from.filter(|from| from.is_in(sample) && from.offset <= length);
                if let Some(from) = from.filter(|from| open.is_behind(from)) {
                    open.offset = from.offset;
                    if let Some(headers) = from.headers() {
                        open.headers = headers;
                    }
                } else {
                    open.skip_to_end(length)?;
                }
                Ok(())
            })
            .map_err(|source| OpenError { path: path.to_path_buf(), source })?;
        Ok(follower)
    }

    /// Follows the plain-text log at `path` from its beginning. A file that does not exist yet is waited for.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn whole(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let (parser, counts) = (options.parser(), Counts::default());
        let mut follower = Self { path: path.to_path_buf(), file: None, parser, counts };
        follower
            .open(|_, _, _| Ok(()))
            .map_err(|source| OpenError { path: path.to_path_buf(), source })?;
        Ok(follower)
    }

    /// What became of the lines so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Gives the lines that were written since the last poll to `sink`. Whether there may be more right
    /// away.
    ///
    /// # Errors
    /// The file is there but cannot be read; the next poll tries again.
    pub fn poll(&mut self, sink: &mut dyn Sink) -> io::Result<bool> {
        let Some(open) = &mut self.file else {
            self.open(|_, _, _| Ok(()))?;
            return Ok(self.file.is_some());
        };
        if open.was_emptied()? {
            open.restart();
        }
        if open.read()? {
            open.give(&mut self.parser, &mut self.counts, sink, false);
            return Ok(true);
        }
        let identity = match fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if identity == open.identity {
            return Ok(false);
        }
        // Whoever wrote to the old file before it was renamed may have written once more.
        while open.read()? {}
        open.give(&mut self.parser, &mut self.counts, sink, true);
        self.file = None;
        self.open(|_, _, _| Ok(()))?;
        Ok(self.file.is_some())
    }

    /// Opens the path; `place` may move on from the beginning, knowing a sample and the length.
    fn open(
        &mut self,
        place: impl FnOnce(&mut Open, &[u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let mut sample = Vec::new();
        file.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
        if compression(&sample).is_some() {
            let problem = "it is compressed, and only plain text can be followed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let mut open = Open {
            identity: (metadata.dev(), metadata.ino()),
            head: sample.get(..sample.len().min(HEAD_BYTES)).unwrap_or_default().to_vec(),
            modified: metadata.modified().ok(),
            offset: 0,
            headers: Headers::of_sample(&sample),
            unfinished: Vec::new(),
            file,
        };
        place(&mut open, &sample, metadata.len())?;
        open.file.seek(SeekFrom::Start(open.offset))?;
        self.file = Some(open);
        Ok(())
    }
}

impl Open {
    /// Whether what is before the place is what was read.
    fn is_behind(&mut self, place: &Position) -> bool {
        let from = place.offset.saturating_sub(TAIL_BYTES as u64);
        let mut tail = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(from))
            .and_then(|_| self.file.by_ref().take(place.offset - from).read_to_end(&mut tail));
        read.is_ok() && place.is_behind(&tail)
    }

    /// Goes to the beginning of the last line, with the headers that are in force there.
    fn skip_to_end(&mut self, length: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut blocks = Blocks::new(self.file.by_ref().take(length), POLL_BYTES, true);
        let mut text = Vec::new();
        while blocks.next(&mut text)?.is_some() {}
        let (offset, headers) = blocks.position();
        (self.offset, self.headers) = (offset, headers.clone());
        Ok(())
    }

    /// Whether what the file held is gone: it is shorter than what was read, or begins otherwise.
    fn was_emptied(&mut self) -> io::Result<bool> {
        let at = self.offset + self.unfinished.len() as u64;
        let metadata = self.file.metadata()?;
        let modified = metadata.modified().ok();
        if metadata.len() < at {
            return Ok(true);
        }
        // One as long as the old may have been written meanwhile.
        if metadata.len() == at && modified == self.modified {
            return Ok(false);
        }
        self.modified = modified;
        let mut head = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        self.file.seek(SeekFrom::Start(at))?;
        let is_same = head.starts_with(&self.head);
        if is_same {
            self.head = head;
        }
        Ok(!is_same)
    }

    fn restart(&mut self) {
        self.offset = 0;
        self.unfinished.clear();
        self.head.clear();
        self.headers = Headers::default();
    }

    /// Reads more; whether there was some.
    fn read(&mut self) -> io::Result<bool> {
        let at = self.offset + self.unfinished.len() as u64;
        self.file.seek(SeekFrom::Start(at))?;
        let read = self.file.by_ref().take(POLL_BYTES as u64).read_to_end(&mut self.unfinished)?;
        if at == 0 && read > 0 {
            let sample = self.unfinished.get(..read.min(SAMPLE_BYTES)).unwrap_or_default();
            self.headers = Headers::of_sample(sample);
            self.head = sample.get(..sample.len().min(HEAD_BYTES)).unwrap_or_default().to_vec();
        }
        Ok(read > 0)
    }

    /// Gives out whole lines; all of them at the end of the file's life, and where a line is too long
    /// to be held.
    fn give(
        &mut self,
        parser: &mut Parser,
        counts: &mut Counts,
        sink: &mut dyn Sink,
        is_last: bool,
    ) {
        let end = memchr::memrchr(b'\n', &self.unfinished).map_or(0, |at| at + 1);
        let is_all = is_last || self.unfinished.len() - end > POLL_BYTES;
        let length = if is_all { self.unfinished.len() } else { end };
        let lines = self.unfinished.get(..length).unwrap_or_default();
        let block = Block::of_lines(self.offset, self.headers.clone());
        parse_block(&block, lines, 0, parser, counts, sink);
        self.headers.pass_all(lines);
        self.offset += length as u64;
        self.unfinished.drain(..length);
    }
}
