//! `policy`: when and how an experiment is decided.

use experiment::analysis::{Correction, Method, Mode, Plan, Rule, Spending};
use experiment::ledger::Dimension;
use experiment::model::{DecisionAction, DecisionPolicy, Share};

use super::value::{fraction, millis, share};
use crate::errors::{Code, Problem};
use crate::gateway::value::{flag, whole};
use crate::read::{Node, Table};

/// Reads `policy`.
pub(super) fn read(node: &Node<'_>) -> Option<(DecisionPolicy, Plan)> {
    node.table("`policy`", |table| {
        let (d, p) = (DecisionPolicy::default(), Plan::default());
        let ramp = table.get("ramp").map(|node| {
            node.list().unwrap_or_default().iter().filter_map(share).collect::<Vec<Share>>()
        });
        let actions = [("notify", DecisionAction::Notify), ("auto", DecisionAction::Auto)];
        let min_days = table.get("min-run").map_or(Some(d.min_days), |node| days(&node));
        let policy = DecisionPolicy {
            min_days: min_days.unwrap_or(d.min_days),
            min_units: whole(table, "min-units", 0..=1_000_000_000).unwrap_or(d.min_units),
            alpha: table.get("alpha").and_then(|node| fraction(&node)).unwrap_or(d.alpha),
            ramp: ramp.unwrap_or(d.ramp),
            hold_back: table.get("hold-back").and_then(|node| share(&node)).unwrap_or(d.hold_back),
            action: table.get("action").and_then(|node| node.choice(&actions)).unwrap_or(d.action),
        };
        let strata = [
            ("browser", Dimension::Browser),
            ("country", Dimension::Country),
            ("route", Dimension::Route),
            ("day", Dimension::Day),
        ];
        let step = table.get("step").and_then(|node| node.duration());
        let corrections = [
            ("false-discoveries", Correction::FalseDiscoveries),
            ("holm", Correction::Holm),
            ("none", Correction::None),
        ];
        let correction = table.get("correction").and_then(|node| node.choice(&corrections));
        let plan = Plan {
            units: whole(table, "units", 1..=u64::from(u32::MAX)).unwrap_or(p.units),
            method: method(table).unwrap_or(p.method),
            correction: correction.unwrap_or(p.correction),
            mode: mode(table).unwrap_or(p.mode),
            rule: rule(table).unwrap_or(p.rule),
            stratify: table.get("stratify").and_then(|node| node.choice(&strata)),
            step_ms: step.map_or(p.step_ms, millis),
            ramp_up: flag(table, "ramp-up").unwrap_or(p.ramp_up),
        };
        Some((policy, plan))
    })
}

/// Whole days; that they are whole weeks is checked with the rest.
fn days(node: &Node<'_>) -> Option<u32> {
    let duration = node.duration()?;
    let days = duration.as_secs() / 86_400;
    if duration.as_secs() % (7 * 86_400) != 0 || duration.subsec_nanos() != 0 {
        let problem = node.problem(Code::BadDuration, "`min-run` must be whole weeks", "");
        node.sink.add(problem.help("write \"14d\", so that every weekday counts the same"));
        return None;
    }
    u32::try_from(days).ok()
}

fn method(table: &mut Table<'_>) -> Option<Method> {
    let looks = whole(table, "looks", 1..=experiment::analysis::LOOKS_MAX);
    let spendings = [("obrien-fleming", Spending::ObrienFleming), ("pocock", Spending::Pocock)];
    let spending = table.get("spending").and_then(|node| node.choice(&spendings));
    let words =
        [("sequence", "sequence"), ("fixed", "fixed"), ("group-sequential", "group-sequential")];
    let word = table.get("method").and_then(|node| node.choice(&words)).unwrap_or("sequence");
    if word == "group-sequential" {
        let looks = looks.unwrap_or(5);
        return Some(Method::GroupSequential { looks, spending: spending.unwrap_or_default() });
    }
    for key in ["looks", "spending"] {
        if let Some(node) = table.get(key) {
            let message = format!("`{key}` would do nothing: it is for planned looks");
            let problem = node.problem(Code::NoEffect, message, "does nothing");
            node.sink.add(problem.help("write `method = \"group-sequential\"`"));
        }
    }
    Some(if word == "fixed" { Method::Fixed } else { Method::Sequence })
}

fn mode(table: &mut Table<'_>) -> Option<Mode> {
    let floor = table.get("floor");
    let words = [("test", "test"), ("a-a", "a-a"), ("bandit", "bandit")];
    let word = table.get("mode").and_then(|node| node.choice(&words)).unwrap_or("test");
    if word == "bandit" {
        let floor = floor.and_then(|node| fraction(&node)).unwrap_or(0.05);
        return Some(Mode::Bandit { floor });
    }
    if let Some(node) = floor {
        let message = "`floor` would do nothing: it is for bandits";
        node.sink.add(node.problem(Code::NoEffect, message, "does nothing"));
    }
    Some(if word == "a-a" { Mode::AA } else { Mode::Test })
}

fn rule(table: &mut Table<'_>) -> Option<Rule> {
    let loss = table.get("expected-loss");
    let words = [
        ("significant", "significant"),
        ("non-inferior", "non-inferior"),
        ("expected-loss", "expected-loss"),
    ];
    let word = table.get("rule").and_then(|node| node.choice(&words));
    match (word, loss) {
        (Some("expected-loss") | None, Some(node)) => {
            Some(Rule::ExpectedLoss { relative: fraction(&node)? })
        }
        (Some("expected-loss"), None) => {
            let problem = Problem::new(Code::MissingKey, "the rule needs `expected-loss`");
            let problem = problem.at(Some(table.at), "");
            table.sink.add(problem.help("write `expected-loss = \"0.1%\"`"));
            None
        }
        (Some(word), Some(node)) => {
            let message = format!("`expected-loss` would do nothing: the rule is `{word}`");
            node.sink.add(node.problem(Code::NoEffect, message, "does nothing"));
            None
        }
        (Some("non-inferior"), None) => Some(Rule::NonInferior),
        _ => Some(Rule::Significant),
    }
}
