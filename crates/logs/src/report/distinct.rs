//! Counting distinct visitors: exactly while there are few, by HyperLogLog beyond.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::quality::{FixedState, RandomState};
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
    Set(Box<IdSet>),
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
                set.insert(id);
                if set.len > exact_max {
                    self.widen();
                }
            }
            Distinct::One(one) => {
                let mut set = IdSet::default();
                set.insert(*one);
                set.insert(id);
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
            Distinct::Set(theirs) => match self {
                Distinct::None => *self = other.clone(),
                Distinct::One(id) => {
                    let id = *id;
                    *self = other.clone();
                    self.insert(id, exact_max);
                }
                Distinct::Set(_) | Distinct::Sketch(_) => {
                    if let Distinct::Set(ours) = self {
                        ours.reserve(theirs.len);
                    }
                    theirs.iter().for_each(|id| self.insert(*id, exact_max));
                }
            },
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
            Distinct::Set(set) => set.len as u64,
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

/// Slots that a set begins with.
const SLOTS_MIN: usize = 4;
/// Turns ids into slots; odd, and drawn at random so that nobody can write a log whose visitors collide.
static SPREAD: LazyLock<u64> = LazyLock::new(|| RandomState::default().hash_one(SEED) | 1);

/// Ids in a table of open addresses: one cache line is touched to learn that an id is there already.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdSet {
    /// A power of two; 0 where there is no id.
    slots: Vec<u64>,
    len: usize,
}

impl IdSet {
    #[inline]
    fn insert(&mut self, id: u64) {
        // Every id but this is itself: ids are hashes, so 0 is as likely as any other.
        let id = id.max(1);
        if self.len * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let at = self.place(id);
        if self.slots[at] == 0 {
            self.slots[at] = id;
            self.len += 1;
        }
    }

    /// Where the id is, or is to be.
    #[inline]
    fn place(&self, id: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (id.wrapping_mul(*SPREAD) >> 32) as usize & mask;
        while self.slots[at] != id && self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// Makes room for so many more. Needed before ids of another set are put in, which come in the order
    /// of their places: they would pile up in the part of the table that is filled first.
    fn reserve(&mut self, more: usize) {
        while (self.len + more) * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let slots = vec![0; (self.slots.len() * 2).max(SLOTS_MIN)];
        for id in std::mem::replace(&mut self.slots, slots) {
            if id != 0 {
                let at = self.place(id);
                self.slots[at] = id;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &u64> {
        self.slots.iter().filter(|id| **id != 0)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut set = IdSet::default();
        // Neighbours, multiples of large powers of two, and the one id that is written differently.
        let ids = (0..3000_u64).flat_map(|n| [n, n << 40, n << 52 | 7]);
        let expected: std::collections::BTreeSet<u64> = ids.clone().map(|id| id.max(1)).collect();
        ids.clone().chain(ids).for_each(|id| set.insert(id));
        assert_eq!(set.len, expected.len());
        assert_eq!(set.iter().copied().collect::<std::collections::BTreeSet<_>>(), expected);
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
