//! Request heads: RFC 9112 section 3.

use traffic::{Fields, Name};

use crate::framing::{chunked_only, content_length};
use crate::syntax::{is_target, is_token, is_token_text};
use crate::target::{host_of, split_target};
use crate::{BodyLength, HeadError, HeadLimits, Version, lines};

/// Empty lines skipped before a request line (RFC 9112 section 2.2).
const EMPTY_LINES_MAX: usize = 2;

/// The head of a request. Filled again and again, it allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// The method, a token.
    pub method: String,
    /// The target as it was sent: origin-form, absolute-form, or `*` of OPTIONS. Visible ASCII.
    pub target: String,
    /// The version.
    pub version: Version,
    /// All fields; `Host` is there exactly once, or, in HTTP/1.0, at most once.
    pub fields: Fields,
    /// How long the body is; never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// Whether the client wants to send another request after this one.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
}

impl RequestHead {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.method.clear();
        self.target.clear();
        self.version = Version::default();
        self.fields.clear();
        self.body = BodyLength::None;
        self.keep_alive = false;
        self.expect_continue = false;
    }
}

/// Reads a request head from the beginning of `buf` into `head`: `Some(n)` when it takes the first
/// `n` bytes, `None` when more bytes are needed (call again with all of them). Up to two empty
/// lines before it are skipped and counted. What `head` holds otherwise is unspecified.
///
/// # Errors
/// When this can no longer become an acceptable request, also before it is complete.
pub fn parse_request(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Option<usize>, HeadError> {
    head.clear();
    let mut start = buf;
    for _ in 0..EMPTY_LINES_MAX {
        start = start.strip_prefix(b"\r\n").unwrap_or(start);
    }
    // Most of what is not HTTP, a TLS handshake for one, differs in its first byte.
    match start {
        [] | [b'\r'] => return Ok(None),
        [b'\r' | b'\n', ..] => return Err(HeadError::LineEnd),
        [first, ..] if !is_token(*first) => return Err(HeadError::Method),
        _ => {}
    }
    let Some((line, rest)) = lines::line(start, limits.line, HeadError::LineTooLong)? else {
        return Ok(None);
    };
    request_line(line, head)?;
    let Some(rest) = lines::fields(rest, limits, &mut head.fields)? else {
        return Ok(None);
    };
    interpret(head)?;
    Ok(Some(buf.len() - rest.len()))
}

/// `method SP request-target SP HTTP-version`.
fn request_line(line: &[u8], head: &mut RequestHead) -> Result<(), HeadError> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(match memchr::memchr(b'\r', line) {
            Some(_) => HeadError::LineEnd,
            None => HeadError::RequestLine,
        });
    };
    if !is_token_text(method) {
        return Err(HeadError::Method);
    }
    if target.is_empty() || !is_target(target) {
        return Err(HeadError::Target);
    }
    head.version = Version::of(version).ok_or_else(|| version_error(version))?;
    head.method.push_str(str::from_utf8(method).map_err(|_| HeadError::Method)?);
    head.target.push_str(str::from_utf8(target).map_err(|_| HeadError::Target)?);
    Ok(())
}

/// A version that exists but is not spoken, or no version at all.
fn version_error(version: &[u8]) -> HeadError {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::Version
        }
        _ => HeadError::RequestLine,
    }
}

/// What target and fields mean together.
fn interpret(head: &mut RequestHead) -> Result<(), HeadError> {
    let (mut host, mut length, mut chunked) = (None, None, false);
    let (mut close, mut keep_alive, mut expect_continue) = (false, false, false);
    for field in head.fields.iter() {
        match field.known {
            Name::Host if host.is_some() => return Err(HeadError::HostRepeated),
            Name::Host => host = Some(field.value),
            Name::ContentLength if length.is_some() => {
                return Err(HeadError::ContentLengthRepeated);
            }
            Name::ContentLength => length = Some(content_length(field.value)?),
            Name::TransferEncoding if chunked || head.version == Version::Http10 => {
                return Err(HeadError::TransferEncoding);
            }
            Name::TransferEncoding => {
                chunked_only(field.value)?;
                chunked = true;
            }
            Name::Connection => lines::persistence(field.value, &mut close, &mut keep_alive),
            Name::Expect if field.value.eq_ignore_ascii_case(b"100-continue") => {
                expect_continue = true;
            }
            Name::Expect => return Err(HeadError::Expectation),
            _ => {}
        }
    }
    head.body = match (length, chunked) {
        (Some(_), true) => return Err(HeadError::LengthAndCoding),
        (Some(length), false) => BodyLength::Length(length),
        (None, true) => BodyLength::Chunked,
        (None, false) => BodyLength::None,
    };
    head.keep_alive = !close && (keep_alive || head.version == Version::Http11);
    // RFC 9110 section 10.1.1: not of HTTP/1.0, and nothing to wait for without a body.
    let has_body = !matches!(head.body, BodyLength::None | BodyLength::Length(0));
    head.expect_continue = expect_continue && has_body && head.version == Version::Http11;
    check_target(head, host)
}

/// Whether target, method and `Host` fit together (RFC 9112 section 3.2).
fn check_target(head: &RequestHead, host: Option<&[u8]>) -> Result<(), HeadError> {
    if head.method == "CONNECT" {
        return Err(HeadError::Connect);
    }
    let target = split_target(&head.target)?;
    if target.asterisk && head.method != "OPTIONS" {
        return Err(HeadError::Target);
    }
    match host {
        Some(host) => {
            let text = str::from_utf8(host).map_err(|_| HeadError::HostInvalid)?;
            host_of(text)?;
            match target.authority {
                Some(authority) if !authority.eq_ignore_ascii_case(text) => {
                    Err(HeadError::HostConflict)
                }
                _ => Ok(()),
            }
        }
        None if head.version == Version::Http11 => Err(HeadError::HostMissing),
        None => Ok(()),
    }
}
