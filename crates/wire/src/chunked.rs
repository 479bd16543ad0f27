//! The chunked transfer coding: RFC 9112 section 7.1.

use std::io::Write as _;

use traffic::{Fields, Name};

use crate::syntax::hex;
use crate::write::write_fields;
use crate::{HeadError, lines};

/// Digits of the longest chunk size.
pub const SIZE_DIGITS_MAX: u8 = 16;
/// Most bytes of the extensions of one chunk.
pub const EXTENSION_BYTES_MAX: usize = 256;
/// Most bytes of the extensions of all chunks of a body.
pub const EXTENSIONS_BYTES_MAX: usize = 16 * 1024;
/// Most trailer fields.
pub const TRAILERS_MAX: usize = 32;
/// Most bytes of the trailer section.
pub const TRAILERS_BYTES_MAX: usize = 8 * 1024;
/// What must follow the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What the next bytes of the body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkStep {
    /// Framing to pass over.
    pub skip: usize,
    /// Data after that.
    pub data: usize,
    /// Whether the body ends after that; what follows belongs to the next message.
    pub done: bool,
}

/// Reads a chunked body piece by piece.
#[derive(Debug, Clone, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// The size as far as it is read, then the data that is left of the chunk.
    size: u64,
    /// Bytes of the extensions of this chunk, and of all.
    extension: usize,
    extensions: usize,
    /// A trailer line that is not complete.
    line: Vec<u8>,
    trailers: usize,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The size is expected to begin.
    #[default]
    Start,
    /// In the size, after so many digits.
    Size(u8),
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    /// After the CR of the empty line.
    EndLf,
    Done,
}

impl ChunkedDecoder {
    /// At the beginning of a body.
    pub fn new() -> ChunkedDecoder {
        ChunkedDecoder::default()
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Looks at the next bytes of the body. `buf[skip..skip + data]` is data; the caller passes
    /// over `skip + data` bytes and calls again with what follows, until `done`. Unless done,
    /// at least one byte of a `buf` that is not empty is used, and all of it if there is no data.
    /// Trailer fields are appended to `trailers`.
    ///
    /// # Errors
    /// When the coding is malformed, a bound is exceeded or a trailer field is one that belongs
    /// into the head; the decoder must not be used further.
    pub fn decode(&mut self, buf: &[u8], trailers: &mut Fields) -> Result<ChunkStep, HeadError> {
        let mut skip = 0;
        loop {
            match self.state {
                State::Done => return Ok(ChunkStep { skip, data: 0, done: true }),
                State::Data => {
                    let here = (buf.len() - skip) as u64;
                    let data = self.size.min(here);
                    self.size -= data;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(ChunkStep { skip, data: data as usize, done: false });
                }
                _ => {}
            }
            let Some(byte) = buf.get(skip) else {
                return Ok(ChunkStep { skip, data: 0, done: false });
            };
            skip += 1;
            self.state = self.next(*byte, trailers)?;
        }
    }

    /// The state after a byte of framing.
    fn next(&mut self, byte: u8, trailers: &mut Fields) -> Result<State, HeadError> {
        match (self.state, byte) {
            (State::Start, _) => {
                self.size = u64::from(hex(byte).ok_or(HeadError::ChunkSize)?);
                self.extension = 0;
                Ok(State::Size(1))
            }
            (State::Size(_) | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size(_), b';') => self.extension(),
            (State::Size(digits), _) => {
                let digit = u64::from(hex(byte).ok_or(HeadError::ChunkSize)?);
                self.size = self.size.checked_mul(16).ok_or(HeadError::ChunkSize)? + digit;
                if digits >= SIZE_DIGITS_MAX || self.size > i64::MAX as u64 {
                    return Err(HeadError::ChunkSize);
                }
                Ok(State::Size(digits + 1))
            }
            (State::Extension, b' '..=b'~' | b'\t') => self.extension(),
            (State::Extension, b'\n') => Err(HeadError::LineEnd),
            (State::Extension, _) => Err(HeadError::ChunkExtension),
            (State::SizeLf, b'\n') if self.size == 0 => Ok(State::Trailers),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Start),
            (State::Trailers, b'\r') if self.line.is_empty() => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::Trailers, _) => self.trailer(byte, trailers),
            (State::SizeLf | State::EndLf, _) => Err(HeadError::LineEnd),
            (State::DataCr | State::DataLf, _) => Err(HeadError::ChunkEnd),
            (State::Data | State::Done, _) => Ok(self.state),
        }
    }

    /// One more byte of an extension.
    fn extension(&mut self) -> Result<State, HeadError> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION_BYTES_MAX || self.extensions > EXTENSIONS_BYTES_MAX {
            return Err(HeadError::ChunkExtension);
        }
        Ok(State::Extension)
    }

    /// One more byte of the trailer section.
    fn trailer(&mut self, byte: u8, trailers: &mut Fields) -> Result<State, HeadError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILERS_BYTES_MAX {
            return Err(HeadError::FieldsTooLarge);
        }
        if byte != b'\n' {
            self.line.push(byte);
            return Ok(State::Trailers);
        }
        let line = self.line.strip_suffix(b"\r").ok_or(HeadError::LineEnd)?;
        self.trailers += 1;
        if self.trailers > TRAILERS_MAX {
            return Err(HeadError::TooManyFields);
        }
        let (name, value) = lines::field(line)?;
        if !may_trail(name) {
            return Err(HeadError::TrailerField);
        }
        trailers.push(name, value);
        self.line.clear();
        Ok(State::Trailers)
    }
}

/// Whether a field may come after the body: none that frames, routes, authenticates or directs
/// the message (RFC 9110 section 6.5.1).
pub fn may_trail(name: &[u8]) -> bool {
    !matches!(
        Name::of(name),
        Name::TransferEncoding
            | Name::ContentLength
            | Name::ContentEncoding
            | Name::ContentRange
            | Name::ContentType
            | Name::Host
            | Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Te
            | Name::Trailer
            | Name::Upgrade
            | Name::Http2Settings
            | Name::Expect
            | Name::Authorization
            | Name::ProxyAuthenticate
            | Name::ProxyAuthorization
            | Name::WwwAuthenticate
            | Name::Cookie
            | Name::SetCookie
            | Name::CacheControl
            | Name::Location
            | Name::Range
            | Name::Vary
            | Name::Forwarded
            | Name::Via
            | Name::XRealIp
            | Name::XRequestId
    ) && !crate::hop::is_x_forwarded(name)
}

/// Appends what precedes a chunk of `len` bytes; nothing if it has none, as that would end the
/// body. [`CHUNK_END`] must follow the data.
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    if len > 0 {
        // Writing into memory does not fail.
        let _ = write!(out, "{len:x}\r\n");
    }
}

/// Appends the end of the body, with trailer fields if there are any.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        write_fields(out, trailers);
    }
    out.extend_from_slice(b"\r\n");
}
