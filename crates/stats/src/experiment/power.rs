//! Before the experiment: units, least detectable lift, power, and days.

use super::tails::{bisect, normal_cdf, normal_critical, normal_sf};
use super::{Alternative, ConfidenceSequence, Error, GroupSequential, Level, Spending};

/// What the control is expected to look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Baseline {
    /// A mean per unit, or a ratio: estimate and variance of one unit
    /// ([`super::Moments::variance`], for ratios by the delta method), the same in both arms.
    Mean {
        /// Expected value, not 0.
        mean: f64,
        /// Variance of one unit.
        variance: f64,
    },
    /// A conversion rate, 0..1, whose variance p(1 − p) changes with the lift.
    Proportion {
        /// Expected share of units that convert.
        rate: f64,
    },
}

impl Baseline {
    fn value(self) -> f64 {
        match self {
            Self::Mean { mean, .. } => mean,
            Self::Proportion { rate } => rate,
        }
    }

    /// Variance of one unit when the value is `value`.
    fn variance(self, value: f64) -> f64 {
        match self {
            Self::Mean { variance, .. } => variance,
            Self::Proportion { .. } => (value * (1.0 - value)).max(0.0),
        }
    }

    fn check(self) -> Result<(), Error> {
        match self {
            Self::Mean { mean, variance } => {
                if mean == 0.0 || !mean.is_finite() {
                    return Err(Error::argument("mean", "finite and not 0"));
                }
                super::check_positive("variance", variance)
            }
            Self::Proportion { rate } => super::check_share("rate", rate),
        }
    }
}

/// How the result will be looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Once, at the end.
    Fixed,
    /// At any time, by a [`ConfidenceSequence`] planned for the same number of units. The power is
    /// the one at the end, so stopping earlier can only add to it.
    Sequence,
    /// At evenly spaced looks.
    GroupSequential {
        /// Number of looks, 1..=100.
        looks: u32,
        /// How the level is spent.
        spending: Spending,
    },
}

/// A planned comparison of two arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Level and side.
    pub level: Level,
    /// Share of all units that the treatment gets, 0..1; of the units of these two arms.
    pub treatment_share: f64,
    /// How it will be looked at.
    pub method: Method,
}

/// Most units that a plan answers with.
pub const UNITS_MAX: f64 = 1e15;

impl Design {
    /// Units of both arms together needed to find a relative `lift` (0.05 for +5 %) with probability
    /// `power`: N = η²(s²_T/w + s²_C/(1 − w))/δ², where η is the mean of the statistic that gives
    /// the method this power (z_{1−α/2} + z_power at a fixed horizon).
    ///
    /// # Errors
    /// [`Error::Argument`] for a lift of 0, one on the side that is not tested, a rate that leaves
    /// 0..1, a power outside α..1, or more than [`UNITS_MAX`] units.
    pub fn units(&self, baseline: Baseline, lift: f64, power: f64) -> Result<u64, Error> {
        let (difference, variance) = self.difference(baseline, lift)?;
        let units = self.drift(power)?.powi(2) * variance / (difference * difference);
        if units < UNITS_MAX {
            Ok(units.ceil() as u64)
        } else {
            Err(Error::argument("lift", "large enough to be found with 1e15 units"))
        }
    }

    /// Probability to find a relative `lift` with so many `units` in both arms together.
    ///
    /// # Errors
    /// As [`Design::units`].
    pub fn power(&self, baseline: Baseline, lift: f64, units: u64) -> Result<f64, Error> {
        let (difference, variance) = self.difference(baseline, lift)?;
        self.power_of_drift(difference.abs() * (units as f64 / variance).sqrt())
    }

    /// Least relative lift, as a positive number, that so many `units` find with probability
    /// `power`: an increase, or a decrease when [`Alternative::Less`] is tested. `None` when no
    /// possible one (up to a hundredfold, or within 0..1 for rates) suffices.
    ///
    /// # Errors
    /// As [`Design::units`].
    pub fn least_lift(
        &self,
        baseline: Baseline,
        units: u64,
        power: f64,
    ) -> Result<Option<f64>, Error> {
        const LIFT_MAX: f64 = 100.0;
        baseline.check()?;
        let needed = self.drift(power)?;
        let falls = self.level.alternative() == Alternative::Less;
        let most = match baseline {
            Baseline::Proportion { .. } if falls => 1.0,
            Baseline::Proportion { rate } => 1.0 / rate - 1.0,
            Baseline::Mean { .. } => LIFT_MAX,
        } * (1.0 - 1e-9);
        let found = |lift: f64| {
            let signed = if falls { -lift } else { lift };
            self.difference(baseline, signed).is_ok_and(|(difference, variance)| {
                difference.abs() * (units as f64 / variance).sqrt() >= needed
            })
        };
        self.difference(baseline, if falls { -most } else { most })?;
        Ok(found(most).then(|| bisect(0.0, most, found)))
    }

    /// Expected difference and the variance of its estimate times the units of both arms.
    fn difference(&self, baseline: Baseline, lift: f64) -> Result<(f64, f64), Error> {
        super::check_share("treatment share", self.treatment_share)?;
        baseline.check()?;
        let control = baseline.value();
        let difference = lift * control.abs();
        let wrong_side = match self.level.alternative() {
            Alternative::TwoSided => lift == 0.0,
            Alternative::Greater => lift <= 0.0,
            Alternative::Less => lift >= 0.0,
        };
        if wrong_side || !lift.is_finite() {
            return Err(Error::argument("lift", "finite, not 0, on a tested side"));
        }
        let treatment = control + difference;
        if matches!(baseline, Baseline::Proportion { .. }) && !(0.0..=1.0).contains(&treatment) {
            return Err(Error::argument("lift", "such that the rate stays within 0..=1"));
        }
        let variance = baseline.variance(treatment) / self.treatment_share
            + baseline.variance(control) / (1.0 - self.treatment_share);
        Ok((difference, variance))
    }

    /// The mean of the statistic at the end, in standard errors, that gives this power.
    fn drift(&self, power: f64) -> Result<f64, Error> {
        if !(power > self.level.alpha() && power < 1.0) {
            return Err(Error::argument("power", "strictly between alpha and 1"));
        }
        let method = Prepared::new(self)?;
        Ok(bisect(0.0, DRIFT_MAX, |drift| method.power(drift) >= power))
    }

    fn power_of_drift(&self, drift: f64) -> Result<f64, Error> {
        Ok(Prepared::new(self)?.power(drift.min(DRIFT_MAX)))
    }
}

/// A statistic with this mean is found by any method.
const DRIFT_MAX: f64 = 40.0;

/// A method with its critical values worked out.
enum Prepared {
    Single { critical: f64, two_sided: bool },
    Group(GroupSequential),
}

impl Prepared {
    fn new(design: &Design) -> Result<Self, Error> {
        let level = design.level;
        let two_sided = level.alternative() == Alternative::TwoSided;
        Ok(match design.method {
            Method::Fixed => Self::Single { critical: normal_critical(level.tail()), two_sided },
            Method::Sequence => {
                // The same for every number of units that the sequence is planned for.
                const UNITS: u64 = 1_000_000;
                let sequence = ConfidenceSequence::new(level, UNITS, 2)?;
                Self::Single { critical: sequence.critical(UNITS), two_sided }
            }
            Method::GroupSequential { looks, spending } => {
                let looks_max = super::group_sequential::LOOKS_MAX as u32;
                let count = looks.min(looks_max + 1);
                let fractions: Vec<f64> =
                    (1..=count).map(|look| f64::from(look) / f64::from(count)).collect();
                // Mirrored, a test for less is one for greater.
                let alternative =
                    if two_sided { Alternative::TwoSided } else { Alternative::Greater };
                let level = Level { alternative, ..level };
                Self::Group(GroupSequential::new(level, spending, &fractions)?)
            }
        })
    }

    fn power(&self, drift: f64) -> f64 {
        match self {
            Self::Single { critical, two_sided } => {
                let other = if *two_sided { normal_cdf(-critical - drift) } else { 0.0 };
                normal_sf(critical - drift) + other
            }
            Self::Group(test) => test.crossing(drift).last().copied().unwrap_or(0.0),
        }
    }
}

/// Whole days until `units` have arrived, from the new units of each day so far or expected; days
/// after the last one are like the last one. New units get fewer as visitors return, so take them
/// from real days. `None` when they never arrive (within ten thousand years).
#[must_use]
pub fn days(units: u64, new_units_per_day: &[u64]) -> Option<u64> {
    let mut missing = units;
    for (day, &new) in new_units_per_day.iter().enumerate() {
        if missing <= new {
            return Some(day as u64 + u64::from(missing > 0));
        }
        missing -= new;
    }
    let last = *new_units_per_day.last()?;
    let more = missing.checked_add(last.checked_sub(1)?)? / last;
    let total = more.checked_add(new_units_per_day.len() as u64)?;
    (total < 3_652_500).then_some(total)
}

/// Days rounded up to full weeks, so that each weekday counts the same.
#[must_use]
pub fn full_weeks(days: u64) -> u64 {
    days.div_ceil(7).max(1).saturating_mul(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn design(alternative: Alternative, method: Method) -> Design {
        Design { level: Level::new(0.05, alternative).unwrap(), treatment_share: 0.5, method }
    }

    #[test]
    fn days_and_weeks() {
        assert_eq!(days(0, &[5]), Some(0));
        assert_eq!(days(5, &[5, 3]), Some(1));
        assert_eq!(days(9, &[5, 3]), Some(3));
        assert_eq!(days(1000, &[5, 0]), None);
        assert_eq!(days(1, &[]), None);
        assert_eq!([0, 1, 7, 8].map(full_weeks), [7, 7, 7, 14]);
    }

    #[test]
    fn safer_ways_to_look_need_more_units() {
        let baseline = Baseline::Proportion { rate: 0.05 };
        let group = Method::GroupSequential { looks: 5, spending: Spending::OBrienFleming };
        let units = [Method::Fixed, group, Method::Sequence]
            .map(|method| design(Alternative::TwoSided, method).units(baseline, 0.1, 0.8).unwrap());
        assert!(units[0] < units[1] && units[1] < units[2], "{units:?}");
        // Jennison & Turnbull (2000), table 7.6 gives about 1.03 for five looks.
        assert!((units[1] as f64 / units[0] as f64 - 1.03).abs() < 0.01, "{units:?}");
    }

    #[test]
    fn what_cannot_be_planned_is_refused() {
        let two = design(Alternative::TwoSided, Method::Fixed);
        let rate = Baseline::Proportion { rate: 0.5 };
        assert!(two.units(rate, 0.0, 0.8).is_err());
        assert!(two.units(rate, 1.5, 0.8).is_err());
        assert!(two.units(rate, 0.1, 0.01).is_err());
        assert!(two.units(rate, 1e-9, 0.8).is_err());
        assert!(two.units(Baseline::Proportion { rate: 1.0 }, 0.1, 0.8).is_err());
        assert!(two.units(Baseline::Mean { mean: 0.0, variance: 1.0 }, 0.1, 0.8).is_err());
        assert!(design(Alternative::Less, Method::Fixed).units(rate, 0.1, 0.8).is_err());
        let many = Method::GroupSequential { looks: 101, spending: Spending::Pocock };
        assert!(design(Alternative::TwoSided, many).units(rate, 0.1, 0.8).is_err());
        assert_eq!(two.least_lift(rate, 2, 0.8), Ok(None));
    }

    proptest! {
        #[test]
        fn units_power_and_lift_are_one_relation(
            rate in 0.01..0.6_f64, lift in 0.02..0.5_f64, power in 0.3..0.99_f64,
            share in 0.1..0.9_f64, sequence: bool, less: bool,
        ) {
            let alternative = if less { Alternative::Less } else { Alternative::TwoSided };
            let method = if sequence { Method::Sequence } else { Method::Fixed };
            let mut design = design(alternative, method);
            design.treatment_share = share;
            let signed = if less { -lift } else { lift };
            let baselines =
                [Baseline::Proportion { rate }, Baseline::Mean { mean: -rate, variance: 1.0 }];
            for baseline in baselines {
                let units = design.units(baseline, signed, power).unwrap();
                let reached = design.power(baseline, signed, units).unwrap();
                prop_assert!(reached >= power - 1e-9);
                let least = design.least_lift(baseline, units, power).unwrap().unwrap();
                prop_assert!(least <= lift * (1.0 + 1e-9), "{} {}", least, lift);
                let fewer = design.power(baseline, signed, units.saturating_sub(2)).unwrap();
                prop_assert!(fewer <= power + 1e-9);
            }
        }
    }
}
