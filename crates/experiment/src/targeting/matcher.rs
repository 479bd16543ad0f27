//! Conditions made ready.

use super::condition::{Condition, Field, Order, Test};
use super::facts::Facts;
use super::growthbook::{self, SavedGroups};
use super::version::{compare_versions, parse_version};
use crate::model::limits::{
    CONDITION_DEPTH_MAX, CONDITION_PARTS_MAX, LIST_MAX, REGEX_BYTES_MAX, REGEX_SIZE_MAX,
};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

/// A condition with its expressions compiled.
#[derive(Debug, Clone)]
pub struct Matcher(Node);

#[derive(Debug, Clone)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Match { field: Field, check: Check, ignore_case: bool },
    Growthbook(growthbook::Condition),
}

#[derive(Debug, Clone)]
enum Check {
    Eq(String),
    Ne(String),
    In(HashSet<String>),
    NotIn(HashSet<String>),
    Regex(Regex),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Number(Order, f64),
    Version(Order, String),
    Cidr(Vec<IpNet>),
    Exists(bool),
}

impl Matcher {
    /// Makes a condition ready.
    ///
    /// # Errors
    /// All that is wrong with it: a regular expression that cannot be compiled, too much of
    /// something.
    pub fn new(condition: &Condition) -> Result<Matcher, Vec<String>> {
        let mut errors = Vec::new();
        let mut parts = 0;
        let node = node(condition, 0, &mut parts, &mut errors);
        if parts > CONDITION_PARTS_MAX {
            errors = vec![format!("a condition may have {CONDITION_PARTS_MAX} parts at most")];
        }
        match node {
            Some(node) if errors.is_empty() => Ok(Matcher(node)),
            _ => Err(errors),
        }
    }

    /// Whether the condition holds.
    #[must_use]
    pub fn matches(&self, facts: &dyn Facts) -> bool {
        self.0.matches(facts)
    }

    /// Whether the condition may hold for some request that has the same values of the fields that
    /// `known` says yes to, whatever it has in the others (Kleene's three-valued logic).
    #[must_use]
    pub fn may_match(&self, facts: &dyn Facts, known: fn(&Field) -> bool) -> bool {
        self.0.truth(facts, known) != Some(false)
    }
}

fn node(
    condition: &Condition,
    depth: usize,
    parts: &mut usize,
    errors: &mut Vec<String>,
) -> Option<Node> {
    *parts += 1;
    if *parts > CONDITION_PARTS_MAX {
        return None;
    }
    if depth > CONDITION_DEPTH_MAX {
        errors.push(format!("conditions may nest {CONDITION_DEPTH_MAX} deep at most"));
        return None;
    }
    let mut each = |conditions: &[Condition]| -> Vec<Node> {
        conditions.iter().filter_map(|each| node(each, depth + 1, parts, errors)).collect()
    };
    Some(match condition {
        Condition::All(conditions) => Node::All(each(conditions)),
        Condition::Any(conditions) => Node::Any(each(conditions)),
        Condition::Not(inner) => Node::Not(Box::new(node(inner, depth + 1, parts, errors)?)),
        Condition::Match { field, is, ignore_case } => match check(is, *ignore_case) {
            Ok(check) => Node::Match { field: field.clone(), check, ignore_case: *ignore_case },
            Err(error) => {
                errors.push(format!("{field}: {error}"));
                return None;
            }
        },
        Condition::Growthbook(condition) => match growthbook::Condition::new(condition) {
            Ok(condition) => Node::Growthbook(condition),
            Err(error) => {
                errors.push(error.to_string());
                return None;
            }
        },
    })
}

fn check(test: &Test, ignore_case: bool) -> Result<Check, String> {
    let fold = |text: &String| folded(text, ignore_case).into_owned();
    let set = |list: &[String]| {
        if list.len() > LIST_MAX {
            return Err(format!("a list may have {LIST_MAX} values at most"));
        }
        Ok(list.iter().map(fold).collect())
    };
    Ok(match test {
        Test::Eq(text) => Check::Eq(fold(text)),
        Test::Ne(text) => Check::Ne(fold(text)),
        Test::In(list) => Check::In(set(list)?),
        Test::NotIn(list) => Check::NotIn(set(list)?),
        Test::Regex(pattern) => Check::Regex(compile(pattern, false)?),
        Test::Prefix(text) => Check::Prefix(fold(text)),
        Test::Suffix(text) => Check::Suffix(fold(text)),
        Test::Contains(text) => Check::Contains(fold(text)),
        Test::Number(order, number) if number.is_finite() => Check::Number(*order, *number),
        Test::Number(..) => return Err("the number must be finite".to_owned()),
        Test::Version(order, text) => {
            let valid = parse_version(text).is_some();
            let error = || format!("\"{text}\" is no version; write it like 1.2.3");
            Check::Version(*order, valid.then(|| text.clone()).ok_or_else(error)?)
        }
        Test::Cidr(networks) if networks.len() <= LIST_MAX => Check::Cidr(networks.clone()),
        Test::Cidr(_) => return Err(format!("a list may have {LIST_MAX} values at most")),
        Test::Exists(exists) => Check::Exists(*exists),
    })
}

/// Compiles a regular expression within limits: matching takes time linear in the text.
pub(super) fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(format!("a regular expression may have {REGEX_BYTES_MAX} bytes at most"));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(REGEX_SIZE_MAX).dfa_size_limit(REGEX_SIZE_MAX).case_insensitive(ignore_case);
    builder.build().map_err(|error| format!("the regular expression cannot be compiled: {error}"))
}

fn folded(text: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

impl Node {
    fn matches(&self, facts: &dyn Facts) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.matches(facts)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(facts)),
            Node::Not(node) => !node.matches(facts),
            Node::Match { field, check, ignore_case } => {
                field_matches(field, check, *ignore_case, facts)
            }
            Node::Growthbook(condition) => match facts.attributes() {
                Some(attributes) => condition.matches(attributes, SavedGroups::none()),
                None => condition.matches(&Map::new(), SavedGroups::none()),
            },
        }
    }
}

impl Node {
    /// `None` when it depends on fields that are not known.
    fn truth(&self, facts: &dyn Facts, known: fn(&Field) -> bool) -> Option<bool> {
        // All of them hold; for "any", all of their contraries.
        let all = |nodes: &[Node], wanted: bool| {
            let mut truths = nodes.iter().map(|node| node.truth(facts, known));
            truths.try_fold(Some(wanted), |sum, truth| match truth {
                Some(truth) if truth != wanted => Err(Some(!wanted)),
                Some(_) => Ok(sum),
                None => Ok(None),
            })
        };
        match self {
            Node::All(nodes) => all(nodes, true).unwrap_or_else(|truth| truth),
            Node::Any(nodes) => all(nodes, false).unwrap_or_else(|truth| truth),
            Node::Not(node) => node.truth(facts, known).map(|truth| !truth),
            Node::Match { field, .. } => known(field).then(|| self.matches(facts)),
            Node::Growthbook(_) => {
                known(&Field::Attribute(String::new())).then(|| self.matches(facts))
            }
        }
    }
}

fn field_matches(field: &Field, check: &Check, ignore_case: bool, facts: &dyn Facts) -> bool {
    let text = |text: Option<Cow<'_, str>>| match text {
        Some(text) => passes(check, &text, ignore_case),
        None => passes_absent(check),
    };
    let borrowed = |value| text(Some(Cow::Borrowed(value)));
    match field {
        Field::Path => borrowed(facts.path()),
        Field::Host => borrowed(facts.host()),
        Field::Country => text(facts.country().map(Cow::Borrowed)),
        Field::Header(name) => text(facts.header(name)),
        Field::Cookie(name) => text(facts.cookie(name)),
        Field::Query(name) => text(facts.query(name)),
        Field::Client => match (facts.client(), check) {
            (Some(client), Check::Cidr(networks)) => contains(networks, client),
            (Some(client), _) => passes(check, &client.to_string(), ignore_case),
            (None, _) => passes_absent(check),
        },
        Field::Attribute(name) => match facts.attributes().and_then(|all| attribute(all, name)) {
            Some(Value::Array(values)) => list_passes(check, values, ignore_case),
            Some(value) => match as_text(value) {
                Some(value) => passes(check, &value, ignore_case),
                // An object is there, and is nothing else.
                None => matches!(check, Check::Exists(true)) || passes_absent(check),
            },
            None => passes_absent(check),
        },
    }
}

/// A key as it is, or a path of keys. `null` is absent.
fn attribute<'a>(attributes: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let whole = attributes.get(name);
    let found = whole.or_else(|| {
        let (first, rest) = name.split_once('.')?;
        let start = attributes.get(first)?;
        rest.split('.').try_fold(start, |value, key| value.get(key))
    });
    found.filter(|value| !value.is_null())
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// One element is enough; for the negative tests no element may be what is excluded.
fn list_passes(check: &Check, values: &[Value], ignore_case: bool) -> bool {
    let mut each = values.iter().filter_map(as_text).map(|text| passes(check, &text, ignore_case));
    match check {
        Check::Exists(exists) => *exists,
        Check::Ne(_) | Check::NotIn(_) => each.all(|passes| passes),
        _ => each.any(|passes| passes),
    }
}

fn passes_absent(check: &Check) -> bool {
    matches!(check, Check::Ne(_) | Check::NotIn(_) | Check::Exists(false))
}

fn passes(check: &Check, text: &str, ignore_case: bool) -> bool {
    let folded = || folded(text, ignore_case);
    match check {
        Check::Eq(wanted) => folded() == wanted.as_str(),
        Check::Ne(wanted) => folded() != wanted.as_str(),
        Check::In(wanted) => wanted.contains(folded().as_ref()),
        Check::NotIn(wanted) => !wanted.contains(folded().as_ref()),
        Check::Regex(pattern) => pattern.is_match(text),
        Check::Prefix(wanted) => folded().starts_with(wanted.as_str()),
        Check::Suffix(wanted) => folded().ends_with(wanted.as_str()),
        Check::Contains(wanted) => folded().contains(wanted.as_str()),
        Check::Number(order, wanted) => {
            let number = text.trim().parse::<f64>().ok();
            let ordering = number.and_then(|number| number.partial_cmp(wanted));
            ordering.is_some_and(|ordering| order.holds(ordering))
        }
        Check::Version(order, wanted) => {
            let versions = parse_version(text).zip(parse_version(wanted));
            versions.is_some_and(|(one, other)| order.holds(compare_versions(&one, &other)))
        }
        Check::Cidr(networks) => text.trim().parse().is_ok_and(|client| contains(networks, client)),
        Check::Exists(exists) => *exists,
    }
}

/// An IPv4 address written as IPv6 counts as IPv4.
fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}
