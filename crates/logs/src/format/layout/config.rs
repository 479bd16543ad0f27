//! Finding formats in what people give: a string or a configuration file's text.

use super::{
    FoundLayouts, Layout, LayoutError, apache, goaccess, httpd_conf, nginx, nginx_conf, tidegate,
};
use crate::format::escape::Escape;

/// Compiles every format in `text`; the name of a format that is detected adds none.
pub(super) fn find(text: &str) -> Result<FoundLayouts, LayoutError> {
    let text = without_comments(text);
    let text = text.trim();
    let named = directives(text, "log-format").next().unwrap_or(text);
    if is_detected(named.trim_matches(['"', '\''])) {
        return Ok(FoundLayouts::default());
    }
    let compiled = if text.contains("log_format") {
        nginx_conf::formats(text)
    } else if httpd_conf::is_meant(text) {
        httpd_conf::formats(text)
    } else if directives(text, "log-format").next().is_some() {
        vec![goaccess_file(text)]
    } else {
        vec![one(text)]
    };
    let mut found = FoundLayouts::default();
    for layout in compiled {
        match layout {
            Ok(layout) => found.layouts.push(layout),
            Err(error) => found.unusable.push(error),
        }
    }
    if found.layouts.is_empty() {
        let first = found.unusable.into_iter().next();
        return Err(first.unwrap_or_else(|| LayoutError::new("there is none with a time in it")));
    }
    // One may be the beginning of another: the longer tells more.
    found.layouts.sort_by_key(|layout| std::cmp::Reverse(layout.ops.len()));
    Ok(found)
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
    let is_nginx = format.contains('$');
    if is_nginx && (format.starts_with('\'') || format.starts_with("escape=")) {
        // Several quoted pieces, as nginx.conf has them.
        let found = nginx_conf::formats(&format!("log_format nginx {format};")).into_iter().next();
        return found.unwrap_or_else(|| Err(LayoutError::new("it has no time")));
    }
    if tidegate::is_meant(format) {
        return tidegate::compile(format);
    }
    if is_nginx {
        return nginx::compile(&nginx_conf::plain(format), "nginx", Escape::Backslash);
    }
    if !format.contains('%') {
        return Err(LayoutError::new(
            "it has neither `$` variables nor `%` directives; give it as the server's configuration has it, or \
             the file that has it",
        ));
    }
    let has = |signs: &[&str]| signs.iter().any(|sign| format.contains(sign));
    // Apache's names of two letters begin so, too.
    let steps_over = format
        .split("%^")
        .skip(1)
        .any(|rest| !["FU", "FB", "ti", "to"].iter().any(|name| rest.starts_with(name)));
    let is_apache = has(&["%>s", "}i", "}t", "}T"]) && !steps_over;
    if !is_apache && (steps_over || has(&["%d", "%x", "%R", "~h"])) {
        return goaccess::compile(format, "", "");
    }
    let is_quoted = format.starts_with(['"', '\'']);
    let (format, name) = httpd_conf::argument(format).filter(|_| is_quoted).unwrap_or((format, ""));
    let name = name.trim();
    apache::compile(format, if name.is_empty() { "apache" } else { name })
}

/// Lines of `key value`, by the key.
pub(super) fn directives<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| {
        let line = line.trim();
        let (first, value) = line.split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

fn goaccess_file(text: &str) -> Result<Layout, LayoutError> {
    let value = |key| directives(text, key).next().unwrap_or_default();
    let (date, time) = match value("datetime-format") {
        "" => (value("date-format"), value("time-format")),
        both => (both, both),
    };
    goaccess::compile(value("log-format"), date, time)
}
