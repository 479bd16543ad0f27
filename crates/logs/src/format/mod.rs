//! The log formats. Adding one = a file beside this with `parse`, a variant of [`Format`], its
//! arms below and its tests.

mod clf;
mod combined;
mod common;

use crate::{RejectReason, timestamp::Clock};
use traffic::Hit;

/// A log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The common log format followed by quoted referrer and user agent; nginx's default.
    Combined,
    /// The common log format of the CERN and NCSA servers:
    /// `client identity user [time] "request" status size`.
    Common,
}

impl Format {
    /// Every format; the one that asks for more comes first, since a line of it may also read as
    /// a simpler one with fields left over.
    pub const ALL: [Self; 2] = [Self::Combined, Self::Common];

    /// The name that people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Common => "common",
        }
    }

    /// Reads one line, with or without its line end, in this format only.
    ///
    /// Fields are as logged: escapes (`\"`, `\xhh`) are left as they are. The target holds no
    /// control bytes, but may hold spaces. Fields after the last known one are ignored.
    ///
    /// # Errors
    /// The reason why the line is not of this format.
    pub fn parse_line(self, line: &[u8]) -> Result<Hit<'_>, RejectReason> {
        self.parse(content(line)?, &mut Clock::default())
    }

    fn parse<'a>(self, line: &'a [u8], clock: &mut Clock) -> Result<Hit<'a>, RejectReason> {
        match self {
            Self::Combined => combined::parse(line, clock),
            Self::Common => common::parse(line, clock),
        }
    }
}

/// The format of most lines of `sample`, the beginning of a log; `None` if no line parses.
/// Where two are equally common, the one that asks for more.
#[must_use]
pub fn detect(sample: &[u8]) -> Option<Format> {
    let mut parser = Parser::default();
    let mut lines = [0_u64; Format::ALL.len()];
    for line in sample.split(|byte| *byte == b'\n') {
        if let Ok((format, _)) = parser.parse(line) {
            lines[format as usize] += 1;
        }
    }
    let most = *lines.iter().max()?;
    Format::ALL.into_iter().find(|format| most > 0 && lines[*format as usize] == most)
}

/// Reads lines of any format, each by the first that fits.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    clock: Clock,
}

impl Parser {
    /// The hit and its format. The reason of a reject is that of the simplest format.
    pub(crate) fn parse<'a>(&mut self, line: &'a [u8]) -> Result<(Format, Hit<'a>), RejectReason> {
        let line = content(line)?;
        let mut outcome = Err(RejectReason::NotAccessLog);
        for format in Format::ALL {
            outcome = format.parse(line, &mut self.clock).map(|hit| (format, hit));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// The line without its line end.
fn content(line: &[u8]) -> Result<&[u8], RejectReason> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() { Err(RejectReason::EmptyLine) } else { Ok(line) }
}
