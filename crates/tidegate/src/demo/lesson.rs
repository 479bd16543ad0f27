//! What the demo says about its experiment.

use experiment::automation::Shown;
use experiment::ledger::AuditEntry;
use report::experiment::{audit_text, status_text};

use crate::demo::trial::{ARRIVALS_PER_S, CONTROL, HARMFUL, NAME, Outcome, Trial};
use crate::output::style_of_stdout;

/// How it stands, in a line.
pub(crate) fn line(shown: &Shown) -> String {
    if shown.state.stage.variant().is_some() {
        return shown.analysis.verdict.text.clone();
    }
    let arms = &shown.analysis.health.arms;
    let units =
        |variant: &str| arms.iter().find(|arm| arm.variant == variant).map_or(0, |arm| arm.units);
    let effects = shown.analysis.metrics.first().map(|metric| metric.effects.as_slice());
    let effects = effects.unwrap_or_default();
    let part = |variant: &str, value: Option<f64>| {
        let share = value.map_or("?".to_owned(), |value| format!("{:.0}", value * 100.0));
        format!("{variant}: {share} % of {} buy", units(variant))
    };
    let control = part(CONTROL, effects.first().and_then(|effect| effect.control));
    let others = effects.iter().map(|effect| part(&effect.variant, effect.value));
    std::iter::once(control).chain(others).collect::<Vec<_>>().join("   ")
}

/// What it showed and what was done.
pub(crate) fn text(outcome: &Outcome) -> String {
    let style = style_of_stdout();
    let shown = &outcome.shown;
    let mut text = match &shown.decision {
        Some(decision) => status_text(decision, style),
        None => {
            status_text(&shown.analysis, style)
                + "\nThe time was too short for a decision: this machine is too busy.\n"
        }
    };
    text.push_str(&audit_text(&shown.audit, style));
    text.push('\n');
    text.push_str(&story(outcome));
    text
}

fn story(outcome: &Outcome) -> String {
    let audit = &outcome.shown.audit;
    let after = |line: &AuditEntry| line.time_ms.saturating_sub(outcome.began_ms) as f64 / 1e3;
    let by_itself = |action: &str| {
        audit.iter().rev().find(|line| line.action == action && line.who == "tidegate")
    };
    let mut text = "What happened\n".to_owned();
    match by_itself("roll-back") {
        Some(line) => {
            let witness = &outcome.witness;
            let late = witness.last_us.unwrap_or(0).saturating_sub_unsigned(line.time_ms * 1_000);
            text.push_str(&format!(
                "  {:<9}every order of it fails. It began with the first visitor and was taken back \
                 after {:.1} s, by the\n           guardrail. {} visitors had been shown it; the shop showed \
                 it for the last time {:.0} ms {}. Of\n           the {} pages since then none was \
                 {HARMFUL}; {} of its visitors came back and were shown another cart.\n",
                HARMFUL,
                after(line),
                witness.shown(),
                late.unsigned_abs() as f64 / 1e3,
                if late > 0 { "later" } else { "before" },
                witness.pages_since,
                witness.back(),
            ));
        }
        None => text.push_str(&format!("  {HARMFUL:<9}was not taken back in the time\n")),
    }
    if let (Some(line), Some(variant)) = (by_itself("ship"), outcome.shown.state.stage.variant()) {
        let units = outcome.shown.decision.iter().flat_map(|it| &it.health.arms);
        let units: u64 = units.map(|arm| arm.units).sum();
        let ramp = audit.iter().rev().filter(|line| line.action == "ramp");
        let ramp = ramp.map(|line| format!(", {:.1} s", after(line))).collect::<String>();
        text.push_str(&format!(
            "  {variant:<9}sells more, though its page is slower: shipped after {:.1} s and {units} \
             visitors that count.\n           Steps of the ramp at {:.1} s{ramp}; now {}.\n",
            after(line),
            after(line),
            outcome.shown.analysis.verdict.text,
        ));
    }
    text
}

/// What the reader saw, and how to do it.
pub(crate) fn farewell() -> String {
    format!(
        "
What you have seen: a gateway that gave every visitor a signed cookie and one of three carts; a shop
that was told which cart to show, and told what it sold (POST /v1/events); results that may be looked
at at any time; a harmful version that was gone within seconds; a better one that was rolled out.
Compressed for the demo: {ARRIVALS_PER_S} new visitors a second; results are looked at every second (otherwise every
five), a step of the ramp takes two seconds (a day), and no whole weeks are waited for (two).

On your own site (docs/guide/experiments.md):
  tidegate experiment power --base 5% --lift 10% --per-day 4000   how long it will take
  tidegate up --config tidegate.toml                              [experiment.{NAME}] is in its file
  tidegate experiment status {NAME}                                 the verdict, health, intervals
  tidegate experiment ship {NAME}                                   or let `action = \"auto\"` do it
  tidegate experiment revert {NAME}                                 takes the last action back
"
    )
}

/// What to try while everything stays open.
pub(crate) fn commands(trial: &Trial) -> String {
    let Trial { address, api, file, .. } = trial;
    let file = file.display();
    format!(
        "  the experiment      curl -i http://{address}/cart -A 'Mozilla/5.0 (X11)'
  how it stands       tidegate experiment status {NAME} --api {api}
  take it back        tidegate experiment revert {NAME} --api {api}
  its configuration   {file}\n"
    )
}
