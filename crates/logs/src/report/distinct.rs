//! Counting distinct visitors: exactly while there are few, by HyperLogLog beyond.

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hyperloglogplus::{HyperLogLog, HyperLogLogPlus};

/// Visitors that a row of a panel counts exactly; beyond, they are estimated.
pub const ROW_VISITORS_EXACT_MAX: usize = 8192;
/// 2^14 registers: a standard error of 0.81 %.
const PRECISION: u8 = 14;
/// Seed of the sketch's own hash: the same everywhere, so that sketches can be merged.
const SEED: u64 = 0x7469_6465_6761_7465;

type Sketch = HyperLogLogPlus<u64, FixedState>;

/// A set of 64-bit ids, of which only the number is asked. Ids are hashes: two things are told apart
/// but for a chance of 2⁻⁶⁴ per pair. What it counts does not depend on the order of
/// [`insert`](Self::insert) and [`merge`](Self::merge) as long as `exact_max` is the same.
#[derive(Debug, Clone, Default)]
pub(crate) enum Distinct {
    #[default]
    None,
    One(u64),
    Set(Box<HashTable<u64>>),
    Sketch(Box<Sketch>),
}

impl Distinct {
    #[inline]
    pub(crate) fn insert(&mut self, id: u64, exact_max: usize) {
        match self {
            Distinct::One(one) if *one == id => {}
            Distinct::None => *self = Distinct::One(id),
            Distinct::Sketch(sketch) => sketch.insert(&id),
            Distinct::Set(set) => {
                insert(set, id);
                if set.len() > exact_max {
                    self.widen();
                }
            }
            Distinct::One(one) => {
                let mut set = HashTable::with_capacity(2);
                insert(&mut set, *one);
                insert(&mut set, id);
                *self = Distinct::Set(Box::new(set));
                if exact_max < 2 {
                    self.widen();
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, exact_max: usize) {
        match other {
            Distinct::None => {}
            Distinct::One(id) => self.insert(*id, exact_max),
            Distinct::Set(set) => set.iter().for_each(|id| self.insert(*id, exact_max)),
            Distinct::Sketch(theirs) => {
                if !self.is_estimate() {
                    self.widen();
                }
                if let Distinct::Sketch(ours) = self {
                    // Fails only for another precision, which there is not.
                    let _ = ours.merge(theirs);
                }
            }
        }
    }

    /// How many distinct ids were inserted.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Distinct::None => 0,
            Distinct::One(_) => 1,
            Distinct::Set(set) => set.len() as u64,
            Distinct::Sketch(sketch) => sketch.clone().count().round() as u64,
        }
    }

    pub(crate) fn is_estimate(&self) -> bool {
        matches!(self, Distinct::Sketch(_))
    }

    #[cold]
    fn widen(&mut self) {
        let Ok(mut sketch) = Sketch::new(PRECISION, FixedState::with_seed(SEED)) else {
            return; // the precision is one that the library has
        };
        match self {
            Distinct::None | Distinct::Sketch(_) => {}
            Distinct::One(id) => sketch.insert(id),
            Distinct::Set(set) => set.iter().for_each(|id| sketch.insert(id)),
        }
        *self = Distinct::Sketch(Box::new(sketch));
    }
}

fn insert(set: &mut HashTable<u64>, id: u64) {
    // Ids are hashes already.
    set.entry(id, |other| *other == id, |other| *other).or_insert(id);
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    fn count(ids: impl Iterator<Item = u64>, exact_max: usize) -> Distinct {
        let mut distinct = Distinct::default();
        ids.for_each(|id| distinct.insert(FixedState::with_seed(1).hash_one(id), exact_max));
        distinct
    }

    #[test]
    fn exact_up_to_the_limit_then_within_three_standard_errors() {
        let exact = count((0..1000).chain(0..1000), 1000);
        assert_eq!((exact.count(), exact.is_estimate()), (1000, false));
        let estimate = count(0..200_000, 1000);
        assert!(estimate.is_estimate());
        assert!(estimate.count().abs_diff(200_000) < 200_000 * 3 * 81 / 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_split_counts_the_same(n in 0..6000_u64, cuts in prop::collection::vec(0..4_usize, 1..50)) {
            let mut parts = vec![Distinct::default(); 4];
            for (id, part) in (0..n).zip(cuts.iter().cycle()) {
                parts[*part].insert(FixedState::with_seed(1).hash_one(id), 500);
            }
            let mut merged = Distinct::default();
            parts.iter().rev().for_each(|part| merged.merge(part, 500));
            let whole = count(0..n, 500);
            prop_assert_eq!(merged.count(), whole.count());
            prop_assert_eq!(merged.is_estimate(), whole.is_estimate());
        }
    }
}
