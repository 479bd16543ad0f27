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
    io,
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
    /// Where to begin; otherwise at the beginning.
    from: Option<Position>,
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
        Self { name: name.into(), place, stored_bytes, first_us: None, start: None, from: None }
    }

    /// Standard input, perhaps compressed.
    #[must_use]
    pub fn stdin() -> Self {
        let name = "standard input".to_owned();
        Self { name, place: Place::Stdin, stored_bytes: 0, first_us: None, start: None, from: None }
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
        let place = Place::File(path.to_path_buf());
        let name = path.display().to_string();
        Self { name, place, stored_bytes, first_us: None, start: None, from: None }
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where an earlier reading stopped, if [`sources`] was told of it: a scan goes on there.
    #[must_use]
    pub fn known(&self) -> Option<&Position> {
        self.from.as_ref()
    }

    /// Whether it begins as `other` does, in the bytes that logs are known by: then one is a copy of the
    /// other, or was one until more was written.
    #[must_use]
    pub fn is_copy_of(&self, other: &Self) -> bool {
        self.start.is_some() && self.start == other.start
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

    /// Its blocks, from where it is to begin, and that place.
    pub(crate) fn blocks(
        &self,
        options: &Options,
    ) -> io::Result<(Blocks<Input>, Option<Position>)> {
        let mut blocks = Blocks::new(self.input()?, options.block_bytes, options.leaves_unfinished);
        let start = Position::start(blocks.sample());
        let Some(from) = self.from.as_ref().filter(|from| from.is_in(blocks.sample())) else {
            return Ok((blocks, start));
        };
        let headers = from.headers().unwrap_or_else(|| blocks.position().1.clone());
        blocks.skip_to(from.offset, headers)?;
        // There may be more of the beginning by now, which tells the log better.
        let position = start.map(|start| start.moved(from.offset, blocks.position().1));
        Ok((blocks, position))
    }

    /// Looks at the beginning: the time of the first record, and whether one of the places where
    /// earlier readings stopped is in it; then a scan begins there. A stream cannot be looked at.
    pub(crate) fn look(&mut self, options: &Options, known: &[Position]) -> io::Result<()> {
        if self.is_stream() {
            return Ok(());
        }
        let blocks = Blocks::new(self.input()?, options.block_bytes, false);
        self.start = Position::start(blocks.sample());
        self.from = Position::find(known, blocks.sample()).cloned();
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
    found.sort_by(|a, b| {
        (a.first_us.is_none(), a.first_us).cmp(&(b.first_us.is_none(), b.first_us))
    });
    Ok(found)
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
