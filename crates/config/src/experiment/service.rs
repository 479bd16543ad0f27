//! `[experiments]`: where the service listens and what it may.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use experiment::event::RECORDS_MAX;
use experiment::live::params::{
    ACT_EVERY_MAX, ACT_EVERY_MIN, BEARER_KEYS_MAX, BearerKey, CLIENT_KEYS_MAX, CookieParams,
    ORIGINS_MAX, ServiceLimits, ServiceParams,
};

use super::value::strings_of;
use super::{EXPERIMENTS_ADDRESS, EXPERIMENTS_DATA};
use crate::errors::{Code, Problem};
use crate::gateway::value::{field_name, flag, positive, secret, section, size, whole};
use crate::read::{Node, Table};

/// Fewest and most bytes of a client key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=1_024;

/// Reads `[experiments]`; without it, the service has its defaults.
pub(super) fn read<'a>(table: &mut Table<'a>, folder: &Path) -> Option<ServiceParams> {
    let default = EXPERIMENTS_ADDRESS.parse().expect("the default is an address");
    let default = ServiceParams::new(default, folder.join(EXPERIMENTS_DATA));
    if !table.has("experiments") {
        return Some(default);
    }
    section(table, "experiments", "[experiments]", |table| read_table(table, default, folder))
}

fn read_table(
    table: &mut Table<'_>,
    default: ServiceParams,
    folder: &Path,
) -> Option<ServiceParams> {
    let mut params = default;
    if let Some(node) = table.get("address") {
        params.address = address(&node).unwrap_or(params.address);
    }
    if let Some(path) = table.get("data").and_then(|node| node.owned_text()) {
        params.data = folder.join(path);
    }
    params.token = secret(table, ["token", "token-file", "token-env"], folder).map(|it| it.1);
    params.secret = secret(table, ["secret", "secret-file", "secret-env"], folder).map(|it| it.1);
    params.client_keys = listed(table, "client-keys", CLIENT_KEYS_MAX);
    if let Some(node) = table.get("client-keys")
        && params.client_keys.iter().any(|key| !KEY_BYTES.contains(&key.len()))
    {
        let message = "a client key has 8 to 1024 bytes";
        node.sink.add(node.problem(Code::BadSecret, message, ""));
    }
    params.origins = listed(table, "origins", ORIGINS_MAX);
    let header = table.get("country-header");
    params.country_header = header.and_then(|node| field_name(node.sink, node.text()?));
    params.bearer_keys = read_bearer_keys(table, folder);
    if let Some(cookie) = section(table, "cookie", "`cookie`", read_cookie) {
        params.cookie = cookie;
    }
    if let Some(every) = table.get("act-every") {
        params.act_every = act_every(&every).unwrap_or(params.act_every);
    }
    if let Some(limits) = section(table, "limits", "`limits`", read_limits) {
        params.limits = limits;
    }
    Some(params)
}

fn address(node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?.text;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is not an address with a port", text.escape_debug());
        let problem = node.problem(Code::BadAddress, message, "");
        node.sink.add(problem.help("write \"127.0.0.1:9190\" or \"[::1]:9190\""));
    }
    address
}

fn act_every(node: &Node<'_>) -> Option<Duration> {
    let every = node.duration()?;
    if !(ACT_EVERY_MIN..=ACT_EVERY_MAX).contains(&every) {
        let message = "`act-every` must be one second to one hour";
        node.sink.add(node.problem(Code::BadDuration, message, ""));
        return None;
    }
    Some(every)
}

fn listed<'a>(table: &mut Table<'a>, key: &'a str, max: usize) -> Vec<String> {
    let all = strings_of(table, key);
    if all.len() > max {
        let at = table.get(key).map(|node| node.at());
        let message = format!("`{key}` has {} entries; at most {max} are allowed", all.len());
        table.sink.add(Problem::new(Code::TooMany, message).at(at, ""));
    }
    all
}

fn read_bearer_keys(table: &mut Table<'_>, folder: &Path) -> Vec<BearerKey> {
    let Some(node) = table.get("bearer-keys") else { return Vec::new() };
    let nodes = node.list_or_one();
    if nodes.len() > BEARER_KEYS_MAX {
        let message = format!("at most {BEARER_KEYS_MAX} `bearer-keys` are allowed");
        node.sink.add(node.problem(Code::TooMany, message, ""));
    }
    let read = |node: &Node<'_>| {
        node.table("a bearer key", |table| {
            type Make = fn(String) -> BearerKey;
            let kinds: [([&str; 3], Make); 3] = [
                (["hs256", "hs256-file", "hs256-env"], BearerKey::Hs256),
                (["rs256", "rs256-file", "rs256-env"], BearerKey::Rs256),
                (["es256", "es256-file", "es256-env"], BearerKey::Es256),
            ];
            let mut found = None;
            for (keys, make) in kinds {
                if let Some((_, text)) = secret(table, keys, folder) {
                    found = Some(make(text));
                }
            }
            if found.is_none() && !table.rest().is_empty() {
                return None;
            }
            if found.is_none() {
                let problem = Problem::new(Code::MissingKey, "a bearer key names no key");
                let problem = problem.at(Some(table.at), "");
                table.sink.add(problem.help("write `hs256-file`, `rs256-file` or `es256-file`"));
            }
            found
        })
    };
    nodes.iter().filter_map(read).collect()
}

fn read_cookie(table: &mut Table<'_>) -> Option<CookieParams> {
    let default = CookieParams::default();
    let max_age = positive(table, "max-age").unwrap_or(default.max_age);
    if max_age.as_secs() < 86_400 {
        let at = table.get("max-age").map(|node| node.at());
        let message =
            "`max-age` must be a day at least: a unit that is forgotten sooner is another";
        table.sink.add(Problem::new(Code::BadDuration, message).at(at, ""));
    }
    Some(CookieParams { max_age, http_only: flag(table, "http-only").unwrap_or(default.http_only) })
}

fn read_limits(table: &mut Table<'_>) -> Option<ServiceLimits> {
    let d = ServiceLimits::default();
    Some(ServiceLimits {
        body_bytes: size(table, "body", 1 << 10..=16 << 20).unwrap_or(d.body_bytes),
        batch: whole(table, "batch", 1..=RECORDS_MAX).unwrap_or(d.batch),
        queue: whole(table, "queue", 1..=1 << 24).unwrap_or(d.queue),
        remembered: whole(table, "remembered", 1..=1 << 28).unwrap_or(d.remembered),
        kept: whole(table, "kept", 1..=1 << 28).unwrap_or(d.kept),
        requests: whole(table, "requests", 1..=65_536).unwrap_or(d.requests),
        streams: whole(table, "streams", 0..=65_536).unwrap_or(d.streams),
    })
}
