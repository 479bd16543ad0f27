//! The answer, in the shape in which it is written: schema `tidegate.plan/1`.

use serde::{Deserialize, Serialize};

use super::concurrency::Concurrency;
use super::judge::{Comparison, Gain};
use super::params::Kind;
use super::policy::Policy;
use super::verdict::QueueVerdict;

/// Name of the shape.
pub const SCHEMA: &str = "tidegate.plan/1";

/// Hours of a month, for its cost.
pub const MONTH_HOURS: f64 = 730.5;

/// What to do, what that came to on held-out demand, and what else there was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: String,
    /// The recommended policy. Where there is no significant gain, plain HPA.
    pub recommended: Recommended,
    /// Whether the best policy of the search is better than plain HPA on held-out demand.
    pub gain: Gain,
    /// The recommended policy on held-out demand.
    pub held_out: HeldOut,
    /// What one would do without a search, on the same demand.
    pub baselines: Vec<Baseline>,
    /// Instances of the recommended policy by hour of the local week, on all demand. 0 is the hour
    /// from Monday midnight on; hours that the demand does not have are left out.
    pub hours: Vec<HourInstances>,
    /// The best policy of the search, recommended or not, on held-out demand.
    pub best: Trial,
    /// The best policy of the search beside plain HPA: intervals of the differences.
    pub comparison: Comparison,
    /// What was second best, and why it is not the recommended one.
    pub second_best: Option<SecondBest>,
    /// The best policy of each kind of controller on the past.
    pub by_controller: Vec<Recommended>,
    /// Cost against lateness on held-out demand: policies to which no other that was tried is
    /// superior in both, by rising cost.
    pub pareto: Vec<Trial>,
    /// The recommended policy and plain HPA under stress, on held-out demand.
    pub stress: Vec<Stress>,
    /// How many requests an instance should work on at a time.
    pub concurrency: Concurrency,
    /// What must be known to believe this, in plain words.
    pub findings: Vec<String>,
}

/// A controller and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recommended {
    /// Kind of the controller.
    pub controller: Kind,
    /// Its parameters.
    pub parameters: Policy,
}

impl Recommended {
    /// `policy` with its name beside it.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self { controller: policy.kind.unwrap_or(Kind::Hpa), parameters: policy.clone() }
    }

    /// The policy, ready to be built; also after it was read back.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { kind: Some(self.controller), ..self.parameters.clone() }
    }
}

/// A policy on held-out demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldOut {
    /// Hours of instances that are paid for.
    pub instance_hours: f64,
    /// Share of late requests, fluid model.
    pub late_ratio: f64,
    /// Its 95 % interval, by block bootstrap over hours.
    pub late_ratio_ci: [f64; 2],
    /// Cost above a lower bound of what a plan with foresight pays for as few late requests (or as
    /// many as the objective allows, if that is more), as a share of it.
    pub regret: f64,
    /// Requests.
    pub requests: f64,
    /// Days.
    pub days: f64,
    /// Cost of a month at the given price.
    pub monthly_cost: f64,
    /// Instances started and stopped.
    pub churn: u64,
    /// Most instances at a time.
    pub peak: u32,
    /// Whether fluid model and queue both meet the objective, whatever makes requests late.
    pub meets_objective: bool,
    /// Single requests through the queue.
    pub queue: QueueVerdict,
}

/// What one would do without a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Baseline {
    /// `fixed-peak`: always what the busiest step of the past needed. `hpa-70`: HPA at 70 % of the
    /// capacity, with the rules that Kubernetes fills in where a manifest has `behavior`. `hpa-70-cpu`: the same on utilisation, which
    /// ends at 100 %. `schedule-only`: the 95th percentile of past days by cron, without a reactive
    /// part.
    pub name: String,
    /// Hours of instances that are paid for.
    pub instance_hours: f64,
    /// Share of late requests.
    pub late_ratio: f64,
    /// Cost of a month at the given price.
    pub monthly_cost: f64,
    /// Instances started and stopped.
    pub churn: u64,
}

/// Instances in an hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HourInstances {
    /// Hour of the week, 0..168.
    pub hour: u32,
    /// Mean of the instances that are paid for.
    pub instances: f64,
}

/// A policy and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// The policy in a line.
    pub summary: String,
    /// Controller and parameters.
    pub policy: Recommended,
    /// Hours of instances that are paid for.
    pub instance_hours: f64,
    /// Share of late requests.
    pub late_ratio: f64,
}

/// What was second best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecondBest {
    /// The policy.
    pub trial: Trial,
    /// Why it is not recommended.
    pub why: String,
}

/// Two policies under the same stress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stress {
    /// `load-x1.5`: half as much traffic again. `slow-boot-x2`: starting takes twice as long.
    /// `missed-peak`: the busiest step of the past, for an hour, when least expected.
    pub name: String,
    /// The recommended policy: share of late requests.
    pub late_ratio: f64,
    /// The recommended policy: hours of instances.
    pub instance_hours: f64,
    /// Plain HPA: share of late requests.
    pub hpa_late_ratio: f64,
    /// Plain HPA: hours of instances.
    pub hpa_instance_hours: f64,
}

impl Answer {
    /// The answer in a paragraph.
    #[must_use]
    pub fn paragraph(&self) -> String {
        let held = &self.held_out;
        let percent = |ratio: f64| format!("{:.3} %", ratio * 100.0);
        let verdict = match self.gain {
            Gain::Significant => "It is significantly better than plain HPA at 70 %.",
            Gain::None => {
                "No gain: nothing that was tried is significantly better than plain HPA at 70 %."
            }
            Gain::Negative => {
                "No gain: the best of what was tried is worse than plain HPA at 70 % on held-out \
                 demand."
            }
        };
        let second = self
            .second_best
            .as_ref()
            .map(|second| format!(" Second best: {}; {}.", second.trial.summary, second.why))
            .unwrap_or_default();
        let objective =
            if held.meets_objective { "meets the objective" } else { "misses the objective" };
        let by_service = match held.queue.late_by_service {
            share if share >= 5e-6 => {
                format!(" ({} by their service time alone)", percent(share))
            }
            _ => String::new(),
        };
        format!(
            "Recommended: {}. {verdict} On {:.1} held-out days it {objective}: {} of the requests \
             late (95 % interval {} to {}), {} in the queue of single requests{by_service}, {:.1} instance-hours, {:.2} a month, {:.0} % above \
             perfect foresight.{second}",
            self.recommended.policy().summary(),
            held.days,
            percent(held.late_ratio),
            percent(held.late_ratio_ci[0]),
            percent(held.late_ratio_ci[1]),
            percent(held.queue.late_ratio),
            held.instance_hours,
            held.monthly_cost,
            held.regret * 100.0,
        )
    }
}
