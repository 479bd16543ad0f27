//! A bounded table of limiter states by key.
//!
//! Keys are remembered as 64-bit fingerprints (SipHash under a secret seed), so memory does not
//! depend on what clients send and nobody can choose colliding keys. That any two of n keys share a
//! state has a probability of about n² / 2⁶⁵: one in 37 million for a million keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::time::Duration;

/// Entries that are looked at to find one to give up.
const SAMPLE: usize = 8;

/// States (theoretical arrival times in nanoseconds) by key.
#[derive(Debug, Clone)]
pub struct KeyTable {
    max: usize,
    seed: u64,
    index: Index,
    slots: Vec<Slot>,
    /// Where the search for an entry to give up goes on.
    hand: usize,
}

/// Slots by fingerprint.
type Index = HashMap<u64, u32, BuildHasherDefault<Fingerprint>>;

#[derive(Debug, Clone, Copy)]
struct Slot {
    fingerprint: u64,
    state: u64,
}

impl KeyTable {
    /// A table of at most `max` keys (at least one); `seed` must be secret.
    pub fn new(max: usize, seed: u64) -> KeyTable {
        let max = max.clamp(1, u32::MAX as usize);
        KeyTable { max, seed, index: HashMap::default(), slots: Vec::new(), hand: 0 }
    }

    /// The state of a key; zero when it is new.
    ///
    /// When the table is full, the entry among eight that is the first to become meaningless
    /// (its time is over, or nearest) makes room. A flood of keys can so make the table forget
    /// keys that used little of their share, which then have all of it again; a key that used more
    /// than seven others beside it stays. The table never grows.
    pub fn entry(&mut self, key: &[u8], now: Duration) -> &mut u64 {
        let fingerprint = fingerprint(key, self.seed);
        let slot = match self.index.get(&fingerprint) {
            Some(slot) => *slot as usize,
            None => self.insert(fingerprint, now),
        };
        &mut self.slots[slot].state
    }

    fn insert(&mut self, fingerprint: u64, now: Duration) -> usize {
        let new = Slot { fingerprint, state: 0 };
        if self.slots.len() < self.max {
            self.slots.push(new);
            self.index.insert(fingerprint, (self.slots.len() - 1) as u32);
            return self.slots.len() - 1;
        }
        let now = now.as_nanos() as u64;
        let mut victim = self.hand % self.slots.len();
        for step in 0..SAMPLE {
            let at = (self.hand + step) % self.slots.len();
            if self.slots[at].state < self.slots[victim].state {
                victim = at;
            }
            if self.slots[at].state <= now {
                victim = at;
                break;
            }
        }
        self.hand = (victim + 1) % self.slots.len();
        self.index.remove(&self.slots[victim].fingerprint);
        self.index.insert(fingerprint, victim as u32);
        self.slots[victim] = new;
        victim
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// A keyed hash. Xxh64 would not do: some of its collisions do not depend on the seed.
pub(crate) fn fingerprint(key: &[u8], seed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    hasher.write(key);
    hasher.finish()
}

/// Fingerprints are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stay_with_their_keys() {
        let mut table = KeyTable::new(1_000, 42);
        for round in 0..3_u64 {
            for key in 0..1_000_u32 {
                let state = table.entry(&key.to_le_bytes(), Duration::ZERO);
                assert_eq!(*state, round);
                *state += 1;
            }
        }
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn a_full_table_forgets_what_means_least() {
        let mut table = KeyTable::new(100, 1);
        let now = Duration::from_secs(10);
        for key in 0..100_u32 {
            // Every other key has used up its share for long.
            let state = if key % 2 == 0 { 1 } else { 20_000_000_000 + u64::from(key) };
            *table.entry(&key.to_le_bytes(), now) = state;
        }
        for key in 1_000..1_050_u32 {
            *table.entry(&key.to_le_bytes(), now) = 30_000_000_000;
        }
        assert_eq!(table.len(), 100);
        for key in (1..100_u32).step_by(2) {
            assert_eq!(*table.entry(&key.to_le_bytes(), now), 20_000_000_000 + u64::from(key));
        }
        for key in 0..100_000_u32 {
            table.entry(&key.to_be_bytes(), now);
        }
        assert_eq!((table.len(), table.index.len()), (100, 100));
    }
}
