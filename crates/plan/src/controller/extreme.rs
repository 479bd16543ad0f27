//! The largest or smallest of what was recorded within a sliding window of time.

use std::collections::VecDeque;

/// Which end is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Largest,
    Smallest,
}

/// A monotonic queue: each value is pushed and dropped once, and never holds more than the values
/// of one window.
#[derive(Debug, Clone)]
pub(super) struct SlidingExtreme {
    window_s: f64,
    keep: Keep,
    values: VecDeque<(f64, u32)>,
}

impl SlidingExtreme {
    pub(super) fn new(window_s: f64, keep: Keep) -> Self {
        Self { window_s, keep, values: VecDeque::new() }
    }

    /// Records `value` at `now_s` and gives the extreme of the values that are younger than the
    /// window, this one included.
    pub(super) fn push(&mut self, now_s: f64, value: u32) -> u32 {
        let beaten = |old: u32| match self.keep {
            Keep::Largest => old <= value,
            Keep::Smallest => old >= value,
        };
        while self.values.back().is_some_and(|&(_, old)| beaten(old)) {
            self.values.pop_back();
        }
        self.values.push_back((now_s, value));
        let cutoff = now_s - self.window_s;
        while self.values.len() > 1 && self.values.front().is_some_and(|&(at, _)| at <= cutoff) {
            self.values.pop_front();
        }
        self.values.front().map_or(value, |&(_, extreme)| extreme)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_extreme_of_the_window(
            values in prop::collection::vec(0_u32..50, 1..60), window in 0_u32..12,
        ) {
            let mut largest = SlidingExtreme::new(f64::from(window), Keep::Largest);
            let mut smallest = SlidingExtreme::new(f64::from(window), Keep::Smallest);
            for (now, &value) in values.iter().enumerate() {
                let first = (now + 1).saturating_sub((window as usize).max(1));
                let seen = &values[first..=now];
                prop_assert_eq!(largest.push(now as f64, value), *seen.iter().max().unwrap());
                prop_assert_eq!(smallest.push(now as f64, value), *seen.iter().min().unwrap());
            }
        }
    }
}
