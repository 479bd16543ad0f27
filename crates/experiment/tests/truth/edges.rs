//! What is decided where data are odd: arms without variance, phases without a denominator, variants
//! that were taken back.

use crate::world::{DAY, START, Truth, World, conversion, experiment};
use experiment::analysis::{Analysis, Method, Mode, Outcome, Plan, Rule, Standing, analyse};
use experiment::automation::{Action, Stage, apply, revert};
use experiment::ledger::{Arm, MetricKind, MetricSums, Term};
use experiment::metric::{Better, Measure, MetricSpec, Role, resolve};
use experiment::model::Phase;

/// A bandit that does not decide.
fn bandit(truths: &[Truth]) -> World {
    let plan = Plan { mode: Mode::Bandit { floor: 0.05 }, ..Plan::default() };
    let mut experiment = experiment(truths.len());
    experiment.sticky = Some(Default::default());
    experiment.policy.min_days = 700;
    World::new(experiment, plan, truths, 5)
}

#[test]
fn a_bandit_gives_nothing_to_what_was_taken_back() {
    let harmful = Truth { errors: 1.0, ..Truth::buys(0.3) };
    let mut world = bandit(&[Truth::buys(0.1), Truth::buys(0.2), harmful]);
    world.live(900, 1_000);
    assert!(matches!(world.act(), Action::RollBack { variant, .. } if variant == "c"));
    let moved = (0..10).find_map(|_| {
        world.live(1_000, DAY);
        Some(world.act()).filter(Action::changes)
    });
    let Some(Action::Reweigh { weights }) = moved else { panic!("{moved:?}") };
    assert!(weights[2] == 0 && weights[1] > weights[0], "{weights:?}");
}

#[test]
fn a_bandit_leaves_an_arm_in_which_nothing_happens() {
    let mut world = bandit(&[Truth::buys(0.1), Truth::buys(0.0)]);
    // So many are planned that nothing is decided yet.
    world.plan.units = 10_000_000;
    world.live(600, 2 * DAY);
    let Action::Reweigh { weights } = world.act() else { panic!("it stands still") };
    assert!(weights[0] > 900_000, "{weights:?}");
}

/// So many units of each variant, and how many of them bought.
fn bought(plan: Plan, counts: &[(u64, u64)]) -> World {
    let mut world = World::new(experiment(counts.len()), plan, &[], 1);
    world.metrics.truncate(1);
    world.experiment.policy.min_days = 0;
    world.now = START + DAY;
    world.arms = (0..).zip(counts).map(|(variant, &counts)| arm(0, variant, counts)).collect();
    world
}

fn arm(phase: u16, variant: u16, (units, bought): (u64, u64)) -> Arm {
    let mut sums = stats::experiment::Sums::<2>::default();
    (0..units).for_each(|unit| sums.add([i64::from(unit < bought), 0]).unwrap());
    Arm { phase, variant, units, metrics: vec![MetricSums::Single(sums)] }
}

fn winner(analysis: &Analysis) -> Option<&str> {
    let verdict = &analysis.verdict;
    verdict.variant.as_deref().filter(|_| verdict.standing == Standing::Winner)
}

#[test]
fn of_those_that_are_not_worse_the_best_is_shipped() {
    let plan = Plan { rule: Rule::NonInferior, ..Plan::default() };
    let mut world = bought(plan, &[(6_000, 3_000), (6_000, 2_880), (6_000, 3_030)]);
    world.metrics[0].1.margin = 0.15;
    assert_eq!(winner(&world.analysis()), Some("c"));
}

#[test]
fn a_loss_can_be_told_of_a_control_without_any_conversion() {
    let plan = Plan { rule: Rule::ExpectedLoss { relative: 0.01 }, ..Plan::default() };
    let world = bought(plan, &[(2_000, 0), (2_000, 300)]);
    assert_eq!(winner(&world.analysis()), Some("b"));
}

#[test]
fn a_variant_of_which_nothing_is_known_belongs_to_the_family() {
    let plan = Plan { method: Method::Fixed, units: 600, ..Plan::default() };
    let analysis = bought(plan, &[(200, 0), (200, 4), (200, 0)]).analysis();
    let [x, y] = &analysis.metrics[0].effects[..] else { panic!("two variants") };
    assert!(y.p_value.is_none() && y.adjusted_p.is_none());
    assert!((x.adjusted_p.unwrap() - 2.0 * x.p_value.unwrap()).abs() < 1e-12, "{x:?}");
    assert_eq!(x.outcome, Outcome::Unclear);
}

fn spec(name: &str, kind: MetricKind) -> MetricSpec {
    let Measure::Events { delay_us, window_us, lookback_us, .. } = conversion("").measure else {
        unreachable!("conversions are events")
    };
    let measure = Measure::Events { kind, delay_us, window_us, lookback_us };
    MetricSpec { name: name.to_owned(), measure, better: Better::Lower, ..conversion("") }
}

#[test]
fn a_guardrail_that_is_the_same_for_all_units_of_an_arm_is_not_the_same_in_both() {
    let fails = spec("fails", MetricKind::Count { event: "fail".to_owned() });
    let mut world = bought(Plan::default(), &[(1_000, 100), (1_000, 100)]);
    world.experiment.guardrails = vec!["fails".to_owned()];
    world.metrics = resolve(&world.experiment, &[conversion("buy"), fails]).unwrap();
    let mut with_failed = |failed: [u64; 2]| {
        for (arm_of, failed) in world.arms.iter_mut().zip(failed) {
            arm_of.metrics.truncate(1);
            arm_of.metrics.extend(arm(0, 0, (1_000, failed)).metrics);
        }
        world.analysis().guardrails.remove(0)
    };
    let guardrail = with_failed([0, 1_000]);
    assert!(guardrail.harmful && guardrail.exceeded, "{guardrail:?}");
    // The other way round nothing speaks against it, and nothing is missing.
    for control in [300, 1_000] {
        let guardrail = with_failed([control, 0]);
        assert!(!guardrail.harmful && guardrail.non_inferior, "{guardrail:?}");
        assert!(!guardrail.underpowered, "{guardrail:?}");
    }
}

#[test]
fn a_phase_without_a_denominator_does_not_hide_the_others() {
    let of = |event: &str| event.to_owned();
    let kind = MetricKind::Ratio {
        numerator: Term::Count { event: of("fail") },
        denominator: Term::Count { event: of("view") },
    };
    let mut world = bought(Plan::default(), &[(1_000, 100), (1_000, 100)]);
    world.metrics = vec![(Role::Primary, spec("ratio", kind))];
    let ratio = |phase, variant, units: u64, views: i64| {
        let mut sums = stats::experiment::Sums::<4>::default();
        for unit in 0..units {
            sums.add([i64::from(unit % 10 == 0), views, 0, 0]).unwrap();
        }
        let metrics = vec![MetricSums::Ratio(Box::new(sums))];
        Arm { phase, variant, units, metrics }
    };
    world.arms = vec![ratio(0, 0, 1_000, 2), ratio(0, 1, 1_000, 2)];
    let before = world.analysis().metrics[0].effects[0].clone();
    assert!(before.p_value.is_some(), "{before:?}");
    let phase = Phase { since: world.now, ..world.experiment.phases[0].clone() };
    world.experiment.phases.push(phase);
    world.arms.extend([ratio(1, 0, 12, 0), ratio(1, 1, 12, 0)]);
    let effect = world.analysis().metrics[0].effects[0].clone();
    assert_eq!((effect.p_value, effect.phases), (before.p_value, 1));
    // With nothing else, it is said.
    world.arms.drain(..2);
    let note = world.analysis().metrics[0].effects[0].note.clone().unwrap();
    assert!(note.contains("denominator"), "{note}");
}

#[test]
fn phases_that_lost_units_do_not_count_after_a_revert() {
    let mut world = World::new(experiment(2), Plan::default(), &[Truth::buys(0.1); 2], 1);
    world.live(4_000, DAY);
    let back = Action::RollBack { variant: "b".into(), reason: "by hand".into() };
    apply(&back, &mut world.experiment, &mut world.state, world.now).unwrap();
    revert(&mut world.experiment, &mut world.state, world.now).unwrap();
    assert_eq!(world.state.stage, Stage::Testing);
    assert_eq!(world.state.phases(&world.experiment), 2..3);
    assert_eq!(
        world.ask(|question| analyse(question, &world.data())).metrics[0].effects[0].units,
        [0, 0]
    );
}
