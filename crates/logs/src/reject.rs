//! Why a line is not a record.

/// Why a line was rejected. The text is short and stable: reports and tests may rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RejectReason {
    /// Nothing between two line ends.
    #[error("empty line")]
    EmptyLine,
    /// Longer than [`crate::LINE_BYTES_MAX`].
    #[error("line too long")]
    LineTooLong,
    /// The input failed in the middle of this line, so its last field may be incomplete.
    #[error("line cut off")]
    CutOff,
    /// Of no format that is known, or without the fields that make it one of a request.
    #[error("not an access-log line")]
    NotAccessLog,
    /// No time where the format has one.
    #[error("no timestamp")]
    NoTimestamp,
    /// A time that is malformed, or no such moment.
    #[error("bad timestamp")]
    BadTimestamp,
    /// No request where the format has one, or a quoted one that does not end.
    #[error("no request field")]
    NoRequestField,
    /// The request is `-` or empty: the client closed or timed out before it sent one. Only
    /// [`crate::LogReader`] rejects such lines; to a scan they are records without a target.
    #[error("no request")]
    NoRequest,
    /// Not `METHOD target HTTP/x.y`, nor HTTP/0.9's `GET target`; often a TLS handshake on a plain
    /// port or a scanner's probe. Only [`crate::LogReader`] rejects such lines; to a scan they are
    /// records whose target is the whole request.
    #[error("bad request line")]
    BadRequestLine,
    /// Not three digits from 100 to 999.
    #[error("bad status")]
    BadStatus,
    /// Neither a number nor `-`.
    #[error("bad size")]
    BadSize,
    /// It begins like a JSON line, but is no JSON object, or a field of it is not of its type.
    #[error("bad JSON")]
    BadJson,
    /// A field is not what the format or the header says: a number that is none, or fewer columns
    /// than the header names.
    #[error("bad field")]
    BadField,
    /// The line does not follow the layout that was given, nor any format that is known.
    #[error("does not follow the layout")]
    NotLayout,
}

impl RejectReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 14] = [
        Self::EmptyLine,
        Self::LineTooLong,
        Self::CutOff,
        Self::NotAccessLog,
        Self::NoTimestamp,
        Self::BadTimestamp,
        Self::NoRequestField,
        Self::NoRequest,
        Self::BadRequestLine,
        Self::BadStatus,
        Self::BadSize,
        Self::BadJson,
        Self::BadField,
        Self::NotLayout,
    ];
}

/// A line that gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject<'a> {
    /// Which source of a scan, as an index into the sources that were given to it; 0 elsewhere.
    pub source: usize,
    /// Where the line begins, in bytes of the source's plain text.
    pub offset: u64,
    /// Why it was rejected.
    pub reason: RejectReason,
    /// The line without its `\n`; of a line that is too long, the first
    /// [`crate::LINE_BYTES_MAX`] bytes.
    pub line: &'a [u8],
}
