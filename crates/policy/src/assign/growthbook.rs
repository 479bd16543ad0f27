//! GrowthBook's hashes and ranges, in the arithmetic of its JavaScript SDK: UTF-16 code units and
//! double-precision numbers.

use super::intervals::{Intervals, shares};
use super::{Assignment, BUCKETS, HashVersion, Spec};

/// Which of GrowthBook's two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `fnv(value + seed)` into 1,000 buckets.
    V1,
    /// `fnv(decimal(fnv(seed + value)))` into 10,000 buckets.
    V2,
}

impl Version {
    /// The version of a `hashVersion`; another number excludes the unit.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Version> {
        match number {
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            _ => None,
        }
    }
}

/// FNV-1a in 32 bits, over UTF-16 code units instead of bytes.
fn fnv1a(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0x811C_9DC5, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193))
}

/// Buckets out of how many.
fn count(seed: &str, value: &str, version: Version) -> (u32, u32) {
    match version {
        Version::V1 => (fnv1a(value.encode_utf16().chain(seed.encode_utf16())) % 1_000, 1_000),
        Version::V2 => {
            let inner = fnv1a(seed.encode_utf16().chain(value.encode_utf16()));
            (decimal_fnv1a(inner) % 10_000, 10_000)
        }
    }
}

/// FNV-1a of a number in decimal, without allocating.
fn decimal_fnv1a(number: u32) -> u32 {
    let mut digits = [0; 10];
    let (mut rest, mut first) = (number, digits.len());
    loop {
        first -= 1;
        // One digit.
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    fnv1a(digits[first..].iter().map(|&digit| u16::from(digit)))
}

/// Where a value falls, 0 to below 1.
#[must_use]
pub fn hash(seed: &str, value: &str, version: Version) -> f64 {
    let (bucket, of) = count(seed, value, version);
    f64::from(bucket) / f64::from(of)
}

/// Whether a value is in a namespace `[id, start, end]`; always with the first hash.
#[must_use]
pub fn in_namespace(value: &str, id: &str, start: f64, end: f64) -> bool {
    in_range(hash(&format!("__{id}"), value, Version::V1), [start, end])
}

/// Whether a point is in a half-open range.
#[must_use]
pub fn in_range(point: f64, [start, end]: [f64; 2]) -> bool {
    point >= start && point < end
}

/// The ranges of the variations: each starts where the weights say and is as long as weight times
/// coverage, so that more coverage moves nobody. Weights that do not fit in number, or do not sum
/// to 0.99 to 1.01, count as equal.
#[must_use]
pub fn bucket_ranges(variations: usize, coverage: f64, weights: Option<&[f64]>) -> Vec<[f64; 2]> {
    // Not `clamp`, which would keep a NaN.
    let coverage = if coverage < 0.0 { 0.0 } else { coverage.min(1.0) };
    let sum = |weights: &&[f64]| weights.iter().fold(0.0, |sum, weight| sum + weight);
    let fits = |weights: &&[f64]| {
        let sum = sum(weights);
        weights.len() == variations && (0.99..=1.01).contains(&sum)
    };
    let equal = vec![1.0 / variations as f64; variations];
    let mut start = 0.0;
    let range = |weight: &f64| {
        let range = [start, start + coverage * weight];
        start += weight;
        range
    };
    weights.filter(fits).unwrap_or(&equal).iter().map(range).collect()
}

/// The first variation whose range has the point.
#[must_use]
pub fn choose_variation(point: f64, ranges: &[[f64; 2]]) -> Option<usize> {
    ranges.iter().position(|range| in_range(point, *range))
}

/// The place of a value in millionths, which are exact.
pub(super) fn place(seed: &str, value: &str, version: Version) -> u32 {
    let (bucket, of) = count(seed, value, version);
    bucket * (BUCKETS / of)
}

#[derive(Debug, Clone)]
pub(super) struct Split {
    version: Version,
    seed: String,
    intervals: Intervals,
}

impl Split {
    pub(super) fn new(spec: &Spec<'_>) -> Split {
        let first = spec.hash == HashVersion::Growthbook1;
        let version = if first { Version::V1 } else { Version::V2 };
        let intervals = if spec.ranges.is_empty() {
            let weights: Vec<f64> = shares(spec.weights, 1.0).collect();
            let coverage = f64::from(spec.coverage) / f64::from(BUCKETS);
            let ranges = bucket_ranges(weights.len(), coverage, Some(&weights));
            Intervals::given(&ranges.into_iter().map(|range| vec![range]).collect::<Vec<_>>(), 1.0)
        } else {
            Intervals::given(spec.ranges, 1.0)
        };
        Split { version, seed: spec.variant_salt.to_owned(), intervals }
    }

    pub(super) fn assign(&self, unit: &str) -> Assignment {
        let (bucket, of) = count(&self.seed, unit, self.version);
        let point = f64::from(bucket) / f64::from(of);
        Assignment::at(bucket * (BUCKETS / of), self.intervals.get(point))
    }
}
