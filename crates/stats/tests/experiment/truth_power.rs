//! Experiments of the planned size find what they were planned for as often as promised.

use stats::experiment::power::{Baseline, Design, Method};
use stats::experiment::{
    Alternative, Comparison, ConfidenceSequence, Level, Moments, Spending, welch,
};

use crate::sample::{Arm, Draws, compare, share, two_sided};

const EXPERIMENTS: u64 = 3_000;

/// Three and a half standard errors of a share of 0.8.
const TOLERANCE: f64 = 0.026;

fn design(method: Method) -> Design {
    Design { level: two_sided(), treatment_share: 0.5, method }
}

fn found(comparison: &Comparison, level: Level) -> bool {
    welch::effect(comparison, level).p_value <= level.alpha()
}

#[test]
fn means_with_unequal_shares() {
    let plan = Design { treatment_share: 0.25, ..design(Method::Fixed) };
    let units = plan.units(Baseline::Mean { mean: 1.0, variance: 1.0 }, 0.2, 0.8).unwrap();
    let treatment = units / 4;
    let power = share(40, EXPERIMENTS, |draws| {
        let t = Arm::of(treatment, || [0.2 + draws.exponential()]);
        let c = Arm::of(units - treatment, || [draws.exponential()]);
        found(&compare(&t, &c), two_sided())
    });
    assert!((power - 0.8).abs() < TOLERANCE, "{power}");
}

#[test]
fn proportions_one_sided() {
    let level = Level::new(0.05, Alternative::Less).unwrap();
    let plan = Design { level, ..design(Method::Fixed) };
    let units = plan.units(Baseline::Proportion { rate: 0.2 }, -0.25, 0.8).unwrap();
    let power = share(41, EXPERIMENTS, |draws| {
        let mut arm = |p: f64| {
            let successes = (0..units / 2).filter(|_| draws.chance(p)).count() as u64;
            Moments::proportion(successes, units / 2).unwrap()
        };
        let (t, c) = (arm(0.15), arm(0.2));
        found(&compare(&t, &c), level)
    });
    assert!((power - 0.8).abs() < TOLERANCE, "{power}");
}

#[test]
fn ratios_from_a_pilot() {
    let unit = |draws: &mut Draws, lift: f64| {
        let sessions = 1.0 + (3.0 * draws.exponential()).floor();
        [lift * sessions * draws.exponential(), sessions]
    };
    let mut draws = Draws::new(42);
    let pilot = Arm::of(100_000, || unit(&mut draws, 1.0)).ratio().unwrap();
    let baseline = Baseline::Mean { mean: pilot.value(), variance: pilot.variance() };
    let units = design(Method::Fixed).units(baseline, 0.15, 0.8).unwrap();
    let power = share(43, EXPERIMENTS, |draws| {
        let t = Arm::of(units / 2, || unit(draws, 1.15)).ratio().unwrap();
        let c = Arm::of(units / 2, || unit(draws, 1.0)).ratio().unwrap();
        found(&compare(&t, &c), two_sided())
    });
    // The treatment also varies more, by its lift squared.
    assert!((0.7..0.83).contains(&power), "{power}");
}

#[test]
fn sequences_promise_the_least_and_stop_earlier() {
    let plan = design(Method::Sequence);
    let units = plan.units(Baseline::Mean { mean: 2.0, variance: 1.0 }, 0.15, 0.8).unwrap();
    let sequence = ConfidenceSequence::new(two_sided(), units, 50).unwrap();
    let (mut at_the_end, mut used) = (0_u64, 0_u64);
    let ever = share(44, EXPERIMENTS, |draws| {
        let (mut t, mut c) = (Arm::<1>::new(), Arm::new());
        let (mut stopped, mut last) = (None, false);
        for pair in 1..=units / 2 {
            t.add([2.3 + draws.normal()]);
            c.add([2.0 + draws.normal()]);
            if pair >= 50 {
                let comparison = compare(&t.moments(), &c.moments());
                last = sequence.effect(&comparison).p_value <= 0.05;
                if last && stopped.is_none() {
                    stopped = Some(2 * pair);
                }
            }
        }
        at_the_end += u64::from(last);
        used += stopped.unwrap_or(units);
        stopped.is_some()
    });
    let promised = at_the_end as f64 / EXPERIMENTS as f64;
    assert!((promised - 0.8).abs() < TOLERANCE, "{promised}");
    assert!(ever >= promised, "{ever}");
    assert!((used as f64 / EXPERIMENTS as f64) < 0.8 * units as f64, "{used} of {units}");
}

#[test]
fn group_sequential_plans() {
    let method = Method::GroupSequential { looks: 4, spending: Spending::Pocock };
    let plan = design(method);
    let units = plan.units(Baseline::Mean { mean: 2.0, variance: 1.0 }, 0.15, 0.8).unwrap();
    let fractions = [0.25, 0.5, 0.75, 1.0];
    let test =
        stats::experiment::GroupSequential::new(two_sided(), Spending::Pocock, &fractions).unwrap();
    let power = share(45, EXPERIMENTS, |draws| {
        let (mut t, mut c) = (Arm::<1>::new(), Arm::new());
        fractions.iter().zip(test.critical()).any(|(fraction, &critical)| {
            let until = (fraction * units as f64 / 2.0).round() as u64;
            while t.moments().units < until {
                t.add([2.3 + draws.normal()]);
                c.add([2.0 + draws.normal()]);
            }
            let comparison = compare(&t.moments(), &c.moments());
            comparison.difference().abs() > critical * comparison.standard_error()
        })
    });
    assert!((power - 0.8).abs() < TOLERANCE, "{power}");
}
