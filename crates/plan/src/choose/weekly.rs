//! Weekly schedules out of past demand: what each quarter of an hour needed, cut into few windows.

use crate::Series;
use crate::controller::schedule::{EVERY_DAY, WEEKDAYS, WEEKEND, WeekClock, Window};

/// Quarters of an hour of a day.
pub const QUARTERS: usize = 96;

/// Most windows that a day is cut into.
pub const DAY_WINDOWS_MAX: usize = 24;

/// The busiest step of each quarter of an hour of the past, by quarter of the day and kind of day.
#[derive(Debug, Clone)]
pub struct WeekDemand {
    weekdays: Vec<Vec<f64>>,
    weekend: Vec<Vec<f64>>,
    every_day: Vec<Vec<f64>>,
}

impl WeekDemand {
    /// Collects from `series`, in the local time of its zone.
    #[must_use]
    pub fn new(series: &Series) -> Self {
        let mut clock = WeekClock::new(series.zone.clone());
        let empty = vec![Vec::new(); QUARTERS];
        let (mut weekdays, mut weekend) = (empty.clone(), empty);
        let mut open: Option<(usize, f64)> = None;
        let mut close = |open: Option<(usize, f64)>| {
            if let Some((quarter, peak)) = open {
                let days = if quarter / QUARTERS < 5 { &mut weekdays } else { &mut weekend };
                days[quarter % QUARTERS].push(peak);
            }
        };
        for (index, count) in series.counts.iter().enumerate() {
            if !count.is_finite() {
                continue;
            }
            let quarter = clock.minute_of_week(series.time_s(index) as f64) / 15;
            let rate = count / f64::from(series.step_s);
            open = match open {
                Some((same, peak)) if same == quarter => Some((quarter, peak.max(rate))),
                before => {
                    close(before);
                    Some((quarter, rate))
                }
            };
        }
        close(open);
        let every_day = weekdays.iter().zip(&weekend).map(|(a, b)| [&a[..], b].concat());
        let mut demand = Self { every_day: every_day.collect(), weekdays, weekend };
        for day in [&mut demand.weekdays, &mut demand.weekend, &mut demand.every_day] {
            for quarter in day {
                quarter.sort_by(f64::total_cmp);
            }
        }
        demand
    }

    /// At most `entries` windows that hold, in every quarter of an hour, what is enough for the
    /// `quantile` of its past demand times `headroom` and that of the quarter after it, at
    /// `capacity_per_s` for each instance; never more than `max`. What needs no more than `base`
    /// instances gets no window. `split` tells working days from weekends.
    #[must_use]
    pub fn windows(
        &self,
        floor: &FloorSpec,
        capacity_per_s: f64,
        (base, max): (u32, u32),
    ) -> Vec<Window> {
        let curve = |day: &[Vec<f64>]| -> Vec<u32> {
            let need = |quarter: usize| {
                let rate = stats::quantile::type7(&day[quarter % QUARTERS], floor.quantile);
                let wanted = rate.unwrap_or(0.0) * floor.headroom / capacity_per_s;
                (wanted.ceil() as u32).min(max)
            };
            (0..QUARTERS).map(|quarter| need(quarter).max(need(quarter + 1))).collect()
        };
        let entries = floor.entries.min(DAY_WINDOWS_MAX);
        if !floor.split {
            return segment(&curve(&self.every_day), base, entries).windows(entries, EVERY_DAY);
        }
        let work = segment(&curve(&self.weekdays), base, entries);
        let rest = segment(&curve(&self.weekend), base, entries);
        let cost =
            |for_work: usize| 5.0 * work.cost[for_work] + 2.0 * rest.cost[entries - for_work];
        let best = (0..=entries).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        let mut windows = work.windows(best, WEEKDAYS);
        windows.extend(rest.windows(entries - best, WEEKEND));
        windows
    }
}

/// How a floor is made of past demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorSpec {
    /// Quantile of the demand over days, 0..=1.
    pub quantile: f64,
    /// Factor on the demand.
    pub headroom: f64,
    /// Most windows.
    pub entries: usize,
    /// Whether working days and weekends differ.
    pub split: bool,
}

/// The best ways to cut a day, for every number of windows.
struct Segmentation {
    /// Least instances × quarters with so many windows; infinite where they are too few.
    cost: Vec<f64>,
    /// `(begin, level)` of the window that ends before each quarter; `None` where it has none.
    last: Vec<Vec<Option<(usize, u32)>>>,
}

/// Cuts `curve` by dynamic programming into windows whose levels are never below it, at the least
/// sum of instances over time. Outside of windows there are `base` instances.
fn segment(curve: &[u32], base: u32, windows_max: usize) -> Segmentation {
    let n = curve.len();
    let mut cost = vec![vec![f64::INFINITY; n + 1]; windows_max + 1];
    let mut last = vec![vec![None; n + 1]; windows_max + 1];
    for k in 0..=windows_max {
        cost[k][0] = 0.0;
        for end in 1..=n {
            if curve[end - 1] <= base {
                cost[k][end] = cost[k][end - 1] + f64::from(base);
            }
            if k == 0 {
                continue;
            }
            let mut level = base;
            for begin in (0..end).rev() {
                level = level.max(curve[begin]);
                let sum = cost[k - 1][begin] + f64::from(level) * (end - begin) as f64;
                if sum < cost[k][end] {
                    cost[k][end] = sum;
                    last[k][end] = Some((begin, level));
                }
            }
        }
    }
    Segmentation { cost: cost.iter().map(|row| row[n]).collect(), last }
}

impl Segmentation {
    /// The windows of the best cut into at most `k`, on `days`.
    fn windows(&self, mut k: usize, days: u8) -> Vec<Window> {
        let minute = |quarter: usize| (quarter * 15) as u16;
        let mut windows = Vec::new();
        let mut end = self.last[k].len() - 1;
        while end > 0 {
            match self.last[k][end] {
                Some((begin, replicas)) if k > 0 => {
                    let (start_minute, end_minute) = (minute(begin), minute(end));
                    windows.push(Window { days, start_minute, end_minute, replicas });
                    (end, k) = (begin, k - 1);
                }
                _ => end -= 1,
            }
        }
        windows.reverse();
        windows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: u16, end: u16, replicas: u32) -> Window {
        Window { days: 1, start_minute: start * 15, end_minute: end * 15, replicas }
    }

    #[test]
    fn cuts_by_hand() {
        let curve = [1, 1, 4, 5, 5, 2, 2, 3];
        let cut = segment(&curve, 1, 3);
        assert_eq!(cut.windows(1, 1), [window(2, 8, 5)]);
        assert_eq!(cut.windows(2, 1), [window(2, 5, 5), window(5, 8, 3)]);
        // Base 1+1, 5·3, 2·2, 3.
        assert_eq!(cut.cost[3], 24.0);
        assert!(cut.cost[0].is_infinite());
        assert_eq!(segment(&[1, 2], 2, 1).windows(0, 1), []);
    }

    proptest! {
        /// No cut is below the curve, and more windows never cost more.
        #[test]
        fn covers(curve in prop::collection::vec(0_u32..9, 1..40), base in 0_u32..4) {
            let cut = segment(&curve, base, 5);
            for k in 1..=5_usize {
                let windows = cut.windows(k, 1);
                prop_assert!(windows.len() <= k);
                let level = |quarter: usize| {
                    let at = (quarter * 15) as u16;
                    let inside = |w: &&Window| (w.start_minute..w.end_minute).contains(&at);
                    windows.iter().find(inside).map_or(base, |w| w.replicas)
                };
                let levels: Vec<u32> = (0..curve.len()).map(level).collect();
                prop_assert!(levels.iter().zip(&curve).all(|(level, need)| level >= need));
                prop_assert_eq!(f64::from(levels.iter().sum::<u32>()), cut.cost[k]);
                prop_assert!(cut.cost[k] <= cut.cost[k - 1]);
            }
        }
    }
}
