//! The lines of a head, and the field lines among them: RFC 9112 sections 2.2 and 5.

use memchr::memchr;
use traffic::Fields;

use crate::HeadError;
use crate::syntax::{is_token, is_token_text, is_value, trim_ows};

/// Bounds of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Most bytes of the request or status line, its CRLF included.
    pub line: usize,
    /// Most fields.
    pub count: usize,
    /// Most bytes of all field lines, their CRLF and the empty line included.
    pub bytes: usize,
}

/// The version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

impl Version {
    /// Exactly `HTTP/1.1` or `HTTP/1.0` (RFC 9112 section 2.3: the name is case-sensitive).
    pub(crate) fn of(bytes: &[u8]) -> Option<Version> {
        match bytes {
            b"HTTP/1.1" => Some(Version::Http11),
            b"HTTP/1.0" => Some(Version::Http10),
            _ => None,
        }
    }
}

/// A line without its CRLF, and the bytes after it.
type LineAndRest<'a> = (&'a [u8], &'a [u8]);

/// A line without its CRLF and the bytes after it; `None` as long as it has no end. `excess` is
/// the error of a line that is, or will be, longer than `max` with its CRLF.
pub(crate) fn line(
    buf: &[u8],
    max: usize,
    excess: HeadError,
) -> Result<Option<LineAndRest<'_>>, HeadError> {
    let Some(end) = memchr(b'\n', buf) else {
        return if buf.len() >= max { Err(excess) } else { Ok(None) };
    };
    if end >= max {
        return Err(excess);
    }
    let (line, rest) = (&buf[..end], &buf[end + 1..]);
    let line = line.strip_suffix(b"\r").ok_or(HeadError::LineEnd)?;
    Ok(Some((line, rest)))
}

/// Reads field lines up to and including the empty line; the bytes after it. A trailer section
/// has the same form.
pub(crate) fn fields<'a>(
    buf: &'a [u8],
    limits: &HeadLimits,
    fields: &mut Fields,
) -> Result<Option<&'a [u8]>, HeadError> {
    let mut rest = buf;
    loop {
        let used = buf.len() - rest.len();
        let room = limits.bytes.saturating_sub(used);
        let Some((line, after)) = line(rest, room, HeadError::FieldsTooLarge)? else {
            return Ok(None);
        };
        rest = after;
        if line.is_empty() {
            return Ok(Some(rest));
        }
        if fields.len() >= limits.count {
            return Err(HeadError::TooManyFields);
        }
        let (name, value) = field(line)?;
        fields.push(name, value);
    }
}

/// Name and value of a field line without its CRLF.
pub(crate) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    let name_len = line.iter().position(|byte| !is_token(*byte)).ok_or(HeadError::FieldName)?;
    let (name, rest) = line.split_at(name_len);
    match rest {
        [b':', value @ ..] if !name.is_empty() => {
            if is_value(value) {
                Ok((name, trim_ows(value)))
            } else if memchr(b'\r', value).is_some() {
                Err(HeadError::LineEnd)
            } else {
                Err(HeadError::FieldValue)
            }
        }
        [b' ' | b'\t', ..] if name.is_empty() => Err(HeadError::Folded),
        [b'\r', ..] => Err(HeadError::LineEnd),
        _ => Err(HeadError::FieldName),
    }
}

/// Checks fields that did not come in an HTTP/1.1 head as if they had: each survives being written
/// into one.
///
/// # Errors
/// When a name is no token, or a value holds a control character.
pub fn check_fields(fields: &Fields) -> Result<(), HeadError> {
    for field in fields.iter() {
        if !is_token_text(field.name) {
            return Err(HeadError::FieldName);
        }
        if !is_value(field.value) {
            return Err(HeadError::FieldValue);
        }
    }
    Ok(())
}

/// Notes `close` and `keep-alive` of one `Connection` value (RFC 9112 section 9.3).
pub(crate) fn persistence(value: &[u8], close: &mut bool, keep_alive: &mut bool) {
    for option in value.split(|byte| *byte == b',').map(trim_ows) {
        *close |= option.eq_ignore_ascii_case(b"close");
        *keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_from_elsewhere_are_checked() {
        let check =
            |name, value| check_fields(&[("host", "a"), (name, value)].into_iter().collect());
        assert_eq!(check("x-a", "b\tc \u{e4}"), Ok(()));
        for name in ["", "x a", "x:", ":path", "x\r\ny"] {
            assert_eq!(check(name, "b"), Err(HeadError::FieldName), "{name:?}");
        }
        for value in ["a\r\nb", "a\nb", "\0", "\x7f"] {
            assert_eq!(check("x", value), Err(HeadError::FieldValue), "{value:?}");
        }
    }
}
