//! Distinct texts of one kind, each kept once and known by a number, with what is counted for it.

use std::hash::BuildHasher;

use foldhash::quality::{FixedState, RandomState};
use hashbrown::HashTable;

use super::counter::{Counter, Hit};

/// The key of the row that counts what came after a cap was reached.
pub(crate) const OTHER: &str = "(other)";
/// Its number.
pub(crate) const OTHER_ID: u32 = 0;
/// Bytes of a key that are kept; two that differ only beyond are one.
pub(crate) const KEY_BYTES_MAX: usize = 2048;
/// (visitor, row) pairs that are remembered as counted; a power of two.
const COUNTED: usize = 1 << 15;

/// Texts of one kind: clients, paths, …
pub(crate) struct Keys {
    /// The texts, one after the other.
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
    /// Hash of each text, the same in every run and thread.
    prints: Vec<u64>,
    index: HashTable<u32>,
    /// Keyed at random, so that nobody can write a log whose texts collide.
    hasher: RandomState,
    pub(crate) counters: Vec<Counter>,
    last: u32,
    max: usize,
}

impl Keys {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: vec![0],
            prints: vec![0],
            index: HashTable::new(),
            hasher: RandomState::default(),
            counters: vec![Counter::default()],
            last: OTHER_ID,
            max,
        }
    }

    /// The number of `key`: a new one when it was not seen before, [`OTHER_ID`] beyond the cap.
    #[inline]
    pub(crate) fn id(&mut self, key: &[u8]) -> u32 {
        let key = &key[..key.len().min(KEY_BYTES_MAX)];
        if self.last != OTHER_ID && self.text(self.last) == key {
            return self.last;
        }
        let hash = self.hasher.hash_one(key);
        let found = self.index.find(hash, |id| text(&self.bytes, &self.ends, *id) == key).copied();
        self.last = match found {
            Some(id) => id,
            None => self.add(key, hash),
        };
        self.last
    }

    #[cold]
    fn add(&mut self, key: &[u8], hash: u64) -> u32 {
        if self.len() >= self.max {
            return OTHER_ID;
        }
        let id = self.ends.len() as u32;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        self.prints.push(FixedState::with_seed(0).hash_one(key));
        self.counters.push(Counter::default());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(text(bytes, ends, *id)));
        id
    }

    /// Distinct texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn text(&self, id: u32) -> &[u8] {
        text(&self.bytes, &self.ends, id)
    }

    pub(crate) fn name(&self, id: u32) -> String {
        match id {
            OTHER_ID => OTHER.to_owned(),
            id => String::from_utf8_lossy(self.text(id)).into_owned(),
        }
    }

    /// A hash of the text that is the same in every run and thread.
    #[inline]
    pub(crate) fn print(&self, id: u32) -> u64 {
        self.prints.get(id as usize).copied().unwrap_or(0)
    }

    /// Counts a record in the row `id`.
    #[inline]
    pub(crate) fn count(&mut self, id: u32, hit: &Hit, counted: &mut Counted) {
        let Some(counter) = self.counters.get_mut(id as usize) else { return };
        counter.add(hit);
        if let Some(visitor) = hit.visitor
            && counted.is_new(visitor, self.prints[id as usize])
        {
            counter.visit(visitor);
        }
    }

    /// Adds all of `other`; the answer tells the numbers here of the numbers there.
    pub(crate) fn merge(&mut self, other: &Self) -> Vec<u32> {
        (0..)
            .zip(&other.counters)
            .map(|(theirs, counter)| {
                let id = if theirs == OTHER_ID { OTHER_ID } else { self.id(other.text(theirs)) };
                if let Some(ours) = self.counters.get_mut(id as usize) {
                    ours.merge(counter);
                }
                id
            })
            .collect()
    }

    /// Whether texts were left out because of the cap.
    pub(crate) fn is_capped(&self) -> bool {
        self.counters.first().is_some_and(|other| other.hits > 0)
    }

    /// Every row with hits: its number and what it counted.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &Counter)> {
        (0..).zip(&self.counters).filter(|(_, counter)| counter.hits > 0)
    }
}

fn text<'a>(bytes: &'a [u8], ends: &[usize], id: u32) -> &'a [u8] {
    let id = id as usize;
    let (Some(&start), Some(&end)) = (ends.get(id.wrapping_sub(1)), ends.get(id)) else {
        return b"";
    };
    bytes.get(start..end).unwrap_or_default()
}

/// Remembers which visitors were counted last in which rows, so that the sets of visitors are asked
/// once per visitor and row, not once per record. Forgetting costs time and never changes a count.
pub(crate) struct Counted {
    pairs: Vec<u64>,
    salt: u64,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self { pairs: vec![0; COUNTED], salt: 0 }
    }

    /// Must be called with another number for every panel.
    #[inline]
    pub(crate) fn panel(&mut self, number: u64) -> &mut Self {
        self.salt = number;
        self
    }

    /// Whether the visitor may not have been counted in the row yet.
    #[inline]
    pub(crate) fn is_new(&mut self, visitor: u64, row: u64) -> bool {
        let pair = mix(visitor, row.wrapping_add(self.salt));
        let slot = &mut self.pairs[(pair >> 49) as usize];
        let is_new = *slot != pair;
        *slot = pair;
        is_new
    }
}

/// Two 64-bit hashes made one, by the fold of a 128-bit product, as wyhash and foldhash do it.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9E37_79B9_7F4A_7C15)
        * u128::from(b.rotate_left(32) ^ 0xD6E8_FEB8_6659_FD93);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(visitor: u64) -> Hit {
        Hit { weight: 1, bytes: 10, class: 2, duration_us: None, visitor: Some(visitor) }
    }

    #[test]
    fn one_number_per_text_and_one_row_beyond_the_cap() {
        let (mut keys, mut counted) = (Keys::new(2), Counted::new());
        for text in ["a", "b", "a", "c", "d"] {
            let id = keys.id(text.as_bytes());
            keys.count(id, &hit(7), &mut counted);
        }
        let rows: Vec<_> = keys.rows().map(|(id, counter)| counter.row(keys.name(id))).collect();
        let seen: Vec<_> =
            rows.iter().map(|row| (row.key.as_str(), row.hits, row.visitors)).collect();
        assert_eq!(seen, [(OTHER, 2, 1), ("a", 2, 1), ("b", 1, 1)]);
        assert!(keys.is_capped());
    }

    #[test]
    fn merging_keeps_texts_apart_and_tells_their_numbers() {
        let (mut ours, mut theirs, mut counted) = (Keys::new(9), Keys::new(9), Counted::new());
        for (keys, texts) in [(&mut ours, ["x", "y"]), (&mut theirs, ["y", "z"])] {
            for text in texts {
                let id = keys.id(text.as_bytes());
                keys.count(id, &hit(1), &mut counted);
            }
        }
        let numbers = ours.merge(&theirs);
        assert_eq!(numbers, [OTHER_ID, 2, 3]);
        let hits: Vec<_> = ours.rows().map(|(id, row)| (ours.name(id), row.hits)).collect();
        assert_eq!(hits, [("x".to_owned(), 1), ("y".to_owned(), 2), ("z".to_owned(), 1)]);
    }
}
