//! Intervals hold the truth as often as they say.

use stats::experiment::bayes::{NormalPrior, Posterior};
use stats::experiment::guardrail::Guardrail;
use stats::experiment::proportions::{
    Proportion, newcombe_interval, score_interval, wald_interval,
};
use stats::experiment::strata::{Sizes, combine, post_stratify};
use stats::experiment::{
    Alternative, Better, Comparison, ConfidenceSequence, Effect, Level, Moments, Sums, cuped,
    multiple, novelty, quantile, shrinkage, welch,
};

use crate::sample::{Arm, Draws, compare, share, two_sided};

const EXPERIMENTS: u64 = 4_000;

/// Four standard errors of a share of 0.95 of the experiments.
const TOLERANCE: f64 = 0.014;

/// Asserts that Welch's intervals of difference and lift hold the truth nominally often.
fn covers(seed: u64, difference: f64, lift: f64, experiment: impl Fn(&mut Draws) -> Comparison) {
    let mut lifts = 0_u64;
    let covered = share(seed, EXPERIMENTS, |draws| {
        let effect: Effect = welch::effect(&experiment(draws), two_sided());
        lifts += u64::from(effect.lift_set.contains(lift));
        effect.interval.contains(difference)
    });
    assert!((covered - 0.95).abs() < TOLERANCE, "difference: {covered}");
    let lifts = lifts as f64 / EXPERIMENTS as f64;
    assert!((lifts - 0.95).abs() < TOLERANCE, "lift: {lifts}");
}

#[test]
fn welch_with_few_units_of_different_spread() {
    covers(20, 1.0, 0.2, |draws| {
        let t = Arm::of(12, || [6.0 + 3.0 * draws.normal()]);
        let c = Arm::of(30, || [5.0 + draws.normal()]);
        compare(&t, &c)
    });
}

#[test]
fn means_of_skewed_values() {
    covers(21, 0.2, 0.2, |draws| {
        let t = Arm::of(400, || [1.2 * draws.exponential()]);
        let c = Arm::of(300, || [draws.exponential()]);
        compare(&t, &c)
    });
}

#[test]
fn lift_over_a_control_that_may_be_zero() {
    // The control is one standard error from zero: its sign is unknown, and sets are unbounded.
    let mut unbounded = 0_u64;
    let covered = share(22, EXPERIMENTS, |draws| {
        let t = Arm::of(100, || [0.3 + draws.normal()]);
        let c = Arm::of(100, || [0.1 + draws.normal()]);
        let effect = welch::effect(&compare(&t, &c), two_sided());
        unbounded += u64::from(effect.lift_set.interval().is_none());
        effect.lift_set.contains(2.0)
    });
    assert!(covered > 0.95 - TOLERANCE, "{covered}");
    assert!(unbounded > EXPERIMENTS / 2, "{unbounded}");
}

#[test]
fn ratios_of_values_that_depend_on_each_other() {
    let arm = |draws: &mut Draws, rate: f64| {
        Arm::of(300, || {
            let sessions = 1.0 + (3.0 * draws.exponential()).floor();
            [rate * sessions * draws.exponential(), sessions]
        })
        .ratio()
        .unwrap()
    };
    covers(23, 0.1, 0.1, |draws| {
        let (t, c) = (arm(draws, 1.1), arm(draws, 1.0));
        compare(&t, &c)
    });
}

#[test]
fn cuped_covers_and_is_narrower() {
    let arm = |draws: &mut Draws, units: u64, effect: f64| {
        Arm::of(units, || {
            let before = draws.exponential();
            [effect + 3.0 + before + 0.5 * draws.normal(), before]
        })
    };
    covers(24, 0.2, 0.05, |draws| {
        let (t, c) = (arm(draws, 150, 0.2), arm(draws, 450, 0.0));
        let adjusted = cuped::adjust(&t, &c).unwrap();
        assert!(adjusted.variance_reduction > 0.5, "{adjusted:?}");
        adjusted.comparison
    });
}

#[test]
fn cuped_of_ratios() {
    let arm = |draws: &mut Draws, lift: f64| {
        Arm::of(400, || {
            let rate = 1.0 + draws.exponential();
            let mut sessions = || 1.0 + (2.0 * draws.uniform() * 3.0).floor();
            let (now, before) = (sessions(), sessions());
            let noise = [draws.exponential(), draws.exponential()];
            [lift * now * (rate + noise[0]), now, before * (rate + noise[1]), before]
        })
        .ratios()
        .unwrap()
    };
    covers(25, 0.3, 0.1, |draws| {
        let (t, c) = (arm(draws, 1.1), arm(draws, 1.0));
        cuped::adjust(&t, &c).unwrap().comparison
    });
}

#[test]
fn post_stratification_with_effects_that_differ() {
    // Strata of 20 and 80 % with levels 10 and 1 and effects 1 and 0: 0.2 over 2.8 in all.
    let cells = |draws: &mut Draws, effect: f64| {
        let mut cells = [Sums::<1>::default(); 2];
        for _ in 0..300 {
            let large = draws.chance(0.2);
            let level = if large { 10.0 + effect } else { 1.0 };
            let value = 1e6 * (level + draws.normal());
            cells[usize::from(large)].add([value.round() as i64]).unwrap();
        }
        cells
    };
    let plain = |t: &Sums<1>, c: &Sums<1>| Comparison::new(&t.moments([1e6])?, &c.moments([1e6])?);
    covers(26, 0.2, 0.2 / 2.8, |draws| {
        let (t, c) = (cells(draws, 1.0), cells(draws, 0.0));
        post_stratify(&[[t[0], c[0]], [t[1], c[1]]], 10, plain).unwrap()
    });
}

#[test]
fn phases_with_other_weights_and_levels() {
    let phase = |draws: &mut Draws, level: f64, treatment: u64, control: u64| {
        let t = Arm::of(treatment, || [level * 1.1 + draws.normal()]);
        let c = Arm::of(control, || [level + draws.normal()]);
        compare(&t, &c)
    };
    // 1000 units at level 1, 400 at level 5: the control is 15/7.
    covers(27, 0.1 * 15.0 / 7.0, 0.1, |draws| {
        let phases = [phase(draws, 1.0, 50, 950), phase(draws, 5.0, 200, 200)];
        combine(&phases, Sizes::Fixed).unwrap()
    });
}

#[test]
fn quantiles_of_events_that_come_in_clusters() {
    let arm = |draws: &mut Draws, factor: f64| {
        let (values, units) = clustered(draws, 300, |value| factor * value);
        quantile::estimate(&values, &units, 0.75).unwrap()
    };
    // The 75th percentile of N(10, 5); 1.05 times it in the treatment.
    let true_quantile = 10.0 + 5.0_f64.sqrt() * 0.674_489_75;
    covers(28, 0.05 * true_quantile, 0.05, |draws| {
        let (t, c) = (arm(draws, 1.05), arm(draws, 1.0));
        compare(&t, &c)
    });
}

/// Events of N(10, 5), some for each unit, as `shown`.
fn clustered(draws: &mut Draws, units: u32, shown: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<u32>) {
    let (mut values, mut of) = (Vec::new(), Vec::new());
    for unit in 0..units {
        let own = draws.normal();
        for _ in 0..1 + (draws.uniform() * 6.0) as u32 {
            values.push(shown(10.0 + 2.0 * own + draws.normal()));
            of.push(unit);
        }
    }
    (values, of)
}

#[test]
fn quantiles_of_events_of_which_many_are_equal() {
    let arm = |draws: &mut Draws| {
        let (values, units) = clustered(draws, 1000, f64::round);
        quantile::estimate(&values, &units, 0.75).unwrap()
    };
    covers(29, 0.0, 0.0, |draws| {
        let (t, c) = (arm(draws), arm(draws));
        compare(&t, &c)
    });
}

#[test]
fn proportions_of_rare_successes() {
    let level = two_sided();
    let arm = |draws: &mut Draws, units: u64, p: f64| {
        Proportion::new((0..units).filter(|_| draws.chance(p)).count() as u64, units).unwrap()
    };
    let coverage = |seed, p: [f64; 2], interval: fn(Proportion, Proportion, Level) -> _| {
        share(seed, EXPERIMENTS, |draws| {
            let (t, c) = (arm(draws, 120, p[0]), arm(draws, 150, p[1]));
            let found: stats::Interval = interval(t, c, level);
            found.contains(p[0] - p[1])
        })
    };
    for interval in [score_interval, newcombe_interval] {
        let covered = coverage(29, [0.08, 0.04], interval);
        assert!((0.94..0.975).contains(&covered), "{covered}");
    }
    let covered = coverage(29, [0.4, 0.3], wald_interval);
    assert!((covered - 0.95).abs() < TOLERANCE, "{covered}");
}

#[test]
fn one_sided_intervals() {
    for alternative in [Alternative::Greater, Alternative::Less] {
        let level = Level::new(0.05, alternative).unwrap();
        let covered = share(30, EXPERIMENTS, |draws| {
            let t = Arm::of(30, || [1.0 + draws.normal()]);
            let c = Arm::of(40, || [draws.normal()]);
            welch::effect(&compare(&t, &c), level).interval.contains(1.0)
        });
        assert!((covered - 0.95).abs() < TOLERANCE, "{alternative:?}: {covered}");
    }
}

#[test]
fn confidence_sequences_at_all_times_together() {
    let sequence = ConfidenceSequence::new(two_sided(), 1_000, 50).unwrap();
    let mut at_the_end = 0_u64;
    let covered = share(31, EXPERIMENTS, |draws| {
        let (mut t, mut c) = (Arm::<1>::new(), Arm::new());
        let mut always = true;
        for units in 1..=500 {
            t.add([2.4 + draws.normal()]);
            c.add([2.0 + draws.normal()]);
            if units >= 50 {
                let effect = sequence.effect(&compare(&t.moments(), &c.moments()));
                always &= effect.interval.contains(0.4) && effect.lift_set.contains(0.2);
                at_the_end += u64::from(units == 500 && effect.interval.contains(0.4));
            }
        }
        always
    });
    assert!(covered >= 0.95, "{covered}");
    assert!(at_the_end as f64 / EXPERIMENTS as f64 > 0.985, "{at_the_end}");
}

#[test]
fn credible_intervals_when_the_prior_is_true() {
    let prior = NormalPrior::new(0.02, 0.05).unwrap();
    let (mut chances, mut wins) = (0.0, 0.0);
    let covered = share(32, EXPERIMENTS, |draws| {
        let lift = 0.02 + 0.05 * draws.normal();
        let t = Arm::of(200, || [10.0 * (1.0 + lift) + 4.0 * draws.normal()]);
        let c = Arm::of(200, || [10.0 + 4.0 * draws.normal()]);
        let posterior = Posterior::difference(&compare(&t, &c), prior);
        chances += posterior.chance_to_win(Better::Higher);
        wins += f64::from(u8::from(lift > 0.0));
        posterior.credible(0.95).unwrap().contains(10.0 * lift)
    });
    assert!((covered - 0.95).abs() < TOLERANCE, "{covered}");
    assert!(((chances - wins) / EXPERIMENTS as f64).abs() < 0.03, "{chances} {wins}");
}

#[test]
fn trend_of_effects_within_units() {
    const DAYS: i64 = 7;
    let unit = |draws: &mut Draws, start: f64, slope: f64| {
        // Days of one unit depend on each other through its own level.
        let own = 10.0 * draws.normal();
        let days: Vec<i64> = (0..DAYS)
            .map(|day| {
                (1000.0 * (own + start + slope * day as f64 + draws.normal())).round() as i64
            })
            .collect();
        [novelty::trend_value(&days).unwrap() as f64 / 1000.0]
    };
    let covered = share(33, EXPERIMENTS, |draws| {
        let t = Arm::of(60, || unit(draws, 2.0, -0.3));
        let c = Arm::of(60, || unit(draws, 0.0, 0.0));
        let trend = novelty::trend(&compare(&t, &c), DAYS as usize, two_sided()).unwrap();
        trend.interval.contains(-0.3)
    });
    assert!((covered - 0.95).abs() < TOLERANCE, "{covered}");
}

#[test]
fn non_inferiority_at_the_margin() {
    let guardrail = Guardrail::new(0.1, Better::Higher).unwrap();
    let wrongly = share(34, EXPERIMENTS, |draws| {
        let t = Arm::of(50, || [9.0 + draws.normal()]);
        let c = Arm::of(50, || [10.0 + draws.normal()]);
        guardrail.non_inferiority_p_value(&compare(&t, &c)) <= 0.05
    });
    assert!((wrongly - 0.05).abs() < TOLERANCE, "{wrongly}");
}

#[test]
fn families_of_tests() {
    // Ten metrics, none of which changed.
    let alarms = share(35, EXPERIMENTS, |draws| {
        let p: Vec<f64> = (0..10)
            .map(|_| {
                let t = Arm::of(20, || [draws.normal()]);
                let c = Arm::of(20, || [draws.normal()]);
                welch::effect(&compare(&t, &c), two_sided()).p_value
            })
            .collect();
        multiple::holm(&p).unwrap().iter().any(|&p| p <= 0.05)
    });
    assert!((0.035..0.06).contains(&alarms), "{alarms}");
}

#[test]
fn shrinkage_takes_most_of_the_winners_curse_away() {
    let truth = 0.25;
    let (mut raw, mut shrunk, mut winners) = (0.0, 0.0, 0.0);
    let mut draws = Draws::new(36);
    for _ in 0..EXPERIMENTS {
        let t: Moments<1> = Arm::of(100, || [truth + draws.normal()]);
        let c = Arm::of(100, || [draws.normal()]);
        let effect = welch::effect(&compare(&t, &c), two_sided());
        if let Some(estimate) = shrinkage::conditional_estimate(&effect, Alternative::TwoSided) {
            raw += effect.difference - truth;
            shrunk += estimate - truth;
            winners += 1.0;
        }
    }
    let (raw, shrunk): (f64, f64) = (raw / winners, shrunk / winners);
    assert!(raw > 0.1, "{raw}");
    assert!(shrunk.abs() < raw / 2.0, "{shrunk} {raw}");
}
