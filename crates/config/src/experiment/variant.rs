//! `[experiment.NAME.variant.NAME]`: a version, its weight, and what it does.

use experiment::model::{Action, Variant};
use toml::de::DeValue;

use super::value::{json, number};
use crate::errors::{Code, Problem};
use crate::gateway::value::{field_name, field_value, whole};
use crate::read::{Node, Table};

/// A variant and how many units it gets.
pub(super) struct Read {
    pub(super) variant: Variant,
    pub(super) weight: Option<u32>,
    pub(super) ranges: Vec<[f64; 2]>,
}

/// Reads one.
pub(super) fn read(node: &Node<'_>, upstreams: Option<&[&str]>) -> Option<Read> {
    node.table("a variant", |table| {
        let weight = whole(table, "weight", 0..=i32::MAX as u32);
        let ranges = table.get("ranges").map_or_else(Vec::new, |node| read_ranges(&node));
        let actions = read_actions(table, upstreams)?;
        let key = node.key.text.to_owned();
        Some(Read { variant: Variant { key, actions }, weight, ranges })
    })
}

fn read_ranges(node: &Node<'_>) -> Vec<[f64; 2]> {
    let pair = |node: &Node<'_>| {
        let ends: Vec<f64> = node.list()?.iter().filter_map(number).collect();
        match ends[..] {
            [start, end] => Some([start, end]),
            _ => {
                let problem = node.problem(Code::BadRange, "a range is two numbers", "");
                node.sink.add(problem.help("write `ranges = [[0.0, 0.5]]`"));
                None
            }
        }
    };
    node.list().unwrap_or_default().iter().filter_map(pair).collect()
}

fn read_actions(table: &mut Table<'_>, upstreams: Option<&[&str]>) -> Option<Vec<Action>> {
    let mut actions = Vec::new();
    if let Some(node) = table.get("upstream") {
        let name = node.owned_text()?;
        if let Some(upstreams) = upstreams
            && !upstreams.contains(&name.as_str())
        {
            let message = format!("there is no upstream `{}`", name.escape_debug());
            let problem = node.problem(Code::UnknownName, message, "");
            node.sink.add(problem.help_nearest(&name, upstreams.iter().copied()));
        }
        actions.push(Action::Upstream(name));
    }
    if let Some(node) = table.get("path-rewrite") {
        let rewrite = node.table("`path-rewrite`", |table| {
            let prefix = table.required("prefix").and_then(|node| node.owned_text());
            let replacement = table.required("replacement").and_then(|node| node.owned_text());
            Some(Action::PathRewrite { prefix: prefix?, replacement: replacement? })
        });
        actions.push(rewrite?);
    }
    for (name, value) in headers(table, "request-header") {
        actions.push(Action::RequestHeader { name, value });
    }
    for (name, value) in headers(table, "response-header") {
        actions.push(Action::ResponseHeader { name, value });
    }
    if let Some(node) = table.get("redirect") {
        let redirect = match node.value() {
            DeValue::String(location) => {
                Some(Action::Redirect { location: location.to_string(), status: 302 })
            }
            _ => node.table("`redirect`", |table| {
                let location = table.required("location").and_then(|node| node.owned_text());
                let status = whole(table, "status", 300..=399).unwrap_or(302);
                Some(Action::Redirect { location: location?, status })
            }),
        };
        actions.push(redirect?);
    }
    if let Some(node) = table.get("value") {
        actions.push(Action::Value(json(node.value())));
    }
    if let (Some(redirect), true) = (table.get("redirect"), actions.len() > 1) {
        let problem = Problem::new(Code::NoEffect, "a redirect leaves nothing else to do");
        let only_values = actions
            .iter()
            .all(|action| matches!(action, Action::Redirect { .. } | Action::Value(_)));
        if !only_values {
            table.sink.add(problem.at(redirect.key.at, ""));
        }
    }
    Some(actions)
}

fn headers<'a>(table: &mut Table<'a>, key: &'a str) -> Vec<(String, String)> {
    let entries = table.get(key).and_then(|node| node.entries()).unwrap_or_default();
    let read = |node: &Node<'a>| Some((field_name(node.sink, node.key)?, field_value(node)?));
    entries.iter().filter_map(read).collect()
}
