//! What the formats of the common-log family share: `client identity user [time] "request" status
//! size`, and the quoted fields that may follow.

use crate::{
    RejectReason,
    timestamp::{Clock, TIMESTAMP_BYTES},
};
use memchr::{memchr, memchr_iter, memchr2, memrchr};
use traffic::Hit;

/// Reads the seven common fields; returns the hit and the rest of the line, which is empty or
/// begins with a space.
pub(super) fn parse<'a>(
    line: &'a [u8],
    clock: &mut Clock,
) -> Result<(Hit<'a>, &'a [u8]), RejectReason> {
    let (client, rest) = word(line).ok_or(RejectReason::NotAccessLog)?;
    let (identity, rest) = word(rest).ok_or(RejectReason::NotAccessLog)?;
    if identity.starts_with(b"[") || rest.starts_with(b"[") {
        return Err(RejectReason::NotAccessLog); // the timestamp comes too early
    }
    let (user, rest) = user(rest)?;
    let (start_us, rest) = timestamp(rest, clock).ok_or(RejectReason::BadTimestamp)?;
    let (request, rest) = quoted(rest).ok_or(RejectReason::NoRequestField)?;
    let (method, target, protocol) = request_line(request)?;
    let (status, rest) = status(rest).ok_or(RejectReason::BadStatus)?;
    let (bytes, rest) = size(rest).ok_or(RejectReason::BadSize)?;
    let hit = Hit {
        start_us,
        client,
        user: known(user),
        method,
        target,
        protocol,
        status,
        bytes,
        ..Hit::default()
    };
    Ok((hit, rest))
}

/// `-` stands for "not known".
pub(super) fn known(field: &[u8]) -> Option<&[u8]> {
    (field != b"-").then_some(field)
}

/// `"…"`: the content and what follows the closing quote. A backslash escapes the next byte. A
/// quote inside, as old writers leave it, does not close the field unless a space or the line end
/// follows.
pub(super) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        let next = text.get(at + 1);
        if text[at] == b'\\' {
            from = at + 2;
        } else if matches!(next, None | Some(b' ')) {
            return Some((&text[..at], &text[at + 1..]));
        } else {
            from = at + 1;
        }
    }
}

/// Bytes up to the next space, and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', text).filter(|end| *end > 0)?;
    Some((&text[..end], &text[end + 1..]))
}

/// The user, which may hold spaces and brackets but no ` [`, and what follows the `[` of the
/// timestamp.
fn user(text: &[u8]) -> Result<(&[u8], &[u8]), RejectReason> {
    let bracket = memchr_iter(b'[', text)
        .find(|at| text[..*at].ends_with(b" "))
        .ok_or(RejectReason::NoTimestamp)?;
    let user = &text[..bracket - 1];
    // A virtual host before the client would shift every field: `host client - user [`.
    if user.is_empty() || user.starts_with(b"- ") {
        return Err(RejectReason::NotAccessLog);
    }
    // Apache writes an empty user as two quotes.
    let user = if user == b"\"\"" { b"" } else { user };
    Ok((user, &text[bracket + 1..]))
}

/// The time and what follows `] `.
fn timestamp<'a>(text: &'a [u8], clock: &mut Clock) -> Option<(i64, &'a [u8])> {
    let (time, rest) = text.split_first_chunk::<TIMESTAMP_BYTES>()?;
    let rest = rest.strip_prefix(b"]")?;
    Some((clock.read(time)?, rest.strip_prefix(b" ").unwrap_or(rest)))
}

type RequestLine<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Method, target and protocol (RFC 9112 §3; without protocol, the `Simple-Request` of RFC 1945
/// §4.1). Spaces inside the target are kept, as servers log what they were lenient about.
fn request_line(request: &[u8]) -> Result<RequestLine<'_>, RejectReason> {
    if request.is_empty() || request == b"-" {
        return Err(RejectReason::NoRequest);
    }
    let bad = RejectReason::BadRequestLine;
    let (method, rest) = word(request).ok_or(bad)?;
    let (target, protocol) = match memrchr(b' ', rest) {
        Some(space) if is_protocol(&rest[space + 1..]) => {
            (rest[..space].trim_ascii(), Some(&rest[space + 1..]))
        }
        None if method == b"GET" && !is_protocol(rest) => (rest, None),
        _ => return Err(bad),
    };
    // No early exit in the scan for control bytes, so that it is vectorised.
    let has_control = rest.iter().fold(false, |found, byte| found | byte.is_ascii_control());
    if target.is_empty() || has_control || !method.iter().all(|byte| is_token(*byte)) {
        return Err(bad);
    }
    Ok((method, target, protocol))
}

/// `HTTP/1.1`, `HTTP/2`.
fn is_protocol(text: &[u8]) -> bool {
    match text.strip_prefix(b"HTTP/") {
        Some([major]) => major.is_ascii_digit(),
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

/// A byte of a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// ` 200 `: the status and what follows the space.
fn status(text: &[u8]) -> Option<(u16, &[u8])> {
    let [b' ', digits @ .., b' '] = text.get(..5)? else { return None };
    let status = digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    (status >= 100).then_some((status, &text[5..]))
}

/// A number or `-`, up to a space or the end of the line, and the rest.
fn size(text: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let end = memchr(b' ', text).unwrap_or(text.len());
    let (size, rest) = text.split_at(end);
    if size == b"-" {
        return Some((None, rest));
    }
    if size.is_empty() {
        return None;
    }
    let bytes = size.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some((Some(bytes), rest))
}
