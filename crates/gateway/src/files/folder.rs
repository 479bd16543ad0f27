//! Finding and opening files without ever leaving the folder. Everything here blocks.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::params::{self, Coding};

/// Compressed siblings: coding and what it adds to the name, best first.
const SIBLINGS: [(Coding, &str); 3] =
    [(Coding::Brotli, ".br"), (Coding::Zstd, ".zst"), (Coding::Gzip, ".gz")];

/// The folder and what is served of it.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute, without symbolic links.
    root: PathBuf,
    params: params::Files,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    /// The file.
    pub(super) file: File,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its last change: seconds since 1970, and nanoseconds.
    pub(super) modified: (i64, i64),
}

/// What a path means.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, and where it is below the root.
    File {
        /// The open file.
        opened: Opened,
        /// Relative to the root.
        path: PathBuf,
    },
    /// A folder whose path lacks its slash.
    Folder,
}

/// Why nothing can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It is not there, outside of the root or no regular file.
    Absent,
    /// Its permissions forbid it.
    Forbidden,
    /// The system failed.
    Failed,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        use io::ErrorKind;
        match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput => OpenError::Absent,
            ErrorKind::PermissionDenied => OpenError::Forbidden,
            // The standard library's name for links in a circle is not stable yet.
            _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => OpenError::Absent,
            _ => OpenError::Failed,
        }
    }
}

impl Folder {
    pub(super) fn open(params: &params::Files) -> io::Result<Folder> {
        let root = fs::canonicalize(&params.root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Folder { root, params: params.clone() })
    }

    pub(super) fn precompressed(&self) -> bool {
        self.params.precompressed
    }

    /// The file of a relative path; of a folder, its first index file.
    pub(super) fn find(&self, relative: &Path, slash: bool) -> Result<Found, OpenError> {
        let (resolved, metadata) = self.resolve(relative)?;
        if !metadata.is_dir() {
            if slash {
                return Err(OpenError::Absent);
            }
            let opened = self.open_resolved(&resolved, &metadata)?;
            return Ok(Found::File { opened, path: relative.to_owned() });
        }
        if !slash && !relative.as_os_str().is_empty() {
            return Ok(Found::Folder);
        }
        for index in &self.params.index {
            let path = relative.join(index);
            match self.open_file(&path) {
                Err(OpenError::Absent) => {}
                opened => return Ok(Found::File { opened: opened?, path }),
            }
        }
        Err(OpenError::Absent)
    }

    /// The compressed sibling of a file that the client wants, if there is one.
    pub(super) fn compressed(
        &self,
        path: &Path,
        prefer: impl Fn(&[Coding]) -> Option<Coding>,
    ) -> Option<(Coding, Opened)> {
        let mut siblings = if self.params.precompressed { SIBLINGS.to_vec() } else { Vec::new() };
        // What is wanted most may not be there; what is wanted next may.
        while !siblings.is_empty() {
            let codings: Vec<Coding> = siblings.iter().map(|(coding, _)| *coding).collect();
            let wanted = prefer(&codings)?;
            let at = siblings.iter().position(|(coding, _)| *coding == wanted)?;
            let (coding, extension) = siblings.remove(at);
            let mut name = OsString::from(path);
            name.push(extension);
            if let Ok(opened) = self.open_file(Path::new(&name)) {
                return Some((coding, opened));
            }
        }
        None
    }

    /// The page for what is not there, and its path.
    pub(super) fn not_found_page(&self) -> Option<(Opened, PathBuf)> {
        let path = PathBuf::from(self.params.not_found.as_deref()?.trim_start_matches('/'));
        Some((self.open_file(&path).ok()?, path))
    }

    fn open_file(&self, relative: &Path) -> Result<Opened, OpenError> {
        let (resolved, metadata) = self.resolve(relative)?;
        self.open_resolved(&resolved, &metadata)
    }

    /// Where a path leads once all links are followed, if that is inside of the root.
    fn resolve(&self, relative: &Path) -> Result<(PathBuf, Metadata), OpenError> {
        let resolved = fs::canonicalize(self.root.join(relative))?;
        if !resolved.starts_with(&self.root) {
            return Err(OpenError::Absent);
        }
        let metadata = fs::metadata(&resolved)?;
        Ok((resolved, metadata))
    }

    fn open_resolved(&self, resolved: &Path, seen: &Metadata) -> Result<Opened, OpenError> {
        // Opening a pipe would wait for its other end.
        if !seen.is_file() {
            return Err(OpenError::Absent);
        }
        let file = File::open(resolved)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || !self.holds(&file) {
            return Err(OpenError::Absent);
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Opened { file, len: metadata.len(), modified })
    }

    /// Whether an open file is inside of the root: a link may have been put into its path between
    /// looking and opening.
    #[cfg(target_os = "linux")]
    fn holds(&self, file: &File) -> bool {
        use std::os::fd::AsRawFd;
        match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
            Ok(path) => path.starts_with(&self.root),
            // Without /proc, what was resolved before must do.
            Err(_) => true,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn holds(&self, _file: &File) -> bool {
        true
    }
}
