//! flagd's `fractional` operator, shorthand form (no bucketing expression: flag key and targeting
//! key).

use super::murmur3::murmur3_x86_32;
use super::table::Table;
use super::{Assignment, BUCKETS, HashVersion, Spec};

/// The hash of flag key and targeting key, joined without a separator.
#[must_use]
pub fn hash_string(flag: &str, unit: &str) -> u32 {
    murmur3_x86_32([flag, unit].concat().as_bytes(), 0)
}

/// The hash of flag key and targeting key as an array of two text strings in CBOR (RFC 8949,
/// deterministic encoding).
#[must_use]
pub fn hash_cbor(flag: &str, unit: &str) -> u32 {
    let mut bytes = vec![0x82];
    push_text(&mut bytes, flag);
    push_text(&mut bytes, unit);
    murmur3_x86_32(&bytes, 0)
}

/// Major type 3 with the shortest length.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    const TEXT: u8 = 3 << 5;
    let len = text.len();
    // Each cast is within the range that the arm says.
    match len {
        0..24 => bytes.push(TEXT | len as u8),
        24..=0xFF => bytes.extend([TEXT | 24, len as u8]),
        0x100..=0xFFFF => {
            bytes.push(TEXT | 25);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(TEXT | 26);
            bytes.extend((len as u32).to_be_bytes());
        }
    }
    bytes.extend(text.as_bytes());
}

/// Which of `total` steps a hash falls on.
#[must_use]
pub fn step(hash: u32, total: u32) -> u32 {
    // Below `total`.
    ((u64::from(hash) * u64::from(total)) >> 32) as u32
}

/// `variant_salt` is the flag key. There is no coverage.
#[derive(Debug, Clone)]
pub(super) struct Split {
    hash: fn(&str, &str) -> u32,
    flag: String,
    total: u32,
    table: Table,
}

impl Split {
    /// `total` is the sum of the weights.
    pub(super) fn new(spec: &Spec<'_>, total: u32) -> Split {
        let string = spec.hash == HashVersion::FlagdString;
        Split {
            hash: if string { hash_string } else { hash_cbor },
            flag: spec.variant_salt.to_owned(),
            total,
            table: Table::from_weights(total, spec.weights),
        }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let hash = (self.hash)(&self.flag, unit);
        Assignment::at(step(hash, BUCKETS), self.table.get(step(hash, self.total)))
    }
}
