//! What an experiment shows.

use experiment::analysis::{
    Analysis, EffectView, GuardrailView, HealthReport, Method, MetricView, Outcome, Severity,
    Standing,
};
use experiment::metric::Role;

use super::draw;
use crate::format::{amount, count, percent};
use crate::table::{Style, Table};

/// The whole answer: verdict, health, metrics, guardrails, days since exposure.
#[must_use]
pub fn status_text(analysis: &Analysis, style: Style) -> String {
    let mut text = String::new();
    let verdict = &analysis.verdict;
    let head = format!("{}: {}", analysis.experiment, verdict.text);
    text.push_str(&match verdict.standing {
        Standing::Winner | Standing::RolledOut => style.verdict(true, &head),
        Standing::Invalid | Standing::Harmful => style.verdict(false, &head),
        Standing::Waiting | Standing::Inconclusive | Standing::Idle => style.bold(&head),
    });
    text.push('\n');
    for reason in &verdict.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    text.push_str(&health(analysis, style));
    text.push_str(&metrics(analysis, style));
    text.push_str(&guardrails(&analysis.guardrails, style));
    text.push_str(&novelty(analysis, style));
    text
}

/// What a variant was shipped upon.
#[must_use]
pub fn decision_text(decision: &Analysis, style: Style) -> String {
    let head = style.bold(&format!("Shipped upon, at {}", moment(decision.time_ms)));
    let mut text = format!("\n{head}\n  {}\n", decision.verdict.text);
    for reason in &decision.verdict.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    text.push_str(&format!("  {}\n", shares(&decision.health)));
    text.push_str(&metrics(decision, style));
    text.push_str(&guardrails(&decision.guardrails, style));
    text
}

fn health(analysis: &Analysis, style: Style) -> String {
    let health = &analysis.health;
    let mut text = format!("\n{}\n", style.bold("Health"));
    if health.issues.is_empty() {
        text.push_str(&format!("  {}\n", style.verdict(true, "sound")));
    }
    for issue in &health.issues {
        let word = match issue.severity {
            Severity::Blocks => style.verdict(false, "blocks"),
            Severity::Notice => "notice".to_owned(),
        };
        text.push_str(&format!("  {word}: {}\n", issue.text));
    }
    text.push_str(&format!("  {}\n", shares(health)));
    if health.multiple.units > 0 {
        let units = count(health.multiple.units);
        let share = percent(health.multiple.share);
        text.push_str(&format!("  {units} units ({share}) saw two variants and count nowhere\n"));
    }
    for cause in &health.ratio.causes {
        let (units, expected) = (listed(&cause.units), rounded(&cause.expected));
        let (by, segment) = (&cause.dimension, &cause.segment);
        text.push_str(&format!("  {by} \"{segment}\": {units} units, expected {expected}\n"));
    }
    if let Some(time) = health.complete_through_ms {
        text.push_str(&format!("  complete through {}\n", moment(time)));
    }
    let days = (analysis.days * 10.0).round() / 10.0;
    text.push_str(&format!("  {days} days\n"));
    text
}

fn shares(health: &HealthReport) -> String {
    let arms: Vec<String> =
        health.arms.iter().map(|arm| format!("{} {}", arm.variant, count(arm.units))).collect();
    let p = |p: Option<f64>| p.map_or_else(|| "none yet".to_owned(), p_value);
    let ratio = &health.ratio;
    format!(
        "units: {}; sample ratio p = {} (at any time), {} (chi-square)",
        arms.join(", "),
        p(ratio.sequential_p),
        p(ratio.chi_square_p)
    )
}

fn metrics(analysis: &Analysis, style: Style) -> String {
    if analysis.metrics.is_empty() {
        return String::new();
    }
    let all = || analysis.metrics.iter().flat_map(|metric| &metric.effects);
    let ends = all().filter_map(|effect| effect.lift_interval).flatten().flatten();
    let scale = draw::scale(ends.chain(all().filter_map(|effect| effect.lift)));
    let edge = format!("lift, −{0} to +{0}", percent(scale));
    let mut table = Table::new(&["metric", "variant"], &["value", "control", "lift", "p", "wins"])
        .text_column(&edge)
        .text_column("says");
    for metric in &analysis.metrics {
        for effect in &metric.effects {
            table.row(row(metric, effect, scale));
        }
    }
    let method = match analysis.plan.method {
        Method::Sequence => "may be looked at at any time",
        Method::GroupSequential { .. } => "at planned looks",
        Method::Fixed => "at the planned number of units",
    };
    let head = style.bold("Metrics");
    let mut text = format!("\n{head} {}\n{}", style.dim(method), table.render());
    for metric in &analysis.metrics {
        for effect in &metric.effects {
            let Some(lift) = effect.shrunk_lift.map(signed) else { continue };
            let (of, variant) = (&metric.name, &effect.variant);
            let why = "is to be expected once it was chosen for its size";
            text.push_str(&format!("  {}\n", style.dim(&format!("{of}, {variant}: {lift} {why}"))));
        }
    }
    text
}

fn row(metric: &MetricView, effect: &EffectView, scale: f64) -> [String; 9] {
    let value = |value: Option<f64>| value.map_or_else(dash, |it| amount_of(it, &metric.kind));
    let drawn = effect
        .lift_interval
        .map(|ends| draw::interval(ends, effect.lift, scale))
        .unwrap_or_default();
    let name = match metric.role {
        Role::Primary => format!("{} *", metric.name),
        Role::Secondary | Role::Guardrail => metric.name.clone(),
    };
    let says = match (effect.outcome, &effect.note) {
        (Outcome::Better, _) => "better".to_owned(),
        (Outcome::Worse, _) => "worse".to_owned(),
        (Outcome::Unclear, Some(note)) => note.clone(),
        (Outcome::Unclear, None) => "unclear".to_owned(),
    };
    [
        name,
        effect.variant.clone(),
        value(effect.value),
        value(effect.control),
        effect.lift.map_or_else(dash, signed),
        effect.adjusted_p.map_or_else(dash, p_value),
        effect.chance_to_win.map_or_else(dash, percent),
        drawn,
        says,
    ]
}

fn guardrails(guardrails: &[GuardrailView], style: Style) -> String {
    if guardrails.is_empty() {
        return String::new();
    }
    let ends = guardrails.iter().filter_map(|it| it.lift_interval).flatten().flatten();
    let scale = draw::scale(ends.chain(guardrails.iter().filter_map(|it| it.lift)));
    let edge = format!("lift, −{0} to +{0}", percent(scale));
    let mut table = Table::new(&["guardrail", "variant"], &["value", "control", "lift", "margin"])
        .text_column(&edge)
        .text_column("says");
    for guardrail in guardrails {
        let value =
            |value: Option<f64>| value.map_or_else(dash, |it| amount_of(it, &guardrail.kind));
        table.row([
            guardrail.name.clone(),
            guardrail.variant.clone(),
            value(guardrail.value),
            value(guardrail.control),
            guardrail.lift.map_or_else(dash, signed),
            percent(guardrail.margin),
            guardrail
                .lift_interval
                .map(|ends| draw::interval(ends, guardrail.lift, scale))
                .unwrap_or_default(),
            says(guardrail),
        ]);
    }
    format!("\n{}\n{}", style.bold("Guardrails"), table.render())
}

fn says(guardrail: &GuardrailView) -> String {
    if let Some(note) = &guardrail.note {
        return note.clone();
    }
    let word = if guardrail.harmful {
        "harmful"
    } else if guardrail.exceeded {
        "beyond its margin"
    } else if guardrail.underpowered {
        "cannot tell yet"
    } else if guardrail.non_inferior {
        "within its margin"
    } else {
        "quiet"
    };
    word.to_owned()
}

fn novelty(analysis: &Analysis, style: Style) -> String {
    if analysis.novelty.is_empty() {
        return String::new();
    }
    let ends = analysis.novelty.iter().filter_map(|day| day.lift_interval).flatten().flatten();
    let scale = draw::scale(ends);
    let edge = format!("lift, −{0} to +{0}", percent(scale));
    let mut table = Table::new(&["variant", "day"], &["lift"]).text_column(&edge);
    for day in &analysis.novelty {
        let drawn = day.lift_interval.map(|ends| draw::interval(ends, day.lift, scale));
        table.row([
            day.variant.clone(),
            day.day.to_string(),
            day.lift.map_or_else(dash, signed),
            drawn.unwrap_or_default(),
        ]);
    }
    format!("\n{}\n{}", style.bold("By days since exposure"), table.render())
}

/// A value of a kind of metric; response times are in seconds.
fn amount_of(value: f64, kind: &str) -> String {
    match kind {
        "latency" => crate::format::time(value * 1e6),
        "conversion" | "retention" | "error-rate" => percent(value),
        _ => amount(value),
    }
}

pub(super) fn signed(lift: f64) -> String {
    let sign = if lift >= 0.0 { "+" } else { "" };
    format!("{sign}{:.1} %", lift * 100.0)
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

fn listed(units: &[u64]) -> String {
    units.iter().map(|&units| count(units)).collect::<Vec<_>>().join(" / ")
}

fn rounded(units: &[f64]) -> String {
    units.iter().map(|&units| count(units.round() as u64)).collect::<Vec<_>>().join(" / ")
}

/// A moment, UTC.
pub(super) fn moment(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(dash, |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
