//! Which logs to read: files, globs, directories, standard input.

use crate::{
    OpenError, Position,
    blocks::{Blocks, without_mark},
    decompress::{Input, decompressed},
    scan::Options,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most files that one call finds.
pub const SOURCES_MAX: usize = 100_000;

/// One log to read.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    place: Place,
    /// Bytes as stored, compressed or not; 0 where that is not known.
    pub stored_bytes: u64,
    /// Time of its first record, in microseconds since the Unix epoch.
    pub first_us: Option<i64>,
    /// Its beginning, by which it is known again; `None` for streams and empty files.
    start: Option<Position>,
    /// Where to begin, the furthest first: at the one that it has; otherwise at the beginning.
    known: Vec<Position>,
}

/// A source that is about to be read.
pub(crate) struct Begun {
    pub(crate) blocks: Blocks<Input>,
    /// Where it begins; `None` if it is empty.
    pub(crate) position: Option<Position>,
    /// The known place that this is.
    pub(crate) continued: Option<Position>,
    /// Whether it ends before that place.
    pub(crate) is_shorter: bool,
}

impl Begun {
    fn new(blocks: Blocks<Input>, position: Option<Position>) -> Self {
        Self { blocks, position, continued: None, is_shorter: false }
    }
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Stdin,
    Memory(Arc<[u8]>),
}

impl Source {
    /// Text in memory, perhaps compressed.
    #[must_use]
    pub fn memory(name: impl Into<String>, text: impl Into<Arc<[u8]>>) -> Self {
        let text = text.into();
        let stored_bytes = text.len() as u64;
        let place = Place::Memory(text);
        Self::at(place, name.into(), stored_bytes)
    }

    /// Standard input, perhaps compressed.
    #[must_use]
    pub fn stdin() -> Self {
        Self::at(Place::Stdin, "standard input".to_owned(), 0)
    }

    fn at(place: Place, name: String, stored_bytes: u64) -> Self {
        Self { name, place, stored_bytes, first_us: None, start: None, known: Vec::new() }
    }

    /// A file, perhaps compressed.
    ///
    /// # Errors
    /// [`OpenError`] if it cannot be opened.
    pub fn file(path: &Path) -> Result<Self, OpenError> {
        let opened = fs::metadata(path).and_then(|metadata| {
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            // Pipes are opened once only: their writers notice.
            if metadata.is_file() { File::open(path).map(|_| metadata) } else { Ok(metadata) }
        });
        let metadata = opened.map_err(|source| OpenError { path: path.to_path_buf(), source })?;
        Ok(Self::of_file(path, metadata.len()))
    }

    fn of_file(path: &Path, stored_bytes: u64) -> Self {
        Self::at(Place::File(path.to_path_buf()), path.display().to_string(), stored_bytes)
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `position` may be a place in it.
    #[must_use]
    pub fn may_have(&self, position: &Position) -> bool {
        self.known.contains(position)
    }

    /// Whether it begins as `other` does, in the bytes that logs are known by: then one may be a copy of the
    /// other, or was one until more was written; see [`Self::is_copy_of`].
    #[must_use]
    pub fn begins_as(&self, other: &Self) -> bool {
        self.start.is_some() && self.start == other.start
    }

    /// Whether all of one of them is what the other begins with. Reads both as far as they are equal.
    #[must_use]
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let is_copy = || -> io::Result<bool> {
            let (mut ours, mut theirs) = (self.input()?, other.input()?);
            let (mut our_text, mut their_text) = (Vec::new(), Vec::new());
            loop {
                // Damage is an end, as of a file that is being compressed.
                read_some(&mut ours, &mut our_text);
                read_some(&mut theirs, &mut their_text);
                let length = our_text.len().min(their_text.len());
                if our_text.get(..length) != their_text.get(..length) {
                    return Ok(false);
                }
                if length < COMPARED_BYTES {
                    return Ok(true);
                }
            }
        };
        self.begins_as(other) && is_copy().unwrap_or(false)
    }

    /// Whether it can be read only once.
    pub(crate) fn is_stream(&self) -> bool {
        match &self.place {
            Place::Stdin => true,
            // Pipes and the like have no size to tell.
            Place::File(path) => fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()),
            Place::Memory(_) => false,
        }
    }

    fn input(&self) -> io::Result<Input> {
        let (input, _) = match &self.place {
            Place::File(path) => decompressed(File::open(path)?)?,
            Place::Stdin => decompressed(io::stdin())?,
            Place::Memory(text) => decompressed(io::Cursor::new(Arc::clone(text)))?,
        };
        Ok(input)
    }

    /// Its blocks, from where it is to begin. A known place is one in it if what is before is the same.
    pub(crate) fn blocks(&self, options: &Options) -> io::Result<Begun> {
        let open = || -> io::Result<_> {
            let (block_bytes, leaves_unfinished) = (options.block_bytes, options.leaves_unfinished);
            let blocks = Blocks::new(self.input()?, block_bytes, leaves_unfinished);
            let start = Position::start(blocks.sample());
            Ok((blocks, start))
        };
        let (mut blocks, mut start) = open()?;
        // A place behind its end: of a log that begins alike, or of the one that this is to be a copy of.
        let mut beyond = None;
        for from in &self.known {
            if !from.is_in(blocks.sample()) {
                continue;
            }
            let headers = from.headers().unwrap_or_else(|| blocks.position().1.clone());
            blocks.skip_to(from.offset, headers)?;
            let continued = Some(from.clone());
            if blocks.position().0 < from.offset {
                beyond = beyond.or(continued);
            } else if from.is_behind(blocks.tail()) {
                // There may be more of the beginning by now, which tells the log better.
                let (offset, headers) = blocks.position();
                let position = start.map(|start| start.moved(offset, headers, blocks.tail()));
                return Ok(Begun { continued, ..Begun::new(blocks, position) });
            }
            (blocks, start) = open()?;
        }
        if let Some(from) = beyond {
            blocks.skip_to(from.offset, blocks.position().1.clone())?;
            let continued = Some(from.clone());
            return Ok(Begun { continued, is_shorter: true, ..Begun::new(blocks, Some(from)) });
        }
        Ok(Begun::new(blocks, start))
    }

    /// Looks at the beginning: the time of the first record, and whether one of the places where
    /// earlier readings stopped is in it; then a scan begins there. A stream cannot be looked at.
    pub(crate) fn look(&mut self, options: &Options, known: &[Position]) -> io::Result<()> {
        if self.is_stream() {
            return Ok(());
        }
        let blocks = Blocks::new(self.input()?, options.block_bytes, false);
        self.start = Position::start(blocks.sample());
        self.known = Position::all_in(known, blocks.sample());
        let mut parser = options.parser();
        parser.set_headers(blocks.position().1.clone());
        for line in without_mark(blocks.sample()).split(|byte| *byte == b'\n') {
            let is_short = line.len() <= crate::LINE_BYTES_MAX;
            if is_short
                && !parser.is_directive(line)
                && let Ok((_, record)) = parser.parse(line)
            {
                self.first_us = Some(record.time_us);
                break;
            }
        }
        Ok(())
    }
}

/// Finds the logs that `paths` name: files, directories (the files in them, not deeper), globs
/// (`*`, `?`, `[…]`, `**`), and `-` for standard input. A file that is named twice, also by a link, is
/// read once. Sets of rotated files come in the order of their first records, whatever their names.
/// Places in `known` where earlier readings stopped are found again; see [`Position`].
///
/// A file that must not be read is among them as long as another one may be: a scan tells of it.
///
/// # Errors
/// [`OpenError`] for a path that does not exist, a glob that matches nothing, or files of which none may be
/// read.
pub fn sources(
    paths: &[PathBuf],
    options: &Options,
    known: &[Position],
) -> Result<Vec<Source>, OpenError> {
    let mut files = Vec::new();
    let mut found = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            if !found.iter().any(Source::is_stdin) {
                found.push(Source::stdin());
            }
        } else {
            expand(path, &mut files).map_err(|source| OpenError { path: path.clone(), source })?;
        }
    }
    let mut seen = BTreeSet::new();
    let mut refused = Vec::new();
    for file in files {
        let opened = |source| OpenError { path: file.clone(), source };
        let metadata = fs::metadata(&file).map_err(opened)?;
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        let mut source = match Source::file(&file) {
            Ok(source) => source,
            Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {
                refused.push(error);
                Source::of_file(&file, metadata.len())
            }
            Err(error) => return Err(error),
        };
        // Damage at the beginning is told when it is read.
        let _ = source.look(options, known);
        found.push(source);
    }
    if found.len() == refused.len()
        && let Some(error) = refused.into_iter().next()
    {
        return Err(error);
    }
    // A place in a short log may seem to be one in a longer log that begins alike.
    let starts: Vec<_> = found.iter().filter_map(|source| source.start.clone()).collect();
    for source in &mut found {
        let is_ours = |known: &Position| {
            source.start.as_ref().is_some_and(|start| start.is_same_log(known))
                || !starts.iter().any(|start| start.is_same_log(known))
        };
        let known = std::mem::take(&mut source.known);
        source.known = known.into_iter().filter(is_ours).collect();
    }
    found.sort_by(|a, b| {
        (a.first_us.is_none(), a.first_us).cmp(&(b.first_us.is_none(), b.first_us))
    });
    Ok(found)
}

/// How much of two sources is compared at a time.
const COMPARED_BYTES: usize = 64 * 1024;

/// The next bytes of a source, less than [`COMPARED_BYTES`] only at its end.
fn read_some(input: &mut Input, text: &mut Vec<u8>) {
    text.clear();
    let _ = input.take(COMPARED_BYTES as u64).read_to_end(text);
}

impl Source {
    fn is_stdin(&self) -> bool {
        matches!(self.place, Place::Stdin)
    }
}

fn expand(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let before = files.len();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            for entry in fs::read_dir(path)? {
                let entry = entry?.path();
                if entry.is_file() {
                    files.push(entry);
                }
            }
        }
        Ok(_) => files.push(path.to_path_buf()),
        Err(error) => {
            let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
            let Some(pattern) = pattern else { return Err(error) };
            let matches = glob::glob(pattern).map_err(io::Error::other)?;
            for entry in matches {
                let entry = entry.map_err(io::Error::from)?;
                if entry.is_file() {
                    files.push(entry);
                }
            }
            if files.len() == before {
                return Err(io::Error::new(io::ErrorKind::NotFound, "no file matches"));
            }
        }
    }
    files.get_mut(before..).unwrap_or_default().sort();
    if files.len() > SOURCES_MAX {
        return Err(io::Error::other(format!("more than {SOURCES_MAX} files")));
    }
    Ok(())
}
