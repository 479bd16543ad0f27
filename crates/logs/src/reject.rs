//! Why a line is not a hit.

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
    /// It does not begin with client, identity and user, each followed by one space.
    #[error("not an access-log line")]
    NotAccessLog,
    /// No `[` after client, identity and user.
    #[error("no timestamp")]
    NoTimestamp,
    /// Not `[dd/Mon/yyyy:HH:MM:SS ±zzzz]`, or no such moment.
    #[error("bad timestamp")]
    BadTimestamp,
    /// No quoted field after the timestamp, or one that does not end.
    #[error("no request field")]
    NoRequestField,
    /// The request is `-` or empty: the client closed or timed out before it sent one.
    #[error("no request")]
    NoRequest,
    /// Not `METHOD target HTTP/x.y`, nor HTTP/0.9's `GET target`; often a TLS handshake on a plain
    /// port or a scanner's probe.
    #[error("bad request line")]
    BadRequestLine,
    /// Not three digits from 100 to 999.
    #[error("bad status")]
    BadStatus,
    /// Neither a number nor `-`.
    #[error("bad size")]
    BadSize,
    /// Combined format only: no quoted referrer and user agent after the size.
    #[error("no referrer and agent")]
    NoReferrerAndAgent,
    /// It begins like a JSON line of tidegate, but is not a flat object, or a field of it is not of
    /// its type.
    #[error("bad JSON")]
    BadJson,
}

impl RejectReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 13] = [
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
        Self::NoReferrerAndAgent,
        Self::BadJson,
    ];
}

/// A line that is not a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject<'a> {
    /// Its number in the input, from 1.
    pub number: u64,
    /// Why it was rejected.
    pub reason: RejectReason,
    /// The line without its line end; of a line that is too long, the first
    /// [`crate::LINE_BYTES_MAX`] bytes.
    pub line: &'a [u8],
}
