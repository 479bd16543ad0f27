//! What may be watched all the time does not raise false alarms, and finds what is there.

use stats::experiment::counts::{MultinomialProcess, TwoArmCounts};
use stats::experiment::{
    Alternative, Comparison, ConfidenceSequence, GroupSequential, Level, Moments, Spending, srm,
    welch,
};

use crate::sample::{Arm, Draws, compare, share, two_sided};

const EXPERIMENTS: u64 = 10_000;
const UNITS_PER_ARM: u64 = 1_000;
const LEAST: u64 = 100;

/// Shares of A/A experiments in which a sequence, and the fixed test, found an effect at any of the
/// looks after each pair of units.
fn false_alarms<const K: usize>(
    seed: u64,
    level: Level,
    unit: impl Fn(&mut Draws) -> [f64; K],
    estimate: impl Fn(&Moments<K>) -> Moments<1>,
) -> (f64, f64) {
    let sequence = ConfidenceSequence::new(level, 2 * UNITS_PER_ARM, LEAST).unwrap();
    let mut draws = Draws::new(seed);
    let (mut watched, mut peeked) = (0_u64, 0_u64);
    for _ in 0..EXPERIMENTS {
        let (mut treatment, mut control) = (Arm::new(), Arm::new());
        let (mut by_sequence, mut by_fixed) = (false, false);
        for units in 1..=UNITS_PER_ARM {
            treatment.add(unit(&mut draws));
            control.add(unit(&mut draws));
            if units < LEAST || (by_sequence && by_fixed) {
                continue;
            }
            let (t, c) = (estimate(&treatment.moments()), estimate(&control.moments()));
            let Ok(comparison) = Comparison::new(&t, &c) else { continue };
            by_sequence = by_sequence || sequence.effect(&comparison).p_value <= level.alpha();
            // Student's critical value for 200 units and more is above 1.97 two-sided.
            by_fixed = by_fixed
                || comparison.difference() / comparison.standard_error() > 1.972
                || (level.alternative() == Alternative::TwoSided
                    && comparison.difference() / comparison.standard_error() < -1.972);
        }
        watched += u64::from(by_sequence);
        peeked += u64::from(by_fixed);
    }
    (watched as f64 / EXPERIMENTS as f64, peeked as f64 / EXPERIMENTS as f64)
}

#[test]
fn watching_a_skewed_mean() {
    let (watched, peeked) = false_alarms(1, two_sided(), |draws| [draws.exponential()], |arm| *arm);
    assert!(watched <= 0.05, "{watched}");
    assert!(peeked > 0.2, "{peeked}");
}

#[test]
fn watching_a_conversion_rate() {
    let unit = |draws: &mut Draws| [f64::from(u8::from(draws.chance(0.1)))];
    let (watched, peeked) = false_alarms(2, two_sided(), unit, |arm| *arm);
    assert!(watched <= 0.05, "{watched}");
    assert!(peeked > 0.2, "{peeked}");
}

#[test]
fn watching_a_ratio() {
    // Sessions per unit and orders per session, which depend on each other.
    let unit = |draws: &mut Draws| {
        let sessions = 1.0 + (3.0 * draws.exponential()).floor();
        [sessions * draws.exponential(), sessions]
    };
    let (watched, peeked) = false_alarms(3, two_sided(), unit, |arm| arm.ratio().unwrap());
    assert!(watched <= 0.05, "{watched}");
    assert!(peeked > 0.2, "{peeked}");
}

#[test]
fn watching_one_side() {
    let level = Level::new(0.05, Alternative::Greater).unwrap();
    let (watched, peeked) = false_alarms(4, level, |draws| [draws.exponential()], |arm| *arm);
    assert!(watched <= 0.05, "{watched}");
    assert!(peeked > 0.1, "{peeked}");
}

/// Units per arm at which each of five looks is taken.
const LOOKS: [u64; 5] = [40, 80, 120, 160, 200];

/// Whether any look of a group-sequential test, and of the fixed test, found an effect; and whether
/// all its intervals held the true difference.
fn group(test: &GroupSequential, effect: f64, draws: &mut Draws) -> (bool, bool, bool) {
    let (mut treatment, mut control) = (Arm::<1>::new(), Arm::new());
    let (mut found, mut peeked, mut covered) = (false, false, true);
    let mut units = 0;
    for (look, &until) in LOOKS.iter().enumerate() {
        while units < until {
            treatment.add([effect + draws.normal()]);
            control.add([draws.normal()]);
            units += 1;
        }
        let comparison = compare(&treatment.moments(), &control.moments());
        let critical = test.critical()[look];
        let result = comparison.effect(critical, 1.0, Alternative::TwoSided);
        found |= !result.interval.contains(0.0);
        covered &= result.interval.contains(effect);
        peeked |= !welch::effect(&comparison, two_sided()).interval.contains(0.0);
    }
    (found, peeked, covered)
}

#[test]
fn group_sequential_looks() {
    let fractions = LOOKS.map(|units| units as f64 / 200.0);
    for (seed, spending) in [(5, Spending::OBrienFleming), (6, Spending::Pocock)] {
        let test = GroupSequential::new(two_sided(), spending, &fractions).unwrap();
        let mut draws = Draws::new(seed);
        let mut counts = [0_u64; 2];
        for _ in 0..EXPERIMENTS {
            let (found, peeked, _) = group(&test, 0.0, &mut draws);
            counts[0] += u64::from(found);
            counts[1] += u64::from(peeked);
        }
        let [found, peeked] = counts.map(|count| count as f64 / EXPERIMENTS as f64);
        assert!((0.04..0.06).contains(&found), "{spending:?}: {found}");
        // Armitage, McPherson & Rowe (1969): 0.142 for five looks.
        assert!((0.125..0.16).contains(&peeked), "{peeked}");

        // A standardised effect of 0.28 over 200 units per arm is a drift of 2.8.
        let mut power = 0_u64;
        let covered = share(seed + 10, 2_000, |draws| {
            let (found, _, covered) = group(&test, 0.28, draws);
            power += u64::from(found);
            covered
        });
        assert!((0.94..=1.0).contains(&covered), "{covered}");
        let promised = *test.crossing(2.8).last().unwrap();
        assert!((power as f64 / 2_000.0 - promised).abs() < 0.03, "{power} {promised}");
    }
}

#[test]
fn counts_with_a_rate_that_changes() {
    // Only whose event is next matters; the share is right whatever the rate does.
    let process = MultinomialProcess::new(&[0.3, 0.7], 100.0).unwrap();
    let alarms = share(7, EXPERIMENTS, |draws| {
        let mut counts = [0_u64; 2];
        (0..300).any(|_| {
            counts[usize::from(!draws.chance(0.3))] += 1;
            process.p_value(&counts).unwrap() <= 0.05
        })
    });
    assert!(alarms <= 0.05, "{alarms}");
}

#[test]
fn counts_find_a_harmful_rate_and_hold_its_ratio() {
    // Three times the errors at half the traffic: 3 of 4 errors fall on the treatment.
    let test = TwoArmCounts::new(two_sided(), 0.5, 100.0).unwrap();
    let (mut events, mut found) = (0_u64, 0_u64);
    let covered = share(8, 2_000, |draws| {
        let (mut treatment, mut control) = (0, 0);
        let (mut covered, mut stopped) = (true, false);
        for _ in 0..200 {
            if draws.chance(0.75) {
                treatment += 1;
            } else {
                control += 1;
            }
            let effect = test.effect(treatment, control);
            covered &= effect.interval.contains(3.0);
            stopped |= effect.p_value <= 0.05;
            events += u64::from(!stopped);
        }
        found += u64::from(stopped);
        covered
    });
    assert!(covered >= 0.95, "{covered}");
    assert!(found as f64 / 2_000.0 > 0.99, "{found}");
    assert!((events as f64 / 2_000.0) < 80.0, "{events}");
}

/// Units until the sample-ratio test raises its alarm at p < 0.001, looking after every `step`.
fn srm_alarm(share: f64, units: u64, step: u64, draws: &mut Draws) -> Option<u64> {
    let process = srm::SampleRatio::new(&[0.5, 0.5]).unwrap();
    let mut counts = [0_u64; 2];
    (1..=units).find(|unit| {
        counts[usize::from(draws.chance(share))] += 1;
        unit % step == 0 && process.p_value(&counts).unwrap() < 0.001
    })
}

#[test]
fn sample_ratio_alarms_are_rare_and_fast() {
    let alarms = share(9, EXPERIMENTS, |draws| srm_alarm(0.5, 600, 1, draws).is_some());
    assert!(alarms <= 0.001, "{alarms}");
    let by_chi_square = share(9, EXPERIMENTS, |draws| {
        let mut counts = [0_u64; 2];
        (1..=600).any(|unit| {
            counts[usize::from(draws.chance(0.5))] += 1;
            unit >= LEAST && srm::chi_square(&counts, &[0.5, 0.5]).unwrap().p_value < 0.001
        })
    });
    assert!(by_chi_square > 0.004, "{by_chi_square}");
    let mut delays = 0;
    let detected = share(10, 100, |draws| {
        let alarm = srm_alarm(0.52, 40_000, 20, draws);
        delays += alarm.unwrap_or(40_000);
        alarm.is_some()
    });
    assert!(detected >= 0.99, "{detected}");
    // ln(1000) nats of evidence at 0.0008 nats a unit are 8600 units; not to know the share costs
    // about as many again.
    let delay = delays as f64 / 100.0;
    assert!((8_600.0..20_000.0).contains(&delay), "{delay}");
}
