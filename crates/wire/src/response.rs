//! Response heads: RFC 9112 section 4.

use traffic::{Fields, Name};

use crate::framing::{chunked_only, content_length};
use crate::syntax::is_value;
use crate::{BodyLength, HeadError, HeadLimits, Version, lines};

/// The head of a response. Filled again and again, it allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: u16,
    /// The reason phrase; what is not UTF-8 is left out.
    pub reason: String,
    /// The version.
    pub version: Version,
    /// All fields.
    pub fields: Fields,
    /// Whether the server accepts another request on this connection, as far as its fields say;
    /// a body until close ends it too.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.reason.clear();
        self.version = Version::default();
        self.fields.clear();
        self.keep_alive = false;
    }
}

/// Reads a response head from the beginning of `buf` into `head`: `Some(n)` when it takes the
/// first `n` bytes, `None` when more bytes are needed. What `head` holds otherwise is unspecified.
///
/// # Errors
/// When this can no longer become an acceptable response, also before it is complete.
pub fn parse_response(
    buf: &[u8],
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Option<usize>, HeadError> {
    head.clear();
    let Some((line, rest)) = lines::line(buf, limits.line, HeadError::LineTooLong)? else {
        return Ok(None);
    };
    status_line(line, head)?;
    let Some(rest) = lines::fields(rest, limits, &mut head.fields)? else {
        return Ok(None);
    };
    let (mut close, mut keep_alive) = (false, false);
    for value in head.fields.all(Name::Connection) {
        lines::persistence(value, &mut close, &mut keep_alive);
    }
    head.keep_alive = !close && (keep_alive || head.version == Version::Http11);
    Ok(Some(buf.len() - rest.len()))
}

/// `HTTP-version SP status-code SP [ reason-phrase ]`; the last space may be missing, as it is
/// in what several servers send when there is no reason.
fn status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), HeadError> {
    let (version, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let (status, reason) = match rest {
        [b' ', status @ ..] if status.len() == 3 => (status, &[][..]),
        [b' ', a, b, c, b' ', reason @ ..] => (&[*a, *b, *c][..], reason),
        _ => return Err(HeadError::StatusLine),
    };
    let status = crate::syntax::decimal(status, 3).ok_or(HeadError::StatusLine)?;
    if !(100..=999).contains(&status) || !is_value(reason) {
        return Err(HeadError::StatusLine);
    }
    head.version = Version::of(version).ok_or(HeadError::Version)?;
    head.status = status as u16;
    head.reason.push_str(str::from_utf8(reason).unwrap_or(""));
    Ok(())
}

/// How long the body of the response to a request of this method is (RFC 9112 section 6.3).
/// Of 101 the answer is [`BodyLength::None`]: what follows is another protocol.
///
/// # Errors
/// When the fields leave doubt about it: `Transfer-Encoding` that is not exactly one `chunked`,
/// or in HTTP/1.0, or beside `Content-Length`; lengths that are malformed or differ.
pub fn response_body(request_method: &str, head: &ResponseHead) -> Result<BodyLength, HeadError> {
    let (mut length, mut chunked) = (None, false);
    for field in head.fields.iter() {
        match field.known {
            Name::ContentLength => {
                let this = content_length(field.value)?;
                // RFC 9112 section 6.3 allows one value that is repeated.
                if *length.get_or_insert(this) != this {
                    return Err(HeadError::ContentLengthRepeated);
                }
            }
            Name::TransferEncoding if chunked || head.version == Version::Http10 => {
                return Err(HeadError::TransferEncoding);
            }
            Name::TransferEncoding => {
                chunked_only(field.value)?;
                chunked = true;
            }
            _ => {}
        }
    }
    if length.is_some() && chunked {
        return Err(HeadError::LengthAndCoding);
    }
    let bodiless = request_method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304);
    Ok(match length {
        _ if bodiless => BodyLength::None,
        _ if chunked => BodyLength::Chunked,
        Some(length) => BodyLength::Length(length),
        None => BodyLength::UntilClose,
    })
}
