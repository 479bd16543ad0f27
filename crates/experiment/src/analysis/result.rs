//! The answer, as it is shown, stored and sent (`tidegate.experiment/1`). Ends of intervals that
//! are infinite, and numbers that do not exist, are null.

use super::Plan;
use crate::metric::{Better, Role};
use crate::model::{Status, UnixMillis};
use serde::{Deserialize, Serialize};
use stats::interval::Interval;

/// Schema of [`Analysis`].
pub const SCHEMA: &str = "tidegate.experiment/1";

/// Everything that is known about an experiment at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Analysis {
    /// [`SCHEMA`].
    pub schema: String,
    /// Key of the experiment.
    pub experiment: String,
    /// When it was made.
    pub time_ms: UnixMillis,
    /// Where the experiment is in its life.
    pub status: Status,
    /// How it is analysed.
    pub plan: Plan,
    /// Days that it has run.
    pub days: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Whether it is sound.
    pub health: HealthReport,
    /// Primary and secondary metrics.
    pub metrics: Vec<MetricView>,
    /// Guardrails, each with each variant.
    pub guardrails: Vec<GuardrailView>,
    /// Effect on the primary metric by days since exposure.
    pub novelty: Vec<DayEffect>,
    /// The information fraction of the planned look that this is; 1 for the only one of a fixed
    /// test.
    pub look: Option<f64>,
}

/// What can be said about the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It must not be believed.
    Invalid,
    /// A variant harms, and should be taken back.
    Harmful,
    /// A variant has won.
    Winner,
    /// It is too early to say.
    Waiting,
    /// The planned units are there, and no variant has won.
    Inconclusive,
    /// A variant is being rolled out, or has been, and does no harm.
    RolledOut,
    /// It does not run.
    Idle,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// In a word.
    pub standing: Standing,
    /// The variant that it is about.
    pub variant: Option<String>,
    /// In a sentence.
    pub text: String,
    /// What keeps it from being decided, or what it rests on.
    pub reasons: Vec<String>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Nothing can be decided.
    Blocks,
}

/// Something about the experiment's health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word: `sample-ratio`, `multiple-exposure`, `a-a`, `no-units`, `stale` …
    pub code: String,
    /// What it is and what to do.
    pub text: String,
}

/// Whether the experiment is sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthReport {
    /// What is wrong, blocking things first.
    pub issues: Vec<Issue>,
    /// Units by variant.
    pub arms: Vec<ArmCount>,
    /// Do the arms have their shares?
    pub ratio: Ratio,
    /// Units that saw two variants.
    pub multiple: MultipleExposure,
    /// Everything until then has come in, if producers send in order.
    pub complete_through_ms: Option<UnixMillis>,
    /// Time of the newest record.
    pub newest_ms: Option<UnixMillis>,
}

impl HealthReport {
    /// Whether nothing may be decided.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity == Severity::Blocks)
    }
}

/// Units of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ArmCount {
    /// Key of the variant.
    pub variant: String,
    /// Units that were exposed.
    pub units: u64,
    /// Units that it should have of all.
    pub expected: f64,
}

/// Sample-ratio mismatch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ratio {
    /// p-value that holds at any time; the alarm is at 0.001.
    pub sequential_p: Option<f64>,
    /// p-value of Pearson's chi-square test, for one look.
    pub chi_square_p: Option<f64>,
    /// Whether there is an alarm.
    pub alarm: bool,
    /// Segments whose shares are off, and further off than those of all; the worst first.
    pub causes: Vec<Cause>,
    /// There is an alarm, and every segment is off alike.
    #[serde(default)]
    pub everywhere: bool,
}

/// A segment whose shares are off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cause {
    /// `day`, `browser`, `country`, `route` or `cache`.
    pub dimension: String,
    /// Its value.
    pub segment: String,
    /// p-value, corrected for the number of segments.
    pub p_value: f64,
    /// Units by variant.
    pub units: Vec<u64>,
    /// Units that they should be.
    pub expected: Vec<f64>,
}

/// Units that saw two variants.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MultipleExposure {
    /// How many; they count nowhere else.
    pub units: u64,
    /// Of all.
    pub share: f64,
}

/// One metric, with each variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What it is to the experiment.
    pub role: Role,
    /// Which values are good.
    pub better: Better,
    /// Whether its values are shares.
    pub is_share: bool,
    /// The most that a unit counts, either sign, the same for all variants; null without a cap, or
    /// while it has not been taken.
    #[serde(default)]
    pub cap: Option<f64>,
    /// Each variant against the control.
    pub effects: Vec<EffectView>,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Significantly better than the control.
    Better,
    /// Significantly worse.
    Worse,
    /// Neither.
    Unclear,
}

/// A variant against the control in one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectView {
    /// Key of the variant.
    pub variant: String,
    /// Why there is no comparison, or why a part of it is hidden.
    pub note: Option<String>,
    /// Units of the variant and of the control.
    pub units: [u64; 2],
    /// Value of the variant.
    pub value: Option<f64>,
    /// Value of the control.
    pub control: Option<f64>,
    /// Variant − control.
    pub difference: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// Its interval; absent while it is hidden.
    pub interval: Option<[Option<f64>; 2]>,
    /// Relative lift.
    pub lift: Option<f64>,
    /// Its interval (Fieller); absent while hidden, or when the control may be zero.
    pub lift_interval: Option<[Option<f64>; 2]>,
    /// p-value of no difference.
    pub p_value: Option<f64>,
    /// The same, corrected over the declared family.
    pub adjusted_p: Option<f64>,
    /// Logarithm of the e-value, of sequences.
    pub ln_e_value: Option<f64>,
    /// What it says, after the correction.
    pub outcome: Outcome,
    /// Lift that is to be expected after having been chosen for its size.
    pub shrunk_lift: Option<f64>,
    /// Whether it is no worse than the margin of the metric, one-sided at the same level.
    pub non_inferior: bool,
    /// Probability to be better (flat prior).
    pub chance_to_win: Option<f64>,
    /// What choosing the variant is expected to lose, relative to the control.
    pub loss_of_shipping: Option<f64>,
    /// What keeping the control is expected to lose, relative to the control.
    pub loss_of_keeping: Option<f64>,
    /// Share of the variance that the covariate removed.
    pub variance_reduction: Option<f64>,
    /// Phases that it rests on.
    pub phases: usize,
}

/// A guardrail with one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GuardrailView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Key of the variant.
    pub variant: String,
    /// Which values are good.
    pub better: Better,
    /// How much worse it may get, relative.
    pub margin: f64,
    /// Why nothing can be said.
    pub note: Option<String>,
    /// Value of the variant.
    pub value: Option<f64>,
    /// Value of the control.
    pub control: Option<f64>,
    /// Relative lift.
    pub lift: Option<f64>,
    /// Its interval at the guardrail's level, two ends of the one-sided test.
    pub lift_interval: Option<[Option<f64>; 2]>,
    /// Impact: the estimate is worse than the margin.
    pub exceeded: bool,
    /// Power: the standard error of the lift is 0.8 margins or more, so nothing can be concluded.
    pub underpowered: bool,
    /// Significance: it is worse than the control.
    pub harmful: bool,
    /// Shown to be no worse than the margin.
    pub non_inferior: bool,
}

/// The effect on one day since exposure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DayEffect {
    /// Key of the variant.
    pub variant: String,
    /// Days since the first exposure, from 0.
    pub day: u16,
    /// Relative lift.
    pub lift: Option<f64>,
    /// Its interval; intervals of all days hold together.
    pub lift_interval: Option<[Option<f64>; 2]>,
}

/// Ends as they are written: infinite ones are null.
pub(super) fn ends(interval: Interval) -> [Option<f64>; 2] {
    [interval.low, interval.high].map(finite)
}

pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
