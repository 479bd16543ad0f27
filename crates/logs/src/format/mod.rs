//! The log formats. Adding one = a file beside this with `parse`, a variant of [`Format`], its
//! arms below and its tests.

mod clf;
mod combined;
mod common;
mod json;

use crate::{RejectReason, timestamp::Clock};
use traffic::Hit;

/// A log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// tidegate's own: a JSON object per line with every field of a hit.
    TidegateJson,
    /// The common log format followed by quoted referrer and user agent; nginx's default.
    Combined,
    /// The common log format of the CERN and NCSA servers:
    /// `client identity user [time] "request" status size`.
    Common,
}

impl Format {
    /// Every format; the one that asks for more comes first, since a line of it may also read as
    /// a simpler one with fields left over.
    pub const ALL: [Self; 3] = [Self::TidegateJson, Self::Combined, Self::Common];

    /// The name that people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TidegateJson => "tidegate-json",
            Self::Combined => "combined",
            Self::Common => "common",
        }
    }

    /// Reads one line, with or without its line end, in this format only. `scratch` holds what
    /// had to be rewritten; its content before does not matter.
    ///
    /// Fields of the text formats are as logged: escapes (`\"`, `\xhh`) are left as they are, since
    /// writers differ in what they escape; [`traffic::unescape_text`] takes tidegate's back. Those
    /// of JSON are taken back. The target holds no control bytes, but may hold spaces. Fields
    /// after the last known one are ignored.
    ///
    /// # Errors
    /// The reason why the line is not of this format.
    pub fn parse_line<'a>(
        self,
        line: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Hit<'a>, RejectReason> {
        let line = content(line)?;
        match self {
            Self::TidegateJson => json::parse(line, scratch),
            Self::Combined => combined::parse(line, &mut Clock::default()),
            Self::Common => common::parse(line, &mut Clock::default()),
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
    /// Texts of the last line whose escapes were taken back; not longer than the line.
    scratch: Vec<u8>,
}

impl Parser {
    /// The hit and its format. The reason of a reject is that of the simplest format.
    pub(crate) fn parse<'a>(
        &'a mut self,
        line: &'a [u8],
    ) -> Result<(Format, Hit<'a>), RejectReason> {
        let line = content(line)?;
        if json::is_meant(line) {
            let hit = json::parse(line, &mut self.scratch)?;
            return Ok((Format::TidegateJson, hit));
        }
        if let Ok(hit) = combined::parse(line, &mut self.clock) {
            return Ok((Format::Combined, hit));
        }
        Ok((Format::Common, common::parse(line, &mut self.clock)?))
    }
}

/// The line without its line end.
fn content(line: &[u8]) -> Result<&[u8], RejectReason> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() { Err(RejectReason::EmptyLine) } else { Ok(line) }
}
