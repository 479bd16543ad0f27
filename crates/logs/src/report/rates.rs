//! How many requests each pair (client and agent, or client and path) made in each step of time.

use hashbrown::HashTable;

use super::keys::mix;

/// Steps in seconds, tried in this order: the first with room for all cells is used.
const STEPS_S: [i64; 4] = [60, 600, 3600, 86_400];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) client: u32,
    pub(crate) other: u32,
    /// Number of the step, see [`Rates::begin_s`].
    pub(crate) step: i32,
    pub(crate) hits: u32,
}

/// Requests by client, something else, and step of time. With too many cells the step becomes longer,
/// and after the longest nothing is kept; which of these depends on what was added, not on the order.
pub(crate) struct Rates {
    level: usize,
    cells: HashTable<Cell>,
    max: usize,
}

impl Rates {
    pub(crate) fn new(max: usize) -> Self {
        Self { level: 0, cells: HashTable::new(), max }
    }

    /// Length of a step in seconds; `None` when there were too many cells to keep any.
    pub(crate) fn step_s(&self) -> Option<i64> {
        STEPS_S.get(self.level).copied()
    }

    #[inline]
    pub(crate) fn add(&mut self, client: u32, other: u32, at_s: i64, weight: u64) {
        let Some(step_s) = self.step_s() else { return };
        let hits = u32::try_from(weight).unwrap_or(u32::MAX);
        self.put(Cell { client, other, step: at_s.div_euclid(step_s) as i32, hits });
        while self.cells.len() > self.max {
            self.coarsen();
        }
    }

    fn put(&mut self, cell: Cell) {
        let same = |other: &Cell| {
            (other.client, other.other, other.step) == (cell.client, cell.other, cell.step)
        };
        self.cells
            .entry(hash(&cell), same, hash)
            .and_modify(|found| found.hits = found.hits.saturating_add(cell.hits))
            .or_insert(cell);
    }

    #[cold]
    fn coarsen(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        let (Some(old), next) = (self.step_s(), STEPS_S.get(self.level + 1)) else { return };
        self.level += 1;
        if let Some(next) = next {
            let factor = (next / old) as i32;
            for cell in cells {
                self.put(Cell { step: cell.step.div_euclid(factor), ..cell });
            }
        }
    }

    /// Adds all of `other`, whose numbers are those here by `clients` and `others`.
    pub(crate) fn merge(&mut self, mut other: Self, clients: &[u32], others: &[u32]) {
        while self.level < other.level {
            self.coarsen();
        }
        while other.level < self.level {
            other.coarsen();
        }
        let step_s = other.step_s().unwrap_or(1);
        let number = |map: &[u32], id: u32| map.get(id as usize).copied().unwrap_or(0);
        for cell in &other.cells {
            let (client, with) = (number(clients, cell.client), number(others, cell.other));
            self.add(client, with, i64::from(cell.step) * step_s, u64::from(cell.hits));
        }
    }

    /// Every cell, in no order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter()
    }

    /// When a step began, in seconds since the Unix epoch.
    pub(crate) fn begin_s(&self, step: i32) -> i64 {
        i64::from(step) * self.step_s().unwrap_or(1)
    }
}

#[inline]
fn hash(cell: &Cell) -> u64 {
    let pair = u64::from(cell.client) << 32 | u64::from(cell.other);
    mix(pair, cell.step as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(rates: &Rates) -> Vec<(u32, u32, i32, u32)> {
        let mut cells: Vec<_> =
            rates.cells().map(|cell| (cell.client, cell.other, cell.step, cell.hits)).collect();
        cells.sort_unstable();
        cells
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            hits in prop::collection::vec((0..4_u32, 0..3_u32, 0..100_000_i64, 0..3_usize), 0..80),
            max in 1..60_usize,
        ) {
            let mut whole = Rates::new(max);
            let mut parts: Vec<_> = (0..3).map(|_| Rates::new(max)).collect();
            for &(client, agent, at_s, part) in &hits {
                whole.add(client, agent, at_s, 1);
                parts[part].add(client, agent, at_s, 1);
            }
            let mut merged = Rates::new(max);
            for part in parts.into_iter().rev() {
                merged.merge(part, &[0, 1, 2, 3], &[0, 1, 2]);
            }
            prop_assert_eq!(merged.step_s(), whole.step_s());
            prop_assert_eq!(sorted(&merged), sorted(&whole));
        }
    }
}
