//! Reading a log line by line.

use crate::{
    Counts, Reject, RejectReason,
    format::Parser,
    lines::{Line, Lines},
};
use std::io::{self, Read};
use traffic::Hit;

/// The input failed in the middle. What was read before stays counted.
///
/// A truncated gzip file gives right hits up to its end. In a corrupt one, the last hits before the
/// failure may be wrong: gzip finds damage late, at the latest by the checksum at its end.
#[derive(Debug, thiserror::Error)]
#[error(
    "{origin}: reading stopped after line {line}: {source}; the file may be damaged or cut short, copy it again"
)]
pub struct ReadError {
    /// File name or other name of the input.
    pub origin: String,
    /// Lines read before.
    pub line: u64,
    /// What the system or the decompressor said.
    pub source: io::Error,
}

/// Reads an access log: one buffer of fixed size, whatever the input.
#[derive(Debug)]
pub struct LogReader<R> {
    origin: String,
    lines: Lines<R>,
    parser: Parser,
    counts: Counts,
}

impl<R: Read> LogReader<R> {
    /// Reads plain text from `input`; `origin` names it in errors. The reader has its own buffer.
    pub fn new(origin: impl Into<String>, input: R) -> Self {
        Self {
            origin: origin.into(),
            lines: Lines::new(input),
            parser: Parser::default(),
            counts: Counts::default(),
        }
    }

    /// The next line as a hit or a reject; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`] if the input fails; the log then counts as ended. A line that was cut off by
    /// the failure comes before it as a reject.
    pub fn next_line(&mut self) -> Result<Option<Result<Hit<'_>, Reject<'_>>>, ReadError> {
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(source) => {
                let origin = self.origin.clone();
                return Err(ReadError { origin, line: self.counts.read, source });
            }
        };
        self.counts.read += 1;
        let (line, outcome) = match line {
            Line::Whole(line) => (line, self.parser.parse(line)),
            Line::TooLong(line) => (line, Err(RejectReason::LineTooLong)),
            Line::CutOff(line) => (line, Err(RejectReason::CutOff)),
        };
        Ok(Some(match outcome {
            Ok((format, hit)) => {
                self.counts.add_parsed(format);
                Ok(hit)
            }
            Err(reason) => {
                self.counts.add_rejected(reason);
                Err(Reject { number: self.counts.read, reason, line })
            }
        }))
    }

    /// Hands every line that is left to `visit`.
    ///
    /// # Errors
    /// As [`Self::next_line`]; [`Self::counts`] tells what was read until then.
    pub fn for_each(
        &mut self,
        mut visit: impl FnMut(Result<Hit<'_>, Reject<'_>>),
    ) -> Result<(), ReadError> {
        while let Some(line) = self.next_line()? {
            visit(line);
        }
        Ok(())
    }

    /// What became of the lines so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The name of the input.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}
