//! How long a body is: RFC 9112 section 6.

use crate::HeadError;
use crate::syntax::decimal;

/// Digits of the longest `Content-Length`: any number of so many digits fits a `u64`.
const LENGTH_DIGITS_MAX: usize = 18;

/// Where the body of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// There is none.
    #[default]
    None,
    /// After so many bytes; 0 is a body too, of no bytes.
    Length(u64),
    /// Where its chunks say.
    Chunked,
    /// Where the connection ends; of responses only.
    UntilClose,
}

/// The number of a `Content-Length`.
///
/// # Errors
/// When it is anything but 1 to 18 digits.
pub fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    decimal(value, LENGTH_DIGITS_MAX).ok_or(HeadError::ContentLength)
}

/// Refuses every transfer coding but `chunked`.
pub(crate) fn chunked_only(value: &[u8]) -> Result<(), HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(HeadError::TransferCoding) }
}
