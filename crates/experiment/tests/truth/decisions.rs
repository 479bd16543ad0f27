//! What is decided, against what is true.

use crate::world::{DAY, START, Truth, World, experiment};
use experiment::analysis::{
    Method, Mode, Outcome, Plan, Rule, Severity, Spending, Standing, analyse,
};
use experiment::automation::{Action, Stage};
use experiment::ledger::{Dimension, MetricSums};
use experiment::model::{DecisionAction, Share, Status};
use std::collections::BTreeMap;

/// Experiments of each simulation.
const RUNS: u64 = 80;
/// Three standard deviations of the number of false alarms among [`RUNS`] at 5 %.
const FALSE_MAX: usize = 4 + 6;

fn decided(variants: usize, plan: &Plan, seed: u64) -> Option<Action> {
    let truths = vec![Truth::buys(0.1); variants];
    let mut world = World::new(experiment(variants), plan.clone(), &truths, seed);
    // 25 looks; the first two weeks cannot ship.
    world.run(25, 150 * variants as u64, DAY)
}

#[test]
fn what_is_the_same_is_not_shipped_however_often_one_looks() {
    for variants in [2, 3] {
        let plan = Plan::default();
        let all: Vec<_> = (0..RUNS).filter_map(|seed| decided(variants, &plan, seed)).collect();
        assert!(all.len() <= FALSE_MAX, "{variants} variants: {} of {RUNS}", all.len());
    }
}

#[test]
fn planned_looks_keep_the_level_too() {
    let spending = Spending::Pocock;
    let method = Method::GroupSequential { looks: 5, spending };
    let plan = Plan { method, units: 7_500, ..Plan::default() };
    let found = (0..RUNS).filter(|&seed| decided(2, &plan, 1_000 + seed).is_some()).count();
    assert!(found <= FALSE_MAX, "{found} of {RUNS}");
}

#[test]
fn a_fixed_test_is_looked_at_once_and_keeps_the_level() {
    let plan = Plan { method: Method::Fixed, units: 3_000, ..Plan::default() };
    let found = (0..RUNS).filter(|&seed| decided(2, &plan, 2_000 + seed).is_some()).count();
    assert!(found <= FALSE_MAX, "{found} of {RUNS}");
    let mut world = World::new(experiment(2), plan, &[Truth::buys(0.1); 2], 1);
    world.live(4_000, DAY);
    world.act();
    assert_eq!((world.state.looks.len(), world.analysis().look), (0, None), "two weeks first");
    world.live(4_000, 14 * DAY);
    world.act();
    let at_look = world.analysis().metrics;
    assert!(world.state.looks == [1.0] && at_look[0].effects[0].interval.is_some());
    world.live(4_000, DAY);
    world.act();
    assert_eq!((world.analysis().look, world.analysis().metrics), (None, at_look));
}

#[test]
fn looking_at_a_fixed_horizon_would_have_been_wrong() {
    // The same experiments, taken at face value at every look.
    let plan = Plan { method: Method::Fixed, units: 1, ..Plan::default() };
    let fooled = |seed: &u64| {
        let mut world = World::new(experiment(2), plan.clone(), &[Truth::buys(0.1); 2], *seed);
        world.experiment.policy.min_days = 0;
        (0..25).any(|_| {
            world.live(300, DAY);
            world.analysis().metrics[0].effects[0].outcome != Outcome::Unclear
        })
    };
    let found = (0..RUNS).filter(fooled).count();
    assert!(found > 2 * FALSE_MAX, "{found} of {RUNS}");
}

#[test]
fn what_fails_is_taken_back_within_a_few_hundred_units() {
    for seed in 0..20 {
        // Also when everything fails, which has no variance.
        let errors = if seed % 2 == 0 { 0.9 } else { 1.0 };
        let harmful = Truth { errors, ..Truth::buys(0.1) };
        let truths = [Truth::buys(0.1), Truth::buys(0.1), harmful];
        let mut world = World::new(experiment(3), Plan::default(), &truths, seed);
        // A look every second, at 60 units per second.
        let action = world.run(30, 60, 1_000).unwrap();
        let Action::RollBack { variant, reason } = action else { panic!("{action:?}") };
        assert_eq!(variant, "c");
        assert!(reason.contains("error-rate"), "{reason}");
        assert_eq!(world.share(2), 0.0);
        assert!((world.share(0) - 2.0 / 3.0).abs() < 1e-5, "the control took its units");
        assert!((world.share(1) - 1.0 / 3.0).abs() < 1e-5);
        // The others go on, and are still sound.
        world.live(3_000, DAY);
        assert_eq!(world.act(), Action::None);
        assert_eq!(world.analysis().health.issues, []);
    }
}

#[test]
fn what_sells_less_is_taken_back() {
    let truths = [Truth::buys(0.10), Truth::buys(0.07)];
    let mut world = World::new(experiment(2), Plan::default(), &truths, 7);
    let action = world.run(60, 600, DAY).unwrap();
    assert!(matches!(action, Action::RollBack { .. }), "{action:?}");
    assert_eq!((world.share(0), world.share(1)), (1.0, 0.0));
    assert_eq!(world.state.stage, Stage::Testing);
}

#[test]
fn what_is_better_is_rolled_out_step_by_step_and_held_back() {
    let mut shipped = 0;
    for seed in 0..20 {
        let truths = [Truth::buys(0.10), Truth::buys(0.13)];
        let mut world = World::new(experiment(2), Plan::default(), &truths, seed);
        // Errors are too rare for the margin to be told from nothing.
        world.metrics[1].1.margin = 5.0;
        let Some(action) = world.run(40, 2_000, DAY) else { continue };
        assert!(matches!(action, Action::Ship { .. }), "{action:?}");
        assert!(world.now - START >= 14 * DAY, "not before two weeks");
        // From 50 % the next step is all but 5 %, after which nothing is left to do.
        assert!((world.share(1) - 0.95).abs() < 1e-6, "{}", world.share(1));
        assert!(matches!(world.state.stage, Stage::Shipped { .. }));
        world.live(2_000, DAY);
        assert_eq!(world.act(), Action::None);
        shipped += 1;
    }
    assert!(shipped >= 18, "{shipped} of 20");
}

#[test]
fn a_small_test_is_rolled_out_by_coverage_first_and_stops_at_harm() {
    let truths = [Truth::buys(0.10), Truth::buys(0.14)];
    let mut world = World::new(experiment(2), Plan::default(), &truths, 3);
    world.experiment.coverage = Share::from_ppm(100_000).unwrap();
    world.metrics[1].1.margin = 5.0;
    let shipped = world.run(60, 10_000, DAY).unwrap();
    assert!(matches!(shipped, Action::Ship { .. }), "{shipped:?}");
    let shares: Vec<u32> = std::iter::once(world.share(1))
        .chain((0..2).map(|_| {
            world.live(1_000, DAY);
            assert!(matches!(world.act(), Action::Ramp { .. }));
            world.share(1)
        }))
        .map(|share| (share * 100.0).round() as u32)
        .collect();
    assert_eq!(shares, [25, 50, 95]);
    // Later it begins to fail: what was shipped is taken back, too.
    world.truths[1].errors = 1.0;
    let action = (0..20).find_map(|_| {
        world.live(2_000, 60_000);
        Some(world.act()).filter(Action::changes)
    });
    assert!(matches!(action, Some(Action::RollBack { .. })), "{action:?}");
    assert_eq!(world.share(1), 0.0);
}

#[test]
fn a_mismatch_of_shares_blocks_and_its_cause_is_named() {
    // The new version loses a third of those who would not buy, so it looks better.
    let mut found = 0;
    for seed in 0..20 {
        let losing = Truth { counted: 0.9, ..Truth::buys(0.13) };
        let mut world =
            World::new(experiment(2), Plan::default(), &[Truth::buys(0.1), losing], seed);
        let action = world.run(40, 2_000, DAY);
        assert_eq!(action, None, "nothing may be shipped");
        let analysis = world.analysis();
        assert_eq!(analysis.verdict.standing, Standing::Invalid);
        assert_eq!(analysis.health.issues[0].severity, Severity::Blocks);
        found += usize::from(analysis.health.ratio.chi_square_p.unwrap() < 1e-6);
    }
    assert_eq!(found, 20);
    // Segments: one browser only.
    let losing = Truth { counted: 0.5, ..Truth::buys(0.1) };
    let mut world = World::new(experiment(2), Plan::default(), &[Truth::buys(0.1), losing], 1);
    world.live(2_000, DAY);
    let bad = world.arms.clone();
    world.truths[1].counted = 1.0;
    world.arms.clear();
    world.live(2_000, DAY);
    let good = world.arms.clone();
    let mut data = world.data();
    for arm in &mut data.summary.arms {
        arm.units += bad.iter().find(|more| more.variant == arm.variant).unwrap().units;
    }
    let segments = BTreeMap::from([("firefox".to_owned(), good), ("safari".to_owned(), bad)]);
    data.segments = vec![(Dimension::Browser, segments)];
    let analysis = world.ask(|question| analyse(question, &data));
    let causes: Vec<_> = analysis.health.ratio.causes.iter().map(|it| &*it.segment).collect();
    assert_eq!(causes, ["safari"]);
    assert!(analysis.verdict.reasons[0].contains("browser \"safari\""));
}

#[test]
fn whoever_only_wants_to_know_is_told_once() {
    let mut experiment = experiment(2);
    experiment.policy.action = DecisionAction::Notify;
    let harmful = Truth { errors: 0.9, ..Truth::buys(0.1) };
    let mut world = World::new(experiment, Plan::default(), &[Truth::buys(0.1), harmful], 1);
    world.live(5_000, DAY);
    let before = world.experiment.clone();
    let Action::Notify { reason, .. } = world.act() else { panic!("not told") };
    assert!(reason.starts_with("roll-back \"b\""), "{reason}");
    for _ in 0..10 {
        // The numbers change; what they say does not.
        world.live(500, DAY);
        assert_eq!(world.act(), Action::None);
    }
    assert_eq!(world.experiment, before);
}

#[test]
fn a_guardrail_that_cannot_tell_keeps_the_winner_from_being_shipped() {
    let truths = [Truth::buys(0.10), Truth::buys(0.14)];
    let mut world = World::new(experiment(2), Plan::default(), &truths, 1);
    world.metrics[1].1.margin = 0.01;
    assert_eq!(world.run(20, 2_000, DAY), None);
    let verdict = world.analysis().verdict;
    assert_eq!((verdict.standing, verdict.variant.as_deref()), (Standing::Waiting, Some("b")));
    assert!(verdict.reasons.iter().any(|why| why.contains("error-rate")), "{verdict:?}");
}

/// Nothing follows while nothing happens; what was found is told.
#[test]
fn what_does_not_run_is_idle() {
    let truths = [Truth::buys(0.10), Truth { errors: 0.9, ..Truth::buys(0.1) }];
    let mut world = World::new(experiment(2), Plan::default(), &truths, 1);
    world.live(2_000, DAY);
    assert_eq!(world.analysis().verdict.standing, Standing::Harmful);
    for status in [Status::Draft, Status::Paused, Status::Stopped] {
        world.experiment.status = status;
        let verdict = world.analysis().verdict;
        assert_eq!(verdict.standing, Standing::Idle, "{status:?}");
        assert!(verdict.reasons[0].contains("does harm"), "{verdict:?}");
    }
    let mut world = World::new(experiment(2), Plan::default(), &[Truth::buys(0.1); 2], 1);
    world.live(2_000, DAY);
    world.experiment.status = Status::Stopped;
    let verdict = world.analysis().verdict;
    assert_eq!(verdict.text, "the experiment is stopped, so nothing is decided");
    assert_eq!(verdict.reasons[0], "2,000 of 10,000 planned units are there");
}

#[test]
fn the_same_version_twice_must_not_differ() {
    let plan = Plan { mode: Mode::AA, ..Plan::default() };
    let truths = [Truth::buys(0.10), Truth::buys(0.15)];
    let mut world = World::new(experiment(2), plan.clone(), &truths, 1);
    assert_eq!(world.run(20, 2_000, DAY), None);
    let analysis = world.analysis();
    assert_eq!(analysis.verdict.standing, Standing::Invalid);
    assert_eq!(analysis.health.issues[0].code, "a-a");
    let mut world = World::new(experiment(2), plan, &[Truth::buys(0.10); 2], 1);
    assert_eq!(world.run(20, 2_000, DAY), None);
    assert_eq!(world.analysis().verdict.standing, Standing::Waiting);
}

#[test]
fn a_bandit_moves_to_what_is_better_and_leaves_the_floor() {
    let plan = Plan { mode: Mode::Bandit { floor: 0.05 }, ..Plan::default() };
    let truths = [Truth::buys(0.10), Truth::buys(0.15), Truth::buys(0.10)];
    let mut experiment = experiment(3);
    experiment.sticky = Some(Default::default());
    // A bandit's shares are its result; it is not to be decided on the way.
    experiment.policy.min_days = 700;
    let mut world = World::new(experiment, plan, &truths, 5);
    world.run(30, 1_000, DAY);
    assert!(world.share(1) > 0.8, "{}", world.share(1));
    assert!(world.share(0) >= 0.049 && world.share(2) >= 0.0, "{}", world.share(0));
    assert!(world.experiment.phases.len() > 1 && world.experiment.phases.len() < 30);
    assert!(world.analysis().health.issues.is_empty());
}

#[test]
fn a_test_can_begin_small() {
    let plan = Plan { ramp_up: true, ..Plan::default() };
    let truth = Truth { errors: 0.2, ..Truth::buys(0.10) };
    let mut world = World::new(experiment(2), plan, &[truth; 2], 5);
    world.metrics[1].1.margin = 5.0;
    world.experiment.coverage = Share::from_ppm(10_000).unwrap();
    world.state.since = START;
    let coverages: Vec<u32> = (0..6)
        .map(|_| {
            world.live(2_000, DAY);
            world.act();
            world.experiment.coverage.ppm() / 10_000
        })
        .collect();
    assert_eq!(coverages, [5, 25, 50, 100, 100, 100]);
    assert_eq!(world.experiment.phases.len(), 1, "coverage moves nobody");
}

#[test]
fn nothing_is_shown_before_its_time() {
    let hidden = |plan: Plan, units: u64| {
        let mut world = World::new(experiment(2), plan, &[Truth::buys(0.10), Truth::buys(0.2)], 5);
        world.live(units, 20 * DAY);
        let effect = world.analysis().metrics[0].effects[0].clone();
        assert!(effect.difference.is_some());
        assert_eq!(effect.interval.is_none(), effect.p_value.is_none());
        assert_eq!(effect.interval.is_none(), effect.standard_error.is_none());
        effect.interval.is_none()
    };
    let fixed = || Plan { method: Method::Fixed, units: 3_000, ..Plan::default() };
    assert!(hidden(fixed(), 2_900) && !hidden(fixed(), 3_000));
    let spending = Spending::ObrienFleming;
    let method = Method::GroupSequential { looks: 4, spending };
    let planned = || Plan { method, units: 4_000, ..Plan::default() };
    assert!(hidden(planned(), 900) && !hidden(planned(), 1_000));
    assert!(hidden(Plan::default(), 150) && !hidden(Plan::default(), 500));
}

#[test]
fn between_looks_the_last_one_is_shown() {
    let spending = Spending::ObrienFleming;
    let method = Method::GroupSequential { looks: 4, spending };
    let plan = Plan { method, units: 8_000, ..Plan::default() };
    let mut world = World::new(experiment(2), plan, &[Truth::buys(0.10), Truth::buys(0.16)], 5);
    world.live(4_100, DAY);
    // Half of the units: the second look's time has come, the first was missed and is not taken.
    assert_eq!(world.act(), Action::None);
    assert_eq!(world.state.looks.len(), 1);
    let at_look = world.state.last_look.clone();
    assert_eq!(at_look[0].effects[0].outcome, Outcome::Better);
    world.live(100, DAY);
    let between = world.analysis();
    assert_eq!((between.look, &between.metrics), (None, &at_look));
    assert_eq!(between.verdict.standing, Standing::Waiting, "two weeks are not over");
    assert_eq!(between.verdict.variant.as_deref(), Some("b"));
}

#[test]
fn weights_that_change_do_not_fool_the_result() {
    // Simpson: the new version is no better, but it is shown more in the good season.
    let mut world = World::new(experiment(2), Plan::default(), &[Truth::buys(0.05); 2], 5);
    world.live(20_000, 10 * DAY);
    world.experiment.begin_phase(vec![1, 9], world.now + 1);
    world.truths = vec![Truth::buys(0.30); 2];
    world.live(20_000, 10 * DAY);
    let effect = world.analysis().metrics[0].effects[0].clone();
    assert_eq!((effect.outcome, effect.phases), (Outcome::Unclear, 2));
    let pooled = |variant: u16| {
        let own = world.arms.iter().filter(|arm| arm.variant == variant);
        let sums = own.map(|arm| match &arm.metrics[0] {
            MetricSums::Single(sums) => (sums.sums[0] as f64, sums.units as f64),
            _ => unreachable!(),
        });
        let (bought, units) = sums.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        bought / units
    };
    assert!(pooled(1) > 1.5 * pooled(0), "pooled it would have been a triumph");
    assert!(effect.lift.unwrap().abs() < 0.1);
}

#[test]
fn other_rules_decide_otherwise() {
    let truths = [Truth::buys(0.10), Truth::buys(0.103)];
    let winner = |rule| {
        let mut world = World::new(experiment(2), Plan { rule, ..Plan::default() }, &truths, 5);
        world.metrics[0].1.margin = 0.2;
        world.metrics[1].1.margin = 5.0;
        world.live(40_000, 20 * DAY);
        world.analysis().verdict.standing == Standing::Winner
    };
    assert!(!winner(Rule::Significant));
    assert!(winner(Rule::NonInferior));
    assert!(winner(Rule::ExpectedLoss { relative: 0.01 }));
}
