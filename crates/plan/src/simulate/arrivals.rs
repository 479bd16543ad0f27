//! Single arrivals out of a demand that is known by the step.

use rand::Rng;

use super::distribution::exponential;
use crate::Series;

/// Arrivals of a Poisson process whose rate is that of a series, in seconds since its begin.
/// Where the demand is not known, nothing arrives.
#[derive(Debug)]
pub struct Poisson<'a, R> {
    series: &'a Series,
    rng: R,
    /// Requests expected before the step that is at hand.
    before: f64,
    index: usize,
    /// Requests expected before the next arrival: a process of rate 1 in this measure.
    area: f64,
}

impl<'a, R: Rng> Poisson<'a, R> {
    /// The arrivals of `series`, drawn from `rng`.
    pub fn new(series: &'a Series, mut rng: R) -> Self {
        let area = exponential(&mut rng);
        Self { series, rng, before: 0.0, index: 0, area }
    }
}

impl<R: Rng> Iterator for Poisson<'_, R> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        loop {
            let count = *self.series.counts.get(self.index)?;
            let count = if count > 0.0 && count.is_finite() { count } else { 0.0 };
            if self.area < self.before + count {
                let share = (self.area - self.before) / count;
                self.area += exponential(&mut self.rng);
                return Some((self.index as f64 + share) * f64::from(self.series.step_s));
            }
            self.before += count;
            self.index += 1;
        }
    }
}
