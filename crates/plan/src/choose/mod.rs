//! Choosing a scaling policy: the cheapest that meets the objective on the past, judged on demand
//! that was held out, beside what one would do anyway.
//!
//! No forecast or schedule is ever recommended alone: every policy that is searched is the larger
//! of a reactive wish and, if any, a floor. Where the best is not significantly better than plain
//! HPA, plain HPA is recommended.

pub mod answer;
pub mod concurrency;
pub mod foresight;
pub mod judge;
pub mod params;
pub mod policy;
pub mod table;
pub mod verdict;
pub mod weekly;

mod accept;
mod demand;
mod search;

use jiff::tz::TimeZone;

use crate::Series;
use crate::controller::hpa::{HpaParams, Metric};
use crate::controller::schedule::WeekClock;
use crate::controller::{Controller, Fixed, Hpa, Hybrid, INSTANCES_MAX, Schedule};
use crate::demand::Holidays;
use crate::simulate::{Block, Outcome, Plant, fluid};

pub use answer::Answer;
pub use concurrency::Concurrency;
pub use judge::Gain;
pub use params::{Kind, Params};
pub use policy::Policy;
pub use table::{Row, table};
use verdict::QueueVerdict;

use answer::{
    Baseline, HeldOut, HourInstances, MONTH_HOURS, Recommended, SecondBest, Stress, Trial,
};
use search::{Scored, Search};
use weekly::{FloorSpec, WeekDemand};

/// Requests that the queue serves to accept a policy on the past.
const QUEUE_TRAIN: f64 = 300_000.0;
/// Requests that the queue serves for the verdict on held-out demand.
const QUEUE_FINAL: f64 = 1_500_000.0;
/// Most points of the Pareto front.
const PARETO_MAX: usize = 12;
/// Longest steps of a demand that says anything about scaling, in seconds.
const STEP_S_MAX: u32 = 3600;
/// Longest steps that hide no peaks worth a word, in seconds.
const FINE_STEP_S: u32 = 300;
/// Most instances that a demand may need.
const NEED_MAX: f64 = INSTANCES_MAX as f64 / 2.0;

/// Why no policy can be chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChooseError {
    /// A parameter makes no sense.
    #[error("{0}")]
    Params(&'static str),
    /// There is too little to learn from.
    #[error(
        "the history has {days:.1} known days, but a choice needs at least {DAYS_MIN} (one to \
         learn from, one to be tried on): give a longer history"
    )]
    TooShort {
        /// Days of which the demand is known.
        days: f64,
    },
    /// Steps are too long.
    #[error(
        "steps of {step_s} s hide what a policy has to answer to: count by the hour at least, better by \
         the minute"
    )]
    TooCoarse {
        /// Length of a step, in seconds.
        step_s: u32,
    },
    /// There is nothing to serve.
    #[error(
        "the history has no requests in the part to learn from or in the part that is held out: \
         check the input"
    )]
    NoDemand,
    /// More instances are needed than are computed with.
    #[error(
        "the busiest step needs {needed:.1e} instances, more than {NEED_MAX:.0}: check its count and the \
         capacity of an instance"
    )]
    TooLarge {
        /// Instances that the busiest step needs.
        needed: f64,
    },
}

use demand::DAYS_MIN;

/// What is known besides the demand.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Requests in flight and per second of one instance, measured; for the concurrency limit.
    pub points: Vec<(f64, f64)>,
    /// Days that no floor is made from. They are served, and count, like all others.
    pub holidays: Holidays,
}

/// The two parts of the history, and the system.
struct Case<'a> {
    params: &'a Params,
    plant: Plant,
    whole: Series,
    past: Series,
    /// The past without holidays: what floors are made from.
    ordinary: Series,
    held: Series,
    /// Most instances.
    max: u32,
}

impl<'a> Case<'a> {
    fn new(series: &Series, params: &'a Params, holidays: &Holidays) -> Result<Self, ChooseError> {
        if let Some(fault) = params.fault() {
            return Err(ChooseError::Params(fault));
        }
        if series.step_s > STEP_S_MAX {
            return Err(ChooseError::TooCoarse { step_s: series.step_s });
        }
        let whole = demand::simulated(series);
        let days = demand::known_days(&whole);
        if days < DAYS_MIN {
            return Err(ChooseError::TooShort { days });
        }
        let split = demand::held_out_from(&whole);
        let (past, held) = (whole.slice(0..split), whole.slice(split..whole.len()));
        let (past_peak, held_peak) = (demand::highest_per_s(&past), demand::highest_per_s(&held));
        if past_peak <= 0.0 || held_peak <= 0.0 {
            return Err(ChooseError::NoDemand);
        }
        let capacity_per_s = params.reach_per_s();
        let needed = past_peak.max(held_peak) / capacity_per_s;
        if needed > NEED_MAX {
            return Err(ChooseError::TooLarge { needed });
        }
        let most = (2.0 * past_peak / capacity_per_s).ceil() as u32;
        let max = params.max.unwrap_or(most.max(params.min)).max(1);
        let ordinary = holidays.left_out(&past);
        Ok(Self { params, plant: params.plant(), whole, past, ordinary, held, max })
    }

    fn bounds(&self) -> (u32, u32) {
        (self.params.min.max(1).min(self.max), self.max)
    }

    fn zone(&self) -> &TimeZone {
        &self.whole.zone
    }

    fn plain(&self) -> Policy {
        let zone = self.zone().iana_name().unwrap_or_default().to_owned();
        let plain = Policy::hpa(0.7, self.plant.capacity_per_s, self.bounds());
        Policy { zone, ..plain.for_boots_of(&self.plant) }
    }

    fn simulate(&self, series: &Series, policy: &Policy) -> Outcome {
        self.simulate_on(series, &self.plant, policy)
    }

    fn simulate_on(&self, series: &Series, plant: &Plant, policy: &Policy) -> Outcome {
        let plant = policy.plant(plant);
        fluid::run(series, &plant, &mut policy.build(self.zone()), self.params.seed, |_| ())
    }

    fn queue(&self, series: &Series, policy: &Policy, budget: f64) -> QueueVerdict {
        let mut ready = Vec::new();
        let mut controller = policy.build(self.zone());
        let plant = policy.plant(&self.plant);
        fluid::run(series, &plant, &mut controller, self.params.seed, |n| ready.push(n));
        verdict::queue_verdict(series, &plant, &ready, budget, self.params.seed)
    }

    /// Whether fluid model and queue both meet the objective, as far as instances can help.
    fn meets(&self, outcome: &Outcome, queue: &QueueVerdict) -> bool {
        let limit = self.params.late_share;
        outcome.late_ratio() <= limit && queue.meets(limit)
    }

    fn monthly_cost(&self, outcome: &Outcome) -> f64 {
        let hours = demand::known_days(&self.held) * 24.0;
        outcome.instance_hours() / hours * MONTH_HOURS * self.params.price_per_instance_hour
    }

    fn trial(&self, policy: &Policy, outcome: &Outcome) -> Trial {
        Trial {
            summary: policy.summary(),
            policy: Recommended::new(policy),
            instance_hours: outcome.instance_hours(),
            late_ratio: outcome.late_ratio(),
        }
    }
}

/// Chooses a policy for the demand of `series`, of which the end is held out, and a concurrency
/// limit of an instance.
///
/// # Errors
/// [`ChooseError`]: senseless parameters, less than two days, no requests, or too many.
pub fn choose(
    series: &Series,
    params: &Params,
    evidence: &Evidence,
) -> Result<Answer, ChooseError> {
    let case = Case::new(series, params, &evidence.holidays)?;
    let Case { past, ordinary, held, plant, max, .. } = &case;
    let ranked = Search { past, ordinary, plant, params, max: *max }.run();
    let plain = case.plain();

    let accepted = accept::accepted(&case, &ranked);
    let none_accepted = accepted.as_ref().is_none_or(|accepted| !accepted.meets);
    let best = accepted.map_or(&plain, |accepted| accepted.policy).clone();
    let best_outcome = case.simulate(held, &best);
    let plain_outcome = case.simulate(held, &plain);
    let comparison = judge::compare(&best_outcome, &plain_outcome, params.seed);
    let best_queue = case.queue(held, &best, QUEUE_FINAL);
    let plain_queue = case.queue(held, &plain, QUEUE_FINAL);
    let gain = if best == plain {
        Gain::None
    } else {
        let meets =
            [case.meets(&best_outcome, &best_queue), case.meets(&plain_outcome, &plain_queue)];
        judge::gain(&comparison, meets)
    };
    let (recommended, outcome, queue) = match gain {
        Gain::Significant => (&best, &best_outcome, best_queue),
        Gain::None | Gain::Negative => (&plain, &plain_outcome, plain_queue),
    };
    let held_out = held_out(&case, outcome, queue);
    let concurrency = concurrency::advise(params, &evidence.points);
    let mut findings = findings(&case, &ranked, &held_out, none_accepted);
    findings.extend(params.doubt());
    findings.extend(concurrency.doubt(params));
    if series.step_s > FINE_STEP_S {
        findings.push(format!(
            "counts in steps of {} s do not show the peaks within them, for which more is needed: \
             count by the minute",
            series.step_s
        ));
    }
    Ok(Answer {
        schema: answer::SCHEMA.to_owned(),
        recommended: Recommended::new(recommended),
        gain,
        held_out,
        baselines: baselines(&case),
        hours: hours(&case, recommended),
        best: case.trial(&best, &best_outcome),
        comparison,
        second_best: second_best(&case, &ranked, &best, recommended),
        by_controller: by_controller(&ranked),
        pareto: pareto(&case, &ranked),
        stress: stress(&case, recommended),
        concurrency,
        findings,
    })
}

fn held_out(case: &Case<'_>, outcome: &Outcome, queue: QueueVerdict) -> HeldOut {
    let params = case.params;
    let allowed = outcome.late.max(params.late_share * outcome.requests);
    let floor_s = params.min.min(case.max);
    // Fewest as the policy has it would hide what the policy's own minimum costs.
    let bound_s = foresight::lower_bound_s(&case.held, &case.plant, (floor_s, case.max), allowed);
    HeldOut {
        instance_hours: outcome.instance_hours(),
        late_ratio: outcome.late_ratio(),
        late_ratio_ci: judge::late_ratio_ci(outcome, params.seed),
        regret: if bound_s > 0.0 { outcome.instance_s / bound_s - 1.0 } else { 0.0 },
        requests: outcome.requests,
        days: demand::known_days(&case.held),
        monthly_cost: case.monthly_cost(outcome),
        churn: outcome.churn(),
        peak: outcome.peak,
        meets_objective: outcome.late_ratio().max(queue.late_ratio) <= params.late_share,
        queue,
    }
}

/// What one would do without a search, on held-out demand.
fn baselines(case: &Case<'_>) -> Vec<Baseline> {
    let (min, max) = case.bounds();
    let capacity = case.plant.capacity_per_s;
    let peak = (demand::highest_per_s(&case.past) / capacity).ceil() as u32;
    let cpu = HpaParams::new(Metric::AverageUtilization(0.7), min, max);
    let floor = FloorSpec {
        quantile: 0.95,
        headroom: 1.0,
        entries: case.params.cron_entries_max,
        split: true,
    };
    let windows = WeekDemand::new(&case.ordinary).windows(&floor, capacity, (min, max));
    let schedule = Hybrid::new(
        Controller::Fixed(Fixed { replicas: min }),
        Schedule::new(&windows, case.zone()),
        max,
    );
    let controllers = [
        ("fixed-peak", Controller::Fixed(Fixed { replicas: peak.max(min).min(max) })),
        ("hpa-70", case.plain().build(case.zone())),
        ("hpa-70-cpu", Controller::Hpa(Box::new(Hpa::new(cpu)))),
        ("schedule-only", Controller::Hybrid(Box::new(schedule))),
    ];
    let run = |(name, mut controller): (&str, Controller)| {
        let outcome =
            fluid::run(&case.held, &case.plant, &mut controller, case.params.seed, |_| ());
        Baseline {
            name: name.to_owned(),
            instance_hours: outcome.instance_hours(),
            late_ratio: outcome.late_ratio(),
            monthly_cost: case.monthly_cost(&outcome),
            churn: outcome.churn(),
        }
    };
    controllers.map(run).into()
}

/// Mean instances by hour of the local week, over the seconds that are known.
fn hours(case: &Case<'_>, policy: &Policy) -> Vec<HourInstances> {
    let mut clock = WeekClock::new(case.zone().clone());
    let mut sums = vec![(0.0, 0.0); 168];
    for Block { start_s, instance_s, known_s, .. } in case.simulate(&case.whole, policy).blocks {
        let (sum, seconds) = &mut sums[clock.minute_of_week(start_s as f64) / 60];
        *sum += instance_s;
        *seconds += known_s;
    }
    let known = sums.into_iter().enumerate().filter(|(_, (_, seconds))| *seconds > 0.0);
    known
        .map(|(hour, (sum, seconds))| HourInstances { hour: hour as u32, instances: sum / seconds })
        .collect()
}

fn second_best(
    case: &Case<'_>,
    ranked: &[Scored],
    best: &Policy,
    recommended: &Policy,
) -> Option<SecondBest> {
    let (policy, why) = if best == recommended {
        let next = ranked.iter().find(|scored| scored.policy != *recommended)?;
        let first = ranked.iter().find(|scored| scored.policy == *recommended)?;
        let why = if next.late_ratio > search::TRAIN_MARGIN * case.params.late_share {
            format!("it had {:.3} % of the requests late on the past", next.late_ratio * 100.0)
        } else if next.instance_s < first.instance_s {
            "it is cheaper on the past, but too many are late in the queue".to_owned()
        } else {
            let dearer = (next.instance_s / first.instance_s - 1.0) * 100.0;
            format!("it costs {dearer:.1} % more on the past")
        };
        (&next.policy, why)
    } else {
        (best, "its difference from plain HPA on held-out demand is no significant gain".to_owned())
    };
    let outcome = case.simulate(&case.held, policy);
    Some(SecondBest { trial: case.trial(policy, &outcome), why })
}

fn by_controller(ranked: &[Scored]) -> Vec<Recommended> {
    let mut best: Vec<Recommended> = Vec::new();
    for scored in ranked {
        let one = Recommended::new(&scored.policy);
        if best.iter().all(|known| known.controller != one.controller) {
            best.push(one);
        }
    }
    best
}

/// Sorts by cost, and keeps what no cheaper one beats in lateness.
fn keep_unbeaten<T>(list: &mut Vec<T>, cost_and_lateness: impl Fn(&T) -> [f64; 2]) {
    list.sort_by(|a, b| {
        let ([cost, late], [their_cost, their_late]) = (cost_and_lateness(a), cost_and_lateness(b));
        cost.total_cmp(&their_cost).then(late.total_cmp(&their_late))
    });
    let mut lowest = f64::INFINITY;
    list.retain(|one| {
        let [_, late] = cost_and_lateness(one);
        let better = late < lowest;
        lowest = lowest.min(late);
        better
    });
}

/// Policies that no other beats in both cost and lateness: found on the past, shown as they do on
/// held-out demand, where they must again be unbeaten.
fn pareto(case: &Case<'_>, ranked: &[Scored]) -> Vec<Trial> {
    let mut by_cost: Vec<&Scored> = ranked.iter().collect();
    keep_unbeaten(&mut by_cost, |scored| [scored.instance_s, scored.late_ratio]);
    let step = by_cost.len().div_ceil(PARETO_MAX).max(1);
    let picked: Vec<&Scored> = by_cost.into_iter().step_by(step).collect();
    let run =
        |scored: &&Scored| case.trial(&scored.policy, &case.simulate(&case.held, &scored.policy));
    let mut trials = search::parallel(&picked, &run);
    keep_unbeaten(&mut trials, |trial| [trial.instance_hours, trial.late_ratio]);
    trials
}

fn stress(case: &Case<'_>, recommended: &Policy) -> Vec<Stress> {
    let mut slow = case.plant.clone();
    slow.lifecycle.boot = slow.lifecycle.boot.scaled(2.0);
    let highest = demand::highest_per_s(&case.past);
    let cases = [
        ("load-x1.5", demand::scaled(&case.held, 1.5), &case.plant),
        ("slow-boot-x2", case.held.clone(), &slow),
        ("missed-peak", demand::with_missed_peak(&case.held, highest), &case.plant),
    ];
    let run = |(name, series, plant): &(&str, Series, &Plant)| {
        let ours = case.simulate_on(series, plant, recommended);
        let plain = case.simulate_on(series, plant, &case.plain());
        Stress {
            name: (*name).to_owned(),
            late_ratio: ours.late_ratio(),
            instance_hours: ours.instance_hours(),
            hpa_late_ratio: plain.late_ratio(),
            hpa_instance_hours: plain.instance_hours(),
        }
    };
    search::parallel(&cases, &run)
}

/// What must be known to believe the answer.
fn findings(
    case: &Case<'_>,
    ranked: &[Scored],
    held: &HeldOut,
    none_accepted: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let days = demand::known_days(&case.past);
    if days < 14.0 {
        found.push(format!(
            "only {days:.1} days to learn from: weekly patterns cannot be told from chance"
        ));
    }
    let unknown = case.whole.counts.iter().filter(|count| !count.is_finite()).count();
    let share = unknown as f64 / case.whole.len() as f64 * 100.0;
    if share >= 0.1 {
        found.push(format!("{share:.1} % of the history is unknown and counts for nothing"));
    }
    let limit = case.params.late_share;
    if ranked.iter().all(|scored| scored.late_ratio > limit) {
        found.push(
            "no policy that was tried meets the objective on the past: allow more instances, \
             start them faster or relax it"
                .to_owned(),
        );
    } else if none_accepted {
        found.push(
            "no policy that was tried meets the objective on the past with a margin, in both the \
             fluid model and the queue: the one with the fewest late requests in the queue was taken"
                .to_owned(),
        );
    }
    if !held.meets_objective {
        found.push("the recommended policy misses the objective on held-out demand".to_owned());
    }
    let queue = &held.queue;
    if (queue.stretches as usize) < verdict::STRETCHES_MIN
        && (queue.simulated as f64) < 0.5 * held.requests
    {
        found.push(format!(
            "the queue served {:.1} of {:.0} million held-out requests, in only {} stretches of time: its \
             shares and percentiles are rough",
            queue.simulated as f64 / 1e6,
            held.requests / 1e6,
            queue.stretches
        ));
    }
    if held.queue.late_by_service > limit {
        found.push(format!(
            "{:.3} % of the requests are late by their service time alone, more than the objective \
             allows: no number of instances helps",
            held.queue.late_by_service * 100.0
        ));
    }
    found
}
