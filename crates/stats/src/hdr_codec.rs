//! The text form of an HDR histogram: "V2 deflate" bytes in base64, as written by every
//! HdrHistogram port (<https://github.com/HdrHistogram/HdrHistogram>, `encodeIntoCompressedByteBuffer`).
//!
//! Bytes, all integers big-endian:
//!
//! ```text
//! outer:  cookie u32 | length u32 | zlib stream of the inner part
//! inner:  cookie u32 | payload length u32 | normalizing offset u32 | significant digits u32
//!         | lowest value u64 | highest value u64 | integer-to-double ratio f64 | payload
//! ```
//!
//! The payload is a row of ZigZag LEB128 numbers (64 bits in at most 9 bytes), one per bucket in
//! rising order: a count, or minus the length of a run of empty buckets.
//!
//! Writing is the library's. Reading is done here, because the library's reader trusts lengths
//! and signs found in the input.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

/// Significant decimal digits of every histogram here.
pub(crate) const SIGNIFICANT_DIGITS: u8 = 3;
/// Longest text that is decoded; a full histogram of 1 µs to 1 h needs less than 300 KB.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most bytes that a text may inflate to.
pub const MAX_INFLATED_BYTES: usize = 1 << 20;
/// Highest total count that is decoded, so that sums over many merged histograms cannot overflow.
pub const MAX_COUNT: u64 = 1 << 48;

/// Buckets of 3 digits come in groups: each group halves the resolution of the previous one.
const GROUP_BITS: u32 = 10;
const GROUP: u64 = 1 << GROUP_BITS;
/// Groups that cover values up to 2^63.
const MAX_INDEX: u64 = 54 << GROUP_BITS;

const COOKIE: u32 = 0x1c84_9303;
const COOKIE_MASK: u32 = 0xffff_ff0f;
const COMPRESSED_COOKIE: u32 = 0x1c84_9304;
const HEADER_BYTES: usize = 40;

/// Why a text is not a latency histogram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is longer than [`MAX_TEXT_BYTES`].
    #[error("histogram text has {bytes} bytes, more than the limit of {limit}")]
    TooLong {
        /// Length of the text.
        bytes: usize,
        /// The limit it exceeds.
        limit: usize,
    },
    /// The text is not standard base64.
    #[error("histogram text is not base64: {reason}")]
    Base64 {
        /// What the base64 reader met.
        reason: String,
    },
    /// The compressed part is damaged, cut short or inflates beyond [`MAX_INFLATED_BYTES`].
    #[error("histogram data cannot be inflated: {reason}")]
    Inflate {
        /// What the inflater met.
        reason: String,
    },
    /// The bytes are not an HDR histogram of a kind that is read here.
    #[error("histogram header field `{field}` is {value}, expected {expected}")]
    Header {
        /// Name of the header field.
        field: &'static str,
        /// What the input holds.
        value: u64,
        /// What is read here.
        expected: &'static str,
    },
    /// The bucket counts are cut short, run beyond the largest bucket or add up to too much.
    #[error("histogram counts are damaged: {reason}")]
    Counts {
        /// What is wrong.
        reason: &'static str,
    },
}

/// Text form of `histogram`.
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a vector takes every byte, and counts stay below 2^63");
    STANDARD.encode(bytes)
}

/// The non-empty buckets of a text form, rising: (lowest value of the bucket, count).
pub(crate) fn decode(text: &str) -> Result<Vec<(u64, u64)>, DecodeError> {
    let text = text.trim_ascii();
    if text.len() > MAX_TEXT_BYTES {
        return Err(DecodeError::TooLong { bytes: text.len(), limit: MAX_TEXT_BYTES });
    }
    let outer =
        STANDARD.decode(text).map_err(|error| DecodeError::Base64 { reason: error.to_string() })?;
    let Some((header, deflated)) = outer.split_at_checked(8) else {
        return Err(field("length", outer.len() as u64, "at least 8"));
    };
    let cookie = be32(header, 0);
    if cookie & COOKIE_MASK != COMPRESSED_COOKIE & COOKIE_MASK {
        return Err(field("cookie", cookie.into(), "0x1c849304 (V2 deflate)"));
    }
    let inner = inflate(deflated)?;
    decode_counts(check_header(&inner)?)
}

fn inflate(deflated: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut inner = Vec::new();
    ZlibDecoder::new(deflated)
        .take(MAX_INFLATED_BYTES as u64 + 1)
        .read_to_end(&mut inner)
        .map_err(|error| DecodeError::Inflate { reason: error.to_string() })?;
    if inner.len() > MAX_INFLATED_BYTES {
        let reason = format!("more than {MAX_INFLATED_BYTES} bytes");
        return Err(DecodeError::Inflate { reason });
    }
    Ok(inner)
}

/// Checks the inner header and returns the payload.
fn check_header(inner: &[u8]) -> Result<&[u8], DecodeError> {
    let Some((header, payload)) = inner.split_at_checked(HEADER_BYTES) else {
        return Err(field("inner length", inner.len() as u64, "at least 40"));
    };
    let cookie = be32(header, 0);
    if cookie & COOKIE_MASK != COOKIE & COOKIE_MASK {
        return Err(field("inner cookie", cookie.into(), "0x1c849303 (V2)"));
    }
    let length = be32(header, 4);
    let Some(payload) = payload.get(..length as usize) else {
        return Err(field("payload length", length.into(), "at most the bytes that follow"));
    };
    let (offset, digits) = (be32(header, 8), be32(header, 12));
    if offset != 0 {
        return Err(field("normalizing offset", offset.into(), "0"));
    }
    if digits != SIGNIFICANT_DIGITS.into() {
        return Err(field("significant digits", digits.into(), "3"));
    }
    let lowest = be64(header, 16);
    if lowest != 1 {
        return Err(field("lowest value", lowest, "1"));
    }
    let ratio = be64(header, 32);
    if ratio != 1.0_f64.to_bits() {
        return Err(field("integer-to-double ratio bits", ratio, "the bits of 1.0"));
    }
    Ok(payload)
}

fn decode_counts(payload: &[u8]) -> Result<Vec<(u64, u64)>, DecodeError> {
    let damaged = |reason| DecodeError::Counts { reason };
    let (mut buckets, mut total, mut index, mut rest) = (Vec::new(), 0_u64, 0_u64, payload);
    while !rest.is_empty() {
        let number = read_varint(&mut rest).ok_or(damaged("the last number is cut short"))?;
        let number = zigzag(number);
        let Ok(count) = u64::try_from(number) else {
            index = index.saturating_add(number.unsigned_abs());
            continue;
        };
        if index >= MAX_INDEX {
            return Err(damaged("more buckets than values up to 2^63 need"));
        }
        total = total.saturating_add(count);
        if total > MAX_COUNT {
            return Err(damaged("they add up to more than 2^48"));
        }
        if count > 0 {
            buckets.push((lowest_value(index), count));
        }
        index += 1;
    }
    Ok(buckets)
}

/// Lowest value of bucket `index`: the first two groups hold one value per bucket, each further
/// group doubles the width of its buckets.
fn lowest_value(index: u64) -> u64 {
    let group = index >> GROUP_BITS;
    if group < 2 { index } else { (GROUP + index % GROUP) << (group - 1) }
}

/// Reads one LEB128 number whose ninth byte, if any, carries eight bits.
fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for position in 0..9 {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        if position == 8 {
            return Some(value | u64::from(byte) << 56);
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value)
}

fn zigzag(encoded: u64) -> i64 {
    ((encoded >> 1) as i64) ^ -((encoded & 1) as i64)
}

fn field(field: &'static str, value: u64, expected: &'static str) -> DecodeError {
    DecodeError::Header { field, value, expected }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    /// The text form of an inner part, well-formed outside.
    fn wrap(inner: &[u8]) -> String {
        let mut deflater = ZlibEncoder::new(Vec::new(), Compression::fast());
        deflater.write_all(inner).unwrap();
        let deflated = deflater.finish().unwrap();
        let mut outer = COMPRESSED_COOKIE.to_be_bytes().to_vec();
        outer.extend((deflated.len() as u32).to_be_bytes());
        outer.extend(deflated);
        STANDARD.encode(outer)
    }

    fn inner(digits: u32, lowest: u64, payload: &[u8]) -> Vec<u8> {
        let words = [COOKIE, payload.len() as u32, 0, digits].map(u32::to_be_bytes);
        let longs = [lowest, 3_600_000_000, 1.0_f64.to_bits()].map(u64::to_be_bytes);
        [words.concat(), longs.concat(), payload.to_vec()].concat()
    }

    #[test]
    fn reads_the_buckets_of_the_library() {
        let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).unwrap();
        for value in [0, 1, 2047, 2048, 4095, 4096, 70_000, 1 << 40, 1 << 62] {
            histogram.record_n(value, value % 7 + 1).unwrap();
        }
        let expected: Vec<_> = histogram
            .iter_recorded()
            .map(|bucket| {
                (histogram.lowest_equivalent(bucket.value_iterated_to()), bucket.count_at_value())
            })
            .collect();
        assert_eq!(decode(&encode(&histogram)).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_no_histogram() {
        let huge = "A".repeat(MAX_TEXT_BYTES + 1);
        assert!(matches!(decode(&huge), Err(DecodeError::TooLong { .. })));
        assert!(matches!(decode("nö"), Err(DecodeError::Base64 { .. })));
        for text in ["", "AAAA", "AAAAAAAAAAAAAAAA"] {
            assert!(matches!(decode(text), Err(DecodeError::Header { .. })), "{text:?}");
        }
        let mut broken = STANDARD.decode(wrap(&inner(3, 1, &[2]))).unwrap();
        broken.truncate(20);
        assert!(matches!(decode(&STANDARD.encode(broken)), Err(DecodeError::Inflate { .. })));
    }

    #[test]
    fn refuses_other_layouts() {
        assert_eq!(decode(&wrap(&inner(3, 1, &[2]))).unwrap(), [(0, 1)]);
        for bytes in [inner(2, 1, &[2]), inner(3, 1000, &[2]), inner(3, 1, &[2])[..39].to_vec()] {
            assert!(matches!(decode(&wrap(&bytes)), Err(DecodeError::Header { .. })));
        }
        let mut long = inner(3, 1, &[2]);
        long[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode(&wrap(&long)), Err(DecodeError::Header { .. })));
    }

    #[test]
    fn refuses_absurd_sizes_and_counts() {
        let bomb = wrap(&vec![0; MAX_INFLATED_BYTES + 1]);
        assert!(bomb.len() < 10_000);
        assert!(matches!(decode(&bomb), Err(DecodeError::Inflate { .. })));
        let most_negative = [0xff; 9];
        let huge_count = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let cut_short = vec![0x80];
        let beyond = [&most_negative[..], &most_negative, &[2]].concat();
        for payload in [huge_count.to_vec(), cut_short, beyond] {
            let error = decode(&wrap(&inner(3, 1, &payload))).unwrap_err();
            assert!(matches!(error, DecodeError::Counts { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_text(text in ".{0,200}") {
            let decoded = decode(&text);
            prop_assert!(decoded.is_err());
        }

        #[test]
        fn never_panics_on_payloads(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(buckets) = decode(&wrap(&inner(3, 1, &payload))) {
                prop_assert!(buckets.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert!(buckets.iter().map(|b| b.1).sum::<u64>() <= MAX_COUNT);
            }
        }
    }
}
