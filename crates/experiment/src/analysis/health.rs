//! Is the experiment sound? Shares of units, units that saw two variants, how fresh the data are.

use super::plan::Mode;
use super::result::{ArmCount, Cause, HealthReport, Issue, MultipleExposure, Ratio, Severity};
use super::{Data, MetricView, Outcome, Question, arms};
use crate::ledger::{Arm, Dimension, Summary};
use crate::metric::Role;
use crate::model::{Status, UnixMillis};
use jiff::ToSpan;
use stats::experiment::srm::{self, SampleRatio};

/// The shares are off when the p-value is below this.
const RATIO_ALARM: f64 = 0.001;
/// A segment is named when its corrected p-value is below this.
const CAUSE_P: f64 = 0.01;
/// Most segments that are named.
const CAUSES_MAX: usize = 10;
/// More units than this share saw two variants: assignment is broken.
const MULTIPLE_SHARE_MAX: f64 = 0.01;
/// As many must have, so that a few do not alarm.
const MULTIPLE_UNITS_MIN: u64 = 20;
/// Data older than this are stale: 15 minutes.
const STALE_MS: u64 = 900_000;

/// Everything about health but what needs effects.
pub(super) fn report(question: &Question<'_>, data: &Data) -> HealthReport {
    let summary = &data.summary;
    let mut ratio = ratio(question, summary);
    if ratio.alarm {
        ratio.causes = causes(question, data);
        ratio.everywhere = ratio.causes.is_empty() && !data.segments.is_empty();
    }
    let units = arms::units_per_arm(question, data);
    let all: u64 = units.iter().sum::<u64>() + summary.quarantined;
    let share = if all == 0 { 0.0 } else { summary.quarantined as f64 / all as f64 };
    let multiple = MultipleExposure { units: summary.quarantined, share };
    let (_, expected) = observed_and_expected(question, &summary.arms);
    let millis = |us: Option<i64>| us.and_then(|us| UnixMillis::try_from(us / 1_000).ok());
    let mut report = HealthReport {
        issues: Vec::new(),
        arms: (0..)
            .zip(units)
            .map(|(index, units)| arm(question, index, units, &expected))
            .collect(),
        ratio,
        multiple,
        complete_through_ms: millis(summary.progress.complete_through_us),
        newest_ms: millis(summary.progress.newest_us),
    };
    report.issues = issues(question, &report);
    report
}

fn arm(question: &Question<'_>, index: u16, units: u64, expected: &[f64]) -> ArmCount {
    let compared = compared(question).position(|it| it == index);
    let expected = compared.and_then(|at| expected.get(at).copied()).unwrap_or(0.0);
    ArmCount { variant: question.variant_key(index), units, expected }
}

fn issues(question: &Question<'_>, report: &HealthReport) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut add = |severity, code: &str, text: String| {
        issues.push(Issue { severity, code: code.to_owned(), text });
    };
    if report.ratio.alarm {
        let mut text =
            "the variants do not have their shares of the units (sample-ratio mismatch): \
                        something treats them differently before they are counted, so no \
                        comparison can be believed"
                .to_owned();
        if let Some(cause) = report.ratio.causes.first() {
            text.push_str(&format!("; look at {} \"{}\"", cause.dimension, cause.segment));
        } else if report.ratio.everywhere {
            text.push_str("; it is the same in every segment, so look at what all have in common");
        }
        add(Severity::Blocks, "sample-ratio", text);
    }
    let MultipleExposure { units, share } = report.multiple;
    let moved = question.experiment.phases.len() > 1;
    if units >= MULTIPLE_UNITS_MIN && share > MULTIPLE_SHARE_MAX {
        let text = format!("{units} units ({:.1} %) saw two variants", share * 100.0);
        if moved {
            let why = "they count nowhere; a change of weights moves units unless assignments are \
                       sticky";
            add(Severity::Notice, "multiple-exposure", format!("{text}; {why}"));
        } else {
            let why = "is the id stable, and is every server of the same version?";
            add(Severity::Blocks, "multiple-exposure", format!("{text}: {why}"));
        }
    }
    if question.experiment.status == Status::Running {
        if report.arms.iter().all(|arm| arm.units == 0) {
            let text = "nobody has been exposed yet: is the experiment's route visited, does the \
                        request carry the unit's id, and is it a browser's? Programs (curl, \
                        tidegate load with its own user agent) are served and not counted";
            add(Severity::Notice, "no-units", text.to_owned());
        } else if let Some(newest) = report.newest_ms
            && question.now.saturating_sub(newest) > STALE_MS
        {
            let minutes = question.now.saturating_sub(newest) / 60_000;
            add(Severity::Notice, "stale", format!("the newest record is {minutes} minutes old"));
        }
    }
    issues
}

/// In an A/A test nothing may differ.
pub(super) fn judge_same(
    question: &Question<'_>,
    report: &mut HealthReport,
    metrics: &[MetricView],
) {
    if question.plan.mode != Mode::AA {
        return;
    }
    let primary = metrics.iter().filter(|metric| metric.role == Role::Primary);
    let mut effects = primary.flat_map(|metric| &metric.effects);
    if let Some(effect) = effects.find(|effect| effect.outcome != Outcome::Unclear) {
        let text = format!(
            "\"{}\" differs from the control although both are the same: assignment, exposure or \
             events are not the same for both, so no test can be believed yet",
            effect.variant
        );
        let issue = Issue { severity: Severity::Blocks, code: "a-a".to_owned(), text };
        report.issues.insert(0, issue);
    }
}

/// The variants whose shares can be compared: control and treatments.
fn compared<'a>(question: &'a Question<'_>) -> impl Iterator<Item = u16> + 'a {
    std::iter::once(0).chain(question.treatments())
}

/// Do the arms have their shares? Within each phase, and the evidence of phases multiplied: their
/// units are different ones.
pub(super) fn ratio(question: &Question<'_>, summary: &Summary) -> Ratio {
    let mut ln_e = None;
    for (counts, weights) in phases(question, &summary.arms) {
        let found = SampleRatio::new(&weights).and_then(|process| process.ln_e_value(&counts));
        if let Ok(found) = found {
            ln_e = Some(ln_e.unwrap_or(0.0) + found);
        }
    }
    let sequential_p = ln_e.map(|ln_e: f64| (-ln_e).exp().min(1.0));
    let (observed, expected) = observed_and_expected(question, &summary.arms);
    let chi_square_p = srm::chi_square(&observed, &expected).ok().map(|test| test.p_value);
    let alarm = sequential_p.is_some_and(|p| p < RATIO_ALARM);
    Ratio { sequential_p, chi_square_p, alarm, causes: Vec::new(), everywhere: false }
}

/// Counts and expected shares of the compared variants in each phase.
fn phases(question: &Question<'_>, arms: &[Arm]) -> Vec<(Vec<u64>, Vec<f64>)> {
    let phases = question.phases.clone().filter_map(|phase| {
        let shares = question.experiment.phases.get(phase)?.shares();
        let weights: Vec<f64> = compared(question)
            .map(|variant| shares.get(usize::from(variant)).copied().unwrap_or(0.0))
            .collect();
        let units = |variant: u16| {
            let same = |arm: &&Arm| usize::from(arm.phase) == phase && arm.variant == variant;
            arms.iter().find(same).map_or(0, |arm| arm.units)
        };
        let counts = compared(question).map(units).collect();
        Some((counts, weights))
    });
    phases.collect()
}

/// Units of the compared variants, and what they should be given how many each phase had.
fn observed_and_expected(question: &Question<'_>, arms: &[Arm]) -> (Vec<u64>, Vec<f64>) {
    let variants = compared(question).count();
    let (mut observed, mut expected) = (vec![0; variants], vec![0.0; variants]);
    for (counts, weights) in phases(question, arms) {
        let units: u64 = counts.iter().sum();
        let total: f64 = weights.iter().sum();
        for (index, (count, weight)) in counts.iter().zip(&weights).enumerate() {
            observed[index] += count;
            if total > 0.0 {
                expected[index] += units as f64 * weight / total;
            }
        }
    }
    (observed, expected)
}

/// Segments whose shares are off, and further off than those of all units: where it comes from. The
/// worst first.
fn causes(question: &Question<'_>, data: &Data) -> Vec<Cause> {
    let (all, all_expected) = observed_and_expected(question, &data.summary.arms);
    let mut causes = Vec::new();
    for (dimension, segments) in &data.segments {
        let count = segments.len() as f64;
        for (segment, arms) in segments {
            let (observed, expected) = observed_and_expected(question, arms);
            let Ok(test) = srm::chi_square(&observed, &expected) else { continue };
            let p_value = (test.p_value * count).min(1.0);
            // Were it off as all are, it would have this.
            let as_all = expected.iter().zip(all.iter().zip(&all_expected));
            let as_all: Vec<f64> =
                as_all.map(|(own, (&all, expected))| own * all as f64 / expected).collect();
            let other =
                srm::chi_square(&observed, &as_all).is_ok_and(|it| it.p_value * count < CAUSE_P);
            if p_value < CAUSE_P && other && test.smallest_expected >= 5.0 {
                causes.push(Cause {
                    dimension: dimension_name(*dimension).to_owned(),
                    segment: segment_name(*dimension, segment),
                    p_value,
                    units: observed,
                    expected,
                });
            }
        }
    }
    causes.sort_by(|one, other| one.p_value.total_cmp(&other.p_value));
    causes.truncate(CAUSES_MAX);
    causes
}

fn dimension_name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Browser => "browser",
        Dimension::Country => "country",
        Dimension::Route => "route",
        Dimension::Cache => "cache",
        Dimension::Day => "day",
    }
}

/// Days are numbers in the ledger and dates for people.
fn segment_name(dimension: Dimension, segment: &str) -> String {
    if dimension != Dimension::Day {
        return if segment.is_empty() { "(unknown)".to_owned() } else { segment.to_owned() };
    }
    let days: Option<i32> = segment.parse().ok();
    let date = days.and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(days.days()).ok());
    date.map_or_else(|| segment.to_owned(), |date| date.to_string())
}
