//! Access logs: lines in, records out, every line accounted for.
//!
//! # Reading many logs
//!
//! [`sources`] finds them: files, globs, directories, `-`; plain, gzip, Zstandard, bzip2, xz, told by
//! their first bytes; rotated sets in the order of their content. [`scan`] reads them with several
//! threads and gives each line to a [`Sink`]: as a [`Record`], or as a [`Reject`] with its
//! [`RejectReason`]. In [`Counts`], read = parsed + rejected always holds; headers and comments are
//! counted apart. Neither the number of threads nor the size of blocks changes the result.
//!
//! ```
//! use logs::{Options, Record, Reject, Sink, Source, scan};
//!
//! #[derive(Default)]
//! struct Bytes(u64);
//!
//! impl Sink for Bytes {
//!     fn record(&mut self, record: &Record<'_>) {
//!         self.0 += record.bytes.unwrap_or(0);
//!     }
//!     fn reject(&mut self, _: &Reject<'_>) {}
//! }
//!
//! let log = br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "curl/8.5"
//! {"ts":971211336.5,"request":{"method":"GET","uri":"/b"},"status":200,"size":10}
//! not a log line
//! "#;
//! let done = scan(&[Source::memory("example", &log[..])], &Options::default(), Bytes::default);
//! assert_eq!(done.sinks.iter().map(|sink| sink.0).sum::<u64>(), 2336);
//! assert_eq!((done.counts.read, done.counts.parsed, done.counts.rejected()), (3, 2, 1));
//! ```
//!
//! Formats are detected line by line ([`Format`]), so they may be mixed in one file; one that nobody
//! can guess is given as a [`Layout`] in [`Options`]. [`Position`]s in the outcome let a later reading go
//! on where this one stopped. [`Follower`] reads what is appended, across rotation.
//!
//! # Reading one log as hits
//!
//! [`open`] and [`LogReader`] give [`traffic::Hit`]s, one after the other: what can be sent again.
//! They reject what cannot, such as lines without a request.
//!
//! ```
//! let log = br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "curl/8.5"
//! not a log line
//! "#;
//! let mut reader = logs::LogReader::new("example", &log[..]);
//! let mut targets = Vec::new();
//! reader.for_each(|line| {
//!     if let Ok(hit) = line {
//!         targets.push(String::from_utf8_lossy(hit.target).into_owned());
//!     }
//! })?;
//! assert_eq!(targets, ["/a?b=1"]);
//! assert_eq!((reader.counts().read, reader.counts().parsed, reader.counts().rejected()), (2, 1, 1));
//! # Ok::<(), logs::ReadError>(())
//! ```
//!
//! Nothing is allocated per line and no regular expression is used: texts borrow from the line.

mod archive;
mod blocks;
mod counts;
mod decompress;
mod follow;
mod format;
mod hit;
mod open;
mod position;
mod read;
mod record;
mod reject;
pub mod report;
mod scan;
mod sink;
mod sources;
mod time;

pub use archive::{ARCHIVED_BYTES_MAX, ArchiveWriter, encode_record, read_archive};
pub use blocks::LINE_BYTES_MAX;
pub use counts::Counts;
pub use decompress::{Input, decompressed};
pub use follow::Follower;
pub use format::{
    Format, detect,
    layout::{FoundLayouts, Layout, LayoutError},
    tidegate::tidegate_hit,
};
pub use open::{OpenError, open};
pub use position::{Position, PositionError};
pub use read::{LogReader, ReadError};
pub use record::Record;
pub use reject::{Reject, RejectReason};
pub use scan::{JOBS_MAX, Options, Outcome, Progress, Scan, scan};
pub use sink::Sink;
pub use sources::{SOURCES_MAX, Source, sources};
