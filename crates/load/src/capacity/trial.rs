//! What a trial is given and what it measures.

use std::time::Duration;

use crate::results::RequestStats;

/// Recommended length of an interval of a trial: short enough to see where the warm-up ends.
pub const TRIAL_INTERVAL: Duration = Duration::from_millis(100);

/// How long trials last. At most half of a trial is cut off as warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialLengths {
    /// While the limit is far from known.
    pub short: Duration,
    /// While it is being narrowed down.
    pub long: Duration,
    /// At the answer, just above it, and where trials contradict each other.
    pub confirm: Duration,
    /// Cut off the start of every trial, whatever it measured.
    pub warm_up: Duration,
}

/// Cycles of a user that the warm-up lasts: in the first they all start, in the second they spread.
const WARM_UP_CYCLES: u32 = 2;
/// Cycles of a user that a short, a long and a confirming trial last.
const TRIAL_CYCLES: [u32; 3] = [6, 10, 16];

impl TrialLengths {
    /// For a demonstration: seconds instead of minutes, and a less certain answer.
    pub const QUICK: TrialLengths = TrialLengths {
        short: Duration::from_secs(1),
        long: Duration::from_secs(2),
        confirm: Duration::from_secs(3),
        warm_up: Duration::from_millis(300),
    };

    /// Long enough for users who take one `cycle` from request to request (their wait and the
    /// answer): at least two cycles of warm-up and six of trial, so that what is measured is not the
    /// common start of all users. A closed model needs this when users wait for seconds.
    #[must_use]
    pub fn for_cycle(self, cycle: Duration) -> TrialLengths {
        let [short, long, confirm] = TRIAL_CYCLES.map(|cycles| cycle * cycles);
        TrialLengths {
            short: self.short.max(short),
            long: self.long.max(long),
            confirm: self.confirm.max(confirm),
            warm_up: self.warm_up.max(cycle * WARM_UP_CYCLES),
        }
    }
}

impl Default for TrialLengths {
    fn default() -> TrialLengths {
        TrialLengths {
            short: Duration::from_secs(3),
            long: Duration::from_secs(8),
            confirm: Duration::from_secs(15),
            warm_up: Duration::from_millis(500),
        }
    }
}

/// The raw facts of one trial.
#[derive(Debug, Clone, Default)]
pub struct TrialMeasurement {
    /// From the start of the load on, without gaps; [`TRIAL_INTERVAL`] each, or longer.
    pub intervals: Vec<TrialInterval>,
    /// How the generator fared.
    pub generator: GeneratorFacts,
}

/// What happened in one interval of a trial.
#[derive(Debug, Clone, Default)]
pub struct TrialInterval {
    /// Its length.
    pub length: Duration,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// Arrivals that fell due, in an open model.
    pub offered: Option<u64>,
    /// All requests that ended.
    pub totals: RequestStats,
    /// The requests that an objective with a scope is about, by that scope.
    pub scoped: Vec<(String, RequestStats)>,
}

/// What tells whether the generator was at its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GeneratorFacts {
    /// CPU time of the busiest worker over wall time, 0 ..= 1.
    pub cpu: f64,
    /// 99th percentile of the lag of timers.
    pub lag_p99: Duration,
    /// Arrivals that were not sent although users were idle.
    pub unsent_while_idle: u64,
    /// Requests that failed for want of descriptors or local ports.
    pub out_of_resources: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_cover_the_cycles_of_users() {
        let brief = TrialLengths::default().for_cycle(Duration::from_millis(10));
        assert_eq!(brief, TrialLengths::default());
        let slow = TrialLengths::default().for_cycle(Duration::from_secs(3));
        let seconds = [slow.warm_up, slow.short, slow.long, slow.confirm].map(|d| d.as_secs());
        assert_eq!(seconds, [6, 18, 30, 48]);
    }
}
