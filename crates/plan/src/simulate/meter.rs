//! What a metrics pipeline shows: means over a window that ended a while ago.

/// Ticks that a window and its lag may span together.
const TICKS_MAX: usize = 100_000;

/// Sums over ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sample {
    /// Requests that arrived.
    pub(super) arrived: f64,
    /// Requests that were worked on, in units of what an instance serves in a second.
    pub(super) served: f64,
    /// Seconds of ready instances.
    pub(super) ready_s: f64,
    /// Requests in flight × seconds.
    pub(super) inflight_s: f64,
}

impl Sample {
    fn plus(&self, other: &Self, factor: f64) -> Self {
        Self {
            arrived: self.arrived + factor * other.arrived,
            served: self.served + factor * other.served,
            ready_s: self.ready_s + factor * other.ready_s,
            inflight_s: self.inflight_s + factor * other.inflight_s,
        }
    }
}

/// Running sums of the last ticks.
#[derive(Debug)]
pub(super) struct Meter {
    sums: Vec<Sample>,
    last: usize,
    window: usize,
    lag: usize,
    window_s: f64,
}

impl Meter {
    /// A meter that has seen `before` in every tick of `tick_s`.
    pub(super) fn new(tick_s: f64, window_s: f64, lag_s: f64, before: &Sample) -> Self {
        let ticks = |seconds: f64| ((seconds / tick_s).round().max(0.0) as usize).min(TICKS_MAX);
        let (window, lag) = (ticks(window_s).max(1), ticks(lag_s));
        let sums =
            (0..=window + lag).map(|tick| Sample::default().plus(before, tick as f64)).collect();
        Self { sums, last: window + lag, window, lag, window_s: window as f64 * tick_s }
    }

    /// Adds a tick.
    pub(super) fn push(&mut self, sample: &Sample) {
        let sum = self.sums[self.last].plus(sample, 1.0);
        self.last = self.back_index(self.sums.len() - 1);
        self.sums[self.last] = sum;
    }

    /// What arrived and so on in the window that is shown, and its length in seconds.
    pub(super) fn shown(&self) -> (Sample, f64) {
        let end = self.sums[self.back_index(self.lag)];
        let begin = self.sums[self.back_index(self.lag + self.window)];
        (end.plus(&begin, -1.0), self.window_s)
    }

    /// Index of the sum `ticks` ago.
    fn back_index(&self, ticks: usize) -> usize {
        let len = self.sums.len();
        let index = self.last + len - ticks;
        if index >= len { index - len } else { index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_window_before_the_lag() {
        let before = Sample { arrived: 10.0, ..Sample::default() };
        let mut meter = Meter::new(5.0, 10.0, 5.0, &before);
        assert_eq!(meter.shown(), (Sample { arrived: 20.0, ..Sample::default() }, 10.0));
        for arrived in [1.0, 2.0, 3.0, 4.0] {
            meter.push(&Sample { arrived, ..Sample::default() });
        }
        assert_eq!(meter.shown().0.arrived, 5.0);
    }
}
