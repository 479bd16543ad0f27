//! Cutting input into lines of bounded length.

use memchr::memchr;
use std::io::{self, Read};

/// Longest line that is parsed, in bytes without the `\n`. Servers limit what a client may send
/// to 8 KiB or so per field.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Room for the longest line and a good read besides.
const BUFFER_BYTES: usize = 4 * LINE_BYTES_MAX;

/// A line of the input, without its `\n`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The first [`LINE_BYTES_MAX`] bytes of a longer one.
    TooLong(&'a [u8]),
    /// What was read of a line before the input failed.
    CutOff(&'a [u8]),
}

/// Lines of `input`, each borrowed from one buffer of fixed size.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// `buffer[start..end]` is read but not yet given out.
    start: usize,
    end: usize,
    /// How many bytes from `start` are known to hold no line end.
    searched: usize,
    /// A line that is too long was given out; the rest of it is to be dropped.
    in_long_line: bool,
    /// The input has ended or failed: do not read it again.
    ended: bool,
    /// A failure to report after the line that it cut off.
    failure: Option<io::Error>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            in_long_line: false,
            ended: false,
            failure: None,
        }
    }

    /// The next line, `None` at the end. A last line without line end is a line.
    ///
    /// # Errors
    /// What the input said, once; afterwards it counts as ended.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.in_long_line {
            self.drop_line()?;
        }
        loop {
            if let Some(length) = self.find_line_end() {
                return Ok(Some(match self.take(length, 1) {
                    line if line.len() > LINE_BYTES_MAX => Line::TooLong(&line[..LINE_BYTES_MAX]),
                    line => Line::Whole(line),
                }));
            }
            if self.searched > LINE_BYTES_MAX {
                self.in_long_line = true;
                let beginning = self.take(self.searched, 0);
                return Ok(Some(Line::TooLong(&beginning[..LINE_BYTES_MAX])));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) if self.searched == 0 => return Ok(None),
                Ok(false) => return Ok(Some(Line::Whole(self.take(self.searched, 0)))),
                Err(failure) if self.searched == 0 => return Err(failure),
                Err(failure) => {
                    self.failure = Some(failure);
                    return Ok(Some(Line::CutOff(self.take(self.searched, 0))));
                }
            }
        }
    }

    /// Drops input up to and including the next line end.
    fn drop_line(&mut self) -> io::Result<()> {
        self.in_long_line = false;
        loop {
            if let Some(length) = self.find_line_end() {
                self.take(length, 1);
                return Ok(());
            }
            self.take(self.searched, 0);
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Distance from `start` to the next line end in the buffer.
    fn find_line_end(&mut self) -> Option<usize> {
        let unsearched = &self.buffer[self.start + self.searched..self.end];
        let found = memchr(b'\n', unsearched).map(|at| self.searched + at);
        self.searched = found.unwrap_or(self.end - self.start);
        found
    }

    /// Gives out `length` bytes and steps over `gap` more.
    fn take(&mut self, length: usize, gap: usize) -> &[u8] {
        let from = self.start;
        self.start += length + gap;
        self.searched = 0;
        &self.buffer[from..from + length]
    }

    /// Reads more; `false` at the end. At most [`LINE_BYTES_MAX`] bytes are unread at this point,
    /// so there is room.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while !self.ended {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    self.end += length;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its data in pieces of at most `piece` bytes, then fails if `fails`.
    struct Pieces<'a> {
        data: &'a [u8],
        piece: usize,
        fails: bool,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.data.is_empty() && self.fails {
                return Err(io::Error::other("torn"));
            }
            let length = self.piece.min(self.data.len()).min(buffer.len());
            buffer[..length].copy_from_slice(&self.data[..length]);
            self.data = &self.data[length..];
            Ok(length)
        }
    }

    /// Kind (`w`hole, too `l`ong, `c`ut off, `e`rror) and content of each line.
    fn cut(data: &[u8], piece: usize, fails: bool) -> Vec<(char, Vec<u8>)> {
        let mut lines = Lines::new(Pieces { data, piece, fails });
        let mut all = Vec::new();
        loop {
            all.push(match lines.next() {
                Ok(Some(Line::Whole(line))) => ('w', line.to_vec()),
                Ok(Some(Line::TooLong(line))) => ('l', line.to_vec()),
                Ok(Some(Line::CutOff(line))) => ('c', line.to_vec()),
                Err(error) => ('e', error.to_string().into_bytes()),
                Ok(None) => return all,
            });
        }
    }

    fn line(kind: char, content: &[u8]) -> (char, Vec<u8>) {
        (kind, content.to_vec())
    }

    #[test]
    fn cuts_at_line_ends() {
        assert_eq!(cut(b"", 8, false), []);
        assert_eq!(cut(b"\n", 8, false), [line('w', b"")]);
        assert_eq!(cut(b"a\n\nb", 8, false), [line('w', b"a"), line('w', b""), line('w', b"b")]);
        assert_eq!(cut(b"a\r\nb\n", 1, false), [line('w', b"a\r"), line('w', b"b")]);
    }

    #[test]
    fn a_failure_is_told_once_after_the_line_it_cut_off() {
        assert_eq!(cut(b"a\nbc", 1, true), [line('w', b"a"), line('c', b"bc"), line('e', b"torn")]);
        assert_eq!(cut(b"a\n", 8, true), [line('w', b"a"), line('e', b"torn")]);
    }

    #[test]
    fn a_line_over_the_limit_is_one_line_and_is_not_held() {
        for over in [1, 7, LINE_BYTES_MAX, 9 * LINE_BYTES_MAX] {
            let mut data = vec![b'x'; LINE_BYTES_MAX];
            data.extend_from_slice(b"\nshort\n");
            let fits = cut(&data, BUFFER_BYTES, false);
            assert_eq!(fits, [line('w', &data[..LINE_BYTES_MAX]), line('w', b"short")]);

            data.splice(0..0, vec![b'x'; over]);
            for piece in [1009, LINE_BYTES_MAX, usize::MAX] {
                let cut = cut(&data, piece, false);
                assert_eq!(cut, [line('l', &data[..LINE_BYTES_MAX]), line('w', b"short")]);
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_line() {
        let endless = io::repeat(b'x').take(64 * BUFFER_BYTES as u64);
        let mut lines = Lines::new(endless);
        assert!(matches!(lines.next(), Ok(Some(Line::TooLong(_)))));
        assert!(matches!(lines.next(), Ok(None)));
        assert_eq!(lines.buffer.capacity(), BUFFER_BYTES);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            data in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..200),
            piece in 1_usize..20,
            fails: bool,
        ) {
            let mut expected: Vec<_> = data.split(|byte| *byte == b'\n').map(|l| line('w', l)).collect();
            // What follows the last line end is a line only if it is not empty.
            let last = expected.pop().unwrap();
            if !last.1.is_empty() {
                expected.push(line(if fails { 'c' } else { 'w' }, &last.1));
            }
            if fails {
                expected.push(line('e', b"torn"));
            }
            prop_assert_eq!(cut(&data, piece, fails), expected);
        }
    }
}
