//! How many requests each pair (client and agent, or client and path) made in each step of time.

use std::thread;

/// Steps in seconds, tried in this order: the first with room for all cells is used.
const STEPS_S: [i64; 4] = [60, 600, 3600, 86_400];
/// Cells that are kept before they are put in order for the first time.
const UNSETTLED_MIN: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) client: u32,
    pub(crate) other: u32,
    /// Number of the step, see [`Rates::begin_s`].
    pub(crate) step: i32,
    pub(crate) hits: u32,
}

impl Cell {
    /// As one number that sorts by client, then step, then the other, then hits: millions of those
    /// are sorted much faster than of structs.
    #[inline]
    fn pack(self) -> u128 {
        let step = self.step.cast_unsigned() ^ (1 << 31);
        let key = u64::from(self.client) << 32 | u64::from(step);
        u128::from(key) << 64 | u128::from(self.other) << 32 | u128::from(self.hits)
    }

    fn unpack(packed: u128) -> Self {
        Self {
            client: (packed >> 96) as u32,
            step: ((packed >> 64) as u32 ^ (1 << 31)).cast_signed(),
            other: (packed >> 32) as u32,
            hits: packed as u32,
        }
    }
}

/// Requests by client, something else, and step of time. With too many cells the step becomes longer,
/// and after the longest nothing is kept; which of these depends on what was added, not on the order.
///
/// Cells are appended as they come and put in order now and then, which costs less than finding the
/// place of each.
pub(crate) struct Rates {
    level: usize,
    /// [`Cell::pack`]ed; several may be of the same client, step and other until they are settled.
    cells: Vec<u128>,
    /// Cells at which they are settled next.
    settle_at: usize,
    max: usize,
}

impl Rates {
    pub(crate) fn new(max: usize) -> Self {
        Self { level: 0, cells: Vec::new(), settle_at: UNSETTLED_MIN, max }
    }

    /// Length of a step in seconds; `None` when there were too many cells to keep any. Only known once
    /// they are [settled](Self::settle).
    pub(crate) fn step_s(&self) -> Option<i64> {
        STEPS_S.get(self.level).copied()
    }

    #[inline]
    pub(crate) fn add(&mut self, client: u32, other: u32, at_s: i64, weight: u64) {
        let Some(step_s) = self.step_s() else { return };
        let hits = u32::try_from(weight).unwrap_or(u32::MAX);
        self.cells.push(Cell { client, other, step: at_s.div_euclid(step_s) as i32, hits }.pack());
        if self.cells.len() >= self.settle_at {
            self.settle(1);
        }
    }

    /// Makes one cell of those of the same client, step and other, and steps as long as they must be;
    /// with so many threads.
    #[cold]
    pub(crate) fn settle(&mut self, jobs: usize) {
        if jobs > 1 && self.cells.len() > UNSETTLED_MIN {
            let part = self.cells.len().div_ceil(jobs);
            thread::scope(|scope| {
                for part in self.cells.chunks_mut(part) {
                    scope.spawn(|| part.sort_unstable());
                }
            });
        }
        self.unite();
        while self.cells.len() > self.max {
            self.coarsen();
        }
        self.settle_at = (self.cells.len() * 2).max(UNSETTLED_MIN);
    }

    fn unite(&mut self) {
        // Stable, since that one is quick where long parts are in order already.
        self.cells.sort();
        self.cells.dedup_by(|cell, kept| {
            let is_same = *cell >> 32 == *kept >> 32;
            if is_same {
                let hits = (*kept as u32).saturating_add(*cell as u32);
                *kept = *kept >> 32 << 32 | u128::from(hits);
            }
            is_same
        });
    }

    fn coarsen(&mut self) {
        let (Some(old), next) = (self.step_s(), STEPS_S.get(self.level + 1)) else { return };
        self.level += 1;
        let Some(next) = next else { return self.cells = Vec::new() };
        let factor = (next / old) as i32;
        for packed in &mut self.cells {
            let cell = Cell::unpack(*packed);
            *packed = Cell { step: cell.step.div_euclid(factor), ..cell }.pack();
        }
        self.unite();
    }

    /// Adds all of `other`, whose numbers are those here by `clients` and `others`.
    pub(crate) fn merge(&mut self, mut other: Self, clients: &[u32], others: &[u32], jobs: usize) {
        while self.level < other.level {
            self.coarsen();
        }
        while other.level < self.level {
            other.coarsen();
        }
        let number = |map: &[u32], id: u32| map.get(id as usize).copied().unwrap_or(0);
        self.cells.extend(other.cells.into_iter().map(|packed| {
            let cell = Cell::unpack(packed);
            let (client, other) = (number(clients, cell.client), number(others, cell.other));
            Cell { client, other, ..cell }.pack()
        }));
        self.settle(jobs);
    }

    /// Every cell, by client and then by step; each is there once when they are
    /// [settled](Self::settle).
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> {
        self.cells.iter().map(|packed| Cell::unpack(*packed))
    }

    /// When a step began, in seconds since the Unix epoch.
    pub(crate) fn begin_s(&self, step: i32) -> i64 {
        i64::from(step) * self.step_s().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(rates: &Rates) -> Vec<Cell> {
        rates.cells().collect()
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            hits in prop::collection::vec((0..4_u32, 0..3_u32, 0..100_000_i64, 0..3_usize), 0..80),
            max in 1..60_usize,
            settled in 0..80_usize,
        ) {
            let mut whole = Rates::new(max);
            let mut parts: Vec<_> = (0..3).map(|_| Rates::new(max)).collect();
            for (at, &(client, agent, at_s, part)) in hits.iter().enumerate() {
                whole.add(client, agent, at_s, 1);
                parts[part].add(client, agent, at_s, 1);
                if at == settled {
                    parts[part].settle(1);
                }
            }
            whole.settle(1);
            let mut merged = Rates::new(max);
            for part in parts.into_iter().rev() {
                merged.merge(part, &[0, 1, 2, 3], &[0, 1, 2], 2);
            }
            prop_assert_eq!(merged.step_s(), whole.step_s());
            prop_assert_eq!(all(&merged), all(&whole));
            let hits_of_all: u32 = all(&whole).iter().map(|cell| cell.hits).sum();
            prop_assert!(whole.step_s().is_none() || hits_of_all as usize == hits.len());
        }
    }

    #[test]
    fn a_cell_is_the_same_unpacked_and_stands_where_its_time_says() {
        let cell = |step, other| Cell { client: u32::MAX, other, step, hits: 7 };
        let cells = [cell(i32::MIN, 9), cell(-1, 9), cell(0, 3), cell(0, 4), cell(i32::MAX, 0)];
        let packed: Vec<u128> = cells.iter().map(|cell| cell.pack()).collect();
        assert!(packed.is_sorted());
        assert!(packed.into_iter().map(Cell::unpack).eq(cells));
    }
}
