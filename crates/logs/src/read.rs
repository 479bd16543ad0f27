//! Reading a log line by line, as hits.

use crate::{
    Counts, Reject, RejectReason,
    blocks::{Block, Blocks, Line, SAMPLE_BYTES, without_mark},
    format::{Format, Parser, tidegate},
    hit::hit_of,
};
use std::{
    io::{self, Read},
    sync::Arc,
};
use traffic::Hit;

/// The input failed in the middle. What was read before stays counted.
///
/// A truncated gzip file gives right hits up to its end. In a corrupt one, the last hits before the
/// failure may be wrong: gzip finds damage late, at the latest by the checksum at its end.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: reading stopped after line {line}: {source}; {}", advice(source))]
pub struct ReadError {
    /// File name or other name of the input.
    pub origin: String,
    /// Lines read before.
    pub line: u64,
    /// What the system or the decompressor said.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "check its permissions",
        io::ErrorKind::NotFound => "it was removed meanwhile",
        _ => "the file may be damaged or cut short, copy it again",
    }
}

/// Reads an access log: buffers of fixed size, whatever the input.
#[derive(Debug)]
pub struct LogReader<R> {
    origin: String,
    blocks: Blocks<R>,
    block: Block,
    /// The block's text, and where in it the next line begins.
    text: Vec<u8>,
    at: usize,
    parser: Parser,
    /// Texts of tidegate's own lines whose escapes were taken back.
    scratch: Vec<u8>,
    counts: Counts,
}

impl<R: Read> LogReader<R> {
    /// Reads plain text from `input`; `origin` names it in errors. The reader has its own buffer.
    pub fn new(origin: impl Into<String>, input: R) -> Self {
        Self {
            origin: origin.into(),
            blocks: Blocks::new(input, SAMPLE_BYTES, false),
            block: Block::default(),
            text: Vec::new(),
            at: 0,
            parser: Parser::new(Arc::from([]), 0),
            scratch: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The next line as a hit or a reject; `None` at the end. Headers and comments are passed over.
    ///
    /// # Errors
    /// [`ReadError`] if the input fails; the log then counts as ended. A line that was cut off by
    /// the failure comes before it as a reject.
    pub fn next_line(&mut self) -> Result<Option<Result<Hit<'_>, Reject<'_>>>, ReadError> {
        self.go_to_line()?;
        let offset = self.block.offset + self.at as u64;
        let Some(line) = self.block.line(&self.text, &mut self.at) else { return Ok(None) };
        let (line, outcome) = match line {
            Line::Whole(line) if tidegate::is_meant(line) => {
                let hit = tidegate::parse(line, &mut self.scratch);
                (line, hit.map(|hit| (Format::TidegateJson, hit)))
            }
            Line::Whole(line) => {
                let parsed = self.parser.parse(line);
                (line, parsed.and_then(|(format, record)| Ok((format, hit_of(&record)?))))
            }
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
                Err(Reject { source: 0, offset, reason, line })
            }
        }))
    }

    /// Goes to the next line that is no directive, or to the end.
    fn go_to_line(&mut self) -> Result<(), ReadError> {
        loop {
            let mut at = self.at;
            match self.block.line(&self.text, &mut at) {
                Some(Line::Whole(line)) if self.parser.is_directive(line) => {
                    self.counts.directives += 1;
                    self.at = at;
                }
                Some(_) => return Ok(()),
                None => {
                    let next = self.blocks.next(&mut self.text).map_err(|source| {
                        let line = self.counts.read + self.counts.directives;
                        ReadError { origin: self.origin.clone(), line, source }
                    });
                    self.at = 0;
                    let Some(block) = next? else { return Ok(()) };
                    if block.offset == 0 {
                        self.at = self.text.len() - without_mark(&self.text).len();
                    }
                    self.parser.set_headers(block.headers.clone());
                    self.block = block;
                }
            }
        }
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
