//! Cutting input into blocks of whole lines, and those into lines of bounded length.

use crate::{format::table::Headers, position::TAIL_BYTES};
use memchr::{memchr, memrchr};
use std::io::{self, Read};

/// Longest line that is parsed, in bytes without the `\n`. Servers limit what a client may send
/// to 8 KiB or so per field.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How much of the beginning of a source tells what it is.
pub(crate) const SAMPLE_BYTES: usize = 64 * 1024;

/// The beginning of a source without the byte order mark that editors and Windows put there.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Whole lines of a source; their text is in the caller's buffer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// Where the text begins, in bytes of the source's plain text.
    pub(crate) offset: u64,
    /// The headers before its first line.
    pub(crate) headers: Headers,
    tail: Tail,
}

/// What the last line of a block is if it does not end with `\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tail {
    #[default]
    Whole,
    /// The first [`LINE_BYTES_MAX`] bytes of a longer one.
    TooLong,
    /// What was read of a line before the input failed.
    CutOff,
}

/// A line without its `\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The first [`LINE_BYTES_MAX`] bytes of a longer one.
    TooLong(&'a [u8]),
    /// What was read of a line before the input failed.
    CutOff(&'a [u8]),
}

impl Block {
    /// A block that begins at `offset` and holds whole lines only.
    pub(crate) fn of_lines(offset: u64, headers: Headers) -> Self {
        Self { offset, headers, tail: Tail::Whole }
    }

    /// The line of the block's text that begins at `at`, which then is the next one's beginning;
    /// `None` at the end.
    pub(crate) fn line<'a>(&self, text: &'a [u8], at: &mut usize) -> Option<Line<'a>> {
        let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest);
        let line = rest.get(..end.unwrap_or(rest.len()))?;
        *at += line.len() + 1;
        Some(match self.tail {
            _ if line.len() > LINE_BYTES_MAX => Line::TooLong(line.get(..LINE_BYTES_MAX)?),
            Tail::TooLong if end.is_none() => Line::TooLong(line),
            Tail::CutOff if end.is_none() => Line::CutOff(line),
            _ => Line::Whole(line),
        })
    }
}

/// Blocks of `input`, one after the other. Holds at most two blocks, whatever the lines.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    input: R,
    /// Read but not yet given out; no `\n` in it except before the first block.
    carry: Vec<u8>,
    /// Where `carry` begins in the source's plain text.
    offset: u64,
    headers: Headers,
    /// The last bytes before `offset`, as many as a [`crate::Position`] is known by.
    tail: Vec<u8>,
    block_bytes: usize,
    /// Whether a last line without `\n` is left for a later reading, also one that a failure cut off.
    leaves_unfinished: bool,
    /// The beginning of a line that is too long was given out; the rest of it is to be dropped.
    in_long_line: bool,
    /// The input has ended or failed: do not read it again.
    ended: bool,
    /// A failure to report after the line that it cut off.
    failure: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    /// Reads the beginning of `input`, which tells the source's headers.
    pub(crate) fn new(input: R, block_bytes: usize, leaves_unfinished: bool) -> Self {
        let mut blocks = Self {
            input,
            carry: Vec::new(),
            offset: 0,
            headers: Headers::default(),
            tail: Vec::new(),
            block_bytes: block_bytes.max(1),
            leaves_unfinished,
            in_long_line: false,
            ended: false,
            failure: None,
        };
        let mut sample = Vec::new();
        blocks.read(&mut sample, SAMPLE_BYTES);
        blocks.headers = Headers::of_sample(&sample);
        blocks.carry = sample;
        blocks
    }

    /// The beginning of the source, before the first block is taken.
    pub(crate) fn sample(&self) -> &[u8] {
        &self.carry
    }

    /// Goes on at `offset`, where `headers` are in force. Before the first block only.
    ///
    /// # Errors
    /// The input failed on the way.
    pub(crate) fn skip_to(&mut self, offset: u64, headers: Headers) -> io::Result<()> {
        let in_carry = usize::try_from(offset).unwrap_or(usize::MAX).min(self.carry.len());
        let behind: Vec<u8> = self.carry.drain(..in_carry).collect();
        self.remember(&behind);
        let missing = offset - in_carry as u64;
        let unseen = missing.saturating_sub(TAIL_BYTES as u64);
        let mut passed = io::copy(&mut self.input.by_ref().take(unseen), &mut io::sink())?;
        let mut last = Vec::new();
        passed += self.input.by_ref().take(missing - unseen).read_to_end(&mut last)? as u64;
        self.remember(&last);
        self.offset = in_carry as u64 + passed;
        self.headers = headers;
        Ok(())
    }

    /// Takes notice of text that is before the next block.
    fn remember(&mut self, text: &[u8]) {
        let kept = TAIL_BYTES.saturating_sub(text.len()).min(self.tail.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail
            .extend_from_slice(text.get(text.len().saturating_sub(TAIL_BYTES)..).unwrap_or(&[]));
    }

    /// The last bytes before the next block.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Where the next block begins, in bytes of the source's plain text, and the headers there.
    pub(crate) fn position(&self) -> (u64, &Headers) {
        (self.offset, &self.headers)
    }

    /// Puts the next block's text into `text`; `None` at the end.
    ///
    /// # Errors
    /// What the input said, once; afterwards it counts as ended.
    pub(crate) fn next(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Block>> {
        if self.in_long_line {
            self.drop_line();
        }
        text.clear();
        std::mem::swap(text, &mut self.carry);
        let mut wanted = self.block_bytes;
        let (length, tail) = loop {
            if text.len() < wanted {
                self.read(text, wanted - text.len());
            }
            if let Some(at) = memrchr(b'\n', text) {
                break (at + 1, Tail::Whole);
            }
            if text.len() > LINE_BYTES_MAX {
                self.in_long_line = true;
                break (LINE_BYTES_MAX, Tail::TooLong);
            }
            if self.ended {
                if text.is_empty() || self.leaves_unfinished {
                    std::mem::swap(text, &mut self.carry);
                    return self.failure.take().map_or(Ok(None), Err);
                }
                let tail = if self.failure.is_some() { Tail::CutOff } else { Tail::Whole };
                break (text.len(), tail);
            }
            wanted = text.len() + self.block_bytes.max(4096);
        };
        self.carry.extend_from_slice(text.get(length..).unwrap_or_default());
        text.truncate(length);
        let block = Block { offset: self.offset, headers: self.headers.clone(), tail };
        self.headers.pass_all(text);
        self.remember(text);
        self.offset += length as u64;
        Ok(Some(block))
    }

    /// Drops input up to and including the next line end.
    fn drop_line(&mut self) {
        self.in_long_line = false;
        loop {
            if let Some(at) = memchr(b'\n', &self.carry) {
                let dropped: Vec<u8> = self.carry.drain(..=at).collect();
                self.remember(&dropped);
                self.offset += at as u64 + 1;
                return;
            }
            self.offset += self.carry.len() as u64;
            let mut carry = std::mem::take(&mut self.carry);
            self.remember(&carry);
            carry.clear();
            self.read(&mut carry, LINE_BYTES_MAX);
            self.carry = carry;
            if self.carry.is_empty() {
                return;
            }
        }
    }

    /// Appends `bytes` of input, less only at its end.
    fn read(&mut self, text: &mut Vec<u8>, bytes: usize) {
        if self.ended {
            return;
        }
        text.reserve_exact(bytes);
        let read = self.input.by_ref().take(bytes as u64).read_to_end(text);
        match read {
            Ok(length) => self.ended = length < bytes,
            Err(error) => {
                self.ended = true;
                self.failure = Some(error);
            }
        }
    }
}
