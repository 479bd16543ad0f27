//! How many requests were under way at once, from their starts and ends.

use std::collections::BTreeMap;

use super::model::Concurrency;
use super::series::Series;

const SECOND_US: i64 = 1_000_000;
/// Longest request that is followed, in µs: a day. Longer ones end there.
pub(crate) const DURATION_MAX_US: u64 = 86_400 * SECOND_US as u64;

/// Requests under way, as a sum of events: a start adds one from its moment on, an end takes one away.
/// Sums do not depend on order. A step holds what its events change in its own µs under way, and in
/// the number under way after it.
#[derive(Debug, Clone)]
pub(crate) struct Overlap {
    steps: Series<2>,
    busy_us: u128,
    start_us: i64,
    end_us: i64,
}

impl Overlap {
    /// With at most `pages_max` pages, see [`Series`].
    pub(crate) fn new(pages_max: usize) -> Self {
        let steps = Series::with_fold(1, pages_max, |series, at_s, step_s, [busy, change]| {
            let coarse_s = series.step_s();
            let end_s = (at_s.div_euclid(coarse_s) + 1) * coarse_s;
            let rest_us = (end_s - at_s - step_s) * SECOND_US;
            series.add(at_s, [busy.wrapping_add(change.wrapping_mul(rest_us as u64)), change]);
        });
        Self { steps, busy_us: 0, start_us: i64::MAX, end_us: i64::MIN }
    }

    /// `weight` requests under way from `start_us` for `duration_us`.
    #[inline]
    pub(crate) fn add(&mut self, start_us: i64, duration_us: u64, weight: u64) {
        let duration_us = duration_us.min(DURATION_MAX_US);
        let end_us = start_us.saturating_add(duration_us as i64);
        self.busy_us += u128::from(duration_us) * u128::from(weight);
        self.start_us = self.start_us.min(start_us);
        self.end_us = self.end_us.max(end_us);
        self.change(start_us, weight);
        self.change(end_us, weight.wrapping_neg());
    }

    fn change(&mut self, at_us: i64, by: u64) {
        let step_us = self.steps.step_s() * SECOND_US;
        let rest_us = step_us - at_us.rem_euclid(step_us);
        self.steps.add(at_us.div_euclid(SECOND_US), [by.wrapping_mul(rest_us as u64), by]);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.busy_us += other.busy_us;
        self.start_us = self.start_us.min(other.start_us);
        self.end_us = self.end_us.max(other.end_us);
        self.steps.merge(other.steps);
    }

    /// Length of a step in seconds.
    pub(crate) fn step_s(&self) -> i64 {
        self.steps.step_s()
    }

    /// Seconds that requests were under way in each window of `window_s`, a multiple of the step; those
    /// in which none was are left out.
    pub(crate) fn busy_s(&self, window_s: i64) -> BTreeMap<i64, f64> {
        let step_s = self.step_s();
        let mut windows = BTreeMap::new();
        let mut add = |at_s: i64, busy_s: f64| {
            if busy_s != 0.0 {
                *windows.entry(at_s.div_euclid(window_s) * window_s).or_insert(0.0) += busy_s;
            }
        };
        let (mut under_way, mut next_s) = (0_i64, i64::MAX);
        for (at_s, [busy, change]) in self.steps.cells() {
            // From the last event until this one nothing changes.
            while under_way != 0 && next_s < at_s {
                let end_s = at_s.min((next_s.div_euclid(window_s) + 1) * window_s);
                add(next_s, under_way as f64 * (end_s - next_s) as f64);
                next_s = end_s;
            }
            let changed_s = busy as i64 as f64 / SECOND_US as f64;
            add(at_s, under_way as f64 * step_s as f64 + changed_s);
            under_way = under_way.wrapping_add(change as i64);
            next_s = at_s + step_s;
        }
        windows
    }

    /// Mean and peak, both of means over steps, so that the peak is never below the mean; `None` when nothing was under way at all.
    pub(crate) fn concurrency(&self) -> Option<Concurrency> {
        self.end_us.checked_sub(self.start_us).filter(|span| *span > 0)?;
        let step_s = self.steps.step_s();
        let step_us = (step_s * SECOND_US) as f64;
        let first = self.start_us.div_euclid(step_s * SECOND_US);
        let last = (self.end_us - 1).div_euclid(step_s * SECOND_US);
        let span_us = (last - first + 1) as f64 * step_us;
        let (mut peak, mut peak_s) = (0.0, 0);
        let mut see = |at_s: i64, under_way: f64| {
            if under_way > peak {
                (peak, peak_s) = (under_way, at_s);
            }
        };
        let (mut under_way, mut next_s) = (0_i64, i64::MAX);
        for (at_s, [busy, change]) in self.steps.cells() {
            if next_s < at_s {
                see(next_s, under_way as f64); // steps where nothing starts or ends
            }
            see(at_s, under_way as f64 + busy as i64 as f64 / step_us);
            under_way = under_way.wrapping_add(change as i64);
            next_s = at_s + step_s;
        }
        Some(Concurrency {
            mean: self.busy_us as f64 / span_us,
            peak,
            peak_time: peak_s * SECOND_US,
            step_s: step_s as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_that_overlap() {
        let mut overlap = Overlap::new(9);
        // 0.5 to 3.5 s, 1.0 to 3.0 s, and 1.25 to 1.75 s twice.
        overlap.add(500_000, 3_000_000, 1);
        overlap.add(1_000_000, 2_000_000, 1);
        overlap.add(1_250_000, 500_000, 2);
        let seen = overlap.concurrency().unwrap();
        assert_eq!((seen.peak, seen.peak_time, seen.step_s), (3.0, 1_000_000, 1));
        assert_eq!(seen.mean, 6.0 / 4.0);
    }

    #[test]
    fn a_short_burst_has_no_mean_above_its_peak() {
        let mut overlap = Overlap::new(9);
        overlap.add(400_000, 100_000, 10);
        let seen = overlap.concurrency().unwrap();
        assert_eq!((seen.mean, seen.peak, seen.step_s), (1.0, 1.0, 1));
    }

    #[test]
    fn nothing_under_way() {
        assert_eq!(Overlap::new(9).concurrency(), None);
    }

    proptest! {
        #[test]
        fn windows_hold_all_the_time_that_was_spent(
            requests in prop::collection::vec((-3_000_000..90_000_000_i64, 0..90_000_000_u64), 1..20),
            window_s in prop::sample::select(vec![1, 10, 60]),
        ) {
            let mut overlap = Overlap::new(9);
            requests.iter().for_each(|&(start, duration)| overlap.add(start, duration, 1));
            let windows = overlap.busy_s(window_s);
            for (&begin_s, &busy_s) in &windows {
                let (low, high) = (begin_s * SECOND_US, (begin_s + window_s) * SECOND_US);
                let own = |&(start, duration): &(i64, u64)| {
                    ((start + duration as i64).min(high) - start.max(low)).max(0)
                };
                let expected = requests.iter().map(own).sum::<i64>() as f64 / SECOND_US as f64;
                prop_assert!((busy_s - expected).abs() < 1e-6, "{begin_s}: {busy_s} {expected}");
            }
            let all: f64 = requests.iter().map(|(_, duration)| *duration as f64).sum();
            prop_assert!((windows.values().sum::<f64>() - all / SECOND_US as f64).abs() < 1e-6);
        }

        #[test]
        fn any_split_and_any_coarsening_give_the_same(
            requests in prop::collection::vec((0..3_000_000_000_i64, 0..900_000_000_u64, 0..3_usize), 1..40),
        ) {
            let mut whole = Overlap::new(2);
            let mut parts = vec![Overlap::new(2); 3];
            for &(start, duration, part) in &requests {
                whole.add(start, duration, 1);
                parts[part].add(start, duration, 1);
            }
            let mut merged = Overlap::new(2);
            parts.into_iter().rev().for_each(|part| merged.merge(part));
            prop_assert_eq!(merged.concurrency(), whole.concurrency());
        }

        #[test]
        fn the_peak_is_that_of_the_busiest_second(
            requests in prop::collection::vec((0..20_000_000_i64, 1..9_000_000_u64), 1..20),
        ) {
            let mut overlap = Overlap::new(9);
            requests.iter().for_each(|&(start, duration)| overlap.add(start, duration, 1));
            let busy = |second: i64| -> i64 {
                requests.iter().map(|&(start, duration)| {
                    let (low, high) = (second * SECOND_US, (second + 1) * SECOND_US);
                    ((start + duration as i64).min(high) - start.max(low)).max(0)
                }).sum()
            };
            let peak = (0..40).map(busy).max().unwrap() as f64 / SECOND_US as f64;
            let seen = overlap.concurrency().unwrap();
            prop_assert!((seen.peak - peak).abs() < 1e-9 && seen.mean <= peak + 1e-9);
        }
    }
}
