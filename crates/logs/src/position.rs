//! Where a reading stopped, so that a later one can go on there.

use crate::{blocks::SAMPLE_BYTES, format::table::Headers};
use std::{fmt, str::FromStr};

/// How much of the beginning of a log tells it from others.
const FINGERPRINT_BYTES_MAX: usize = 4096;

/// How many of the last bytes that were read tell the log from others that begin alike.
pub(crate) const TAIL_BYTES: usize = 256;

const _: () = assert!(FINGERPRINT_BYTES_MAX <= SAMPLE_BYTES);

/// A place in a log. The log is known by its first bytes, so it is found again when rotation has
/// given it another name or compressed it, and by the last that were read of it.
///
/// As text, which [`FromStr`] reads back, it is one line: length and hash of the first bytes, the offset,
/// the header in force and the hash of the last bytes, each in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// How many first bytes the fingerprint covers.
    length: usize,
    fingerprint: u64,
    /// Bytes of plain text before the first that was not read.
    pub offset: u64,
    /// Header in force there; empty if none.
    header: Vec<u8>,
    /// Hash of up to [`TAIL_BYTES`] before the place; unknown in what earlier versions wrote.
    tail: Option<u64>,
}

impl Position {
    /// The beginning of a log that begins with `sample`. `None` while it is empty.
    pub(crate) fn start(sample: &[u8]) -> Option<Self> {
        let beginning = sample.get(..sample.len().min(FINGERPRINT_BYTES_MAX))?;
        let (length, fingerprint) = (beginning.len(), fnv1a(beginning));
        (length > 0).then_some(Self {
            length,
            fingerprint,
            offset: 0,
            header: Vec::new(),
            tail: Some(fnv1a(b"")),
        })
    }

    /// The same log, further on, behind `tail`, the last bytes before.
    pub(crate) fn moved(&self, offset: u64, headers: &Headers, tail: &[u8]) -> Self {
        let header = headers.in_force.as_ref().map(|header| header.text.clone());
        let (header, tail) = (header.unwrap_or_default(), Some(fnv1a(tail)));
        Self { offset, header, tail, ..self.clone() }
    }

    /// Whether it is a place in the log that begins with `sample`.
    pub(crate) fn is_in(&self, sample: &[u8]) -> bool {
        sample.get(..self.length).is_some_and(|beginning| fnv1a(beginning) == self.fingerprint)
    }

    /// Whether both are places in the same log.
    #[must_use]
    pub fn is_same_log(&self, other: &Self) -> bool {
        self.length == other.length && self.fingerprint == other.fingerprint
    }

    /// Whether it may be behind `tail`, the last bytes before.
    pub(crate) fn is_behind(&self, tail: &[u8]) -> bool {
        self.tail.is_none_or(|known| known == fnv1a(tail))
    }

    /// Of several places those in a log that begins with `sample`, the furthest first. Which of them are in
    /// the log tells what is before them.
    pub(crate) fn all_in(known: &[Self], sample: &[u8]) -> Vec<Self> {
        let mut found: Vec<_> =
            known.iter().filter(|position| position.is_in(sample)).cloned().collect();
        found.sort_by_key(|position| std::cmp::Reverse(position.offset));
        found
    }

    /// The headers in force there; `None` where the log has none.
    pub(crate) fn headers(&self) -> Option<Headers> {
        (!self.header.is_empty()).then(|| Headers::of_text(&self.header))
    }
}

impl Position {
    fn write_tail(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tail.map_or(Ok(()), |tail| write!(out, " {tail:x}"))
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo): small, and the same in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x} {:016x} {:x} ", self.length, self.fingerprint, self.offset)?;
        if self.header.is_empty() {
            out.write_str("-")?;
            return self.write_tail(out);
        }
        self.header.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
        self.write_tail(out)
    }
}

/// A text that is no [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the position of a log; remove it to read the log from its beginning")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let parse = || {
            let mut words = text.split_ascii_whitespace();
            let length = usize::from_str_radix(words.next()?, 16).ok()?;
            let fingerprint = u64::from_str_radix(words.next()?, 16).ok()?;
            let offset = u64::from_str_radix(words.next()?, 16).ok()?;
            let header = match words.next()? {
                "-" => Vec::new(),
                digits => digits
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                    .collect::<Option<Vec<u8>>>()?,
            };
            let tail = match words.next() {
                None => None,
                Some(tail) => Some(u64::from_str_radix(tail, 16).ok()?),
            };
            let is_whole = (1..=FINGERPRINT_BYTES_MAX).contains(&length) && words.next().is_none();
            is_whole.then_some(Self { length, fingerprint, offset, header, tail })
        };
        parse().ok_or(PositionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_is_the_published_one() {
        // Vectors of the authors' test suite.
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(fnv1a(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn text_is_read_back() {
        let start = Position::start(b"line\n").unwrap();
        let headers = Headers::of_text(b"timestamp,requests");
        for position in [start.clone(), start.moved(77, &headers, b"tail")] {
            assert_eq!(position.to_string().parse(), Ok(position.clone()));
            assert!(position.is_same_log(&start) && position.is_in(b"line\nmore\n"));
            assert!(!position.is_in(b"lin") && !position.is_in(b"other\n"));
        }
        let moved = start.moved(77, &headers, b"tail");
        assert_eq!(moved.headers(), Some(headers));
        assert!(moved.is_behind(b"tail") && !moved.is_behind(b"tale"));
        // What earlier versions wrote.
        let old: Position = "5 1 2 -".parse().unwrap();
        assert!(old.is_behind(b"x") && old.to_string() == "5 0000000000000001 2 -");
        assert_eq!(Position::start(b""), None);
        for text in
            ["", "5", "5 1 2", "5 1 2 3g", "0 1 2 -", "ffff 1 2 -", "5 1 2 - x", "5 1 2 - 4 5"]
        {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text}");
        }
    }
}
