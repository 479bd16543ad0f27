//! Reading a gateway file: the document from its top-level tables to [`GatewayParams`].

mod balance;
mod cache;
mod checks;
mod guard;
mod listen;
mod log;
mod matches;
mod pages;
mod resilience;
mod route;
mod server;
mod upstream;
pub(crate) mod value;

pub use guard::{LIMIT_KEYS_MAX, RATE_LIMITS_MAX};
pub use pages::PAGE_BYTES_MAX;
pub use resilience::RETRIES_MAX;
pub use route::SPLIT_WEIGHT_MAX;

use std::path::Path;
use std::time::Duration;

use gateway::params::{ClientLimits, Forwarding, GatewayParams, LISTENERS_MAX, UPSTREAMS_MAX};

use crate::errors::{Code, Errors, Kind, Problem, Sink};
use crate::file::{parse_toml, read_text};
use crate::gateway::listen::{check_listeners, read_admin, read_listeners};
use crate::gateway::route::{Context, read_routes};
use crate::gateway::upstream::read_upstreams;
use crate::gateway::value::{
    field_name, field_value, networks, positive, rate_of_bytes, section, size, whole,
};
use crate::read::{Node, Table};

/// Most data-plane threads.
pub const GATEWAY_WORKERS_MAX: usize = 1_024;
/// Longest name in `Via`, in bytes.
const VIA_BYTES_MAX: usize = 60;
/// How long requests in flight may take once the gateway stops.
const DRAIN: Duration = Duration::from_secs(30);
/// Limits of client connections.
const LIMITS: ClientLimits = ClientLimits {
    connections: 20_000,
    connections_per_ip: 0,
    request_line: 8 << 10,
    header_count: 100,
    header_bytes: 64 << 10,
    header_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(30),
    body_rate_min: 100,
    keep_alive: Duration::from_secs(60),
    send_timeout: Duration::from_secs(30),
    requests: u64::MAX,
    streams: 100,
    resets: 20,
};

/// Reads a gateway file, and the files that it names.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_gateway(path: &Path) -> Result<GatewayParams, Errors> {
    let text = read_text(Kind::Gateway, path)?;
    parse_gateway(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new("")))
}

/// Reads the text of a gateway file. `name` is shown in errors; the names of other files are
/// relative to `folder`.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn parse_gateway(name: &str, text: &str, folder: &Path) -> Result<GatewayParams, Errors> {
    let sink = Sink::of_text(Kind::Gateway, name, text);
    let Some(document) = parse_toml(&sink, text) else { return sink.finish(None) };
    // Errors about the file as a whole point at its beginning.
    let beginning = (0, 0).into();
    let params = Table::read(&sink, "a gateway file", beginning, document.get_ref(), |table| {
        read_document(table, folder)
    });
    sink.finish(params)
}

fn read_document<'a>(table: &mut Table<'a>, folder: &'a Path) -> Option<GatewayParams> {
    let workers = table.get("workers").and_then(|node| node.integer(1..=GATEWAY_WORKERS_MAX));
    let workers = workers.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(GATEWAY_WORKERS_MAX))
    });
    let trusted = table.get("trusted-proxies");
    let trusted_proxies = trusted.map_or_else(Vec::new, |node| networks(&node));
    let drain = table.get("drain").and_then(|node| node.duration()).unwrap_or(DRAIN);
    let limits = section(table, "limits", "[limits]", read_limits).unwrap_or(LIMITS);
    let forwarding = section(table, "forwarding", "[forwarding]", read_forwarding);
    let forwarding = forwarding.unwrap_or_else(default_forwarding);

    let listeners = read_listeners(table, folder, trusted.is_some());
    let admin = table.get("admin");
    let admin = admin.and_then(|node| Some((node, read_admin(&node, folder)?)));
    check_listeners(table, &listeners, admin.as_ref());
    too_many(table, "listen", listeners.len(), LISTENERS_MAX);

    let known = read_upstreams(table, folder);
    too_many(table, "upstream", known.len(), UPSTREAMS_MAX);
    let names = listeners.iter().map(|(key, _)| *key).collect();
    let mut context = Context { folder, listeners: names, upstreams: known };
    let only_redirects = listeners
        .iter()
        .all(|(_, listener)| listener.as_ref().is_some_and(|one| one.redirect_https.is_some()));
    let routes = read_routes(table, &mut context, only_redirects && !listeners.is_empty());
    let access_log = table.get("access-log").and_then(|node| log::read(&node, folder));
    // Tables that `read_experiments` reads.
    for key in crate::experiment::TABLES {
        let _ = table.get(key);
    }

    let upstreams: Option<Vec<_>> =
        context.upstreams.into_iter().map(upstream::Known::finish).collect();
    let listeners: Option<Vec<_>> = listeners.into_iter().map(|(_, listener)| listener).collect();
    Some(GatewayParams {
        workers,
        listeners: listeners?,
        upstreams: upstreams?,
        routes: routes?,
        access_log,
        admin: admin.map(|(_, admin)| admin),
        limits,
        trusted_proxies,
        forwarding,
        drain,
    })
}

/// Reports more entries than there may be.
fn too_many(table: &mut Table<'_>, key: &'static str, count: usize, max: usize) {
    if count > max {
        let message = format!("there are {count} `[{key}....]`; at most {max} are allowed");
        let at = table.get(key).and_then(|node| node.key.at);
        table.sink.add(Problem::new(Code::TooMany, message).at(at, ""));
    }
}

fn read_limits(table: &mut Table<'_>) -> Option<ClientLimits> {
    let d = LIMITS;
    let limits = ClientLimits {
        connections: whole(table, "connections", 1..=10_000_000).unwrap_or(d.connections),
        connections_per_ip: whole(table, "connections-per-ip", 0..=10_000_000)
            .unwrap_or(d.connections_per_ip),
        request_line: size(table, "request-line", 64..=1 << 20).unwrap_or(d.request_line),
        header_count: whole(table, "header-count", 1..=10_000).unwrap_or(d.header_count),
        header_bytes: size(table, "header-bytes", 256..=16 << 20).unwrap_or(d.header_bytes),
        header_timeout: positive(table, "header-timeout").unwrap_or(d.header_timeout),
        body_timeout: positive(table, "body-timeout").unwrap_or(d.body_timeout),
        body_rate_min: table
            .get("body-rate-min")
            .and_then(|node| rate_of_bytes(&node))
            .map_or(d.body_rate_min, |rate| rate.as_per_s().ceil() as u64),
        keep_alive: positive(table, "keep-alive").unwrap_or(d.keep_alive),
        send_timeout: positive(table, "send-timeout").unwrap_or(d.send_timeout),
        requests: whole(table, "requests", 1..=u64::MAX).unwrap_or(d.requests),
        streams: whole(table, "streams", 1..=10_000).unwrap_or(d.streams),
        resets: whole(table, "resets", 1..=10_000).unwrap_or(d.resets),
    };
    if limits.request_line > limits.header_bytes {
        let message = "`request-line` may be no longer than `header-bytes`";
        let at = table.get("request-line").or(table.get("header-bytes"));
        let problem = Problem::new(Code::BadRange, message).at(at.map(|node| node.at()), "");
        table.sink.add(problem.help("the request line is a part of the head"));
    }
    Some(limits)
}

fn default_forwarding() -> Forwarding {
    Forwarding {
        x_forwarded: true,
        forwarded: false,
        via: Some("tidegate".to_owned()),
        request_id: Some("x-request-id".to_owned()),
        server: Some("tidegate".to_owned()),
    }
}

fn read_forwarding(table: &mut Table<'_>) -> Option<Forwarding> {
    let d = default_forwarding();
    let mut or_false =
        |key: &'static str, default: Option<String>, read: fn(&Node<'_>) -> Option<String>| {
            match table.get(key) {
                None => default,
                Some(node) if node.value().as_bool() == Some(false) => None,
                Some(node) if node.value().as_str() == Some("") => None,
                Some(node) => read(&node),
            }
        };
    let via = or_false("via", d.via, read_via);
    let request_id =
        or_false("request-id", d.request_id, |node| field_name(node.sink, node.text()?));
    let server = or_false("server", d.server, field_value);
    let mut boolean =
        |key, default| table.get(key).and_then(|node| node.boolean()).unwrap_or(default);
    let x_forwarded = boolean("x-forwarded", d.x_forwarded);
    let forwarded = boolean("forwarded", d.forwarded);
    Some(Forwarding { x_forwarded, forwarded, via, request_id, server })
}

/// A pseudonym (RFC 9110 section 7.6.3).
fn read_via(node: &Node<'_>) -> Option<String> {
    let name = node.owned_text()?;
    if value::is_token(&name) && name.len() <= VIA_BYTES_MAX {
        return Some(name);
    }
    let message = format!("`{}` cannot stand in `Via`", name.escape_debug());
    let problem = node.problem(Code::BadHeader, message, "");
    node.sink.add(problem.help(format!(
        "write a name of at most {VIA_BYTES_MAX} letters, digits, `-` and `.`, or false"
    )));
    None
}
