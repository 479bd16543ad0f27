//! Access logs: lines in, [`traffic::Hit`]s out, every line accounted for.
//!
//! [`open`] reads a plain or gzip file (told by its first bytes) or standard input.
//! [`LogReader`] cuts it into lines of bounded length and parses each by the [`Format`] that fits,
//! so formats may be mixed in one file. What does not parse is a [`Reject`] with its
//! [`RejectReason`]; in [`Counts`], read = parsed + rejected always holds.
//!
//! Nothing is allocated per line and no regular expression is used: fields borrow from the line.
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

mod counts;
mod format;
mod lines;
mod open;
mod read;
mod reject;
mod timestamp;

pub use counts::Counts;
pub use format::{Format, detect};
pub use lines::LINE_BYTES_MAX;
pub use open::{Input, OpenError, open};
pub use read::{LogReader, ReadError};
pub use reject::{Reject, RejectReason};
