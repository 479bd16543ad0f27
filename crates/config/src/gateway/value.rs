//! Values that gateway files have in common: networks, shares, field names, secrets, files.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};
use traffic::{Bytes, Rate, Ratio};

use crate::errors::{Code, Problem, Sink};
use crate::read::{Node, Table, Text};
use crate::step::read_limited;

/// Fewest bytes of a secret.
const SECRET_BYTES_MIN: usize = 16;
/// Longest name of a listener, upstream or route, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most bytes of a file that holds a secret or users.
const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;

/// A table of its own, such as `[limits]`.
pub(crate) fn section<'a, R>(
    table: &mut Table<'a>,
    key: &'a str,
    what: &'a str,
    read: impl FnOnce(&mut Table<'a>) -> Option<R>,
) -> Option<R> {
    table.get(key)?.table(what, read)
}

/// A feature that is a table, true for its defaults, or false.
pub(crate) fn feature<'a, R>(
    node: &Node<'a>,
    what: &'a str,
    read: impl FnOnce(&mut Table<'a>) -> Option<R>,
) -> Option<R> {
    static EMPTY: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);
    match node.value() {
        DeValue::Boolean(false) => None,
        DeValue::Boolean(true) => Table::read(node.sink, what, node.at(), &EMPTY, read),
        DeValue::Table(_) => node.table(what, read),
        _ => {
            node.wrong_type("a table, true or false");
            None
        }
    }
}

/// A whole number, if the key is there.
pub(crate) fn whole<'a, T>(
    table: &mut Table<'a>,
    key: &'a str,
    range: RangeInclusive<T>,
) -> Option<T>
where
    T: TryFrom<u64> + Display + PartialOrd,
{
    table.get(key)?.integer(range)
}

/// A duration above zero, if the key is there.
pub(crate) fn positive<'a>(table: &mut Table<'a>, key: &'a str) -> Option<Duration> {
    let node = table.get(key)?;
    let duration = node.duration()?;
    if duration.is_zero() {
        let message = format!("`{key}` must be above zero");
        node.sink.add(node.problem(Code::BadDuration, message, ""));
    }
    Some(duration)
}

/// True or false, if the key is there.
pub(crate) fn flag<'a>(table: &mut Table<'a>, key: &'a str) -> Option<bool> {
    table.get(key)?.boolean()
}

/// A number of bytes in a range, if the key is there.
pub(crate) fn size<'a>(
    table: &mut Table<'a>,
    key: &'a str,
    range: RangeInclusive<u64>,
) -> Option<usize> {
    let node = table.get(key)?;
    let bytes = node.bytes()?;
    if !range.contains(&bytes) {
        let message =
            format!("`{key}` should be from {} to {}", Bytes(*range.start()), Bytes(*range.end()));
        node.sink.add(node.problem(Code::BadNumber, message, "out of range"));
    }
    usize::try_from(bytes).ok()
}

/// A share above zero, if the key is there.
pub(crate) fn share<'a>(table: &mut Table<'a>, key: &'a str) -> Option<Ratio> {
    let node = table.get(key)?;
    let share: Ratio = node.parsed(Code::BadShare, "10%")?;
    if share.get() == 0.0 {
        let message = format!("`{key}` must be above zero");
        node.sink.add(node.problem(Code::BadShare, message, "nothing would ever happen"));
    }
    Some(share)
}

/// A share, for defaults.
pub(crate) fn percent(percent: u8) -> Ratio {
    Ratio::new(f64::from(percent) / 100.0).expect("defaults are between 0 and 100 %")
}

/// A rate such as `1MiB/s`.
pub(crate) fn rate_of_bytes(node: &Node<'_>) -> Option<Rate> {
    let text = node.text()?.text;
    let rate = text.split_once('/').and_then(|(bytes, period)| {
        let seconds = match period.trim() {
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let Bytes(bytes) = bytes.trim().parse().ok()?;
        Rate::per_s(bytes as f64 / seconds)
    });
    if rate.is_none() {
        let message = format!("`{}` is not a rate of bytes", text.escape_debug());
        let problem = node.problem(Code::BadRate, message, "");
        node.sink
            .add(problem.help("write a size and a period: \"1MiB/s\", \"500kB/s\", \"1GB/h\""));
    }
    rate
}

/// The texts of a list, or the text itself.
pub(crate) fn texts<'a>(node: &Node<'a>) -> Vec<Text<'a>> {
    node.list_or_one().iter().filter_map(Node::text).collect()
}

/// Networks and addresses. An empty list would do nothing and is reported.
pub(crate) fn networks(node: &Node<'_>) -> Vec<IpNet> {
    let nodes = node.list_or_one();
    not_empty(node, &nodes);
    nodes.iter().filter_map(network).collect()
}

/// Reports a list without elements.
pub(crate) fn not_empty<T>(node: &Node<'_>, elements: &[T]) {
    if elements.is_empty() && node.value().is_array() {
        let message = format!("`{}` is empty", node.key.text);
        node.sink.add(node.problem(Code::NoEffect, message, "nothing is listed"));
    }
}

fn network(node: &Node<'_>) -> Option<IpNet> {
    let text = node.text()?.text;
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if net.is_none() {
        let message = format!("`{}` is no range of addresses", text.escape_debug());
        let problem = node.problem(Code::BadAddress, message, "");
        node.sink
            .add(problem.help("write an address or a range: \"10.0.0.0/8\", \"2001:db8::/32\""));
    }
    net.map(|net: IpNet| net.trunc())
}

/// Whether a text is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// The name of a header field, in lower case.
pub(crate) fn field_name(sink: &Sink, name: Text<'_>) -> Option<String> {
    let parsed = HeaderName::from_bytes(name.text.as_bytes());
    if parsed.is_err() {
        let message = format!("`{}` is not a header name", name.text.escape_debug());
        sink.add(Problem::new(Code::BadHeader, message).at(name.at, ""));
    }
    parsed.ok().map(|name| name.as_str().to_owned())
}

/// The names of a list of header fields, each once.
pub(crate) fn field_names(node: &Node<'_>) -> Vec<String> {
    let names = texts(node).into_iter().filter_map(|name| field_name(node.sink, name));
    let mut unique: Vec<String> = Vec::new();
    names.for_each(|name| {
        if !unique.contains(&name) {
            unique.push(name);
        }
    });
    unique
}

/// The value of a header field.
pub(crate) fn field_value(node: &Node<'_>) -> Option<String> {
    let text = node.owned_text()?;
    if HeaderValue::from_str(&text).is_err() || text.trim() != text {
        let message = "a header value cannot hold this";
        node.sink.add(node.problem(Code::BadHeader, message, ""));
        return None;
    }
    Some(text)
}

/// The name of a cookie.
pub(crate) fn cookie_name(node: &Node<'_>) -> Option<String> {
    let name = node.owned_text()?;
    if is_token(&name) {
        return Some(name);
    }
    let message = format!("`{}` is not the name of a cookie", name.escape_debug());
    node.sink.add(node.problem(Code::BadName, message, ""));
    None
}

/// Reports the name of a listener, upstream or route that could not stand in a metric or a log.
pub(crate) fn check_name(entry: &Node<'_>) {
    let name = entry.key.text;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
        let message = format!("`{}` cannot be a name", name.escape_debug());
        let problem = Problem::new(Code::BadName, message).at(entry.key.at, "");
        let help = format!("use at most {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`");
        entry.sink.add(problem.help(help));
    }
}

/// A status in a range.
pub(crate) fn status(node: &Node<'_>, range: RangeInclusive<u16>) -> Option<u16> {
    let DeValue::Integer(_) = node.value() else {
        node.wrong_type("a status such as 503");
        return None;
    };
    node.integer(range)
}

/// Reports a placeholder `{NAME}` that is not among `known`. Other braces stand for themselves.
pub(crate) fn check_placeholders(sink: &Sink, text: Text<'_>, known: &[&str]) {
    let mut offset = 0;
    while let Some(open) = text.text[offset..].find('{') {
        let start = offset + open + 1;
        let Some(len) = text.text[start..].find('}') else { return };
        let name = &text.text[start..start + len];
        let word = |c: char| c.is_ascii_lowercase() || c == '-';
        if !name.is_empty() && name.chars().all(word) && !known.contains(&name) {
            let at = text.part(sink, start - 1, len + 2);
            let problem =
                Problem::new(Code::BadTemplate, format!("unknown placeholder `{{{name}}}`"));
            sink.add(problem.at(at, "").help_nearest(name, known.iter().copied()));
        }
        offset = start;
    }
}

/// Reports a setting that would do nothing, and what is the cause of it.
pub(crate) fn no_effect(sink: &Sink, setting: Text<'_>, cause: Option<Text<'_>>, why: &str) {
    let message = format!("`{}` would do nothing: {why}", setting.text);
    let problem = Problem::new(Code::NoEffect, message).at(setting.at, "does nothing");
    sink.add(match cause {
        Some(cause) => problem.at(cause.at, "because of this"),
        None => problem,
    });
}

/// Of the keys `NAME`, `NAME-file` and `NAME-env` the one that is there, and the secret. Its end of
/// line does not count.
pub(crate) fn secret<'a>(
    table: &mut Table<'a>,
    keys: [&'a str; 3],
    folder: &Path,
) -> Option<(Text<'a>, String)> {
    let node = table.one_of(&keys)?;
    let text = node.text()?.text;
    let secret = if node.key.text == keys[0] {
        text.to_owned()
    } else if node.key.text == keys[1] {
        read_file(&node, folder, SECRET_FILE_BYTES_MAX)?
    } else {
        match std::env::var(text) {
            Ok(secret) => secret,
            Err(error) => {
                let message = format!("the variable `{}`: {error}", text.escape_debug());
                node.sink.add(node.problem(Code::BadSecret, message, ""));
                return None;
            }
        }
    };
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.len() < SECRET_BYTES_MIN {
        let message = format!("a secret needs at least {SECRET_BYTES_MIN} bytes");
        let problem = node.problem(Code::BadSecret, message, "too short to be one");
        node.sink.add(problem.help("make one with `openssl rand -hex 32`"));
        return None;
    }
    Some((node.key, secret.to_owned()))
}

/// The text of the file that a value names.
pub(crate) fn read_file(node: &Node<'_>, folder: &Path, max: u64) -> Option<String> {
    let bytes = read_bytes(node, folder, max)?;
    String::from_utf8(bytes)
        .map_err(|_| {
            let problem = node.problem(Code::UnreadableFile, "the file is not UTF-8 text", "");
            node.sink.add(problem);
        })
        .ok()
}

/// The bytes of the file that a value names.
pub(crate) fn read_bytes(node: &Node<'_>, folder: &Path, max: u64) -> Option<Vec<u8>> {
    read_limited(&folder.join(node.text()?.text), max)
        .map_err(|message| node.sink.add(node.problem(Code::UnreadableFile, message, "")))
        .ok()
}

/// Users and their secrets, one `NAME:SECRET` on a line; `#` begins a comment.
pub(crate) fn read_users_file(node: &Node<'_>, folder: &Path) -> Option<Vec<(String, String)>> {
    let text = read_file(node, folder, SECRET_FILE_BYTES_MAX)?;
    let lines = text.lines().map(str::trim).enumerate();
    let users = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let users = users.map(|(number, line)| {
        let user = line.split_once(':').map(|(name, secret)| (name.to_owned(), secret.to_owned()));
        if user.is_none() {
            let message = format!("line {} of the file is not `NAME:sha256:SALT:HEX`", number + 1);
            node.sink.add(node.problem(Code::BadSecret, message, ""));
        }
        user
    });
    users.collect()
}

/// A folder that is there.
pub(crate) fn existing_folder(node: &Node<'_>, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(node.text()?.text);
    if !path.is_dir() {
        let message = format!("there is no folder {}", path.display());
        node.sink.add(node.problem(Code::UnreadableFile, message, ""));
    }
    Some(path)
}
