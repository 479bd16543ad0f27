//! What is expected of a response, and what is saved from it.

use std::collections::BTreeSet;

use load::scenario::{Check, Save, SaveFrom, StatusRange};
use load::template::BUILTINS;
use regex::bytes::Regex;
use toml::de::DeValue;

use crate::compile::{Compiler, header_name, static_json};
use crate::errors::{Code, Problem};
use crate::read::{Node, Text};

/// Reads `expect`. Cheap checks come first: status, headers, time, then the body.
pub(crate) fn read(node: &Node<'_>, compiler: &Compiler<'_>) -> Option<Vec<Check>> {
    node.table("`expect`", |table| {
        let mut checks = Vec::new();
        if let Some(node) = table.get("status") {
            let ranges: Vec<_> = node.list_or_one().iter().filter_map(status_range).collect();
            if node.list_or_one().is_empty() {
                node.sink.add(node.problem(Code::BadStatus, "`status` names no status", ""));
            }
            checks.push(Check::Status(ranges));
        }
        if let Some(node) = table.get("header") {
            for entry in node.entries().unwrap_or_default() {
                checks.extend(header_check(&entry, compiler));
            }
        }
        if let Some(limit) = table.get("max-time").and_then(|node| node.duration()) {
            checks.push(Check::MaxTime(limit));
        }
        if let Some(node) = table.get("body-contains") {
            for text in node.list_or_one() {
                let text = text.text().and_then(|text| fixed(compiler, text));
                checks.extend(text.map(|text| Check::BodyContains(text.to_owned())));
            }
        }
        if let Some(node) = table.get("body-matches") {
            for text in node.list_or_one() {
                checks.extend(regex(&text).map(Check::BodyMatches));
            }
        }
        if let Some(node) = table.get("json") {
            for entry in node.entries().unwrap_or_default() {
                if let Some(text) = entry.as_text() {
                    fixed(compiler, text);
                }
                if let (Some(pointer), Some(equals)) =
                    (pointer(entry.sink, entry.key), static_json(&entry))
                {
                    checks.push(Check::Json { pointer, equals });
                }
            }
        }
        Some(checks)
    })
}

fn fixed<'t>(compiler: &Compiler<'_>, text: Text<'t>) -> Option<&'t str> {
    compiler.fixed(text, "`expect`", "expect a text that is the same in every response")
}

/// Reads `200`, `"2xx"` or `"200-299"`.
pub(crate) fn status_range(node: &Node<'_>) -> Option<StatusRange> {
    let range = match node.value() {
        DeValue::Integer(number) => {
            let status = number.as_str().parse().ok().filter(|_| number.radix() == 10);
            status.map(|status| (status, status))
        }
        DeValue::String(text) => parse_status(text),
        _ => {
            node.wrong_type("a status such as 200, \"2xx\" or \"200-299\"");
            return None;
        }
    };
    let valid = range.filter(|(low, high)| low <= high && *low >= 100 && *high <= 999);
    if valid.is_none() {
        let problem = node.problem(Code::BadStatus, "not a status or a range of statuses", "");
        node.sink.add(problem.help("write 200, \"2xx\", \"200-299\" or a list of them"));
    }
    valid.map(|(low, high)| StatusRange { low, high })
}

fn parse_status(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

fn header_check(entry: &Node<'_>, compiler: &Compiler<'_>) -> Option<Check> {
    let name = header_name(entry.sink, entry.key);
    let value = match entry.value() {
        DeValue::Boolean(true) => None,
        DeValue::String(_) => Some(fixed(compiler, entry.text()?)?.to_owned()),
        _ => {
            entry.wrong_type("the value as text, or true for any value");
            return None;
        }
    };
    Some(Check::Header { name: name?, value })
}

fn regex(node: &Node<'_>) -> Option<Regex> {
    let text = node.text()?;
    Regex::new(text.text)
        .map_err(|error| {
            // The last line says what is wrong; those before it draw the place.
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("not a regular expression: {reason}");
            let problem = node.problem(Code::BadRegex, message, "");
            node.sink
                .add(problem.help("text in single quotes needs no doubled backslashes: '\\d+'"));
        })
        .ok()
}

fn pointer(sink: &crate::errors::Sink, text: Text<'_>) -> Option<String> {
    if text.text.is_empty() || text.text.starts_with('/') {
        return Some(text.text.to_owned());
    }
    let message = format!("`{}` is not a JSON pointer", text.text);
    sink.add(
        Problem::new(Code::BadPointer, message)
            .at(text.at, "")
            .help(format!("write `/{}`", text.text.trim_start_matches("$.").replace('.', "/"))),
    );
    None
}

/// Reads `save`: names, and where in the response their values stand.
pub(crate) fn read_saves(node: &Node<'_>, compiler: &Compiler<'_>) -> Option<Vec<Save>> {
    let mut saves = Vec::new();
    for entry in node.entries()? {
        check_name(&entry);
        let from = entry.table("a saved value", |table| {
            let kinds = ["json", "header", "cookie", "regex"];
            let Some(source) = table.one_of(&kinds) else {
                let message = format!("`{}` does not say where its value stands", entry.key.text);
                let problem = Problem::new(Code::MissingKey, message).at(Some(table.at), "");
                table.sink.add(problem.help("add one of `json`, `header`, `cookie` or `regex`"));
                return None;
            };
            match source.key.text {
                "json" => pointer(source.sink, source.text()?).map(SaveFrom::Json),
                "header" => header_name(source.sink, source.text()?).map(SaveFrom::Header),
                "cookie" => Some(SaveFrom::Cookie(source.owned_text()?)),
                _ => regex(&source).map(SaveFrom::Regex),
            }
        });
        let slot = compiler.symbols.saved.iter().position(|known| known == entry.key.text);
        if let (Some(from), Some(slot)) = (from, slot) {
            saves.push(Save { slot, from });
        }
    }
    Some(saves)
}

/// Reports a name that placeholders could not use.
pub(crate) fn check_name(entry: &Node<'_>) {
    let name = entry.key.text;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let message = if BUILTINS.contains(&name) {
        format!("`{name}` is the name of a placeholder already")
    } else if name.is_empty() || !name.chars().all(word) {
        format!("`{}` cannot stand in a placeholder", name.escape_debug())
    } else {
        return;
    };
    let problem = Problem::new(Code::BadName, message).at(entry.key.at, "");
    entry.sink.add(problem.help("use letters, digits, `-` and `_`, and a name of its own"));
}

/// The names that the given tables of steps save, in order, each once.
pub(crate) fn saved_names<'a>(steps: impl Iterator<Item = &'a DeValue<'a>>) -> Vec<String> {
    let mut known = BTreeSet::new();
    steps
        .filter_map(|step| step.get("save")?.get_ref().as_table())
        .flat_map(|save| save.keys().map(|name| name.get_ref().to_string()))
        .filter(|name| known.insert(name.clone()))
        .collect()
}
