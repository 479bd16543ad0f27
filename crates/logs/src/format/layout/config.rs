//! Finding formats in what people give: a string or a configuration file's text.

use super::{Layout, LayoutError, apache, goaccess, nginx, tidegate};

/// Compiles every format in `text`; the name of a format that is detected adds none.
pub(super) fn layouts(text: &str) -> Result<Vec<Layout>, LayoutError> {
    let text = without_comments(text);
    let text = text.trim();
    let named = directives(text, "log-format").next().unwrap_or(text);
    if is_detected(named.trim_matches(['"', '\''])) {
        return Ok(Vec::new());
    }
    let mut found = if text.contains("log_format") {
        nginx_file(text)
    } else if directives(text, "LogFormat").next().is_some() {
        apache_file(text)
    } else if directives(text, "log-format").next().is_some() {
        goaccess_file(text).map(|layout| vec![layout])
    } else {
        one(text).map(|layout| vec![layout])
    }?;
    // One may be the beginning of another: the longer tells more.
    found.sort_by_key(|layout| std::cmp::Reverse(layout.ops.len()));
    if found.is_empty() {
        Err(LayoutError::new("there is none with a time in it"))
    } else {
        Ok(found)
    }
}

/// Names that servers and GoAccess give to formats that are detected.
const DETECTED: [&str; 17] = [
    "combined",
    "common",
    "vhost_combined",
    "vhost_common",
    "vcombined",
    "vcommon",
    "w3c",
    "cloudfront",
    "cloudstorage",
    "awselb",
    "awsalb",
    "awss3",
    "squid",
    "caddy",
    "traefikclf",
    "json",
    "envoy",
];

/// Whether this is the name of a format that needs no layout.
fn is_detected(format: &str) -> bool {
    DETECTED.iter().any(|name| name.eq_ignore_ascii_case(format))
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// A format string by its looks.
fn one(format: &str) -> Result<Layout, LayoutError> {
    if format.starts_with('\'') {
        // Several quoted pieces, as nginx.conf has them.
        let found = nginx_file(&format!("log_format nginx {format};"))?;
        return found.into_iter().next().ok_or_else(|| LayoutError::new("it has no time"));
    }
    if tidegate::is_meant(format) {
        return tidegate::compile(format);
    }
    if format.contains('$') {
        return nginx::compile(format, "nginx");
    }
    if !format.contains('%') {
        return Err(LayoutError::new(
            "it has neither `$` variables nor `%` directives; give it as the server's configuration has it, or \
             the file that has it",
        ));
    }
    let has = |signs: &[&str]| signs.iter().any(|sign| format.contains(sign));
    let is_apache = has(&["%>s", "}i", "}t", "}T"]) && !has(&["%^"]);
    if !is_apache && has(&["%^", "%d", "%x", "%R", "~h"]) {
        return goaccess::compile(format, "", "");
    }
    let (format, name) = quoted(format).unwrap_or((format, ""));
    apache::compile(format, if name.is_empty() { "apache" } else { name })
}

/// Lines of `key value`, by the key.
fn directives<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| {
        let line = line.trim();
        let (first, value) = line.split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

/// `"format" name`; the escapes of the format stay.
fn quoted(value: &str) -> Option<(&str, &str)> {
    let inside = value.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inside.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    Some((&inside[..end], inside[end + 1..].trim()))
}

fn apache_file(text: &str) -> Result<Vec<Layout>, LayoutError> {
    directives(text, "LogFormat")
        .filter_map(quoted)
        // Those without a time are for other purposes, such as lists of referrers.
        .filter(|(format, _)| format.contains("%t") || format.contains("}t"))
        .map(|(format, name)| apache::compile(format, name))
        .collect()
}

fn goaccess_file(text: &str) -> Result<Layout, LayoutError> {
    let value = |key| directives(text, key).next().unwrap_or_default();
    let (date, time) = match value("datetime-format") {
        "" => (value("date-format"), value("time-format")),
        both => (both, both),
    };
    goaccess::compile(value("log-format"), date, time)
}

/// `log_format name [escape=…] 'text' 'text' …;`
fn nginx_file(text: &str) -> Result<Vec<Layout>, LayoutError> {
    let mut found = Vec::new();
    for directive in text.split("log_format").skip(1) {
        let mut name = "";
        let mut format = String::new();
        let mut rest = directive.trim_start();
        while !rest.is_empty() && !rest.starts_with(';') {
            let (word, after) = match rest.chars().next() {
                Some(quote @ ('\'' | '"')) => {
                    let inside = &rest[1..];
                    let end = inside.find(quote).unwrap_or(inside.len());
                    (&inside[..end], inside.get(end + 1..).unwrap_or_default())
                }
                _ => {
                    let is_end = |letter: char| letter.is_whitespace() || letter == ';';
                    rest.split_at(rest.find(is_end).unwrap_or(rest.len()))
                }
            };
            if name.is_empty() {
                name = word;
            } else if !word.starts_with("escape=") {
                format.push_str(word);
            }
            rest = after.trim_start();
        }
        if format.contains("$time_") || format.contains("$msec") {
            found.push(nginx::compile(&format, name)?);
        }
    }
    Ok(found)
}
