//! The file behind the access log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A log file, or standard output.
pub(super) struct LogFile {
    path: PathBuf,
    /// `None`: standard output.
    file: Option<File>,
    size: u64,
    rotate: Option<u64>,
    keep: usize,
}

impl LogFile {
    /// Opens a file to append to; `-` is standard output. At `rotate` bytes it is renamed to
    /// `NAME.1`, the one before to `NAME.2` and so on; `keep` of them are kept.
    pub(super) fn open(path: &Path, rotate: Option<u64>, keep: usize) -> io::Result<LogFile> {
        let mut log = LogFile { path: path.to_owned(), file: None, size: 0, rotate, keep };
        log.reopen()?;
        Ok(log)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file of the name anew.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.path.as_os_str() == "-" {
            return Ok(());
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Appends text, to a new file when the old one is full.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.rotate.is_some_and(|max| self.size > 0 && self.size + text.len() as u64 > max) {
            self.turn()?;
        }
        match &mut self.file {
            Some(file) => file.write_all(text)?,
            None => io::stdout().lock().write_all(text)?,
        }
        self.size += text.len() as u64;
        Ok(())
    }

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
            // Not all of them need be there.
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        if self.keep > 0 {
            fs::rename(&self.path, numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.reopen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_renamed_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, Some(10), 2).unwrap();
        for line in ["one 45678\n", "two\n", "three\n", "four 5678\n", "five\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("log"), "five\n");
        assert_eq!(read("log.1"), "four 5678\n");
        assert_eq!(read("log.2"), "two\nthree\n");
        assert!(!folder.path().join("log.3").exists());
        drop(log);
        // What is there already counts.
        let mut log = LogFile::open(&path, Some(10), 2).unwrap();
        log.write(b"six 56\n").unwrap();
        assert_eq!((read("log"), read("log.1")), ("six 56\n".to_owned(), "five\n".to_owned()));
    }
}
