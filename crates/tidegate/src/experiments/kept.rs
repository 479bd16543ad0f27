//! The file of kept assignments and links: lines of a checksum and JSON. Lines are appended; when
//! more of them are superseded than not, the file is written anew without those. All of it is read at
//! the start, because requests cannot wait for a disk.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use experiment::live::{Keeper, Kept};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// A file that is smaller is never written anew.
const COMPACT_BYTES_MIN: u64 = 4 << 20;

/// The open file.
pub(super) struct KeptFile {
    path: PathBuf,
    held: Mutex<Held>,
    compact_min: u64,
}

struct Held {
    file: File,
    /// Where the whole lines end.
    good: u64,
    /// Bytes above which the file is looked at for superseded lines.
    compact_at: u64,
    /// Whether there is half a line behind `good`.
    torn: bool,
}

impl KeptFile {
    /// Opens it, or makes it. A line at the end that was not written to its end is cut.
    ///
    /// # Errors
    /// When it cannot be opened, is broken in its middle, or was written by a newer version.
    pub(super) fn open(path: &Path) -> Result<KeptFile, String> {
        KeptFile::open_with(path, COMPACT_BYTES_MIN)
    }

    fn open_with(path: &Path, compact_min: u64) -> Result<KeptFile, String> {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let good = read(&file, path, &mut |_, _| Ok(()))?;
        if good < length {
            file.set_len(good).and_then(|()| file.sync_all()).map_err(fail)?;
        }
        let held = Held { file, good, compact_at: compact_min, torn: false };
        let kept = KeptFile { path: path.to_owned(), held: Mutex::new(held), compact_min };
        kept.compact_if_due(&mut kept.held.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(kept)
    }

    /// Writes the file anew when it is large and most of its lines are superseded. What fails is
    /// told, and leaves the file as it is.
    fn compact_if_due(&self, held: &mut Held) {
        if held.good < held.compact_at {
            return;
        }
        if let Err(error) = self.compact(held) {
            tracing::warn!("{}: cannot be made smaller: {error}", self.path.display());
        }
        held.compact_at = (2 * held.good).max(self.compact_min);
    }

    fn compact(&self, held: &mut Held) -> Result<(), String> {
        // By what a line is about: the highest version, and the first line that has it.
        let mut last: HashMap<u128, (u32, u64)> = HashMap::new();
        let mut lines = 0_u64;
        read(&held.file, &self.path, &mut |kept, _| {
            let (subject, version) = subject(kept);
            let known = last.entry(subject).or_insert((version, lines));
            if known.0 < version {
                *known = (version, lines);
            }
            lines += 1;
            Ok(())
        })?;
        if lines < 2 * last.len() as u64 {
            return Ok(());
        }
        let path = self.path.with_extension("new");
        let io = |error: std::io::Error| error.to_string();
        let mut output = BufWriter::new(File::create(&path).map_err(io)?);
        let mut number = 0;
        read(&held.file, &self.path, &mut |kept, line| {
            let (subject, _) = subject(kept);
            if last.get(&subject).is_some_and(|(_, own)| *own == number) {
                output.write_all(line).map_err(io)?;
            }
            number += 1;
            Ok(())
        })?;
        let file = output.into_inner().map_err(|error| error.to_string())?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&path, &self.path).map_err(io)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        held.file = OpenOptions::new().read(true).append(true).open(&self.path).map_err(io)?;
        held.good = held.file.metadata().map_err(io)?.len();
        Ok(())
    }
}

/// What a line is about, and its version: a higher one supersedes it.
fn subject(kept: &Kept) -> (u128, u32) {
    let (text, version) = match kept {
        Kept::Assignment { unit, experiment, record } => {
            (format!("{} {experiment} {unit}", experiment.len()), record.version)
        }
        Kept::Link { user, .. } => (format!(" {user}"), 0),
    };
    (xxh3_128(text.as_bytes()), version)
}

/// Is shown each line, read and as it is.
type See<'a> = dyn FnMut(&Kept, &[u8]) -> Result<(), String> + 'a;

/// Reads all lines; the length of what is good. Only the last line may be bad.
fn read(file: &File, path: &Path, see: &mut See<'_>) -> Result<u64, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(fail)?;
    let (mut good, mut line, mut number, mut bad) = (0, Vec::new(), 0_u64, false);
    loop {
        line.clear();
        let mut bounded = Read::take(&mut reader, LINE_BYTES_MAX);
        let length = bounded.read_until(b'\n', &mut line).map_err(fail)? as u64;
        if length == 0 {
            return Ok(good);
        }
        let damaged = |number: u64| {
            let path = path.display();
            format!(
                "{path}: line {number} is damaged: restore the file from a copy, or remove the line"
            )
        };
        if bad {
            return Err(damaged(number));
        }
        number += 1;
        match checked(&line).map(serde_json::from_str::<Kept>) {
            Some(Ok(kept)) => {
                see(&kept, &line)?;
                good += length;
            }
            // What was written whole must not be cut off.
            Some(Err(error)) => {
                return Err(format!(
                    "{}: line {number} is whole and not understood ({error}): a newer tidegate \
                     wrote it, use that one",
                    path.display()
                ));
            }
            // Without its end, or with a page that never came to the disk, it was not finished.
            None if line.last() != Some(&b'\n') || line.contains(&0) => bad = true,
            None => return Err(damaged(number)),
        }
    }
}

/// The JSON of a line, if it is what was written.
fn checked(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = text.split_once(' ')?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json.as_bytes())).then_some(json)
}

impl Keeper for KeptFile {
    fn keep(&self, kept: &[Kept]) -> Result<(), String> {
        let fail = |error: std::io::Error| {
            format!("{}: {error}: free some space, or check the disk", self.path.display())
        };
        let mut lines = String::new();
        for each in kept {
            let json = serde_json::to_string(each).map_err(|error| error.to_string())?;
            lines.push_str(&format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        // Half a line in the middle would make the file unreadable.
        if held.torn {
            held.file.set_len(held.good).map_err(fail)?;
            held.torn = false;
        }
        let written = held.file.write_all(lines.as_bytes()).and_then(|()| held.file.sync_data());
        if let Err(error) = written {
            held.torn = held.file.set_len(held.good).is_err();
            return Err(fail(error));
        }
        held.good += lines.len() as u64;
        self.compact_if_due(held);
        Ok(())
    }

    fn each(&self, see: &mut dyn FnMut(&Kept)) -> Result<(), String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut see = |kept: &Kept, _: &[u8]| {
            see(kept);
            Ok(())
        };
        read(&held.file, &self.path, &mut see).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::evaluate::StickyRecord;

    fn link(user: &str) -> Kept {
        Kept::Link { user: user.to_owned(), device: "d".to_owned() }
    }

    fn assignment(unit: &str, version: u32) -> Kept {
        let record = StickyRecord { version, variant: "new".to_owned(), phase: 0 };
        Kept::Assignment { unit: unit.to_owned(), experiment: "checkout".to_owned(), record }
    }

    fn all(file: &KeptFile) -> Vec<Kept> {
        let mut all = Vec::new();
        file.each(&mut |kept| all.push(kept.clone())).unwrap();
        all
    }

    #[test]
    fn what_is_kept_comes_back_without_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let file = KeptFile::open(&path).unwrap();
        file.keep(&[link("a"), link("b")]).unwrap();
        file.keep(&[link("c")]).unwrap();
        assert_eq!(all(&file), [link("a"), link("b"), link("c")]);
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        let two = whole.len() / 3 * 2;
        for cut in two..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let file = KeptFile::open(&path).unwrap();
            assert_eq!(all(&file), [link("a"), link("b")], "{cut}");
            file.keep(&[link("d")]).unwrap();
            assert_eq!(all(&file), [link("a"), link("b"), link("d")], "{cut}");
        }
    }

    /// Whatever bit is changed: the lines before are there, or the start is refused with the place.
    #[test]
    fn every_changed_bit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        KeptFile::open(&path).unwrap().keep(&[link("a"), link("b"), link("c")]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let last = whole.len() / 3 * 2;
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            match KeptFile::open(&path) {
                // A digit of a checksum may change its case.
                Ok(file) if bytes.eq_ignore_ascii_case(&whole) => assert_eq!(all(&file).len(), 3),
                // This cannot be told from a line that was not finished.
                Ok(file) => {
                    let unfinished = at == whole.len() - 1 || bytes[at] == 0;
                    assert!(at >= last && unfinished, "byte {at}, bit {bit}");
                    assert_eq!(all(&file), [link("a"), link("b")]);
                }
                Err(error) => {
                    let line = 1 + at / (whole.len() / 3);
                    // Without its end, a line goes on with the next.
                    assert!(error.contains(&format!("line {line} is damaged")), "{error}");
                    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is changed");
                }
            }
        }
    }

    #[test]
    fn superseded_lines_go_when_they_are_the_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let file = KeptFile::open_with(&path, 1_000).unwrap();
        let length = || std::fs::metadata(&path).unwrap().len();
        let units: Vec<String> = (0..20).map(|number| format!("u{number}")).collect();
        file.keep(&[link("a")]).unwrap();
        let mut most = 0;
        for version in 0..50 {
            let round: Vec<Kept> = units.iter().map(|unit| assignment(unit, version)).collect();
            file.keep(&round).unwrap();
            most = most.max(length());
        }
        // Of a thousand and one lines, twenty-one are needed.
        let one_round = 20 * (length() / (all(&file).len() as u64));
        assert!(most <= 4 * one_round + 1_000, "{most} of rounds of {one_round}");
        let newest = |file: &KeptFile| {
            let kept = all(file);
            assert!(kept.contains(&link("a")));
            assert!(units.iter().all(|unit| kept.contains(&assignment(unit, 49))));
        };
        newest(&file);
        file.keep(&[link("b")]).unwrap();
        drop(file);
        let file = KeptFile::open(&path).unwrap();
        newest(&file);
        assert!(all(&file).contains(&link("b")), "it goes on after it was written anew");
        // The first of a version counts, as in memory.
        let path = folder.path().join("other");
        let file = KeptFile::open_with(&path, 1).unwrap();
        let first = Kept::Link { user: "u".to_owned(), device: "first".to_owned() };
        let second = Kept::Link { user: "u".to_owned(), device: "second".to_owned() };
        file.keep(&[first.clone(), second]).unwrap();
        assert_eq!(all(&file), [first]);
    }

    #[test]
    fn a_line_of_a_newer_version_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let json = r#"{"something-new":{"unit":"u"}}"#;
        let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        std::fs::write(&path, &line).unwrap();
        let error = KeptFile::open(&path).err().unwrap();
        assert!(error.contains("newer") && error.contains("line 1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line);
    }
}
