//! Numeric ids divided into remainders: "even ids get the new version".

use super::table::Table;
use super::{Assignment, BUCKETS, Spec};

/// The remainder of a decimal id of any length. `None` when the id is not digits only.
#[must_use]
pub fn remainder(id: &str, modulus: u32) -> Option<u32> {
    if id.is_empty() || modulus == 0 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let modulus = u64::from(modulus);
    let rest = id.bytes().fold(0, |rest, byte| (rest * 10 + u64::from(byte - b'0')) % modulus);
    // Below the modulus, which is a u32.
    Some(rest as u32)
}

/// The modulus is the sum of the weights. No salt, no coverage.
#[derive(Debug, Clone)]
pub(super) struct Split {
    modulus: u32,
    table: Table,
}

impl Split {
    /// `total` is the sum of the weights.
    pub(super) fn new(spec: &Spec<'_>, total: u32) -> Split {
        Split { modulus: total, table: Table::from_weights(total, spec.weights) }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let Some(rest) = remainder(unit, self.modulus) else { return Assignment::NONE };
        let bucket = u64::from(rest) * u64::from(BUCKETS) / u64::from(self.modulus);
        // Below BUCKETS.
        Assignment::at(bucket as u32, self.table.get(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_of_ids_of_any_length() {
        assert_eq!(remainder("7", 2), Some(1));
        assert_eq!(remainder("0000123", 100), Some(23));
        assert_eq!(remainder("340282366920938463463374607431768211456", 1_000), Some(456));
        assert_eq!(remainder("18446744073709551617", u32::MAX), Some(2));
        for bad in ["", "-1", "1.0", "a", "１"] {
            assert_eq!(remainder(bad, 2), None, "{bad}");
        }
        assert_eq!(remainder("1", 0), None);
    }
}
