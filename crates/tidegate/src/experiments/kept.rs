//! The file of kept assignments and links: lines of a checksum and JSON, only ever appended. All of
//! it is read at the start, because requests cannot wait for a disk.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use experiment::live::{Keeper, Kept};

/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// The open file.
pub(super) struct KeptFile {
    path: PathBuf,
    file: Mutex<(File, u64)>,
}

impl KeptFile {
    /// Opens it, or makes it. A line at the end that was not written to its end is cut.
    ///
    /// # Errors
    /// When it cannot be opened, or is broken in its middle.
    pub(super) fn open(path: &Path) -> Result<KeptFile, String> {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let good = read(&file, path, &mut |_| {})?;
        if good < length {
            file.set_len(good).and_then(|()| file.sync_all()).map_err(fail)?;
        }
        Ok(KeptFile { path: path.to_owned(), file: Mutex::new((file, good)) })
    }
}

/// Reads all lines; the length of what is good. Only the last line may be bad.
fn read(file: &File, path: &Path, see: &mut dyn FnMut(&Kept)) -> Result<u64, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(fail)?;
    let (mut good, mut line, mut bad) = (0, Vec::new(), None);
    loop {
        line.clear();
        let mut bounded = std::io::Read::take(&mut reader, LINE_BYTES_MAX);
        let length = bounded.read_until(b'\n', &mut line).map_err(fail)? as u64;
        if length == 0 {
            return Ok(good);
        }
        if let Some(number) = bad {
            return Err(format!(
                "{}: line {number} is damaged: restore the file from a copy, or remove the line",
                path.display()
            ));
        }
        match parse(&line) {
            Some(kept) => {
                see(&kept);
                good += length;
            }
            None => bad = Some(1 + line_number(file, good).map_err(fail)?),
        }
    }
}

fn line_number(mut file: &File, before: u64) -> std::io::Result<usize> {
    let at = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    let reader = BufReader::new(std::io::Read::take(file, before));
    let lines = reader.split(b'\n').count();
    file.seek(SeekFrom::Start(at))?;
    Ok(lines)
}

fn parse(line: &[u8]) -> Option<Kept> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = text.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32fast::hash(json.as_bytes()) == sum).then(|| serde_json::from_str(json).ok()).flatten()
}

impl Keeper for KeptFile {
    fn keep(&self, kept: &[Kept]) -> Result<(), String> {
        let fail = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut lines = String::new();
        for each in kept {
            let json = serde_json::to_string(each).map_err(|error| error.to_string())?;
            lines.push_str(&format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())));
        }
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, good) = &mut *held;
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a line in the middle would make the file unreadable.
            file.set_len(*good).map_err(fail)?;
            return Err(fail(error));
        }
        *good += lines.len() as u64;
        Ok(())
    }

    fn each(&self, see: &mut dyn FnMut(&Kept)) -> Result<(), String> {
        let held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        read(&held.0, &self.path, see).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(user: &str) -> Kept {
        Kept::Link { user: user.to_owned(), device: "d".to_owned() }
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

    #[test]
    fn a_damaged_middle_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        KeptFile::open(&path).unwrap().keep(&[link("a"), link("b"), link("c")]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = KeptFile::open(&path).err().unwrap();
        assert!(error.contains("line 2 is damaged"), "{error}");
    }
}
