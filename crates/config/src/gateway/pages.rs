//! What becomes of answers: `redirect`, `respond`, `error-pages`, changes of fields, compression.

use std::path::Path;

use gateway::FailureKind;
use gateway::params::{Action, Coding, Compression, FieldEdits, Page};
use toml::de::DeValue;

use crate::errors::{Code, Problem};
use crate::gateway::value::{
    check_placeholders, field_name, field_names, field_value, flag, no_effect, not_empty,
    read_bytes, status, texts,
};
use crate::read::{Node, Table};

/// Largest body of a fixed answer or error page, in bytes.
pub const PAGE_BYTES_MAX: u64 = 1 << 20;
/// The type of a body that is written in the file.
const TEXT: &str = "text/plain; charset=utf-8";
/// What may stand in the target of a redirect.
const PARTS: [&str; 4] = ["path", "query", "host", "uri"];
/// What may stand in the value of a field.
const VALUES: [&str; 4] = ["client-ip", "host", "request-id", "scheme"];
/// Fields that frame messages or belong to one connection (RFC 9110 section 7.6.1).
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Types of text, which compression makes much smaller.
const TYPES: [&str; 10] = [
    "text/*",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/xml",
    "application/rss+xml",
    "application/wasm",
    "image/svg+xml",
];
/// Failures that happen before there is a route, or after which nobody is left to tell.
const WITHOUT_PAGE: [FailureKind; 8] = [
    FailureKind::UriTooLong,
    FailureKind::FieldsTooLarge,
    FailureKind::Expectation,
    FailureKind::Version,
    FailureKind::Coding,
    FailureKind::Gone,
    FailureKind::SlowReader,
    FailureKind::NoRoute,
];

/// Reads `redirect`.
pub(crate) fn read_redirect(node: &Node<'_>) -> Option<Action> {
    node.table("`redirect`", read_redirect_table)
}

fn read_redirect_table(table: &mut Table<'_>) -> Option<Action> {
    let statuses = [301, 302, 303, 307, 308];
    let status = table.get("status").and_then(|node| {
        let found = status(&node, 300..=399)?;
        if !statuses.contains(&found) {
            let message = format!("{found} is no redirect");
            let problem = node.problem(Code::BadStatus, message, "");
            node.sink.add(problem.help("take 301, 302, 303, 307 or 308"));
        }
        Some(found)
    });
    let to = table.required("to").and_then(|node| read_target(&node));
    Some(Action::Redirect { status: status.unwrap_or(307), to: to? })
}

fn read_target(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let starts = ["/", "http://", "https://", "{path}", "{uri}"];
    if !starts.iter().any(|start| text.text.starts_with(start)) {
        let message = format!("`{}` is not where one can be sent to", text.text.escape_debug());
        let problem = node.problem(Code::BadPath, message, "");
        node.sink.add(
            problem.help("write a path or a URL: \"/new{query}\", \"https://new.example{uri}\""),
        );
        return None;
    }
    check_placeholders(node.sink, text, &PARTS);
    field_value(node)
}

/// Reads `respond`.
pub(crate) fn read_respond(node: &Node<'_>, folder: &Path) -> Option<Action> {
    node.table("`respond`", |table| read_respond_table(table, folder))
}

fn read_respond_table(table: &mut Table<'_>, folder: &Path) -> Option<Action> {
    let status_node = table.get("status");
    let status = status_node.map_or(Some(200), |node| status(&node, 200..=599));
    let content_type = table.get("content-type");
    let body = table.one_of(&["body", "body-file"]);
    if let (Some(code), Some(204 | 304), Some(body)) = (status_node, status, body) {
        no_effect(table.sink, body.key, Some(code.key), "such an answer has no body");
    }
    if let (Some(content_type), None) = (content_type, body) {
        no_effect(table.sink, content_type.key, None, "there is no `body`");
    }
    let (bytes, guessed) = match body {
        None => (Some(Vec::new()), TEXT),
        Some(node) if node.key.text == "body" => (node.owned_text().map(String::into_bytes), TEXT),
        Some(node) => {
            let name = node.as_text().map_or("", |text| text.text);
            (read_bytes(&node, folder, PAGE_BYTES_MAX), type_of(name))
        }
    };
    let content_type = match content_type {
        Some(node) => field_value(&node),
        None => Some(guessed.to_owned()),
    };
    Some(Action::Respond(Page {
        status: status?,
        content_type: content_type?,
        body: bytes?.into(),
    }))
}

/// Reads `error-pages`: a file for each status.
pub(crate) fn read_error_pages(node: &Node<'_>, folder: &Path) -> Vec<(u16, Page)> {
    let entries = node.entries().unwrap_or_default();
    let read = |entry: &Node<'_>| {
        let status = entry.key.text.parse().ok().filter(|status| has_page(*status));
        if status.is_none() {
            let message = format!("tidegate answers nothing with status `{}`", entry.key.text);
            let problem = Problem::new(Code::BadStatus, message);
            let statuses = possible_statuses();
            let known: Vec<String> = statuses.iter().map(ToString::to_string).collect();
            let help = format!("there are pages for {}", known.join(", "));
            entry.sink.add(problem.at(entry.key.at, "").help(help));
        }
        let body = read_bytes(entry, folder, PAGE_BYTES_MAX);
        let content_type = type_of(entry.as_text()?.text).to_owned();
        let (status, body) = (status?, body?.into());
        Some((status, Page { status, content_type, body }))
    };
    entries.iter().filter_map(read).collect()
}

fn has_page(status: u16) -> bool {
    possible_statuses().contains(&status)
}

/// Statuses of failures for which there can be a page.
fn possible_statuses() -> Vec<u16> {
    let kinds = FailureKind::ALL.iter().filter(|kind| !WITHOUT_PAGE.contains(kind));
    let mut statuses: Vec<u16> = kinds.map(|kind| kind.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The type of a file by the end of its name.
fn type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "txt" => TEXT,
        _ => "application/octet-stream",
    }
}

/// Whether a feature is not turned off by false.
pub(crate) fn is_on(node: &Node<'_>) -> bool {
    !matches!(node.value(), DeValue::Boolean(false))
}

/// Reads `request-header` or `response-header`.
pub(crate) fn read_edits(node: &Node<'_>, of_request: bool) -> Option<FieldEdits> {
    node.table(if of_request { "`request-header`" } else { "`response-header`" }, |table| {
        let remove_node = table.get("remove");
        let remove = remove_node.map_or_else(Vec::new, |node| {
            let names = texts(&node);
            not_empty(&node, &names);
            for name in &names {
                let lower = name.text.to_ascii_lowercase();
                check_editable(&node, &lower, name.at, of_request);
            }
            field_names(&node)
        });
        let mut pairs = |key| {
            let entries = table.get(key).and_then(|node| node.entries()).unwrap_or_default();
            entries.iter().filter_map(|entry| read_field(entry, of_request)).collect()
        };
        let (set, add): (Vec<(String, String)>, Vec<_>) = (pairs("set"), pairs("add"));
        for name in remove_node.map_or_else(Vec::new, |node| texts(&node)) {
            if set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name.text)) {
                no_effect(node.sink, name, None, "`set` replaces the field anyway");
            }
        }
        if remove_node.is_none() && set.is_empty() && add.is_empty() {
            node.sink.add(node.problem(Code::NoEffect, "no field is changed", ""));
        }
        Some(FieldEdits { remove, set, add })
    })
}

fn read_field(entry: &Node<'_>, of_request: bool) -> Option<(String, String)> {
    let name = field_name(entry.sink, entry.key)?;
    check_editable(entry, &name, entry.key.at, of_request);
    check_placeholders(entry.sink, entry.text()?, &VALUES);
    Some((name, field_value(entry)?))
}

/// Reports fields that only tidegate itself writes.
fn check_editable(node: &Node<'_>, name: &str, at: Option<miette::SourceSpan>, of_request: bool) {
    let help = if FRAMING.contains(&name) {
        "it belongs to the connection, not to the message"
    } else if of_request && name == "host" {
        "`host` of the upstream says what servers see"
    } else {
        return;
    };
    let problem = Problem::new(Code::ReservedHeader, format!("header `{name}` cannot be changed"));
    node.sink.add(problem.at(at, "").help(help));
}

/// Reads `compress`.
pub(crate) fn read_compression(table: &mut Table<'_>) -> Option<Compression> {
    let known = [("br", Coding::Brotli), ("zstd", Coding::Zstd), ("gzip", Coding::Gzip)];
    let codings = table.get("codings").map_or_else(
        || known.map(|(_, coding)| coding).to_vec(),
        |node| {
            let nodes = node.list_or_one();
            not_empty(&node, &nodes);
            let mut codings: Vec<Coding> = Vec::new();
            for node in &nodes {
                let Some(coding) = node.choice(&known) else { continue };
                if codings.contains(&coding) {
                    node.sink.add(node.problem(Code::Duplicate, "this is listed already", ""));
                }
                codings.push(coding);
            }
            codings
        },
    );
    let types = table.get("types").map_or_else(
        || TYPES.map(str::to_owned).to_vec(),
        |node| {
            let types = texts(&node);
            not_empty(&node, &types);
            for wrong in types.iter().filter(|text| !is_type(text.text)) {
                let message = format!("`{}` is not a media type", wrong.text.escape_debug());
                let problem = Problem::new(Code::BadChoice, message).at(wrong.at, "");
                node.sink.add(problem.help("write \"application/json\" or \"text/*\""));
            }
            types.into_iter().map(|text| text.text.to_owned()).collect()
        },
    );
    Some(Compression {
        codings,
        min_bytes: table.get("min-bytes").and_then(|node| node.bytes()).unwrap_or(1 << 10),
        types,
        with_credentials: flag(table, "with-credentials").unwrap_or(false),
    })
}

/// `TYPE/SUBTYPE`, or the beginning of one and `*`.
fn is_type(text: &str) -> bool {
    let token = |text: &str| crate::gateway::value::is_token(text);
    match text.split_once('/') {
        Some((kind, rest)) => token(kind) && token(rest),
        None => false,
    }
}
