//! Ids of events that were counted.

use crate::event::{DecodeError, Reader, Writer};
use std::collections::HashSet;

/// A window over the newest ids: two generations, so that forgetting costs nothing per id. Ids are
/// 128-bit hashes: with a million million of them the odds of one false duplicate are 10⁻¹⁵.
#[derive(Debug, Default)]
pub(super) struct EventIds {
    current: HashSet<u128>,
    previous: HashSet<u128>,
}

impl EventIds {
    pub(super) fn contains(&self, id: u128) -> bool {
        self.current.contains(&id) || self.previous.contains(&id)
    }

    /// Remembers an id; the newest `max`/2 at least are never forgotten.
    pub(super) fn insert(&mut self, id: u128, max: usize) {
        if self.current.len() >= (max / 2).max(1) {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(id);
    }

    pub(super) fn bytes(&self) -> usize {
        (self.current.capacity() + self.previous.capacity()) * (size_of::<u128>() + 1)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        for generation in [&self.previous, &self.current] {
            out.number(generation.len() as u64);
            generation.iter().for_each(|&id| out.wide(id));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<EventIds, DecodeError> {
        let mut generations = [HashSet::new(), HashSet::new()];
        for generation in &mut generations {
            for _ in 0..from.count(usize::MAX, "number of ids")? {
                generation.insert(from.wide()?);
            }
        }
        let [previous, current] = generations;
        Ok(EventIds { current, previous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_half_is_remembered_and_memory_is_bounded() {
        let mut ids = EventIds::default();
        for id in 0..1_000 {
            ids.insert(id, 100);
            assert!((id.saturating_sub(49)..=id).all(|id| ids.contains(id)));
        }
        assert!(!ids.contains(800));
        assert!(ids.current.len() + ids.previous.len() <= 100);
    }
}
