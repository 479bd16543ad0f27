//! Who may use a route and how often: addresses, users, rate limits, origins.

use std::path::Path;
use std::time::Duration;

use gateway::params::{Access, BasicAuth, Cors, LimitHeaders, LimitKey, LimitUnit, RateLimit};
use toml::de::DeValue;
use traffic::{Bytes, Rate};

use crate::errors::{Code, Problem};
use crate::gateway::balance::missing;
use crate::gateway::matches::read_method;
use crate::gateway::value::{
    cookie_name, field_name, field_names, field_value, flag, networks, not_empty, rate_of_bytes,
    read_users_file, texts, whole,
};
use crate::host::split_url;
use crate::read::{Node, Table, Text};

/// Most keys that a limit may remember.
pub const LIMIT_KEYS_MAX: usize = 10_000_000;
/// Most limits of one route.
pub const RATE_LIMITS_MAX: usize = 16;
/// Keys that a limit remembers unless the file says.
const LIMIT_KEYS: usize = 100_000;
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Reads `allow`, `deny` and `basic-auth`.
pub(crate) fn read_access(table: &mut Table<'_>, folder: &Path) -> Access {
    let mut nets = |key| table.get(key).map_or_else(Vec::new, |node| networks(&node));
    let (allow, deny) = (nets("allow"), nets("deny"));
    let basic = table.get("basic-auth");
    let basic = basic.and_then(|node| {
        node.table("`basic-auth`", |table| {
            let realm = table.get("realm").and_then(|node| field_value(&node));
            let realm = realm.unwrap_or_else(|| "restricted".to_owned());
            Some(BasicAuth { realm, users: read_users(table, folder)? })
        })
    });
    Access { deny, allow, basic }
}

fn read_users(table: &mut Table<'_>, folder: &Path) -> Option<Vec<(String, String)>> {
    let Some(node) = table.one_of(&["users", "users-file"]) else {
        missing(table, "`basic-auth` names no users", "add `users` or `users-file`");
        return None;
    };
    let users = if node.key.text == "users" {
        let users = node.entries()?;
        let user = |user: &Node<'_>| Some((user.key.text.to_owned(), user.owned_text()?));
        users.iter().map(user).collect()
    } else {
        read_users_file(&node, folder)
    }?;
    if users.is_empty() {
        node.sink.add(node.problem(Code::MissingKey, "there is no user", "nobody could come in"));
    }
    for (number, (name, secret)) in users.iter().enumerate() {
        let problem = if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            format!("`{}` cannot be the name of a user", name.escape_debug())
        } else if !is_stored_password(secret) {
            format!("the password of `{}` is not `sha256:SALT:HEX`", name.escape_debug())
        } else if users[..number].iter().any(|(other, _)| other == name) {
            format!("user `{}` is listed twice", name.escape_debug())
        } else {
            continue;
        };
        let help = "make HEX with `printf %s 'SALT:PASSWORD' | sha256sum`";
        node.sink.add(node.problem(Code::BadSecret, problem, "").help(help));
    }
    Some(users)
}

fn is_stored_password(text: &str) -> bool {
    text.strip_prefix("sha256:").and_then(|rest| rest.rsplit_once(':')).is_some_and(
        |(salt, digits)| {
            let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            !salt.is_empty() && digits.len() == DIGITS && hex
        },
    )
}

/// Reads `rate-limit`: a table or a list of them.
pub(crate) fn read_rate_limits(node: &Node<'_>) -> Vec<RateLimit> {
    let nodes = node.list_or_one();
    not_empty(node, &nodes);
    if nodes.len() > RATE_LIMITS_MAX {
        let message = format!("`{}` may list at most {RATE_LIMITS_MAX}", node.key.text);
        node.sink.add(node.problem(Code::TooMany, message, ""));
    }
    nodes.iter().filter_map(|node| node.table("`rate-limit`", read_rate_limit)).collect()
}

fn read_rate_limit(table: &mut Table<'_>) -> Option<RateLimit> {
    let key = table.get("key").map_or_else(|| vec![LimitKey::ClientIp], |node| read_keys(&node));
    let unit_node = table.one_of(&["rate", "bytes", "concurrency"]);
    if unit_node.is_none() {
        let help = "add `rate = \"100/s\"`, `bytes = \"1MiB/s\"` or `concurrency = 10`";
        missing(table, "`rate-limit` does not say how much", help);
    }
    let burst_node = table.get("burst");
    let keys_max = whole(table, "keys-max", 1..=LIMIT_KEYS_MAX).unwrap_or(LIMIT_KEYS);
    let headers_node = table.get("headers");
    let kinds = [
        ("off", LimitHeaders::Off),
        ("draft", LimitHeaders::Draft),
        ("legacy", LimitHeaders::Legacy),
        ("x", LimitHeaders::XPrefix),
    ];
    let headers = headers_node.and_then(|node| node.choice(&kinds)).unwrap_or(LimitHeaders::Off);
    let unit_node = unit_node?;
    let (unit, rate, burst) = match unit_node.key.text {
        "rate" => {
            let burst = burst_node.and_then(|node| node.integer(1..=u64::MAX));
            (LimitUnit::Requests, unit_node.rate(), burst)
        }
        "bytes" => {
            let burst = burst_node.and_then(|node| node.bytes());
            let rate = rate_of_bytes(&unit_node);
            if rate.is_some_and(|rate| rate.as_per_s() == 0.0) || burst == Some(0) {
                let message = "a limit of zero bytes lets nothing pass";
                unit_node.sink.add(unit_node.problem(Code::BadRate, message, ""));
            }
            (LimitUnit::Bytes, rate, burst)
        }
        _ => {
            for other in [burst_node, headers_node].into_iter().flatten() {
                table.conflict(unit_node.key, other.key, "it belongs to `rate` and `bytes`");
            }
            let most = unit_node.integer(1..=1_000_000);
            (LimitUnit::Concurrency, Rate::per_s(1.0).filter(|_| most.is_some()), most)
        }
    };
    let rate = rate?;
    // Without a burst: what one second brings.
    let burst = burst.unwrap_or_else(|| (rate.as_per_s().ceil() as u64).max(1));
    Some(RateLimit { key, unit, rate, burst, keys_max, headers })
}

fn read_keys(node: &Node<'_>) -> Vec<LimitKey> {
    let nodes = node.list_or_one();
    not_empty(node, &nodes);
    let mut keys: Vec<LimitKey> = Vec::new();
    for node in &nodes {
        let Some(key) = read_key(node) else { continue };
        if keys.contains(&key) {
            node.sink.add(node.problem(Code::Duplicate, "this is a part of the key already", ""));
        }
        keys.push(key);
    }
    keys
}

fn read_key(node: &Node<'_>) -> Option<LimitKey> {
    if matches!(node.value(), DeValue::Table(_)) {
        return node.table("a key", |table| match table.one_of(&["header", "cookie"]) {
            Some(key) if key.key.text == "header" => {
                field_name(key.sink, key.text()?).map(LimitKey::Header)
            }
            Some(key) => cookie_name(&key).map(LimitKey::Cookie),
            None => {
                missing(table, "this names nothing", "add `header = ...` or `cookie = ...`");
                None
            }
        });
    }
    match node.text()?.text {
        "client-ip" => Some(LimitKey::ClientIp),
        "route" => Some(LimitKey::Route),
        other => {
            let message = format!("`{}` is no key of a limit", other.escape_debug());
            let words = ["client-ip", "route"].into_iter();
            let problem = node.problem(Code::BadChoice, message, "");
            node.sink.add(problem.help_nearest(other, words));
            None
        }
    }
}

fn default_cors(origins: Vec<String>) -> Cors {
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    Cors {
        origins,
        methods: methods.map(str::to_owned).to_vec(),
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(600),
    }
}

/// Reads `cors`: one origin, `"*"`, or a table.
pub(crate) fn read_cors(node: &Node<'_>) -> Option<Cors> {
    if node.as_text().is_some() {
        return Some(default_cors(read_origins(node)));
    }
    if !node.value().is_table() {
        node.wrong_type("\"*\", an origin, or a table");
        return None;
    }
    node.table("`cors`", |table| {
        let origins = table.required("origins");
        let d = default_cors(origins.map_or_else(Vec::new, |node| read_origins(&node)));
        let methods = table.get("methods").map(|node| {
            let names = texts(&node);
            not_empty(&node, &names);
            names.into_iter().filter_map(|name| read_method(&node, name)).collect()
        });
        let credentials_node = table.get("credentials");
        let credentials = credentials_node.and_then(|node| node.boolean()).unwrap_or(false);
        if let (Some(origins), Some(node), true) = (origins, credentials_node, credentials)
            && d.origins.iter().any(|origin| origin == "*")
        {
            let help = "browsers refuse credentials for `*`: list the origins that may send them";
            table.conflict(origins.key, node.key, help);
        }
        let mut names = |key| table.get(key).map_or_else(Vec::new, |node| field_names(&node));
        let (headers, expose) = (names("headers"), names("expose"));
        let max_age = table.get("max-age").and_then(|node| node.duration());
        Some(Cors {
            methods: methods.unwrap_or(d.methods),
            headers,
            expose,
            credentials,
            max_age: max_age.unwrap_or(d.max_age),
            origins: d.origins,
        })
    })
}

fn read_origins(node: &Node<'_>) -> Vec<String> {
    let origins = texts(node);
    not_empty(node, &origins);
    for origin in &origins {
        if origin.text == "*" && origins.len() > 1 {
            let message = "`*` allows all origins; the others would do nothing";
            node.sink.add(Problem::new(Code::NoEffect, message).at(origin.at, ""));
        } else if origin.text != "*" && !is_origin(*origin) {
            let message = format!("`{}` is not an origin", origin.text.escape_debug());
            let problem = Problem::new(Code::BadHost, message).at(origin.at, "");
            let help = "write scheme, host and port as browsers send them: \
                        \"https://shop.example\", without `/` at the end";
            node.sink.add(problem.help(help));
        }
    }
    origins.into_iter().map(|origin| origin.text.to_owned()).collect()
}

/// Whether a browser could send this: the serialisation of an origin (RFC 6454 section 6.2).
fn is_origin(text: Text<'_>) -> bool {
    text.text.contains("://")
        && split_url(text.text).is_ok_and(|(origin, path)| {
            let scheme = if origin.tls { "https" } else { "http" };
            path.is_empty() && format!("{scheme}://{}", origin.authority()) == text.text
        })
}

/// Reads a number of bytes, if the key is there.
pub(crate) fn bytes<'a>(table: &mut Table<'a>, key: &'a str) -> Option<u64> {
    table.get(key)?.parsed::<Bytes>(Code::BadBytes, "10MiB").map(|bytes| bytes.0)
}

/// Reads `concurrency` of a route.
pub(crate) fn read_concurrency(table: &mut Table<'_>) -> Option<usize> {
    whole(table, "concurrency", 1..=10_000_000)
}

/// Reads `upgrades`.
pub(crate) fn read_upgrades(table: &mut Table<'_>) -> bool {
    flag(table, "upgrades").unwrap_or(true)
}
