//! The units of one shard, by the hash of their id.

use super::table::Recent;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

/// A unit's id, hashed: with 10⁸ units the odds that two share one are 10⁻²³.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitKey(pub(super) u128);

impl UnitKey {
    pub(super) fn new(unit: &str) -> UnitKey {
        UnitKey(xxh3_128(unit.as_bytes()))
    }

    /// The shard that it is in.
    pub(super) fn shard(self, shards: usize) -> usize {
        ((self.0 >> 64) as u64 % shards as u64) as usize
    }
}

/// That a unit takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) table: u16,
    pub(super) row: u32,
}

/// What is known of a unit in all experiments.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) key: UnitKey,
    /// Events within the horizon.
    pub(super) recent: Vec<Recent>,
    pub(super) memberships: Vec<Membership>,
}

impl Unit {
    pub(super) fn row(&self, table: u16) -> Option<u32> {
        self.memberships.iter().find(|it| it.table == table).map(|membership| membership.row)
    }

    fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.memberships.is_empty()
    }
}

/// All units.
#[derive(Debug, Default)]
pub(super) struct Units {
    index: HashTable<u32>,
    pub(super) all: Vec<Unit>,
    free: Vec<u32>,
    hand: usize,
}

impl Units {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, key: UnitKey) -> Option<u32> {
        let same = |&at: &u32| self.all.get(at as usize).is_some_and(|unit| unit.key == key);
        self.index.find(key.0 as u64, same).copied()
    }

    pub(super) fn get(&self, at: u32) -> Option<&Unit> {
        self.all.get(at as usize)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Unit> {
        self.all.get_mut(at as usize)
    }

    /// Adds a unit that is not there.
    pub(super) fn insert(&mut self, unit: Unit) -> u32 {
        let hash = unit.key.0 as u64;
        let at = self.free.pop().unwrap_or(self.all.len() as u32);
        match self.all.get_mut(at as usize) {
            Some(slot) => *slot = unit,
            None => self.all.push(unit),
        }
        let hash_of =
            |&at: &u32| self.all.get(at as usize).map_or(0, |unit: &Unit| unit.key.0 as u64);
        self.index.insert_unique(hash, at, hash_of);
        at
    }

    /// Looks after the next `count` units: drops events of before `keep_from`, and units that
    /// nothing is known of any more. Returns how many events were dropped.
    pub(super) fn sweep(&mut self, count: usize, keep_from: i64) -> usize {
        let mut dropped = 0;
        for _ in 0..count.min(self.all.len()) {
            self.hand = if self.hand + 1 < self.all.len() { self.hand + 1 } else { 0 };
            let Some(unit) = self.all.get_mut(self.hand) else { break };
            let before = unit.recent.len();
            if before == 0 {
                continue;
            }
            unit.recent.retain(|event| event.time_us >= keep_from);
            dropped += before - unit.recent.len();
            if unit.recent.is_empty() {
                unit.recent = Vec::new();
            }
            let (key, empty) = (unit.key, unit.is_empty());
            if empty {
                self.remove(key, self.hand as u32);
            }
        }
        dropped
    }

    fn remove(&mut self, key: UnitKey, at: u32) {
        if let Ok(entry) = self.index.find_entry(key.0 as u64, |&other| other == at) {
            entry.remove();
            self.free.push(at);
        }
    }

    /// Ends the membership of all units in some tables.
    pub(super) fn leave(&mut self, tables: &[u16]) {
        for at in 0..self.all.len() {
            let Some(unit) = self.all.get_mut(at) else { return };
            let before = unit.memberships.len();
            unit.memberships.retain(|membership| !tables.contains(&membership.table));
            let (key, gone) = (unit.key, before > 0 && unit.is_empty());
            if gone {
                self.remove(key, at as u32);
            }
        }
    }

    /// Those that something is known of.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.all.iter().filter(|unit| !unit.is_empty())
    }

    pub(super) fn bytes(&self) -> usize {
        let own = |unit: &Unit| {
            unit.recent.capacity() * size_of::<Recent>()
                + unit.memberships.capacity() * size_of::<Membership>()
        };
        self.all.capacity() * size_of::<Unit>()
            + self.index.allocation_size()
            + self.all.iter().map(own).sum::<usize>()
    }
}
