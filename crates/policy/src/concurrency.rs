//! Requests under way by key, in a bounded table.

use std::collections::HashMap;

use crate::key_table::fingerprint;

/// Counts of requests under way by key. Keys are kept as fingerprints (see
/// [`KeyTable`](crate::key_table::KeyTable)).
#[derive(Debug, Clone)]
pub struct ConcurrencyTable {
    max: usize,
    seed: u64,
    counts: HashMap<u64, u64>,
}

impl ConcurrencyTable {
    /// A table of at most `max` keys with requests under way; more are refused, since to forget a
    /// count would let its key exceed the limit. `seed` must be secret.
    pub fn new(max: usize, seed: u64) -> ConcurrencyTable {
        ConcurrencyTable { max, seed, counts: HashMap::new() }
    }

    /// Counts a request in, unless its key has `limit` under way. Each `true` is followed by one
    /// [`ConcurrencyTable::release`].
    pub fn acquire(&mut self, key: &[u8], limit: u64) -> bool {
        let fingerprint = fingerprint(key, self.seed);
        let is_full = self.counts.len() >= self.max;
        match self.counts.get_mut(&fingerprint) {
            Some(count) if *count >= limit => false,
            Some(count) => {
                *count += 1;
                true
            }
            None if is_full || limit == 0 => false,
            None => {
                self.counts.insert(fingerprint, 1);
                true
            }
        }
    }

    /// Counts a request out.
    pub fn release(&mut self, key: &[u8]) {
        let fingerprint = fingerprint(key, self.seed);
        if let Some(count) = self.counts.get_mut(&fingerprint) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_and_out() {
        let mut table = ConcurrencyTable::new(2, 5);
        assert!(table.acquire(b"a", 2) && table.acquire(b"a", 2) && !table.acquire(b"a", 2));
        assert!(table.acquire(b"b", 1));
        // No room for a third key until one has nothing under way.
        assert!(!table.acquire(b"c", 1));
        table.release(b"b");
        assert!(table.acquire(b"c", 1));
        table.release(b"unknown");
        table.release(b"a");
        assert!(table.acquire(b"a", 2));
    }
}
