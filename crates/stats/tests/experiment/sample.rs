//! Seeded draws, and arms that grow unit by unit.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use stats::experiment::{Alternative, Comparison, Level, Moments};

/// A generator of draws.
pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Mean 1, variance 1, skewed.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// Mean 0, variance 1 (Box & Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Running moments of `K` values per unit.
#[derive(Clone, Copy)]
pub(crate) struct Arm<const K: usize> {
    units: u64,
    sums: [f64; K],
    products: [[f64; K]; K],
}

impl<const K: usize> Arm<K> {
    pub(crate) fn new() -> Self {
        Self { units: 0, sums: [0.0; K], products: [[0.0; K]; K] }
    }

    pub(crate) fn add(&mut self, values: [f64; K]) {
        self.units += 1;
        for i in 0..K {
            self.sums[i] += values[i];
            for j in 0..K {
                self.products[i][j] += values[i] * values[j];
            }
        }
    }

    /// An arm of `units` draws.
    pub(crate) fn of(units: u64, mut draw: impl FnMut() -> [f64; K]) -> Moments<K> {
        let mut arm = Self::new();
        (0..units).for_each(|_| arm.add(draw()));
        arm.moments()
    }

    pub(crate) fn moments(&self) -> Moments<K> {
        let n = self.units as f64;
        let mean = self.sums.map(|sum| sum / n);
        let covariance = std::array::from_fn(|i| {
            std::array::from_fn(|j| (self.products[i][j] - mean[i] * self.sums[j]) / (n - 1.0))
        });
        Moments { units: self.units, mean, covariance }
    }
}

pub(crate) fn compare(treatment: &Moments<1>, control: &Moments<1>) -> Comparison {
    Comparison::new(treatment, control).unwrap()
}

pub(crate) fn two_sided() -> Level {
    Level::new(0.05, Alternative::TwoSided).unwrap()
}

/// Share of `runs` experiments for which `event` holds; each gets draws of its own.
pub(crate) fn share(seed: u64, runs: u64, mut event: impl FnMut(&mut Draws) -> bool) -> f64 {
    let mut draws = Draws::new(seed);
    (0..runs).filter(|_| event(&mut draws)).count() as f64 / runs as f64
}
