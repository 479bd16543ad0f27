//! Where files are written: the disk, and in tests one that fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file that is written at its end.
pub(crate) trait Output: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Makes files.
pub(crate) trait Volume: Send + Sync {
    /// A new, empty file.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// A file that there is.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Makes new and renamed files of a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The file system.
pub(crate) struct Disk;

impl Volume for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        File::create(path)?;
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl Output for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
