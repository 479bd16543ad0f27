//! From a description to assignments.

use super::table::Table;
use super::{
    BUCKETS, HashVersion, Purpose, Seed, bucket, eppo, flagd, flagsmith, growthbook, modulo,
    native, optimizely, planout, posthog, statsig, unleash,
};
use std::fmt;

/// Most variants of one experiment.
pub const VARIANTS_MAX: usize = 64;
/// Most ranges of one experiment.
pub const RANGES_MAX: usize = 256;

/// What an assigner is made from.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    /// The hash.
    pub hash: HashVersion,
    /// Salt of the hash that says who takes part. What it is in another system is said there.
    pub coverage_salt: &'a str,
    /// Salt of the hash that says which variant.
    pub variant_salt: &'a str,
    /// Who takes part, in parts per million.
    pub coverage: u32,
    /// Relative weight of each variant.
    pub weights: &'a [u32],
    /// The half-open ranges of each variant as fractions of all buckets, instead of weights and
    /// coverage; empty when the weights say it.
    pub ranges: &'a [Vec<[f64; 2]>],
}

impl<'a> Spec<'a> {
    /// Full coverage, one salt.
    #[must_use]
    pub fn new(hash: HashVersion, salt: &'a str, weights: &'a [u32]) -> Spec<'a> {
        Spec {
            hash,
            coverage_salt: salt,
            variant_salt: salt,
            coverage: BUCKETS,
            weights,
            ranges: &[],
        }
    }
}

/// Why a [`Spec`] cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecError {
    /// No variants, or more than [`VARIANTS_MAX`].
    Variants,
    /// Every weight is zero.
    NoWeight,
    /// The sum of the weights does not fit a signed 32-bit number.
    TooHeavy,
    /// More coverage than [`BUCKETS`].
    Coverage,
    /// Ranges overlap, are not within 0 to 1, are more than [`RANGES_MAX`], or come together with
    /// partial coverage.
    Ranges,
    /// This hash has no coverage of its own: leave it at 100 % or give ranges.
    CoverageUnsupported(HashVersion),
    /// This hash has weights only.
    RangesUnsupported(HashVersion),
    /// This hash counts coverage in steps of this many parts per million.
    CoverageStep(HashVersion, u32),
}

impl fmt::Display for SpecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpecError::Variants => write!(out, "there must be 1 to {VARIANTS_MAX} variants"),
            SpecError::NoWeight => out.write_str("at least one weight must be above 0"),
            SpecError::TooHeavy => write!(out, "the weights must sum to at most {}", i32::MAX),
            SpecError::Coverage => out.write_str("the coverage must be at most 100%"),
            SpecError::Ranges => write!(
                out,
                "ranges must lie within 0 to 1, must not overlap, be at most {RANGES_MAX}, and \
                 need a coverage of 100%"
            ),
            SpecError::CoverageUnsupported(hash) => write!(
                out,
                "the hash \"{}\" has no coverage of its own; leave it at 100%",
                hash.name()
            ),
            SpecError::RangesUnsupported(hash) => {
                write!(out, "the hash \"{}\" takes weights, not ranges", hash.name())
            }
            SpecError::CoverageStep(hash, step) => write!(
                out,
                "the hash \"{}\" has coverage in steps of {}%",
                hash.name(),
                f64::from(*step) / 10_000.0
            ),
        }
    }
}

impl std::error::Error for SpecError {}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Where the hash of the variants fell, in millionths of all buckets. `None` when the unit
    /// cannot be hashed: [`HashVersion::Modulo`] needs digits.
    pub bucket: Option<u32>,
    /// Index of the variant. `None` when the unit does not take part.
    pub variant: Option<u16>,
}

impl Assignment {
    pub(super) const NONE: Assignment = Assignment { bucket: None, variant: None };

    pub(super) fn at(bucket: u32, variant: Option<u16>) -> Assignment {
        Assignment { bucket: Some(bucket), variant }
    }

    /// A fraction of 0 to 1 in millionths, the end of the scale counted to its last.
    pub(super) fn millionths(fraction: f64) -> u32 {
        ((fraction * f64::from(BUCKETS)) as u32).min(BUCKETS - 1)
    }
}

/// Assigns units to variants.
#[derive(Debug, Clone)]
pub struct Assigner(Split);

#[derive(Debug, Clone)]
enum Split {
    Native(native::Split),
    Growthbook(growthbook::Split),
    Unleash(unleash::Split),
    Flagd(flagd::Split),
    Flagsmith(flagsmith::Split),
    Optimizely(optimizely::Split),
    Statsig(statsig::Split),
    Eppo(eppo::Split),
    Planout(planout::Split),
    Posthog(posthog::Split),
    Modulo(modulo::Split),
}

impl Assigner {
    /// Prepares everything that does not depend on the unit.
    ///
    /// # Errors
    /// When the description contradicts itself or asks for what the hash does not have.
    pub fn new(spec: &Spec<'_>) -> Result<Assigner, SpecError> {
        let total = check(spec)?;
        let table = |space| {
            let ranges = spec.ranges;
            if ranges.is_empty() {
                return Ok(Table::from_weights(space, spec.weights));
            }
            Table::from_ranges(space, ranges).ok_or(SpecError::Ranges)
        };
        Ok(Assigner(match spec.hash {
            HashVersion::Native1 => Split::Native(native::Split::new(spec, table(BUCKETS)?)),
            HashVersion::Growthbook1 | HashVersion::Growthbook2 => {
                Split::Growthbook(growthbook::Split::new(spec))
            }
            HashVersion::Unleash => Split::Unleash(unleash::Split::new(spec, total)),
            HashVersion::FlagdString | HashVersion::FlagdCbor => {
                Split::Flagd(flagd::Split::new(spec, total))
            }
            HashVersion::Flagsmith => Split::Flagsmith(flagsmith::Split::new(spec)),
            HashVersion::Optimizely => {
                Split::Optimizely(optimizely::Split::new(spec, table(optimizely::TRAFFIC)?))
            }
            HashVersion::Statsig => {
                Split::Statsig(statsig::Split::new(spec, table(statsig::USER)?))
            }
            HashVersion::Eppo => Split::Eppo(eppo::Split::new(spec, table(eppo::SHARDS)?)),
            HashVersion::Planout => Split::Planout(planout::Split::new(spec)),
            HashVersion::Posthog => Split::Posthog(posthog::Split::new(spec)),
            HashVersion::Modulo => Split::Modulo(modulo::Split::new(spec, total)),
        }))
    }

    /// The variant of a unit: the same for the same unit, always.
    #[must_use]
    pub fn assign(&self, unit: &str) -> Assignment {
        match &self.0 {
            Split::Native(split) => split.assign(unit),
            Split::Growthbook(split) => split.assign(unit),
            Split::Unleash(split) => split.assign(unit),
            Split::Flagd(split) => split.assign(unit),
            Split::Flagsmith(split) => split.assign(unit),
            Split::Optimizely(split) => split.assign(unit),
            Split::Statsig(split) => split.assign(unit),
            Split::Eppo(split) => split.assign(unit),
            Split::Planout(split) => split.assign(unit),
            Split::Posthog(split) => split.assign(unit),
            Split::Modulo(split) => split.assign(unit),
        }
    }
}

/// Checks a description; the sum of its weights.
fn check(spec: &Spec<'_>) -> Result<u32, SpecError> {
    let by_ranges = !spec.ranges.is_empty();
    let variants = if by_ranges { spec.ranges.len() } else { spec.weights.len() };
    if !(1..=VARIANTS_MAX).contains(&variants) {
        return Err(SpecError::Variants);
    }
    let total: u64 = spec.weights.iter().map(|&weight| u64::from(weight)).sum();
    if total == 0 && !by_ranges {
        return Err(SpecError::NoWeight);
    }
    if total > i32::MAX as u64 {
        return Err(SpecError::TooHeavy);
    }
    if spec.coverage > BUCKETS {
        return Err(SpecError::Coverage);
    }
    if by_ranges {
        let many = spec.ranges.iter().map(Vec::len).sum::<usize>() > RANGES_MAX;
        let partial = spec.coverage < BUCKETS;
        if many || partial || Table::from_ranges(BUCKETS, spec.ranges).is_none() {
            return Err(SpecError::Ranges);
        }
    }
    let hash = spec.hash;
    match hash {
        HashVersion::Unleash | HashVersion::Planout if by_ranges => {
            return Err(SpecError::RangesUnsupported(hash));
        }
        HashVersion::FlagdString | HashVersion::FlagdCbor | HashVersion::Modulo if by_ranges => {
            return Err(SpecError::RangesUnsupported(hash));
        }
        HashVersion::FlagdString
        | HashVersion::FlagdCbor
        | HashVersion::Modulo
        | HashVersion::Optimizely
            if spec.coverage < BUCKETS =>
        {
            return Err(SpecError::CoverageUnsupported(hash));
        }
        _ => {}
    }
    let step = match hash {
        HashVersion::Unleash => BUCKETS / 100,
        HashVersion::Statsig | HashVersion::Eppo => BUCKETS / 10_000,
        _ => 1,
    };
    if !spec.coverage.is_multiple_of(step) {
        return Err(SpecError::CoverageStep(hash, step));
    }
    // At most i32::MAX.
    Ok(total as u32)
}

/// Where a unit falls in a layer, in millionths of all buckets: half-open ranges of it are shared
/// out to the experiments. `None` for hashes that have no layers (mutual exclusion groups,
/// namespaces) and units that cannot be hashed.
///
/// The salt is, for GrowthBook 1, `__` and the id of the namespace; for GrowthBook 2 the seed of
/// the filter; for Statsig the salt of the layer; for Optimizely the id of the group; for Eppo the
/// salt of the shards.
#[must_use]
pub fn place(hash: HashVersion, salt: &str, unit: &str) -> Option<u32> {
    match hash {
        HashVersion::Native1 => Some(bucket(Seed::new(Purpose::Layer, salt), unit)),
        HashVersion::Growthbook1 => Some(growthbook::place(salt, unit, growthbook::Version::V1)),
        HashVersion::Growthbook2 => Some(growthbook::place(salt, unit, growthbook::Version::V2)),
        HashVersion::Optimizely => {
            Some(optimizely::bucket(unit, salt) * (BUCKETS / optimizely::TRAFFIC))
        }
        HashVersion::Statsig => Some(statsig::user_bucket(salt, unit) * (BUCKETS / statsig::USER)),
        HashVersion::Eppo => Some(eppo::shard(salt, unit, eppo::SHARDS) * (BUCKETS / eppo::SHARDS)),
        HashVersion::Unleash
        | HashVersion::FlagdString
        | HashVersion::FlagdCbor
        | HashVersion::Flagsmith
        | HashVersion::Planout
        | HashVersion::Posthog
        | HashVersion::Modulo => None,
    }
}
