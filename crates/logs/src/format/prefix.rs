//! What carriers of logs put in front of lines: containers, Kubernetes, syslog.

use crate::blocks::without_mark;
use memchr::memmem;

/// How far into a line a prefix may reach.
const PREFIX_BYTES_MAX: usize = 160;

/// The line without the prefix, if it has one.
pub(super) fn strip(line: &[u8]) -> Option<&[u8]> {
    compose(line).or_else(|| cri(line)).or_else(|| rfc5424(line)).or_else(|| syslog(line))
}

/// `name  | line`, as Docker Compose writes.
fn compose(line: &[u8]) -> Option<&[u8]> {
    let head = line.get(..line.len().min(PREFIX_BYTES_MAX))?;
    let bar = memmem::find(head, b" | ")?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let name = head.get(..bar)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(is_name)).then(|| line.get(bar + 3..)).flatten()
}

/// `2024-05-01T00:00:00.000000000Z stdout F line`, the container runtime interface of Kubernetes.
fn cri(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tag) = (words.next()?, words.next()?, words.next()?);
    let is_cri = time.get(10) == Some(&b'T')
        && matches!(stream, b"stdout" | b"stderr")
        && matches!(tag, b"F" | b"P");
    is_cri.then(|| words.next()).flatten()
}

/// `<134>1 2026-10-10T13:55:36.5+02:00 host program 7 - - line` (RFC 5424 §6), perhaps with structured data for
/// the last `-` and a byte order mark before the line.
fn rfc5424(line: &[u8]) -> Option<&[u8]> {
    let text = line.strip_prefix(b"<")?;
    let end = memchr::memchr(b'>', text.get(..text.len().min(4))?)?;
    let mut rest = text.get(end + 1..)?.strip_prefix(b"1 ")?;
    // Time, host, program, its number, the kind of message.
    for _ in 0..5 {
        (_, rest) = super::request::word(rest)?;
    }
    rest = match rest.strip_prefix(b"-") {
        Some(rest) => rest,
        None => structured_data(rest)?,
    };
    rest.strip_prefix(b" ").map(without_mark)
}

/// What follows `[id key="value"][id]`; a backslash escapes in values.
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix(b"[") {
        let (mut in_value, mut is_escaped) = (false, false);
        let end = inside.iter().position(|byte| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'"' if !was_escaped => in_value = !in_value,
                b'\\' if !was_escaped => is_escaped = true,
                _ => {}
            }
            *byte == b']' && !in_value
        })?;
        rest = inside.get(end + 1..)?;
    }
    (rest.len() < text.len()).then_some(rest)
}

/// `Feb 25 16:19:49 host program[7]: line` (RFC 3164), with or without `<priority>`, or the same
/// with an RFC 3339 time.
fn syslog(line: &[u8]) -> Option<&[u8]> {
    let head = line.get(..line.len().min(PREFIX_BYTES_MAX))?;
    let text = match head.strip_prefix(b"<") {
        Some(text) => text.get(memchr::memchr(b'>', text)? + 1..)?,
        None => head,
    };
    let is_time =
        matches!(text, [_, _, _, b' ', _, _, b' ', _, _, b':', _, _, b':', _, _, b' ', ..])
            || text.get(10) == Some(&b'T') && text.first().is_some_and(u8::is_ascii_digit);
    if !is_time {
        return None;
    }
    // Behind the clock and the host, which may have colons themselves.
    let from = head.len() - text.len() + 16;
    let end = from + memmem::find(head.get(from..)?, b": ")?;
    let program = head.get(..end)?.rsplit(|byte| *byte == b' ').next()?;
    (!program.is_empty()).then(|| line.get(end + 2..)).flatten()
}
