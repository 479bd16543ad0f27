//! Group-sequential tests: a fixed number of planned looks with most power (Lan & DeMets, 1983).

use super::quadrature::GaussLegendre;
use super::tails::{normal_cdf, normal_critical, normal_pdf, normal_sf, root};
use super::{Alternative, Comparison, Effect, Error, Level};

/// How fast the allowed false alarms are spent over the fraction t of the planned information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// Like O'Brien & Fleming: hardly anything early; 2 − 2Φ(z/√t) per side, z the critical value
    /// of half the share of that side.
    OBrienFleming,
    /// Like Pocock: evenly; α·ln(1 + (e − 1)t).
    Pocock,
}

impl Spending {
    /// The share spent up to `fraction`, of `tail` on one side in all.
    fn spent(self, tail: f64, fraction: f64) -> f64 {
        match self {
            Self::OBrienFleming => 2.0 * normal_sf(normal_critical(tail / 2.0) / fraction.sqrt()),
            Self::Pocock => tail * (1.0 + (std::f64::consts::E - 1.0) * fraction).ln(),
        }
    }
}

/// Most looks.
pub const LOOKS_MAX: usize = 100;

/// Least distance of two looks, as a fraction of the planned information.
pub const FRACTION_STEP_MIN: f64 = 0.001;

/// Critical values for a test that is looked at several times.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSequential {
    level: Level,
    spending: Spending,
    fractions: Vec<f64>,
    critical: Vec<f64>,
}

impl GroupSequential {
    /// Bounds for looks at these `fractions` of the planned information (units so far/planned
    /// units): rising, above 0, at most 1. Fractions of looks to come need not be known: the bounds
    /// of earlier looks do not depend on later ones. Two-sided bounds are symmetric.
    ///
    /// # Errors
    /// [`Error::Argument`] for other fractions, more than [`LOOKS_MAX`], or nearer to each other
    /// than [`FRACTION_STEP_MIN`].
    pub fn new(level: Level, spending: Spending, fractions: &[f64]) -> Result<Self, Error> {
        let mut before = 0.0;
        for &fraction in fractions {
            if !(fraction >= before + FRACTION_STEP_MIN && fraction <= 1.0) {
                return Err(Error::argument("fractions", "rising by 0.001 or more, at most 1"));
            }
            before = fraction;
        }
        if fractions.is_empty() || fractions.len() > LOOKS_MAX {
            return Err(Error::argument("fractions", "1 to 100 looks"));
        }
        let critical = bounds(level, spending, fractions);
        Ok(Self { level, spending, fractions: fractions.to_vec(), critical })
    }

    /// Critical values in standard errors, one per look.
    #[must_use]
    pub fn critical(&self) -> &[f64] {
        &self.critical
    }

    /// The effect at a look (from 0): the repeated confidence interval of Jennison & Turnbull
    /// (1989), and as p-value the smallest level at which this look would have crossed its bound.
    /// Intervals of all looks hold together.
    ///
    /// # Errors
    /// [`Error::Argument`] for a look that was not planned.
    pub fn effect(&self, comparison: &Comparison, look: usize) -> Result<Effect, Error> {
        let Some(&critical) = self.critical.get(look) else {
            return Err(Error::argument("look", "one of the planned looks"));
        };
        let z = comparison.difference() / comparison.standard_error();
        let alternative = self.level.alternative();
        let towards = match alternative {
            Alternative::TwoSided => z.abs(),
            Alternative::Greater => z,
            Alternative::Less => -z,
        };
        let fractions = &self.fractions[..=look];
        let distance = |ln_alpha: f64| {
            let level = self.level.with_alpha(ln_alpha.exp());
            let bound = bounds(level, self.spending, fractions).last().copied();
            bound.unwrap_or(critical) - towards
        };
        // Smaller ones say no more. The bound itself decides on which side of the level it is.
        const P_MIN: f64 = 1e-9;
        let level = self.level.alpha().ln();
        let (low, high) = if towards >= critical { (P_MIN.ln(), level) } else { (level, 0.0) };
        let p_value = root(low, high, 1e-6, distance).exp();
        Ok(comparison.effect(critical, p_value, alternative))
    }

    /// Probability to have crossed a bound on the tested side or sides at each look, when the
    /// statistic at full information has the mean `drift` (in standard errors; 0 when nothing
    /// differs). The last one is the power.
    #[must_use]
    pub fn crossing(&self, drift: f64) -> Vec<f64> {
        let mut walk = Walk::new(self.level.alternative(), drift);
        let mut crossed = 0.0;
        self.fractions
            .iter()
            .zip(&self.critical)
            .map(|(&fraction, &bound)| {
                crossed += walk.crossing(fraction, bound);
                walk.advance(fraction, bound);
                crossed
            })
            .collect()
    }
}

/// Critical values that spend what may be spent at each look.
fn bounds(level: Level, spending: Spending, fractions: &[f64]) -> Vec<f64> {
    /// No z is further out: its tail is below 1e-33.
    const Z_MAX: f64 = 12.0;
    let sides = if level.alternative() == Alternative::TwoSided { 2.0 } else { 1.0 };
    // By symmetry a one-sided test for less is the one for greater.
    let alternative = match level.alternative() {
        Alternative::Less => Alternative::Greater,
        other => other,
    };
    let mut walk = Walk::new(alternative, 0.0);
    let mut spent = 0.0;
    let mut critical = Vec::with_capacity(fractions.len());
    for &fraction in fractions {
        let upto = sides * spending.spent(level.tail(), fraction);
        let ln_share = (upto - spent).max(f64::MIN_POSITIVE).ln();
        let excess =
            |bound: f64| walk.crossing(fraction, bound).max(f64::MIN_POSITIVE).ln() - ln_share;
        let bound = root(-Z_MAX, Z_MAX, 1e-10, excess);
        walk.advance(fraction, bound);
        critical.push(bound);
        spent = upto;
    }
    critical
}

/// The statistic as a Brownian motion over the information, as long as it has crossed no bound:
/// recursive numerical integration of its density (Armitage, McPherson & Rowe, 1969).
struct Walk {
    alternative: Alternative,
    drift: f64,
    fraction: f64,
    /// Places s = z·√t with the probability mass at them: nodes of a quadrature rule.
    mass: Vec<(f64, f64)>,
    rule: GaussLegendre,
}

impl Walk {
    fn new(alternative: Alternative, drift: f64) -> Self {
        Self {
            alternative,
            // Mirrored, so that the tested side is always the upper one.
            drift: if alternative == Alternative::Less { -drift } else { drift },
            fraction: 0.0,
            mass: vec![(0.0, 1.0)],
            rule: GaussLegendre::new(),
        }
    }

    /// Probability to cross the `bound` (a z value) at `fraction`, and none before.
    fn crossing(&self, fraction: f64, bound: f64) -> f64 {
        let step = fraction - self.fraction;
        let (scale, edge) = (step.sqrt(), bound * fraction.sqrt());
        let centre = |s: f64| s + self.drift * step;
        self.mass
            .iter()
            .map(|&(s, mass)| {
                let above = normal_sf((edge - centre(s)) / scale);
                let below = match self.alternative {
                    Alternative::TwoSided => normal_cdf((-edge - centre(s)) / scale),
                    Alternative::Greater | Alternative::Less => 0.0,
                };
                mass * (above + below)
            })
            .sum()
    }

    /// Goes on to `fraction` without the paths that cross the `bound` there.
    fn advance(&mut self, fraction: f64, bound: f64) {
        /// Standard deviations beyond which there is no mass worth counting.
        const REACH: f64 = 9.0;
        let step = fraction - self.fraction;
        let (scale, edge) = (step.sqrt(), bound * fraction.sqrt());
        let (middle, reach) = (self.drift * fraction, REACH * fraction.sqrt());
        let high = edge.min(middle + reach);
        let low = match self.alternative {
            Alternative::TwoSided => (-edge).max(middle - reach),
            Alternative::Greater | Alternative::Less => middle - reach,
        };
        let mut mass = Vec::new();
        if high > low {
            let panels = ((high - low) / (2.0 * scale)).ceil().max(1.0);
            let width = (high - low) / panels;
            for panel in 0..panels as usize {
                let start = low + panel as f64 * width;
                for (s, weight) in self.rule.nodes(start, start + width) {
                    let density: f64 = self
                        .mass
                        .iter()
                        .map(|&(from, mass)| {
                            mass * normal_pdf((s - from - self.drift * step) / scale) / scale
                        })
                        .sum();
                    mass.push((s, weight * density));
                }
            }
        }
        self.mass = mass;
        self.fraction = fraction;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Moments;

    fn level(alternative: Alternative) -> Level {
        Level::new(0.05, alternative).unwrap()
    }

    #[test]
    fn one_look_is_the_fixed_test() {
        for (alternative, z) in [(Alternative::TwoSided, 1.959_964), (Alternative::Less, 1.644_854)]
        {
            let test =
                GroupSequential::new(level(alternative), Spending::OBrienFleming, &[1.0]).unwrap();
            assert!((test.critical()[0] - z).abs() < 1e-6);
        }
    }

    #[test]
    fn the_level_is_spent_exactly_and_no_more() {
        let fractions: Vec<f64> = (1..=20).map(|k| f64::from(k) / 20.0).collect();
        for alternative in [Alternative::TwoSided, Alternative::Greater, Alternative::Less] {
            for spending in [Spending::OBrienFleming, Spending::Pocock] {
                let test = GroupSequential::new(level(alternative), spending, &fractions).unwrap();
                let crossing = test.crossing(0.0);
                assert!((crossing[19] - 0.05).abs() < 1e-7, "{crossing:?}");
            }
        }
    }

    #[test]
    fn p_value_agrees_with_the_bound() {
        let fractions = [0.3, 0.7, 1.0];
        for alternative in [Alternative::TwoSided, Alternative::Greater, Alternative::Less] {
            let test =
                GroupSequential::new(level(alternative), Spending::Pocock, &fractions).unwrap();
            for step in (-40..=40).step_by(5) {
                let arm = |mean| Moments { units: 200, mean: [mean], covariance: [[1.0]] };
                let comparison = Comparison::new(&arm(f64::from(step) / 100.0), &arm(0.0)).unwrap();
                for look in 0..3 {
                    let effect = test.effect(&comparison, look).unwrap();
                    assert_eq!(effect.interval.contains(0.0), effect.p_value > 0.05, "{effect:?}");
                    assert_eq!(effect.lift_set.contains(0.0), effect.p_value > 0.05);
                }
                assert!(test.effect(&comparison, 3).is_err());
            }
        }
    }

    #[test]
    fn looks_must_be_planned_in_order() {
        let two = level(Alternative::TwoSided);
        for wrong in [&[][..], &[0.5, 0.5], &[0.0, 1.0], &[0.5, 1.1], &[f64::NAN]] {
            assert!(GroupSequential::new(two, Spending::Pocock, wrong).is_err(), "{wrong:?}");
        }
    }
}
