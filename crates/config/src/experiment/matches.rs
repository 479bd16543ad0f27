//! `match`: whom an experiment is for.
//!
//! Keys of one table must all hold. A field is a text, a list of texts of which one must be it,
//! true for "is there", or a table of tests.

use experiment::targeting::{Condition, Field, Order, Test};
use ipnet::IpNet;
use toml::de::DeValue;

use super::value::strings;
use crate::errors::{Code, Problem};
use crate::gateway::value::networks;
use crate::read::{Node, Table, Text};

/// Reads `match`, or a table within.
pub(super) fn read(node: &Node<'_>) -> Option<Condition> {
    node.table("`match`", |table| {
        let mut parts = Vec::new();
        for (key, field) in
            [("path", Field::Path), ("host", Field::Host), ("country", Field::Country)]
        {
            if let Some(node) = table.get(key) {
                parts.push(tested(&node, &field));
            }
        }
        if let Some(node) = table.get("path-prefix") {
            let prefixes = strings(&node).into_iter();
            parts.push(Some(any(prefixes.flat_map(below).collect())));
        }
        if let Some(node) = table.get("client") {
            parts.push(Some(matching(Field::Client, Test::Cidr(nets(&node)))));
        }
        named(table, "header", |name| Field::Header(name.to_ascii_lowercase()), &mut parts);
        named(table, "cookie", |name| Field::Cookie(name.to_owned()), &mut parts);
        named(table, "query", |name| Field::Query(name.to_owned()), &mut parts);
        named(table, "attribute", |name| Field::Attribute(name.to_owned()), &mut parts);
        if let Some(node) = table.get("not") {
            parts.push(read(&node).map(|inner| Condition::Not(Box::new(inner))));
        }
        if let Some(node) = table.get("any") {
            let inner: Option<Vec<_>> = node.list()?.iter().map(read).collect();
            parts.push(inner.map(Condition::Any));
        }
        if parts.is_empty() && table.rest().is_empty() {
            let problem = Problem::new(Code::NoEffect, "`match` says nothing");
            table.sink.add(problem.at(Some(table.at), "matches every request"));
        }
        let mut parts: Vec<Condition> = parts.into_iter().collect::<Option<_>>()?;
        Some(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    })
}

/// Paths that are a prefix or go on with another segment, as the routes of the gateway have it.
fn below(prefix: String) -> Vec<Condition> {
    if prefix.is_empty() || prefix.ends_with('/') {
        return vec![matching(Field::Path, Test::Prefix(prefix))];
    }
    let segments = Test::Prefix(format!("{prefix}/"));
    vec![matching(Field::Path, Test::Eq(prefix)), matching(Field::Path, segments)]
}

fn nets(node: &Node<'_>) -> Vec<IpNet> {
    networks(node)
}

/// Tables of names, such as `header = { x-plan = "pro" }`.
fn named<'a>(
    table: &mut Table<'a>,
    key: &'a str,
    field: impl Fn(&str) -> Field,
    parts: &mut Vec<Option<Condition>>,
) {
    let Some(node) = table.get(key) else { return };
    for entry in node.entries().unwrap_or_default() {
        parts.push(tested(&entry, &field(entry.key.text)));
    }
}

fn tested(node: &Node<'_>, field: &Field) -> Option<Condition> {
    let simple = |test| Some(matching(field.clone(), test));
    match node.value() {
        DeValue::Boolean(there) => simple(Test::Exists(*there)),
        DeValue::String(text) => simple(Test::Eq(text.to_string())),
        DeValue::Array(_) => simple(Test::In(strings(node))),
        DeValue::Table(_) => tests(node, field),
        _ => {
            node.wrong_type("a text, a list of texts, true, or a table of tests");
            None
        }
    }
}

fn tests(node: &Node<'_>, field: &Field) -> Option<Condition> {
    node.table("a test", |table| {
        let mut found = Vec::new();
        let ignore_case = crate::gateway::value::flag(table, "ignore-case").unwrap_or(false);
        type Make = fn(String) -> Test;
        let texts: [(&str, Make); 6] = [
            ("is", Test::Eq),
            ("not", Test::Ne),
            ("regex", Test::Regex),
            ("prefix", Test::Prefix),
            ("suffix", Test::Suffix),
            ("contains", Test::Contains),
        ];
        for (key, make) in texts {
            if let Some(text) = table.get(key).and_then(|node| node.owned_text()) {
                found.push(make(text));
            }
        }
        for (key, make) in [("in", Test::In as fn(Vec<String>) -> Test), ("not-in", Test::NotIn)] {
            if let Some(node) = table.get(key) {
                found.push(make(strings(&node)));
            }
        }
        if let Some(there) = crate::gateway::value::flag(table, "exists") {
            found.push(Test::Exists(there));
        }
        if let Some(node) = table.get("number") {
            let (order, rest) = ordered(node.text()?);
            match rest.parse() {
                Ok(number) => found.push(Test::Number(order, number)),
                Err(_) => bad_order(&node, "a number", "\">= 18\""),
            }
        }
        if let Some(node) = table.get("version") {
            let (order, rest) = ordered(node.text()?);
            if rest.is_empty() {
                bad_order(&node, "a version", "\">= 2.4.0\"");
            }
            found.push(Test::Version(order, rest.to_owned()));
        }
        if found.is_empty() && table.rest().is_empty() {
            let problem = Problem::new(Code::NoEffect, "the test is empty");
            table.sink.add(problem.at(Some(table.at), ""));
        }
        let is = |test| Condition::Match { field: field.clone(), is: test, ignore_case };
        let mut all: Vec<Condition> = found.into_iter().map(is).collect();
        Some(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    })
}

/// `>= 18` as an order and the rest; equal without a sign.
fn ordered(text: Text<'_>) -> (Order, &str) {
    let text = text.text.trim();
    let signs = [
        (">=", Order::Ge),
        ("<=", Order::Le),
        ("!=", Order::Ne),
        (">", Order::Gt),
        ("<", Order::Lt),
        ("=", Order::Eq),
    ];
    let found = signs.into_iter().find_map(|(sign, order)| Some((order, text.strip_prefix(sign)?)));
    let (order, rest) = found.unwrap_or((Order::Eq, text));
    (order, rest.trim_start())
}

fn bad_order(node: &Node<'_>, what: &str, example: &str) {
    let message = format!("`{}` should be {what} with a sign", node.key.text);
    node.sink.add(node.problem(Code::BadNumber, message, "").help(format!("write {example}")));
}

fn matching(field: Field, is: Test) -> Condition {
    Condition::Match { field, is, ignore_case: false }
}

fn any(mut parts: Vec<Condition>) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) }
}
