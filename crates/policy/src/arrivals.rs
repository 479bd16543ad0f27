//! When requests should start in an open model. The schedule is closed-form in the number of the
//! arrival: a late sender catches up without any queue of pending arrivals.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::Curve;

/// How arrivals are spread around the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalKind {
    /// Evenly: arrival k comes when the area under the rate curve reaches k.
    Deterministic,
    /// As a Poisson process: independent exponential gaps, stretched by the rate curve.
    Poisson,
}

/// The start times of arrivals under a rate curve.
#[derive(Debug, Clone)]
pub struct Arrivals {
    curve: Curve,
    kind: ArrivalKind,
    /// Where the curve's own time zero lies, as an offset since the start (moved by rate changes).
    base: Duration,
    /// Area under the curve at which the next arrival comes.
    area: f64,
}

impl Arrivals {
    /// The share of one of several workers: the curve is the rate of all of them together.
    ///
    /// Deterministic workers interleave (worker w of W takes arrivals w, w+W, …); Poisson workers
    /// are independent processes of rate y/W, which together are one of rate y.
    pub fn new(
        curve: &Curve,
        kind: ArrivalKind,
        worker: usize,
        workers: usize,
        rng: &mut impl Rng,
    ) -> Arrivals {
        let curve = curve.scaled(1.0 / workers as f64);
        let area = match kind {
            ArrivalKind::Deterministic => worker as f64 / workers as f64,
            ArrivalKind::Poisson => exponential(rng),
        };
        Arrivals { curve, kind, base: Duration::ZERO, area }
    }

    /// When the next arrival is due, as an offset since the start. `None`: never again.
    pub fn due(&self) -> Option<Duration> {
        let seconds = self.curve.time_of_area(self.area)?;
        Duration::try_from_secs_f64(seconds).ok().map(|offset| self.base + offset)
    }

    /// Takes the next arrival off the schedule.
    pub fn advance(&mut self, rng: &mut impl Rng) {
        self.area += match self.kind {
            ArrivalKind::Deterministic => 1.0,
            ArrivalKind::Poisson => exponential(rng),
        };
    }

    /// From offset `now` on, arrivals come at the constant rate of `curve` (all workers together).
    pub fn replace(&mut self, now: Duration, curve: &Curve, workers: usize, rng: &mut impl Rng) {
        self.curve = curve.scaled(1.0 / workers as f64);
        self.base = now;
        self.area = match self.kind {
            ArrivalKind::Deterministic => rng.random::<f64>(),
            ArrivalKind::Poisson => exponential(rng),
        };
    }

    /// The rate at offset `now`, per second, of this worker's share.
    pub fn rate_at(&self, now: Duration) -> f64 {
        self.curve.at(now.saturating_sub(self.base))
    }
}

/// A draw from the exponential distribution of mean 1 (inverse transform; never infinite).
fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus as TestRng;

    use super::*;

    fn first(arrivals: &mut Arrivals, n: usize, rng: &mut TestRng) -> Vec<f64> {
        (0..n)
            .map(|_| {
                let due = arrivals.due().unwrap().as_secs_f64();
                arrivals.advance(rng);
                due
            })
            .collect()
    }

    #[test]
    fn two_deterministic_workers_interleave() {
        let mut rng = TestRng::seed_from_u64(1);
        let curve = Curve::constant(100.0).unwrap();
        let mut all: Vec<f64> = (0..2)
            .flat_map(|w| {
                let mut share = Arrivals::new(&curve, ArrivalKind::Deterministic, w, 2, &mut rng);
                first(&mut share, 50, &mut rng)
            })
            .collect();
        all.sort_by(f64::total_cmp);
        for (k, due) in all.iter().enumerate() {
            assert!((due - k as f64 / 100.0).abs() < 1e-9, "arrival {k} at {due}");
        }
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let mut rng = TestRng::seed_from_u64(7);
        let curve = Curve::constant(2000.0).unwrap();
        let mut merged: Vec<f64> = (0..2)
            .flat_map(|w| {
                let mut share = Arrivals::new(&curve, ArrivalKind::Poisson, w, 2, &mut rng);
                first(&mut share, 10_000, &mut rng)
            })
            .collect();
        merged.sort_by(f64::total_cmp);
        // The merged process of both workers has rate 2000, whose gaps are Exp(2000).
        let mut gaps: Vec<f64> =
            merged[..15_000].windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let test = stats::goodness::ks_test(&gaps, |gap| 1.0 - (-2000.0 * gap).exp()).unwrap();
        assert!(test.p_value > 0.01, "{test:?}");
    }

    #[test]
    fn a_new_rate_counts_from_now() {
        let mut rng = TestRng::seed_from_u64(3);
        let mut arrivals = Arrivals::new(
            &Curve::constant(1.0).unwrap(),
            ArrivalKind::Deterministic,
            0,
            1,
            &mut rng,
        );
        let now = Duration::from_secs(10);
        arrivals.replace(now, &Curve::constant(1000.0).unwrap(), 1, &mut rng);
        let due = first(&mut arrivals, 1001, &mut rng);
        assert!(due[0] >= 10.0 && due[0] < 10.001);
        assert!((due[1000] - due[0] - 1.0).abs() < 1e-6);
    }
}
