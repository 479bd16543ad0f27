//! What follows from health, effects and guardrails.

use super::Question;
use super::plan::{Mode, Rule};
use super::result::{
    EffectView, GuardrailView, HealthReport, MetricView, Outcome, Severity, Standing, Verdict,
};
use super::words::{grouped, lift, share};
use crate::metric::{Better, Role};
use crate::model::{Phase, Status};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// Days since the experiment began.
pub(super) fn days(question: &Question<'_>) -> f64 {
    let experiment = question.experiment;
    let first = experiment.phases.first().map_or(question.now, |phase| phase.since);
    let began = first.max(experiment.schedule.start.unwrap_or(0));
    question.now.saturating_sub(began) as f64 / DAY_MS
}

/// What follows. Of an experiment that does not run nothing does: what was found is told.
pub(super) fn of(
    question: &Question<'_>,
    health: &HealthReport,
    metrics: &[MetricView],
    guardrails: &[GuardrailView],
) -> Verdict {
    let found = found(question, health, metrics, guardrails);
    if question.experiment.status == Status::Running || found.standing == Standing::Idle {
        return found;
    }
    let status = match question.experiment.status {
        Status::Draft => "is a draft",
        Status::Paused => "is paused",
        Status::Running | Status::Stopped => "is stopped",
    };
    let what = match found.standing {
        Standing::Waiting => {
            let units = health.arms.iter().map(|arm| arm.units).sum();
            let planned = grouped(question.plan.units);
            format!("{} of {planned} planned units are there", grouped(units))
        }
        _ => found.text,
    };
    let mut reasons = vec![what];
    reasons.extend(found.reasons);
    let text = format!("the experiment {status}, so nothing is decided");
    Verdict { standing: Standing::Idle, variant: found.variant, text, reasons }
}

/// What an experiment shows, as if it went on.
fn found(
    question: &Question<'_>,
    health: &HealthReport,
    metrics: &[MetricView],
    guardrails: &[GuardrailView],
) -> Verdict {
    let verdict = |standing, variant: Option<&str>, text: String, reasons| Verdict {
        standing,
        variant: variant.map(str::to_owned),
        text,
        reasons,
    };
    let status = question.experiment.status;
    let units: u64 = health.arms.iter().map(|arm| arm.units).sum();
    if status != Status::Running
        && let Some(variant) = question.rolled_out
    {
        let text = format!("the experiment does not run; \"{variant}\" had been rolled out");
        return verdict(Standing::Idle, Some(variant), text, Vec::new());
    }
    if units == 0 && status != Status::Running {
        let text = "the experiment does not run, and nothing was recorded".to_owned();
        return verdict(Standing::Idle, None, text, Vec::new());
    }
    if health.blocks() {
        let blocking = health.issues.iter().filter(|issue| issue.severity == Severity::Blocks);
        let reasons: Vec<String> = blocking.map(|issue| issue.text.clone()).collect();
        let text = "the experiment is not sound, so nothing can be decided".to_owned();
        return verdict(Standing::Invalid, None, text, reasons);
    }
    if let Some((variant, reasons)) = harm(metrics, guardrails) {
        let text = format!("\"{variant}\" does harm: take it back");
        return verdict(Standing::Harmful, Some(&variant), text, reasons);
    }
    if let Some(variant) = question.rolled_out {
        let part = share_of(question, variant) * 100.0;
        let text = format!("\"{variant}\" is rolled out: {part:.1} % of the units get it");
        let open = open_guardrails(guardrails, variant);
        return verdict(Standing::RolledOut, Some(variant), text, open);
    }
    let primary = metrics.iter().find(|metric| metric.role == Role::Primary);
    let Some(primary) = primary else {
        let text = "no primary metric is declared, so no variant can win".to_owned();
        return verdict(Standing::Waiting, None, text, Vec::new());
    };
    match question.plan.mode {
        Mode::AA => {
            let text = "an A/A test: nothing differs, as it should be".to_owned();
            return verdict(Standing::Waiting, None, text, Vec::new());
        }
        Mode::Test | Mode::Bandit { .. } => {}
    }
    let missing = missing(question, health);
    let mut ahead: Vec<&EffectView> =
        primary.effects.iter().filter(|effect| has_won(question, effect)).collect();
    let good = |effect: &EffectView| {
        let size = effect.difference.unwrap_or(0.0);
        if primary.better == Better::Higher { size } else { -size }
    };
    ahead.sort_by(|one, other| good(other).total_cmp(&good(one)));
    for effect in &ahead {
        let open = open_guardrails(guardrails, &effect.variant);
        if missing.is_empty() && open.is_empty() {
            let text = format!("\"{}\" has won: ship it", effect.variant);
            return verdict(Standing::Winner, Some(&effect.variant), text, why(effect, primary));
        }
    }
    if let Some(effect) = ahead.first() {
        let text = format!("\"{}\" is ahead; it is too early to ship it", effect.variant);
        let mut reasons = missing;
        reasons.extend(open_guardrails(guardrails, &effect.variant));
        return verdict(Standing::Waiting, Some(&effect.variant), text, reasons);
    }
    if units >= question.plan.units && missing.is_empty() {
        let text =
            "the planned units are there, and no variant has won: keep the control, or plan \
                    a larger experiment"
                .to_owned();
        let reasons = primary.effects.iter().flat_map(|effect| why(effect, primary)).collect();
        return verdict(Standing::Inconclusive, None, text, reasons);
    }
    let (there, planned) = (grouped(units), grouped(question.plan.units));
    let text = if units >= question.plan.units {
        format!("wait: {there} units are there, more than planned, but it is too early to decide")
    } else {
        format!("wait: {there} of {planned} planned units are there{}", pace(question, units))
    };
    verdict(Standing::Waiting, None, text, missing)
}

/// The part of all units that gets a variant.
fn share_of(question: &Question<'_>, variant: &str) -> f64 {
    let experiment = question.experiment;
    let index = experiment.variant_index(variant).map(usize::from);
    let shares = experiment.phases.last().map(Phase::shares).unwrap_or_default();
    let own = index.and_then(|index| shares.get(index)).copied().unwrap_or(0.0);
    let all: f64 = shares.iter().sum();
    if all > 0.0 { own / all * experiment.coverage.fraction() } else { 0.0 }
}

/// When the planned units will be there, if they go on coming as they did; nothing on the first day.
fn pace(question: &Question<'_>, units: u64) -> String {
    let days = days(question);
    let left = question.plan.units.saturating_sub(units);
    if days < 1.0 || units == 0 || question.experiment.status != Status::Running {
        return String::new();
    }
    let more = (left as f64 / (units as f64 / days)).ceil();
    format!(" (about {} more days at this pace)", grouped(more as u64))
}

/// The first variant that does harm, and how.
fn harm(metrics: &[MetricView], guardrails: &[GuardrailView]) -> Option<(String, Vec<String>)> {
    let by_guardrail = guardrails.iter().filter(|guardrail| guardrail.harmful);
    let mut all: Vec<(String, String)> = by_guardrail
        .map(|guardrail| {
            let change = change(guardrail);
            (
                guardrail.variant.clone(),
                format!("guardrail {}: {change}, and worse", guardrail.name),
            )
        })
        .collect();
    for metric in metrics.iter().filter(|metric| metric.role == Role::Primary) {
        let worse = metric.effects.iter().filter(|effect| effect.outcome == Outcome::Worse);
        all.extend(worse.map(|effect| {
            let size = lift(effect.lift);
            (effect.variant.clone(), format!("primary metric {}: {size}, and worse", metric.name))
        }));
    }
    let variant = all.first()?.0.clone();
    let reasons = all.into_iter().filter(|(of, _)| *of == variant).map(|(_, why)| why).collect();
    Some((variant, reasons))
}

/// What the policy still waits for.
fn missing(question: &Question<'_>, health: &HealthReport) -> Vec<String> {
    let policy = &question.experiment.policy;
    let mut missing = Vec::new();
    let days = days(question);
    if days < f64::from(policy.min_days) {
        missing.push(format!("{:.1} of {} days have passed", days, policy.min_days));
    }
    let left_out = |variant: &str| {
        let index = question.experiment.variant_index(variant);
        index.is_some_and(|index| question.left_out.contains(&index))
    };
    let few = health.arms.iter().filter(|arm| !left_out(&arm.variant));
    for arm in few.filter(|arm| arm.units < policy.min_units) {
        let (there, needed) = (grouped(arm.units), grouped(policy.min_units));
        missing.push(format!("\"{}\" has {there} of {needed} units", arm.variant));
    }
    missing
}

fn has_won(question: &Question<'_>, effect: &EffectView) -> bool {
    match question.plan.rule {
        Rule::Significant => effect.outcome == Outcome::Better,
        Rule::NonInferior => effect.non_inferior && effect.outcome != Outcome::Worse,
        Rule::ExpectedLoss { relative } => {
            effect.outcome != Outcome::Worse
                && effect.loss_of_shipping.is_some_and(|loss| loss <= relative)
        }
    }
}

/// What guardrails hold against shipping a variant.
fn open_guardrails(guardrails: &[GuardrailView], variant: &str) -> Vec<String> {
    let own = guardrails.iter().filter(|guardrail| guardrail.variant == variant);
    let open = own.filter_map(|guardrail| {
        let (name, margin) = (&guardrail.name, share(guardrail.margin));
        if guardrail.exceeded {
            let change = change(guardrail);
            Some(format!("guardrail {name}: {change}, beyond its margin of {margin}"))
        } else if guardrail.underpowered {
            let why = guardrail.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            Some(format!("guardrail {name}: too few data yet to tell {margin} from nothing{why}"))
        } else {
            None
        }
    });
    open.collect()
}

fn why(effect: &EffectView, metric: &MetricView) -> Vec<String> {
    let interval = effect
        .lift_interval
        .map(|[low, high]| format!(", between {} and {}", lift(low), lift(high)));
    let interval = interval.unwrap_or_default();
    vec![format!("{} of \"{}\": {}{interval}", metric.name, effect.variant, lift(effect.lift))]
}

/// How far a guardrail is from the control: by its lift or, when the control is zero, as it is.
pub(crate) fn change(guardrail: &GuardrailView) -> String {
    match (guardrail.lift, guardrail.value, guardrail.control) {
        (None, Some(value), Some(control)) if guardrail.kind == "error-rate" => {
            format!("{:.1} % instead of {:.1} %", value * 100.0, control * 100.0)
        }
        (None, Some(value), Some(control)) => format!("{value} instead of {control}"),
        (size, ..) => lift(size),
    }
}
