//! Why a message is refused.

use thiserror::Error;

/// Why a head, a chunked body or a target is refused. The connection cannot be used further,
/// because where the next message begins is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum HeadError {
    /// The request line is not `method SP target SP version CRLF`.
    #[error("malformed request line")]
    RequestLine,
    /// The status line is not `version SP three digits SP reason CRLF`.
    #[error("malformed status line")]
    StatusLine,
    /// The request or status line is longer than [`crate::HeadLimits::line`].
    #[error("request line too long")]
    LineTooLong,
    /// A version that is not HTTP/1.0 or HTTP/1.1.
    #[error("unsupported HTTP version")]
    Version,
    /// The method is no token.
    #[error("malformed method")]
    Method,
    /// CONNECT, which a gateway does not offer.
    #[error("CONNECT is not supported")]
    Connect,
    /// The target has a form or a character that is refused.
    #[error("malformed request target")]
    Target,
    /// A malformed percent-encoding, `%00`, or a backslash in a path, encoded or not.
    #[error("refused character in the path")]
    PathCharacter,
    /// The path leads above the root, or hides a dot segment behind `;`.
    #[error("path leads outside of the root")]
    PathOutside,
    /// A CR or LF that is not part of a CRLF.
    #[error("line does not end with CRLF")]
    LineEnd,
    /// More fields than [`crate::HeadLimits::count`].
    #[error("too many fields")]
    TooManyFields,
    /// Fields take more bytes than [`crate::HeadLimits::bytes`].
    #[error("fields too large")]
    FieldsTooLarge,
    /// A name that is empty or no token, white space before the colon included.
    #[error("malformed field name")]
    FieldName,
    /// A control character in a value.
    #[error("control character in a field value")]
    FieldValue,
    /// A line that begins with white space.
    #[error("folded field line")]
    Folded,
    /// HTTP/1.1 without `Host`.
    #[error("no Host")]
    HostMissing,
    /// More than one `Host`.
    #[error("several Host fields")]
    HostRepeated,
    /// A host or port that is none.
    #[error("malformed host")]
    HostInvalid,
    /// The target names another authority than `Host`.
    #[error("target and Host differ")]
    HostConflict,
    /// A `Content-Length` that is not digits, or too large.
    #[error("malformed Content-Length")]
    ContentLength,
    /// More than one `Content-Length`.
    #[error("several Content-Length")]
    ContentLengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("Content-Length beside Transfer-Encoding")]
    LengthAndCoding,
    /// A transfer coding other than exactly `chunked`.
    #[error("unsupported transfer coding")]
    TransferCoding,
    /// More than one `Transfer-Encoding`, or one in HTTP/1.0.
    #[error("misplaced Transfer-Encoding")]
    TransferEncoding,
    /// An expectation other than `100-continue`.
    #[error("unsupported expectation")]
    Expectation,
    /// `Connection` nominates a field that is not the connection's, or too many.
    #[error("refused connection option")]
    Nomination,
    /// A chunk size that is not 1 to 16 hexadecimal digits, or too large.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk extension with a control character, or too long.
    #[error("refused chunk extension")]
    ChunkExtension,
    /// Chunk data longer than its size.
    #[error("chunk does not end with CRLF")]
    ChunkEnd,
    /// A trailer field that belongs into the head.
    #[error("refused trailer field")]
    TrailerField,
}

impl HeadError {
    /// The status that tells a client why its request was refused. Of a server's response the
    /// client is told 502, whatever this says.
    pub fn status(self) -> u16 {
        match self {
            HeadError::StatusLine => 502,
            HeadError::LineTooLong => 414,
            HeadError::Version => 505,
            HeadError::TooManyFields | HeadError::FieldsTooLarge => 431,
            HeadError::Expectation => 417,
            // RFC 9112 section 6.1 and RFC 9110 section 9.1: not understood is not implemented.
            HeadError::TransferCoding | HeadError::Connect => 501,
            _ => 400,
        }
    }

    /// A stable word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            HeadError::RequestLine => "request-line",
            HeadError::StatusLine => "status-line",
            HeadError::LineTooLong => "line-too-long",
            HeadError::Version => "version",
            HeadError::Method => "method",
            HeadError::Connect => "connect",
            HeadError::Target => "target",
            HeadError::PathCharacter => "path-character",
            HeadError::PathOutside => "path-outside",
            HeadError::LineEnd => "line-end",
            HeadError::TooManyFields => "too-many-fields",
            HeadError::FieldsTooLarge => "fields-too-large",
            HeadError::FieldName => "field-name",
            HeadError::FieldValue => "field-value",
            HeadError::Folded => "folded",
            HeadError::HostMissing => "host-missing",
            HeadError::HostRepeated => "host-repeated",
            HeadError::HostInvalid => "host-invalid",
            HeadError::HostConflict => "host-conflict",
            HeadError::ContentLength => "content-length",
            HeadError::ContentLengthRepeated => "content-length-repeated",
            HeadError::LengthAndCoding => "length-and-coding",
            HeadError::TransferCoding => "transfer-coding",
            HeadError::TransferEncoding => "transfer-encoding",
            HeadError::Expectation => "expectation",
            HeadError::Nomination => "nomination",
            HeadError::ChunkSize => "chunk-size",
            HeadError::ChunkExtension => "chunk-extension",
            HeadError::ChunkEnd => "chunk-end",
            HeadError::TrailerField => "trailer-field",
        }
    }
}
