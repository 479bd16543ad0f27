//! How an experiment is analysed: declared before it begins, and kept.

use super::{Question, words};
use crate::ledger::Dimension;
use serde::{Deserialize, Serialize};
use stats::experiment::group_sequential::FRACTION_STEP_MIN;
use stats::experiment::{ConfidenceSequence, Error, GroupSequential, Level};

/// Units that an arm needs in any case, for its mean to be nearly normal.
pub(super) const LEAST_UNITS: u64 = 100;
/// Units of all arms that a plan has which does not say.
const UNITS: u64 = 10_000;
/// A step of the ramp that does not say takes a day.
const STEP_MS: u64 = 86_400_000;
/// The shortest step.
pub const STEP_MS_MIN: u64 = 1_000;
/// The longest step: 90 days.
pub const STEP_MS_MAX: u64 = 90 * 86_400_000;
/// Most looks of a group-sequential test.
pub const LOOKS_MAX: u32 = 50;

/// When one may look, and with what guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Method {
    /// At any time: confidence sequences.
    #[default]
    Sequence,
    /// At evenly spaced looks over the planned units; most power when their number is known.
    GroupSequential {
        /// How many.
        looks: u32,
        /// How the level is spent.
        spending: Spending,
    },
    /// Once, when the planned units are there and the minimum run is over; nothing is shown before,
    /// and nothing newer after.
    Fixed,
}

/// How fast a group-sequential test spends its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spending {
    /// Hardly anything early (O'Brien & Fleming).
    #[default]
    ObrienFleming,
    /// Evenly (Pocock).
    Pocock,
}

/// How several secondary metrics are corrected. The primary metric is always corrected over its
/// variants by Holm's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Share of false findings, at any time and under any dependence: e-BH for sequences,
    /// Benjamini–Hochberg otherwise.
    #[default]
    FalseDiscoveries,
    /// No false finding at all, with probability 1 − α: Holm.
    Holm,
    /// None: secondary metrics are for looking around.
    None,
}

/// What kind of experiment it is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Mode {
    /// Which version is better?
    #[default]
    Test,
    /// All versions are the same, and so must the results be.
    AA,
    /// More traffic for what does better while it runs (Thompson sampling).
    Bandit {
        /// The least share of each variant.
        floor: f64,
    },
}

/// When a variant has won.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Rule {
    /// It is significantly better in the primary metric.
    #[default]
    Significant,
    /// It is shown to be no worse than the margin of the primary metric.
    NonInferior,
    /// Choosing it is expected to lose no more than this, relative to the control (Bayesian; not
    /// protected against looking often).
    ExpectedLoss {
        /// 0.001 for 0.1 %.
        relative: f64,
    },
}

/// How an experiment is analysed and rolled out, besides [`crate::model::DecisionPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Plan {
    /// Planned units of all arms together: what a sequence is tightest at, and when a test ends.
    pub units: u64,
    /// When one may look.
    pub method: Method,
    /// How secondary metrics are corrected.
    pub correction: Correction,
    /// What kind of experiment it is.
    pub mode: Mode,
    /// When a variant has won.
    pub rule: Rule,
    /// What primary and secondary metrics are post-stratified by: a property that units had at
    /// their first exposure. Not [`Dimension::Cache`], which a variant may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratify: Option<Dimension>,
    /// How long each step of a ramp takes at least, milliseconds.
    pub step_ms: u64,
    /// Whether the test itself begins with the first step of the ramp as its coverage, and rises
    /// while its guardrails are quiet.
    pub ramp_up: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            units: UNITS,
            method: Method::default(),
            correction: Correction::default(),
            mode: Mode::default(),
            rule: Rule::default(),
            stratify: None,
            step_ms: STEP_MS,
            ramp_up: false,
        }
    }
}

/// What is wrong with a plan: the field and a sentence.
pub type PlanProblem = (&'static str, String);

impl Plan {
    /// All problems; empty when it can be used for an experiment with so many variants.
    #[must_use]
    pub fn problems(&self, variants: usize, sticky: bool) -> Vec<PlanProblem> {
        let mut found = Vec::new();
        if self.units == 0 {
            found.push(("units", "plan one unit at least".to_owned()));
        }
        if !(STEP_MS_MIN..=STEP_MS_MAX).contains(&self.step_ms) {
            found.push(("step", "a step takes one second to 90 days".to_owned()));
        }
        if let Method::GroupSequential { looks, .. } = self.method
            && !(1..=LOOKS_MAX).contains(&looks)
        {
            found.push(("looks", format!("a test has 1 to {LOOKS_MAX} looks")));
        }
        if self.stratify == Some(Dimension::Cache) {
            let why = "what the cache does may depend on the variant: stratify by browser, \
                       country, route or day";
            found.push(("stratify", why.to_owned()));
        }
        if let Mode::Bandit { floor } = self.mode {
            let most = 1.0 / variants.max(1) as f64;
            if !(floor > 0.0 && floor <= most) {
                found.push((
                    "floor",
                    format!(
                        "the floor of {variants} variants must be above 0 and at most {most:.3}"
                    ),
                ));
            }
            if !sticky {
                let why = "a bandit moves weights all the time: give the experiment `sticky`, so \
                           that nobody sees two variants";
                found.push(("mode", why.to_owned()));
            }
        }
        if let Rule::ExpectedLoss { relative } = self.rule
            && !(relative > 0.0 && relative < 1.0)
        {
            found.push(("rule", "an expected loss is above 0 and below 100%".to_owned()));
        }
        found
    }
}

/// What may be shown now, by the plan.
#[derive(Debug, Clone)]
pub(super) enum Look {
    /// Everything.
    Sequence(ConfidenceSequence),
    /// The look with this number, from 0, and all fractions up to it.
    Group(GroupSequential, Vec<f64>),
    /// The planned units are there.
    Fixed(Level),
    /// Estimates only, and why.
    Hidden(String),
}

impl Look {
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self, Look::Hidden(_))
    }

    /// The fraction of a planned look that is being taken.
    pub(super) fn taken(&self) -> Option<f64> {
        match self {
            Look::Group(_, fractions) => fractions.last().copied(),
            Look::Fixed(_) => Some(1.0),
            Look::Sequence(_) | Look::Hidden(_) => None,
        }
    }
}

/// A look at 29 of 50 parts is at 0.58, of which 50 times is a little less than 29.
const ROUNDING: f64 = 1e-9;
/// After the last look.
const TAKEN: &str = "the last planned look has been taken";

fn is_long_enough(question: &Question<'_>) -> bool {
    super::verdict::days(question) >= f64::from(question.experiment.policy.min_days)
}

/// What may be shown with so many units.
pub(super) fn look(question: &Question<'_>, units: u64) -> Look {
    let hidden = |error: Error| Look::Hidden(error.to_string());
    let plan = question.plan;
    let level = super::effect::two_sided(question);
    let level = match level {
        Ok(level) => level,
        Err(error) => return hidden(error),
    };
    match plan.method {
        Method::Sequence => ConfidenceSequence::new(level, plan.units, question.least_units())
            .map_or_else(hidden, Look::Sequence),
        // Whoever looks a second time has another chance of a false alarm.
        Method::Fixed if !question.looks.is_empty() => Look::Hidden(TAKEN.to_owned()),
        Method::Fixed if units >= plan.units && is_long_enough(question) => Look::Fixed(level),
        Method::Fixed => Look::Hidden(format!(
            "intervals and p-values are hidden until {} planned units are there and {} days are \
             over",
            words::grouped(plan.units),
            question.experiment.policy.min_days
        )),
        Method::GroupSequential { looks, spending } => {
            let fraction = (units as f64 / plan.units.max(1) as f64).min(1.0);
            let last = question.looks.last().copied().unwrap_or(0.0);
            // Of an even grid, the first point after the last look; one that was missed is not
            // made up for.
            let number = (last * f64::from(looks) + ROUNDING).floor() + 1.0;
            let next = number / f64::from(looks.max(1));
            if last >= 1.0 {
                return Look::Hidden(TAKEN.to_owned());
            }
            if fraction < next || fraction < last + FRACTION_STEP_MIN {
                let at = words::grouped((next * plan.units as f64).ceil() as u64);
                return Look::Hidden(format!("look {number} of {looks} comes at {at} units"));
            }
            let mut fractions = question.looks.to_vec();
            fractions.push(fraction);
            let spending = match spending {
                Spending::ObrienFleming => stats::experiment::Spending::OBrienFleming,
                Spending::Pocock => stats::experiment::Spending::Pocock,
            };
            match GroupSequential::new(level, spending, &fractions) {
                Ok(test) => Look::Group(test, fractions),
                Err(error) => hidden(error),
            }
        }
    }
}
