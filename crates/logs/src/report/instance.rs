//! What one upstream server did over time: how many requests it answered, and how many at once.

use std::collections::BTreeMap;

use super::model::{Concurrency, Instance, Window};
use super::overlap::Overlap;
use super::series::Series;

/// Pages of the series of one upstream, see [`Series`]: three days by seconds.
const PAGES_MAX: usize = 1 << 10;
/// Lengths of windows, in seconds: the shortest in which there is something to see is taken.
const WINDOWS_S: [i64; 6] = [1, 10, 60, 600, 3600, LONGEST_S];
const LONGEST_S: i64 = 86_400;
/// Requests in the window of most requests: enough that there is something to see.
const WINDOW_REQUESTS: f64 = 50.0;
/// Most windows of all upstreams together.
const WINDOWS_MAX: usize = 1 << 20;
/// Longest window that is taken only to have enough requests in it, in seconds.
const WINDOW_S_MAX: i64 = 600;

/// What is kept of one upstream server. Any split of the records and any order of merging gives the same.
#[derive(Debug, Clone)]
pub(crate) struct Tracked {
    /// Requests by the second in which their answer ended.
    ended: Series<1>,
    /// Requests under way, where the log has durations.
    overlap: Option<Overlap>,
    first_us: i64,
    first_served_us: i64,
}

impl Tracked {
    pub(crate) fn new() -> Self {
        Self {
            ended: Series::new(1, PAGES_MAX),
            overlap: None,
            first_us: i64::MAX,
            first_served_us: i64::MAX,
        }
    }

    /// `weight` requests from `start_us` on, for `duration_us` where that is known, answered with a
    /// status of `class`.
    #[inline]
    pub(crate) fn add(&mut self, start_us: i64, duration_us: Option<u64>, class: u8, weight: u64) {
        let end_us = start_us.saturating_add_unsigned(duration_us.unwrap_or(0));
        self.ended.add(end_us.div_euclid(1_000_000), [weight]);
        self.first_us = self.first_us.min(start_us);
        if class != 5 {
            self.first_served_us = self.first_served_us.min(start_us);
        }
        if let Some(us) = duration_us {
            self.overlap.get_or_insert_with(|| Overlap::new(PAGES_MAX)).add(start_us, us, weight);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.ended.merge(other.ended);
        self.first_us = self.first_us.min(other.first_us);
        self.first_served_us = self.first_served_us.min(other.first_served_us);
        match (&mut self.overlap, other.overlap) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours @ None, theirs) => *ours = theirs,
            (Some(_), None) => {}
        }
    }

    pub(crate) fn concurrency(&self) -> Option<Concurrency> {
        self.overlap.as_ref().and_then(Overlap::concurrency)
    }

    fn step_s(&self) -> i64 {
        let overlap_s = self.overlap.as_ref().map_or(1, Overlap::step_s);
        self.ended.step_s().max(overlap_s)
    }

    /// Requests that ended in each window that had any.
    fn ended(&self, window_s: i64) -> BTreeMap<i64, u64> {
        let mut windows = BTreeMap::new();
        for (at_s, [ended]) in self.ended.cells() {
            *windows.entry(at_s.div_euclid(window_s) * window_s).or_default() += ended;
        }
        windows
    }

    pub(crate) fn instance(&self, key: String, window_s: i64) -> Instance {
        let mut ended = self.ended(window_s);
        let busy = self.overlap.as_ref().map(|overlap| overlap.busy_s(window_s));
        for start_s in busy.iter().flat_map(BTreeMap::keys) {
            ended.entry(*start_s).or_default();
        }
        let window = |(start_s, ended): (i64, u64)| Window {
            start_s,
            ended,
            busy_s: busy.as_ref().map(|busy| busy.get(&start_s).copied().unwrap_or(0.0)),
        };
        Instance {
            key,
            first_us: self.first_us,
            first_served_us: Some(self.first_served_us).filter(|us| *us < i64::MAX),
            windows: ended.into_iter().map(window).collect(),
        }
    }
}

/// The length of windows in which there is something to see of upstream servers, each with its number.
pub(crate) fn window_s(tracked: &[(u32, &Tracked)]) -> i64 {
    let shortest = tracked.iter().map(|(_, one)| one.step_s()).max().unwrap_or(1);
    let fits = |window_s: &i64| {
        let (mut windows, mut requests, mut squares) = (0, 0.0, 0.0);
        for ended in tracked.iter().flat_map(|(_, one)| one.ended(*window_s).into_values()) {
            windows += 1;
            requests += ended as f64;
            squares += (ended as f64).powi(2);
        }
        windows <= WINDOWS_MAX
            && (*window_s >= WINDOW_S_MAX || squares >= WINDOW_REQUESTS * requests)
    };
    let mut longer = WINDOWS_S.into_iter().filter(|window_s| *window_s >= shortest);
    longer.find(fits).unwrap_or(LONGEST_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_what_ended_and_what_was_under_way() {
        let mut one = Tracked::new();
        one.add(500_000, Some(3_000_000), 5, 1);
        one.add(9_000_000, Some(2_000_000), 2, 2);
        let seen = one.instance("a".to_owned(), 10);
        let window = |start_s, ended, busy_s| Window { start_s, ended, busy_s: Some(busy_s) };
        assert_eq!(seen.windows, [window(0, 1, 3.0 + 2.0), window(10, 2, 2.0)]);
        assert_eq!((seen.first_us, seen.first_served_us), (500_000, Some(9_000_000)));
        let mut without = Tracked::new();
        without.add(1_000_000, None, 2, 1);
        let seen = without.instance("b".to_owned(), 1);
        assert_eq!(seen.windows, [Window { start_s: 1, ended: 1, busy_s: None }]);
    }

    #[test]
    fn windows_are_as_long_as_they_must_be() {
        let filled = |per_s: u64| {
            let mut one = Tracked::new();
            (0..1200).for_each(|second| one.add(second * 1_000_000, None, 2, per_s));
            window_s(&[(0, &one)])
        };
        assert_eq!([50, 5, 1].map(filled), [1, 10, 60]);
        assert_eq!(window_s(&[]), 1);
    }
}
