//! `log_format` in nginx's configuration, whose words are read as nginx reads them.
//!
//! Source: nginx, `ngx_conf_read_token`, and the documentation of `log_format`.

use super::{Layout, LayoutError, nginx};
use crate::format::escape::Escape;

/// Every `log_format name [escape=…] 'text' 'text' …;` with a time.
pub(super) fn formats(text: &str) -> Vec<Result<Layout, LayoutError>> {
    text.split("log_format").skip(1).filter_map(format).collect()
}

/// What follows `log_format`.
fn format(directive: &str) -> Option<Result<Layout, LayoutError>> {
    let (mut name, mut format, mut escape) = (String::new(), String::new(), Escape::Backslash);
    let mut rest = directive;
    while let Some((word, after)) = word(rest) {
        rest = after;
        if name.is_empty() {
            name = word;
            continue;
        }
        match word.strip_prefix("escape=") {
            Some("none") => escape = Escape::Nothing,
            Some("json") => escape = Escape::Json,
            Some(_) => {}
            None => format.push_str(&word),
        }
    }
    let has_time = format.contains("$time_") || format.contains("$msec");
    has_time.then(|| nginx::compile(&format, &name, escape).map_err(|error| error.of_format(&name)))
}

/// The next word, plain, and what follows it; `None` at the directive's end. A comment parts words.
fn word(text: &str) -> Option<(String, &str)> {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest.split_once('\n')?.1.trim_start();
    }
    let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let inside = if quote.is_some() { &rest[1..] } else { rest };
    let mut is_escaped = false;
    let end = inside.find(|letter: char| {
        let was_escaped = is_escaped;
        is_escaped = letter == '\\' && !was_escaped;
        let ends = match quote {
            Some(quote) => letter == quote,
            None => letter.is_whitespace() || letter == ';',
        };
        ends && !was_escaped
    });
    let end = end.unwrap_or(inside.len());
    let (word, after) = inside.split_at(end);
    if quote.is_none() {
        return (!word.is_empty()).then(|| (plain(word), after));
    }
    Some((plain(word), after.get(1..).unwrap_or_default()))
}

/// Without the backslashes that nginx takes away; any other stays.
pub(super) fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('n') => plain.push('\n'),
            Some(quote @ ('"' | '\'' | '\\')) => plain.push(quote),
            other => {
                plain.push('\\');
                plain.extend(other);
            }
        }
    }
    plain
}
