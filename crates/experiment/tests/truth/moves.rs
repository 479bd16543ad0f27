//! Who is moved by an action, and how it is taken back.

use crate::world::experiment;
use experiment::automation::{Action, ApplyError, Stage, State, apply, revert};
use experiment::evaluate::{Context, Set, Unit};
use experiment::model::{
    Experiment, ExperimentSet, Phase, Share, Status, Sticky, changes, validate,
};
use policy::assign::HashVersion;
use proptest::prelude::*;

fn variants(experiment: &Experiment, now: u64) -> Vec<Option<u16>> {
    let set = ExperimentSet { experiments: vec![experiment.clone()], ..Default::default() };
    assert_eq!(validate(&set), []);
    let set = Set::new(&set).unwrap();
    (0..2_000)
        .map(|number| {
            let id = format!("user-{number}");
            let unit = Unit { device: Some(&id), ..Unit::default() };
            set.decide_at(0, &unit, &Context::default(), None, now).unwrap().variant
        })
        .collect()
}

fn weighted(weights: &[u32], coverage: u32) -> Experiment {
    let mut experiment = experiment(weights.len());
    experiment.phases[0] =
        Phase { since: 0, weights: weights.to_vec(), ranges: Vec::new(), salt: None };
    experiment.coverage = Share::from_ppm(coverage).unwrap();
    experiment
}

fn ship(variant: &str) -> Action {
    let hold_back = Share::from_ppm(50_000).unwrap();
    Action::Ship { variant: variant.into(), hold_back, reason: "it won".into() }
}

fn roll_back(variant: &str) -> Action {
    Action::RollBack { variant: variant.into(), reason: "it harms".into() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn taking_a_variant_back_moves_only_its_own_units(
        weights in proptest::collection::vec(1..20_u32, 2..5),
        pick in 0..10_usize,
    ) {
        let mut experiment = weighted(&weights, 1_000_000);
        let index = 1 + pick % (weights.len() - 1);
        let key = experiment.variants[index].key.clone();
        let before = variants(&experiment, 5);
        let old = experiment.clone();
        let mut state = State::default();
        apply(&roll_back(&key), &mut experiment, &mut state, 10).unwrap();
        prop_assert_eq!(changes(&old, &experiment, 10), []);
        for (before, after) in before.iter().zip(variants(&experiment, 20)) {
            let expected = if *before == Some(index as u16) { Some(0) } else { *before };
            prop_assert_eq!(after, expected);
        }
        // And back again.
        prop_assert_eq!(revert(&mut experiment, &mut state, 30).unwrap(), "roll-back");
        prop_assert_eq!(variants(&experiment, 40), before);
        prop_assert_eq!(state.rolled_back.len(), 0);
        prop_assert_eq!(revert(&mut experiment, &mut state, 50), Err(ApplyError::Nothing));
    }

    #[test]
    fn a_roll_out_never_takes_the_winner_from_anybody(
        weights in proptest::collection::vec(1..20_u32, 2..5),
        pick in 0..10_usize,
        coverage in 1..=100_u32,
    ) {
        let mut experiment = weighted(&weights, coverage * 10_000);
        let index = 1 + pick % (weights.len() - 1);
        let key = experiment.variants[index].key.clone();
        let mut state = State::default();
        let mut now = 10;
        let mut before = variants(&experiment, now);
        let mut action = ship(&key);
        for _ in 0..10 {
            apply(&action, &mut experiment, &mut state, now).unwrap();
            now += 10;
            let after = variants(&experiment, now);
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(*before != Some(index as u16) || after == before);
            }
            before = after;
            if !matches!(state.stage, Stage::RollingOut { .. }) {
                break;
            }
            let phase = experiment.phases.last().unwrap();
            let own = (phase.shares()[index] * experiment.coverage.fraction() * 1e6).round() as u32;
            let next = experiment.policy.ramp.iter().map(|step| step.ppm()).find(|&it| it > own);
            let to = next.unwrap_or(1_000_000).min(950_000);
            action = Action::Ramp { to: Share::from_ppm(to).unwrap(), reason: String::new() };
        }
        prop_assert!(matches!(state.stage, Stage::Shipped { .. }), "{:?}", state.stage);
        let winners = before.iter().filter(|it| **it == Some(index as u16)).count();
        prop_assert!((1_850..=1_950).contains(&winners), "{winners}");
        prop_assert!(before.iter().all(|it| *it == Some(0) || *it == Some(index as u16)));
    }
}

#[test]
fn hashes_that_take_weights_only_lose_no_winner_either() {
    for hash in HashVersion::ALL.into_iter().filter(|it| *it != HashVersion::Modulo) {
        let mut experiment = weighted(&[1, 1, 1], 1_000_000);
        experiment.hash = hash;
        let before = variants(&experiment, 5);
        let mut state = State::default();
        apply(&ship("b"), &mut experiment, &mut state, 10).unwrap();
        let after = variants(&experiment, 20);
        let kept = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| **before == Some(1) && **after != Some(1));
        assert_eq!(kept.count(), 0, "{}", hash.name());
        apply(&roll_back("b"), &mut experiment, &mut state, 30).unwrap();
        assert!(variants(&experiment, 40).iter().all(|it| *it != Some(1)), "{}", hash.name());
    }
}

#[test]
fn what_reaches_nobody_is_refused() {
    let mut experiment = weighted(&[1, 1], 1_000_000);
    let mut state = State::default();
    let all = Action::Ship { variant: "b".into(), hold_back: Share::ALL, reason: String::new() };
    let refused = apply(&all, &mut experiment, &mut state, 10);
    assert_eq!(refused, Err(ApplyError::NoRollOut));
    for (status, expected) in [
        (Status::Stopped, Err(ApplyError::NotRunning(experiment.key.clone()))),
        (Status::Draft, Err(ApplyError::NotRunning(experiment.key.clone()))),
        // Before it goes on.
        (Status::Paused, Ok(())),
    ] {
        experiment.status = status;
        assert_eq!(apply(&roll_back("b"), &mut experiment, &mut state, 10), expected);
    }
}

#[test]
fn a_roll_out_survives_that_another_variant_is_taken_back() {
    let mut experiment = weighted(&[1, 1, 1], 400_000);
    let mut state = State::default();
    apply(&ship("b"), &mut experiment, &mut state, 10).unwrap();
    let stage = state.stage.clone();
    apply(&roll_back("c"), &mut experiment, &mut state, 20).unwrap();
    assert_eq!((state.stage.variant(), &state.stage), (Some("b"), &stage));
    apply(&roll_back("b"), &mut experiment, &mut state, 30).unwrap();
    assert_eq!(state.stage, Stage::Testing);
}

#[test]
fn kept_assignments_are_forgotten_when_something_changes() {
    let mut experiment = weighted(&[1, 1], 1_000_000);
    experiment.sticky = Some(Sticky { version: 3, ..Sticky::default() });
    let mut state = State::default();
    apply(&roll_back("b"), &mut experiment, &mut state, 10).unwrap();
    assert_eq!(experiment.sticky.unwrap().version, 4);
    let hold = Action::Hold { topic: "wait".into(), reason: "1 of 2".into() };
    apply(&hold, &mut experiment, &mut state, 20).unwrap();
    assert_eq!(experiment.sticky.unwrap().version, 4);
    assert_eq!(state.told, "wait");
}

#[test]
fn the_salt_of_a_phase_goes_on() {
    let mut experiment = weighted(&[1, 1], 1_000_000);
    experiment.phases[0].salt = Some("again".into());
    let before = variants(&experiment, 5);
    apply(&ship("b"), &mut experiment, &mut State::default(), 10).unwrap();
    assert_eq!(experiment.phases[1].salt.as_deref(), Some("again"));
    let after = variants(&experiment, 20);
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before.is_none() || *before != Some(1) || after == before)
    );
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut experiment = weighted(&[1, 1], 1_000_000);
    let (before, mut state) = (experiment.clone(), State::default());
    let try_it = |action: &Action, experiment: &mut Experiment, state: &mut State| {
        apply(action, experiment, state, 10).unwrap_err()
    };
    let control = try_it(&roll_back("control"), &mut experiment, &mut state);
    assert_eq!(control, ApplyError::Control("control".into()));
    let mut half = (weighted(&[1, 1, 1], 1_000_000), State::default());
    apply(&roll_back("c"), &mut half.0, &mut half.1, 10).unwrap();
    let again = apply(&roll_back("c"), &mut half.0, &mut half.1, 20).unwrap_err();
    assert_eq!(again, ApplyError::NotServed("c".into()));
    let unknown = try_it(&ship("z"), &mut experiment, &mut state);
    assert_eq!(unknown, ApplyError::NoVariant("z".into()));
    assert_eq!((&experiment, &state), (&before, &State::default()));
}
