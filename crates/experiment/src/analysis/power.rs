//! Before an experiment: how many units and days, and what could be found in so many weeks.

use super::{Method, Spending};
use serde::{Deserialize, Serialize};
use stats::experiment::power::{self, Baseline, Design};
use stats::experiment::{Alternative, Error, Level};

/// Weeks for which a size tells what could be found.
const WEEKS: u64 = 8;

/// What is known before an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeQuestion {
    /// What the control is expected to look like.
    pub baseline: Baseline,
    /// Relative lift that is to be found, 0.05 for +5 %; not 0.
    pub lift: f64,
    /// Probability to find it.
    pub power: f64,
    /// Error rate, two-sided.
    pub alpha: f64,
    /// How it will be looked at.
    pub method: Method,
    /// Variants, the control included; all have the same weight.
    pub variants: u64,
    /// Share of all units that take part.
    pub coverage: f64,
    /// New units of each day; days after the last are like the last. Empty when unknown.
    pub new_units_per_day: Vec<u64>,
}

/// How large an experiment must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Size {
    /// Units of all variants together.
    pub units: u64,
    /// Units of each variant.
    pub units_per_variant: u64,
    /// Days until they have come.
    pub days: Option<u64>,
    /// The same, rounded up to whole weeks.
    pub full_weeks_days: Option<u64>,
    /// Of 1 to 8 weeks: units that will have come, and the least lift that they find with the same
    /// probability.
    pub by_week: Vec<Week>,
}

/// What could be found in so many weeks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Week {
    /// Weeks.
    pub weeks: u64,
    /// Units that will have come.
    pub units: u64,
    /// The least lift that they find; none when no possible one suffices.
    pub least_lift: Option<f64>,
}

/// Sizes an experiment. Several treatments share α equally, which is on the safe side of Holm.
///
/// # Errors
/// [`Error::Argument`] for what is outside of what can be asked.
pub fn size(question: &SizeQuestion) -> Result<Size, Error> {
    let wrong = |name, expected| Err(Error::Argument { name, expected });
    if !(2..=64).contains(&question.variants) {
        return wrong("variants", "2 to 64");
    }
    if !(question.coverage > 0.0 && question.coverage <= 1.0) {
        return wrong("coverage", "above 0 and at most 100 %");
    }
    let treatments = question.variants - 1;
    let design = Design {
        level: Level::new(question.alpha / treatments as f64, Alternative::TwoSided)?,
        treatment_share: 0.5,
        method: match question.method {
            Method::Sequence => power::Method::Sequence,
            Method::Fixed => power::Method::Fixed,
            Method::GroupSequential { looks, spending } => power::Method::GroupSequential {
                looks,
                spending: match spending {
                    Spending::ObrienFleming => stats::experiment::Spending::OBrienFleming,
                    Spending::Pocock => stats::experiment::Spending::Pocock,
                },
            },
        },
    };
    // A treatment and the control have two of all parts.
    let of_all = |two: u64| two.saturating_mul(question.variants).div_ceil(2);
    let two = design.units(question.baseline, question.lift, question.power)?;
    let units = of_all(two);
    let taking_part = |new: &u64| (*new as f64 * question.coverage) as u64;
    let per_day: Vec<u64> = question.new_units_per_day.iter().map(taking_part).collect();
    let days = power::days(units, &per_day);
    let mut by_week = Vec::new();
    for weeks in 1..=WEEKS {
        let Some(&last) = per_day.last() else { break };
        let day = |index: u64| usize::try_from(index).ok().and_then(|at| per_day.get(at));
        let units: u64 = (0..weeks * 7).map(|at| day(at).copied().unwrap_or(last)).sum();
        let two = units.saturating_mul(2) / question.variants;
        let least_lift = design.least_lift(question.baseline, two.max(1), question.power)?;
        by_week.push(Week { weeks, units, least_lift });
    }
    Ok(Size {
        units,
        units_per_variant: units.div_ceil(question.variants),
        days,
        full_weeks_days: days.map(power::full_weeks),
        by_week,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> SizeQuestion {
        SizeQuestion {
            baseline: Baseline::Proportion { rate: 0.05 },
            lift: 0.1,
            power: 0.8,
            alpha: 0.05,
            method: Method::Fixed,
            variants: 2,
            coverage: 1.0,
            new_units_per_day: vec![5_000, 4_000, 3_000],
        }
    }

    #[test]
    fn a_size_is_what_tables_say() {
        // 5 % against 5.5 %, two-sided 5 %, power 80 %: 31,231 per arm (unpooled normal formula).
        let size = super::size(&question()).unwrap();
        assert!((31_000..31_500).contains(&size.units_per_variant), "{size:?}");
        assert_eq!(size.days, Some(20));
        assert_eq!(size.full_weeks_days, Some(21));
        assert_eq!(size.by_week[0].units, 5_000 + 4_000 + 5 * 3_000);
        let least: Vec<f64> = size.by_week.iter().filter_map(|week| week.least_lift).collect();
        assert!(least.len() == 8 && least.is_sorted_by(|one, next| one > next));
        assert!((least[2] - 0.1).abs() < 0.01, "three weeks find about 10 %: {least:?}");
    }

    #[test]
    fn looking_costs_and_so_do_variants_and_coverage() {
        let units = |question: SizeQuestion| super::size(&question).unwrap().units;
        let fixed = units(question());
        let looked = units(SizeQuestion { method: Method::Sequence, ..question() });
        assert!((1.5..2.6).contains(&(looked as f64 / fixed as f64)));
        assert!(units(SizeQuestion { variants: 3, ..question() }) > fixed * 3 / 2);
        let half = super::size(&SizeQuestion { coverage: 0.5, ..question() }).unwrap();
        assert_eq!(half.units, fixed);
        assert!(half.days.unwrap() > 35);
        let unknown = SizeQuestion { new_units_per_day: Vec::new(), ..question() };
        assert_eq!(super::size(&unknown).unwrap().days, None);
        assert!(super::size(&SizeQuestion { variants: 1, ..question() }).is_err());
        assert!(super::size(&SizeQuestion { lift: 0.0, ..question() }).is_err());
    }
}
