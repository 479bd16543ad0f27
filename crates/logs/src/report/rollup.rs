//! Rows of panels: as they were counted, or several of them made one under another name.

use std::cmp::Reverse;

use foldhash::HashMap;

use super::counter::Counter;
use super::keys::Keys;
use super::model::Row;

/// Rows made of others.
#[derive(Default)]
pub(crate) struct Rollup {
    index: HashMap<String, usize>,
    rows: Vec<(String, Counter)>,
}

impl Rollup {
    /// Adds `counter` to the row `name`.
    pub(crate) fn add(&mut self, name: &str, counter: &Counter) {
        let at = match self.index.get(name) {
            Some(at) => *at,
            None => {
                self.index.insert(name.to_owned(), self.rows.len());
                self.rows.push((name.to_owned(), Counter::default()));
                self.rows.len() - 1
            }
        };
        self.rows[at].1.merge(counter);
    }

    /// Every row of `keys` under the name that `name` gives it; those without are left out.
    pub(crate) fn of(keys: &Keys, mut name: impl FnMut(u32, &str) -> Option<String>) -> Self {
        let mut rollup = Self::default();
        for (id, counter) in keys.rows() {
            if let Some(name) = name(id, &keys.name(id)) {
                rollup.add(&name, counter);
            }
        }
        rollup
    }

    /// The rows with most hits, most first, and how many there are in all.
    pub(crate) fn top(&self, max: usize) -> (Vec<Row>, u64) {
        let mut order: Vec<&(String, Counter)> = self.rows.iter().collect();
        order.sort_unstable_by_key(|(name, counter)| (Reverse(counter.hits), name));
        let rows =
            order.iter().take(max).map(|(name, counter)| counter.row(name.clone())).collect();
        (rows, self.rows.len() as u64)
    }

    /// All rows, by name.
    pub(crate) fn by_name(&self) -> (Vec<Row>, u64) {
        let mut rows = self.top(usize::MAX).0;
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let distinct = rows.len() as u64;
        (rows, distinct)
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = (&str, &Counter)> {
        self.rows.iter().map(|(name, counter)| (name.as_str(), counter))
    }
}

/// The rows of `keys` with most hits, most first, of those that `take` chooses; and how many there are.
pub(crate) fn top(keys: &Keys, max: usize, take: impl Fn(&[u8]) -> bool) -> (Vec<Row>, u64) {
    let mut order: Vec<(u32, &Counter)> =
        keys.rows().filter(|(id, _)| take(keys.text(*id))).collect();
    let distinct = order.len() as u64;
    let by_rank = |a: &(u32, &Counter), b: &(u32, &Counter)| {
        (Reverse(a.1.hits), keys.text(a.0)).cmp(&(Reverse(b.1.hits), keys.text(b.0)))
    };
    // Only the rows that are shown are sorted: there may be millions.
    if max < order.len() {
        order.select_nth_unstable_by(max, by_rank);
        order.truncate(max);
    }
    order.sort_unstable_by(by_rank);
    (order.into_iter().map(|(id, counter)| counter.row(keys.name(id))).collect(), distinct)
}
