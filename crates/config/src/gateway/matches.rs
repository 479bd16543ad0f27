//! `match`: which requests a route takes.

use gateway::params::{Match, PathMatch};
use toml::de::DeValue;

use crate::errors::{Code, Problem, Sink};
use crate::gateway::value::{field_name, is_token, not_empty, texts};
use crate::host::check_path;
use crate::read::{Node, Table, Text};

/// Reads `match`.
pub(crate) fn read_match(table: &mut Table<'_>, listeners: &[Text<'_>]) -> Option<Match> {
    let path = match table.one_of(&["path", "path-prefix"]) {
        None => Some(PathMatch::Any),
        Some(node) => normal_path(&node).map(|path| match node.key.text {
            "path" => PathMatch::Exact(path),
            _ => PathMatch::Prefix(path),
        }),
    };
    let hosts = each(table, "host", host);
    let methods = each(table, "method", method);
    let headers = conditions(table, "header", |name| field_name(name.sink, name.key));
    let query = conditions(table, "query", |name| Some(name.key.text.to_owned()));
    let listeners = each(table, "listener", |sink, name| known_listener(sink, name, listeners));
    Some(Match { hosts, path: path?, methods, headers, query, listeners })
}

/// The texts of a key that holds one or a list of them.
fn each<'a>(
    table: &mut Table<'a>,
    key: &'a str,
    read: impl Fn(&Sink, Text<'a>) -> Option<String>,
) -> Vec<String> {
    let Some(node) = table.get(key) else { return Vec::new() };
    let texts = texts(&node);
    not_empty(&node, &texts);
    texts.into_iter().filter_map(|text| read(node.sink, text)).collect()
}

/// Names and the value that each must have; true for any value.
fn conditions<'a>(
    table: &mut Table<'a>,
    key: &'a str,
    name: impl Fn(&Node<'a>) -> Option<String>,
) -> Vec<(String, Option<String>)> {
    let Some(node) = table.get(key) else { return Vec::new() };
    let entries = node.entries().unwrap_or_default();
    if node.value().as_table().is_some_and(toml::map::Map::is_empty) {
        node.sink.add(node.problem(Code::NoEffect, format!("`{key}` is empty"), ""));
    }
    let read = |entry: &Node<'a>| {
        let value = match entry.value() {
            DeValue::Boolean(true) => Some(None),
            DeValue::String(text) => Some(Some(text.to_string())),
            _ => {
                entry.wrong_type("the value as text, or true for any value");
                None
            }
        };
        Some((name(entry)?, value?))
    };
    entries.iter().filter_map(read).collect()
}

/// A host name as requests are compared with it: lower case, no port.
fn host(sink: &Sink, text: Text<'_>) -> Option<String> {
    let (wildcard, name) = match text.text.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", text.text),
    };
    // What cannot stand in a request's host, as it is compared: a star, a dot at the end.
    let comparable = !name.contains('*') && !name.ends_with('.');
    let host = url::Host::parse(name).ok().filter(|_| comparable);
    let host = host.filter(|host| wildcard.is_empty() || matches!(host, url::Host::Domain(_)));
    if host.is_none() {
        let message = format!("`{}` is not a host", text.text.escape_debug());
        let problem = Problem::new(Code::BadHost, message).at(text.at, "");
        sink.add(problem.help("write \"shop.example\" or \"*.shop.example\", without a port"));
    }
    host.map(|host| format!("{wildcard}{host}"))
}

/// The name of a method. They are told apart by case (RFC 9110 section 9.1).
fn method(sink: &Sink, text: Text<'_>) -> Option<String> {
    let name = text.text;
    let problem = if !is_token(name) {
        "is not a method"
    } else if name == "CONNECT" {
        "is for forward proxies; tidegate refuses it"
    } else if http::Method::from_bytes(name.to_ascii_uppercase().as_bytes())
        .is_ok_and(|known| known.is_safe() || known.is_idempotent() || known == "POST")
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
    {
        "is not a method: they are written in upper case"
    } else {
        return Some(name.to_owned());
    };
    let message = format!("`{}` {problem}", name.escape_debug());
    sink.add(Problem::new(Code::BadMethod, message).at(text.at, ""));
    None
}

/// Reads one of the methods of a list.
pub(crate) fn read_method(list: &Node<'_>, text: Text<'_>) -> Option<String> {
    method(list.sink, text)
}

fn known_listener(sink: &Sink, name: Text<'_>, listeners: &[Text<'_>]) -> Option<String> {
    if listeners.iter().any(|known| known.text == name.text) {
        return Some(name.text.to_owned());
    }
    let message = format!("there is no listener `{}`", name.text.escape_debug());
    let problem = Problem::new(Code::UnknownName, message).at(name.at, "");
    sink.add(problem.help_nearest(name.text, listeners.iter().map(|known| known.text)));
    None
}

/// A path, perhaps with a query, as it can be sent.
pub(crate) fn check_local_path(node: &Node<'_>) -> Option<String> {
    let text = node.text()?.text;
    let problem = if !text.starts_with('/') {
        Some("it does not begin with `/`".to_owned())
    } else if text.contains(['{', '}']) {
        Some("braces must be percent-encoded".to_owned())
    } else {
        check_path(text).err()
    };
    match problem {
        None => Some(text.to_owned()),
        Some(problem) => {
            let message = format!("path `{}`: {problem}", text.escape_debug());
            node.sink.add(node.problem(Code::BadPath, message, ""));
            None
        }
    }
}

/// A path in the form to which requests are brought before they are compared with it (RFC 3986
/// section 6.2.2). Another form would never be found.
pub(crate) fn normal_path(node: &Node<'_>) -> Option<String> {
    let path = check_local_path(node)?;
    let problem = if path.contains('?') {
        "has a query; `query` in `match` compares that"
    } else if path.contains("//") {
        "has an empty segment, which requests are freed of"
    } else if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has a dot segment, which requests are freed of"
    } else if !encodings_are_normal(&path) {
        "encodes what needs none, or in lower case: requests are brought to one form"
    } else {
        return Some(path);
    };
    let message = format!("`{}` would match nothing: it {problem}", path.escape_debug());
    node.sink.add(node.problem(Code::BadPath, message, ""));
    None
}

/// Whether every percent-encoding is of two upper-case digits and stands for a reserved character.
fn encodings_are_normal(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let Some(digits) = after.get(..2) else { return false };
        let upper = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
        let unreserved = u8::from_str_radix(digits, 16)
            .is_ok_and(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        upper && !unreserved
    })
}
