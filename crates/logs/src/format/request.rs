//! The request line and the quoted fields of text formats.

use memchr::{memchr, memchr2, memrchr};

type RequestLine<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Method, target and protocol (RFC 9112 §3; without protocol, the `Simple-Request` of RFC 1945
/// §4.1). Spaces inside the target are kept, as servers log what they were lenient about. `None` if
/// it is no request line, as a TLS handshake on a plain port.
pub(super) fn request_line(request: &[u8]) -> Option<RequestLine<'_>> {
    let space = memchr(b' ', request)?;
    let (method, rest) = (request.get(..space)?, request.get(space + 1..)?);
    let (target, protocol) = match memrchr(b' ', rest) {
        Some(space) if is_protocol(rest.get(space + 1..)?) => {
            (trim_spaces(rest.get(..space)?), rest.get(space + 1..))
        }
        None if method == b"GET" && !is_protocol(rest) => (rest, None),
        _ => return None,
    };
    let is_method = !matches!(method, b"" | b"-") && method.iter().all(|byte| is_token(*byte));
    (is_method && !target.is_empty()).then_some((method, target, protocol))
}

fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', inside @ ..] | [inside @ .., b' '] = text {
        text = inside;
    }
    text
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
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `"…"`: the content and what follows the closing quote. A backslash escapes the next byte. A
/// quote inside, as old writers leave it, does not close the field unless a space or the line end
/// follows.
pub(super) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'\\') {
            from = at + 2;
        } else if matches!(text.get(at + 1), None | Some(b' ')) {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        } else {
            from = at + 1;
        }
    }
}

/// Bytes up to the next space, which are at least one, and what follows the space.
pub(super) fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', text).filter(|end| *end > 0)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}
