//! What an experiment shows.

use experiment::analysis::{
    Analysis, EffectView, GuardrailView, HealthReport, Method, MetricView, Outcome, Severity,
    Standing,
};
use experiment::ledger::Dimension;
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
        // The verdict has already said why it is unsound.
        let said = analysis.verdict.reasons.contains(&issue.text);
        let what = if said { &issue.code } else { &issue.text };
        text.push_str(&format!("  {word}: {what}\n"));
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
    let strata = analysis.plan.stratify.map(|by| format!(", compared within each {}", word(by)));
    let method = format!("{method}{}", strata.unwrap_or_default());
    let legend = "* decides; p: of no difference, corrected for several variants or metrics; wins: \
                  chance to be better than the control";
    let notes = std::iter::once(legend.to_owned()).chain(analysis.metrics.iter().flat_map(notes));
    let notes: Vec<String> = notes.map(|note| format!("  {}\n", style.dim(&note))).collect();
    let head = style.bold("Metrics");
    format!("\n{head} {}\n{}{}", style.dim(&method), table.render(), notes.concat())
}

/// What does not fit into the table.
fn notes(metric: &MetricView) -> Vec<String> {
    let name = &metric.name;
    let mut notes: Vec<String> = Vec::new();
    for note in metric.effects.iter().filter_map(|effect| effect.note.as_ref()) {
        let line = format!("{name}: {note}");
        if !notes.contains(&line) {
            notes.push(line);
        }
    }
    if let Some(cap) = metric.cap {
        notes.push(format!("{name}: of one unit, {} counts at most", amount(cap)));
    }
    for effect in &metric.effects {
        let variant = &effect.variant;
        if let Some(lift) = effect.shrunk_lift {
            let (lift, why) = (signed(lift), "what is chosen for its size looks too large");
            notes.push(format!("{name} of {variant}: expect about {lift}; {why}"));
        }
        if let Some(less) = effect.variance_reduction.filter(|less| *less >= 0.005) {
            let why = "removed by what was known before the exposure";
            notes.push(format!("{name} of {variant}: {} of the variance {why}", percent(less)));
        }
    }
    notes
}

fn word(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Browser => "browser",
        Dimension::Country => "country",
        Dimension::Route => "route",
        Dimension::Cache => "cache status",
        Dimension::Day => "day of first exposure",
    }
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
        (Outcome::Unclear, Some(_)) => "see below".to_owned(),
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
    let mut notes: Vec<String> = Vec::new();
    for (it, note) in guardrails.iter().filter_map(|it| Some((it, it.note.as_ref()?))) {
        let line = format!("  {}\n", style.dim(&format!("{}: {note}", it.name)));
        if !notes.contains(&line) {
            notes.push(line);
        }
    }
    let head = style.bold("Guardrails");
    let what = style.dim("may get worse by no more than their margin");
    format!("\n{head} {what}\n{}{}", table.render(), notes.concat())
}

fn says(guardrail: &GuardrailView) -> String {
    let word = if guardrail.note.is_some() {
        "see below"
    } else if guardrail.harmful {
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
