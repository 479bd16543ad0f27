//! A world in which units arrive and do what the truth says.

use experiment::analysis::{Analysis, Data, Plan, Question, analyse, bandit_weights};
use experiment::automation::{Action, State, apply, step};
use experiment::ledger::{
    Arm, DAY_US, Definition, MetricSums, Progress, Summary, TrafficArm, TrafficTotals,
};
use experiment::metric::{Better, MARGIN, Measure, MetricSpec, Role, definition, resolve};
use experiment::model::{Experiment, UnixMillis};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::json;

pub(crate) const DAY: UnixMillis = 86_400_000;
pub(crate) const START: UnixMillis = 20_000 * DAY;

pub(crate) fn conversion(name: &str) -> MetricSpec {
    MetricSpec {
        name: name.to_owned(),
        description: String::new(),
        measure: Measure::Events {
            kind: experiment::ledger::MetricKind::Conversion { event: name.to_owned() },
            delay_us: 0,
            // Less than two days, so that no days are told apart.
            window_us: DAY_US,
            lookback_us: 0,
        },
        better: Better::Higher,
        margin: MARGIN,
    }
}

/// An experiment that acts by itself, with so many variants of equal weight.
pub(crate) fn experiment(variants: usize) -> Experiment {
    let keys = ["control", "b", "c", "d"];
    serde_json::from_value(json!({
        "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
        "variants": keys[..variants].iter().map(|key| json!({"key": key})).collect::<Vec<_>>(),
        "phases": [{"since": START, "weights": vec![1; variants]}],
        "primary": "buy", "guardrails": ["error-rate"],
        "policy": {"min-days": 14, "min-units": 100, "action": "auto", "hold-back": 0.05},
    }))
    .unwrap()
}

/// What is true of one variant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truth {
    /// Share of units that buy.
    pub(crate) buys: f64,
    /// Share of requests that fail.
    pub(crate) errors: f64,
    /// Share of its units that are counted; below 1 is a sample-ratio mismatch.
    pub(crate) counted: f64,
}

impl Truth {
    pub(crate) fn buys(buys: f64) -> Truth {
        Truth { buys, errors: 0.002, counted: 1.0 }
    }
}

/// An experiment in a world.
pub(crate) struct World {
    pub(crate) experiment: Experiment,
    pub(crate) plan: Plan,
    pub(crate) state: State,
    pub(crate) metrics: Vec<(Role, MetricSpec)>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) traffic: Vec<TrafficArm>,
    pub(crate) truths: Vec<Truth>,
    pub(crate) now: UnixMillis,
    draws: Xoshiro256PlusPlus,
}

impl World {
    pub(crate) fn new(experiment: Experiment, plan: Plan, truths: &[Truth], seed: u64) -> World {
        let metrics = resolve(&experiment, &[conversion("buy")]).unwrap();
        World {
            experiment,
            plan,
            state: State::default(),
            metrics,
            arms: Vec::new(),
            traffic: Vec::new(),
            truths: truths.to_vec(),
            now: START,
            draws: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// So many units come by, and the clock goes on.
    pub(crate) fn live(&mut self, units: u64, ms: UnixMillis) {
        self.now += ms;
        let phase = self.experiment.phases.len() - 1;
        let shares = self.experiment.phases[phase].shares();
        let coverage = self.experiment.coverage.fraction();
        for _ in 0..units {
            if coverage < 1.0 && self.draws.random::<f64>() >= coverage {
                continue;
            }
            // One draw for everything, since there are millions: 16 bits each.
            let bits: u64 = self.draws.random();
            let part = |place: u32| ((bits >> (16 * place)) & 0xffff) as f64 / 65_536.0;
            let mut at = part(0);
            let found = shares.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            let variant = found.unwrap_or(0);
            let truth = self.truths[variant];
            if part(1) < truth.counted {
                let (bought, failed) = (part(2) < truth.buys, part(3) < truth.errors);
                self.count(phase as u16, variant as u16, bought, failed);
            }
        }
    }

    fn count(&mut self, phase: u16, variant: u16, bought: bool, failed: bool) {
        let at = |(p, v): (u16, u16)| (p, v) == (phase, variant);
        let known = self.arms.iter().position(|arm| at((arm.phase, arm.variant)));
        let index = known.unwrap_or_else(|| {
            let metrics = vec![MetricSums::Single(Default::default())];
            self.arms.push(Arm { phase, variant, units: 0, metrics });
            let totals = TrafficTotals::default();
            self.traffic.push(TrafficArm { phase, variant, totals });
            self.arms.len() - 1
        });
        let arm = &mut self.arms[index];
        arm.units += 1;
        let MetricSums::Single(sums) = &mut arm.metrics[0] else { unreachable!() };
        sums.add([i64::from(bought), 0]).unwrap();
        let totals = &mut self.traffic[index].totals;
        totals.requests += 3;
        totals.errors += u64::from(failed);
    }

    pub(crate) fn data(&self) -> Data {
        let definition: Definition = definition(&self.experiment, &self.metrics, None).unwrap();
        Data::of_summary(Summary {
            definition,
            arms: self.arms.clone(),
            quarantined: 0,
            traffic: self.traffic.clone(),
            progress: Progress {
                newest_us: Some(self.now as i64 * 1_000),
                complete_through_us: None,
                final_through_us: None,
            },
        })
    }

    pub(crate) fn analysis(&self) -> Analysis {
        self.ask(|question| analyse(question, &self.data()))
    }

    pub(crate) fn ask<T>(&self, answer: impl FnOnce(&Question<'_>) -> T) -> T {
        let left_out = self.state.left_out(&self.experiment);
        answer(&Question {
            experiment: &self.experiment,
            metrics: &self.metrics,
            plan: &self.plan,
            phases: self.state.phases(&self.experiment),
            left_out: &left_out,
            rolled_out: self.state.stage.variant(),
            looks: &self.state.looks,
            last_look: &self.state.last_look,
            now: self.now,
        })
    }

    /// Looks at the results, and does what automation decides.
    pub(crate) fn act(&mut self) -> Action {
        let analysis = self.analysis();
        let bandit = self.ask(|question| bandit_weights(question, &self.data()));
        let of = (&self.experiment, &self.plan);
        let action = step(&analysis, self.now, of, &self.state, bandit.as_deref());
        self.state.looked(&analysis);
        apply(&action, &mut self.experiment, &mut self.state, self.now).unwrap();
        action
    }

    /// Lives and looks, every so often, until the test is decided.
    pub(crate) fn run(&mut self, rounds: usize, units: u64, ms: UnixMillis) -> Option<Action> {
        (0..rounds).find_map(|_| {
            self.live(units, ms);
            Some(self.act())
                .filter(|it| matches!(it, Action::Ship { .. } | Action::RollBack { .. }))
        })
    }

    /// The share of all units that gets a variant.
    pub(crate) fn share(&self, variant: usize) -> f64 {
        let phase = self.experiment.phases.last().unwrap();
        phase.shares()[variant] * self.experiment.coverage.fraction()
    }
}
