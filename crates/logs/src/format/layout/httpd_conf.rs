//! `LogFormat` and `CustomLog` in Apache's configuration.
//!
//! Source: Apache HTTP Server documentation, "Configuration Files" and mod_log_config.

use super::{Layout, LayoutError, apache, config::directives};

/// Whether the text has such directives.
pub(super) fn is_meant(text: &str) -> bool {
    ["LogFormat", "CustomLog", "GlobalLog"].iter().any(|key| directives(text, key).next().is_some())
}

/// Every format with a time; those without are for other purposes, such as lists of referrers.
pub(super) fn formats(text: &str) -> Vec<Result<Layout, LayoutError>> {
    // A backslash continues the line.
    let text = text.replace("\\\r\n", "").replace("\\\n", "");
    let named = directives(&text, "LogFormat").filter_map(|value| {
        let (format, rest) = argument(value)?;
        Some((format, argument(rest).map_or("", |(name, _)| name)))
    });
    // The file or program, then the format itself or its name.
    let logs = ["CustomLog", "GlobalLog"].into_iter().flat_map(|key| directives(&text, key));
    let inline = logs.filter_map(|value| {
        let (log, rest) = argument(value)?;
        Some((argument(rest)?.0, log))
    });
    named
        .chain(inline)
        .filter(|(format, _)| format.contains("%t") || format.contains("}t"))
        .map(|(format, name)| apache::compile(format, name).map_err(|error| error.of_format(name)))
        .collect()
}

/// An argument, perhaps between quotes of either kind, and what follows it. Escapes stay.
pub(super) fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let quote = text.chars().next()?;
    if !matches!(quote, '"' | '\'') {
        return Some(text.split_at(text.find(char::is_whitespace).unwrap_or(text.len())));
    }
    let inside = &text[1..];
    let mut is_escaped = false;
    let end = inside.find(|letter| {
        let ends = letter == quote && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}
