//! Who is known to be exposed, so that all but the first request cost nothing. The ledger decides
//! for good; this only spares it work, so forgetting is harmless and remembering wrongly is not:
//! fingerprints have 128 bits.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use xxhash_rust::xxh3::Xxh3;

/// Parts with a lock each.
const SHARDS: usize = 64;

/// A bounded set of fingerprints in two generations: when the younger one is full, the older one is
/// forgotten.
#[derive(Debug)]
pub(super) struct Seen {
    shards: Box<[Mutex<Shard>]>,
    generation_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashSet<u128>,
    old: HashSet<u128>,
}

/// Of an experiment, a phase, a variant and a unit: whoever sees a second variant is told again, and
/// so is whoever keeps it in a new phase, which may deal the units anew.
pub(super) fn fingerprint(experiment: &str, phase: u16, variant: u16, unit: &str) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&(experiment.len() as u64).to_le_bytes());
    hasher.update(experiment.as_bytes());
    hasher.update(&phase.to_le_bytes());
    hasher.update(&variant.to_le_bytes());
    hasher.update(unit.as_bytes());
    hasher.digest128()
}

impl Seen {
    /// Remembers about `max` at most.
    pub(super) fn new(max: usize) -> Seen {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Seen { shards, generation_max: (max / SHARDS / 2).max(1) }
    }

    /// Whether it was not remembered yet; it is from now on.
    pub(super) fn insert(&self, fingerprint: u128) -> bool {
        self.with(fingerprint, |shard, generation_max| {
            if shard.young.contains(&fingerprint) {
                return false;
            }
            let is_new = !shard.old.contains(&fingerprint);
            if shard.young.len() >= generation_max {
                shard.old = std::mem::take(&mut shard.young);
            }
            shard.young.insert(fingerprint);
            is_new
        })
    }

    /// Forgets it, because it was not recorded after all.
    pub(super) fn forget(&self, fingerprint: u128) {
        self.with(fingerprint, |shard, _| {
            shard.young.remove(&fingerprint);
            shard.old.remove(&fingerprint);
        });
    }

    fn with<T>(&self, fingerprint: u128, act: impl FnOnce(&mut Shard, usize) -> T) -> T {
        let at = fingerprint as usize % SHARDS;
        // A panic elsewhere leaves a set that is still a set.
        let mut shard = self.shards[at].lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut shard, self.generation_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_told_once() {
        let seen = Seen::new(1_000);
        let one = fingerprint("a", 0, 0, "u");
        assert!(seen.insert(one));
        assert!(!seen.insert(one));
        assert!(seen.insert(fingerprint("a", 0, 1, "u")), "a second variant is news");
        assert!(seen.insert(fingerprint("a", 1, 0, "u")), "so is another phase");
        assert!(seen.insert(fingerprint("au", 0, 0, "")), "another experiment");
        seen.forget(one);
        assert!(seen.insert(one));
    }

    #[test]
    fn memory_is_bounded_and_recent_units_stay() {
        let max = 64 * 2 * 8;
        let seen = Seen::new(max);
        let regular = fingerprint("a", 0, 0, "regular");
        let mut told = 0;
        for unit in 0..20_000 {
            seen.insert(fingerprint("a", 0, 0, &unit.to_string()));
            told += u32::from(seen.insert(regular));
        }
        assert_eq!(told, 1, "whoever comes all the time is never forgotten");
        let held: usize = seen
            .shards
            .iter()
            .map(|shard| shard.lock().map(|shard| shard.young.len() + shard.old.len()).unwrap())
            .sum();
        assert!(held <= max, "{held}");
    }
}
