//! What carriers of logs put in front of lines: containers, Kubernetes, syslog.

use memchr::memmem;

/// How far into a line a prefix may reach.
const PREFIX_BYTES_MAX: usize = 160;

/// The line without the prefix, if it has one.
pub(super) fn strip(line: &[u8]) -> Option<&[u8]> {
    compose(line).or_else(|| cri(line)).or_else(|| syslog(line))
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
