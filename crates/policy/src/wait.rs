//! How long a user waits between two tasks: Locust's four wait times.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The wait between the end of one task and the start of the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wait {
    /// No wait: as fast as the target answers.
    None,
    /// Always the same, counted from the end of the task (`constant`).
    Constant(Duration),
    /// Uniform between two lengths, counted from the end of the task (`between`).
    Between(Duration, Duration),
    /// From start to start; at once when the task took longer (`constant_pacing`).
    Pacing(Duration),
    /// At most so many tasks per second and user (`constant_throughput`); the rate is > 0.
    Throughput(f64),
}

impl Wait {
    /// When the next task of this user should start.
    ///
    /// All times are offsets since the start of the run; `started` and `ended` are those of the
    /// task before. A user never starts a task before the last one ended, so the result is at
    /// least `ended`.
    pub fn next_start(&self, started: Duration, ended: Duration, rng: &mut impl Rng) -> Duration {
        match *self {
            Wait::None => ended,
            Wait::Constant(wait) => ended + wait,
            Wait::Between(low, high) => {
                ended + low + high.saturating_sub(low).mul_f64(rng.random::<f64>())
            }
            Wait::Pacing(period) => ended.max(started + period),
            Wait::Throughput(per_s) => ended.max(started + Duration::from_secs_f64(1.0 / per_s)),
        }
    }

    /// Mean wait in seconds when tasks take no time; zero for [`Wait::None`].
    pub fn mean_s(&self) -> f64 {
        match *self {
            Wait::None => 0.0,
            Wait::Constant(wait) | Wait::Pacing(wait) => wait.as_secs_f64(),
            Wait::Between(low, high) => (low + high).as_secs_f64() / 2.0,
            Wait::Throughput(per_s) => 1.0 / per_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus as TestRng;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn each_kind_counts_from_the_right_moment() {
        let mut rng = TestRng::seed_from_u64(1);
        let mut next = |wait: Wait| wait.next_start(ms(100), ms(400), &mut rng);
        assert_eq!(next(Wait::None), ms(400));
        assert_eq!(next(Wait::Constant(ms(50))), ms(450));
        assert_eq!(next(Wait::Pacing(ms(1000))), ms(1100));
        assert_eq!(next(Wait::Pacing(ms(200))), ms(400));
        assert_eq!(next(Wait::Throughput(2.0)), ms(600));
        assert_eq!(next(Wait::Throughput(10.0)), ms(400));
    }

    #[test]
    fn between_is_uniform() {
        let mut rng = TestRng::seed_from_u64(2);
        let wait = Wait::Between(ms(1000), ms(4000));
        let mut draws: Vec<f64> =
            (0..5000).map(|_| wait.next_start(ms(0), ms(0), &mut rng).as_secs_f64()).collect();
        draws.sort_by(f64::total_cmp);
        let test = stats::goodness::ks_test(&draws, |x| ((x - 1.0) / 3.0).clamp(0.0, 1.0)).unwrap();
        assert!(test.p_value > 0.01, "{test:?}");
    }
}
