//! Little-endian numbers, LEB128 and texts with their length, written and read.

use super::DecodeError;

/// Appends to a vector of bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// LEB128: seven bits per byte, lowest first.
    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Zigzag, then LEB128, so that small numbers of either sign are short.
    pub(crate) fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63) as u64);
    }

    pub(crate) fn wide(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
    }
}

/// Reads from the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Value("number"))
    }

    /// A number of at most `max`.
    pub(crate) fn at_most(&mut self, max: u64, what: &'static str) -> Result<u64, DecodeError> {
        self.number().and_then(|it| if it <= max { Ok(it) } else { Err(DecodeError::Value(what)) })
    }

    /// A count of things of which each has a byte at least: never more than bytes are left, so that
    /// wrong bytes cannot ask for memory.
    pub(crate) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        self.at_most(max.min(self.0.len()) as u64, what).map(|count| count as usize)
    }

    pub(crate) fn small(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.number()?.try_into().map_err(|_| DecodeError::Value(what))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn wide(&mut self) -> Result<u128, DecodeError> {
        let bytes = self.take(16)?.try_into().map_err(|_| DecodeError::Short)?;
        Ok(u128::from_le_bytes(bytes))
    }

    pub(crate) fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.at_most(max as u64, what)?;
        let bytes = self.take(length as usize)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Value(what))
    }
}
