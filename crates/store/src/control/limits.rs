//! How much control data there may be.

/// Bytes of a document or a result.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Documents of one kind.
pub const DOCUMENTS_MAX: u64 = 10_000;
/// Versions of one document that are kept; older ones go, the audit log stays.
pub const VERSIONS_MAX: u64 = 1_000;
/// Results of one experiment that are kept; older ones go.
pub const RESULTS_MAX: u64 = 10_000;
/// Lines that one answer has.
pub const ANSWER_MAX: usize = 10_000;
/// Bytes of a name, a subject or who does something.
pub const NAME_BYTES_MAX: usize = 300;
/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 4_096;
