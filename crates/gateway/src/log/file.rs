//! The file behind the access log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memchr::{memchr_iter, memrchr};

/// A log file, or standard output.
pub(super) struct LogFile {
    path: PathBuf,
    /// `None`: standard output.
    file: Option<File>,
    size: u64,
    rotate: Option<u64>,
    keep: usize,
    /// The last line is cut short and could not be taken back.
    torn: bool,
}

impl LogFile {
    /// Opens a file to append to; `-` is standard output. At `rotate` bytes it is renamed to
    /// `NAME.1`, the one before to `NAME.2` and so on; `keep` of them are kept.
    pub(super) fn open(path: &Path, rotate: Option<u64>, keep: usize) -> io::Result<LogFile> {
        let mut log =
            LogFile { path: path.to_owned(), file: None, size: 0, rotate, keep, torn: false };
        log.reopen()?;
        Ok(log)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file of the name anew; the old one stays in use when that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.path.as_os_str() == "-" {
            return Ok(());
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        self.torn = false;
        Ok(())
    }

    /// Appends whole lines, to a new file when the old one would grow beyond its limit. Returns how
    /// many are in the file now, and what went wrong.
    pub(super) fn write(&mut self, text: &[u8]) -> (u64, io::Result<()>) {
        let full = |max| self.size > 0 && self.size.saturating_add(text.len() as u64) > max;
        // A file that cannot be renamed grows on: lines are worth more than its size.
        let turned = if self.rotate.is_some_and(full) { self.turn() } else { Ok(()) };
        let (taken, result) = match &mut self.file {
            Some(file) => append(file, text, &mut self.torn),
            None => append(&mut io::stdout().lock(), text, &mut self.torn),
        };
        let lines = &text[..taken];
        let whole = memrchr(b'\n', lines).map_or(0, |at| at + 1);
        if whole < taken {
            // Half a line would spoil the next one.
            let cut = self.file.as_ref().map(|file| cut(file, (taken - whole) as u64));
            self.torn = !matches!(cut, Some(Ok(())));
        }
        self.size += whole as u64;
        (memchr_iter(b'\n', lines).count() as u64, turned.and(result))
    }

    /// Renames the file and its predecessors and begins a new one.
    fn turn(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let numbered = |number: usize| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            absent_is_fine(fs::rename(numbered(number), numbered(number + 1)))?;
        }
        absent_is_fine(match self.keep {
            0 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, numbered(1)),
        })?;
        self.reopen()
    }
}

/// Somebody may have removed or moved a file.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Appends as much as can be: how many bytes, and why not all. Ends a torn line first.
fn append(out: &mut impl Write, text: &[u8], torn: &mut bool) -> (usize, io::Result<()>) {
    if *torn {
        if let Err(error) = out.write_all(b"\n") {
            return (0, Err(error));
        }
        *torn = false;
    }
    let mut taken = 0;
    while let Some(rest) = text.get(taken..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (taken, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, out.flush())
}

/// Takes back the last bytes.
fn cut(file: &File, bytes: u64) -> io::Result<()> {
    file.set_len(file.metadata()?.len().saturating_sub(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(log: &mut LogFile, text: &str) -> u64 {
        let (lines, result) = log.write(text.as_bytes());
        result.unwrap();
        lines
    }

    #[test]
    fn full_files_are_renamed_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, Some(10), 2).unwrap();
        for line in ["one 45678\n", "two\n", "three\n", "four 5678\n", "five\n"] {
            assert_eq!(written(&mut log, line), 1);
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("log"), "five\n");
        assert_eq!(read("log.1"), "four 5678\n");
        assert_eq!(read("log.2"), "two\nthree\n");
        assert!(!folder.path().join("log.3").exists());
        drop(log);
        // What is there already counts.
        let mut log = LogFile::open(&path, Some(10), 2).unwrap();
        written(&mut log, "six 56\n");
        assert_eq!((read("log"), read("log.1")), ("six 56\n".to_owned(), "five\n".to_owned()));
        // Somebody removed it.
        fs::remove_file(&path).unwrap();
        written(&mut log, "seven 89\n");
        assert_eq!((read("log"), read("log.2")), ("seven 89\n".to_owned(), "five\n".to_owned()));
    }

    #[test]
    fn none_are_kept_when_none_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, Some(5), 0).unwrap();
        written(&mut log, "one\n");
        written(&mut log, "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_renamed_grows_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // A folder in the place of the new name.
        fs::create_dir_all(folder.path().join("log.1/full")).unwrap();
        let mut log = LogFile::open(&path, Some(5), 1).unwrap();
        written(&mut log, "one\n");
        let (lines, result) = log.write(b"two\n");
        assert_eq!((lines, result.is_err()), (1, true));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    /// Takes a number of bytes, then is full.
    struct Full(Vec<u8>, usize);

    impl Write for Full {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let room = text.len().min(self.1 - self.0.len());
            self.0.extend_from_slice(&text[..room]);
            if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn half_lines_are_ended_or_taken_back() {
        let mut out = Full(Vec::new(), 6);
        let mut torn = false;
        let (taken, result) = append(&mut out, b"one\ntwo\n", &mut torn);
        assert_eq!((taken, result.is_err()), (6, true));
        torn = true;
        out.1 = 100;
        let (taken, result) = append(&mut out, b"three\n", &mut torn);
        assert_eq!((taken, result.is_ok(), torn), (6, true, false));
        assert_eq!(out.0, b"one\ntw\nthree\n");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "one\ntw").unwrap();
        cut(&OpenOptions::new().append(true).open(&path).unwrap(), 2).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }
}
