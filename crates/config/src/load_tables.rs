//! The tables of a scenario file that say how it is run: `[load]`, `[http]`, `[tls]`, `[watch]`.

use std::path::{Path, PathBuf};

use load::params::{ConnectTo, DnsPolicy, HttpVersion, PrometheusWatch, USERS_MAX, WORKERS_MAX};
use policy::{ArrivalKind, STAGES_MAX};
use toml::de::DeValue;

use crate::errors::Code;
use crate::file::read_range;
use crate::host::{ValueError, parse_connect_to};
use crate::read::{Node, Table};
use crate::settings::{BurstSettings, Level, LoadSettings, LoadStage, Places, Preset};

/// Most redirects that are followed per request.
pub const REDIRECTS_MAX: u8 = 50;
/// Most processes and most metrics pages that are watched.
pub const WATCHED_MAX: usize = 64;

/// Reads the settings of a file, all but the SLO.
pub(crate) fn read<'a>(table: &mut Table<'a>, folder: &Path) -> LoadSettings {
    let file = table.sink.file().cloned();
    let mut settings =
        LoadSettings { places: Places { file, ..Places::default() }, ..LoadSettings::default() };
    settings.host =
        table.get("host").and_then(|node| node.parsed(Code::BadHost, "https://shop.example"));
    let mut section = |key: &'a str, title: &'a str, read: &mut dyn FnMut(&mut Table<'a>)| {
        if let Some(node) = table.get(key) {
            node.table(title, |table| {
                read(table);
                Some(())
            });
        }
    };
    section("load", "[load]", &mut |table| read_load(table, &mut settings));
    section("http", "[http]", &mut |table| read_http(table, &mut settings, folder));
    section("tls", "[tls]", &mut |table| read_tls(table, &mut settings, folder));
    section("watch", "[watch]", &mut |table| read_watch(table, &mut settings));
    settings
}

/// The value of a key, whose place is kept for later errors.
fn placed<'a>(table: &mut Table<'a>, places: &mut Places, key: &'static str) -> Option<Node<'a>> {
    let node = table.get(key)?;
    places.spans.extend(node.key.at.map(|at| (key, at)));
    Some(node)
}

fn read_load(table: &mut Table<'_>, settings: &mut LoadSettings) {
    let places = &mut settings.places;
    let mut get = |key| placed(table, places, key);
    settings.users = get("users").and_then(|node| node.integer(1..=USERS_MAX));
    settings.spawn_rate = get("spawn-rate").and_then(|node| node.rate());
    settings.run_time = get("run-time").and_then(|node| node.duration());
    settings.rate = get("rate").and_then(|node| node.rate());
    settings.requests = get("requests").and_then(|node| node.integer(1..=u64::MAX));
    settings.stages = get("stages").map_or_else(Vec::new, |node| read_stages(&node));
    settings.preset = get("preset").and_then(|node| node.choice(&Preset::ALL));
    settings.burst = get("burst").and_then(|node| read_burst(&node));
    let kinds = [("deterministic", ArrivalKind::Deterministic), ("poisson", ArrivalKind::Poisson)];
    settings.arrivals = get("arrivals").and_then(|node| node.choice(&kinds));
    settings.seed = get("seed").and_then(|node| node.integer(0..=u64::MAX));
    settings.workers = get("workers").and_then(|node| node.integer(1..=WORKERS_MAX));
    settings.drain = get("drain").and_then(|node| node.duration());
}

fn read_stages(node: &Node<'_>) -> Vec<LoadStage> {
    let Some(stages) = node.list() else { return Vec::new() };
    if stages.is_empty() || stages.len() > STAGES_MAX {
        let message = format!("`stages` should list 1 to {STAGES_MAX} stages");
        node.sink.add(node.problem(Code::BadNumber, message, ""));
        return Vec::new();
    }
    stages
        .iter()
        .filter_map(|stage| {
            stage.table("a stage", |table| {
                let target = table.required("target").and_then(|node| read_level(&node));
                let duration = table.required("duration").and_then(|node| node.duration());
                Some(LoadStage { target: target?, duration: duration? })
            })
        })
        .collect()
}

fn read_level(node: &Node<'_>) -> Option<Level> {
    match node.value() {
        DeValue::Integer(_) => node.integer(0..=USERS_MAX).map(Level::Users),
        DeValue::String(_) => node.parsed(Code::BadRate, "100/s").map(Level::Rate),
        _ => {
            node.wrong_type("a number of users, or a rate such as \"100/s\"");
            None
        }
    }
}

fn read_burst(node: &Node<'_>) -> Option<BurstSettings> {
    node.table("`burst`", |table| {
        let size = table.required("size").and_then(|node| node.integer(1..=USERS_MAX));
        let cycles = table.get("cycles").and_then(|node| node.integer(1..=u32::MAX));
        let pause = table.get("pause").and_then(|node| match node.value() {
            DeValue::String(_) => node.duration().map(|pause| (pause, pause)),
            _ => read_range(&node),
        });
        Some(BurstSettings { size: size?, cycles, pause })
    })
}

fn read_http(table: &mut Table<'_>, settings: &mut LoadSettings, folder: &Path) {
    let versions = [("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    settings.http_version = table.get("version").and_then(|node| node.choice(&versions));
    settings.keep_alive = table.get("keep-alive").and_then(|node| node.boolean());
    settings.requests_per_connection =
        table.get("requests-per-connection").and_then(|node| node.integer(1..=u32::MAX));
    settings.connection_age = table.get("connection-age").and_then(|node| node.duration());
    settings.redirects = table.get("redirects").and_then(|node| node.integer(0..=REDIRECTS_MAX));
    settings.cookies = table.get("cookies").and_then(|node| node.boolean());
    settings.compression = table.get("compression").and_then(|node| node.boolean());
    settings.user_agent = table.get("user-agent").and_then(|node| user_agent(&node));
    let policies = [("per-run", DnsPolicy::PerRun), ("per-connection", DnsPolicy::PerConnection)];
    settings.dns = table.get("dns").and_then(|node| node.choice(&policies));
    settings.connect_to = table.get("connect-to").and_then(|node| {
        parse_connect_to(node.text()?.text)
            .map(|to| match to {
                ConnectTo::Unix(path) => ConnectTo::Unix(folder.join(path)),
                to => to,
            })
            .map_err(|ValueError(message)| {
                node.sink.add(node.problem(Code::BadConnectTo, message, ""));
            })
            .ok()
    });
    if let Some(node) = table.get("timeout") {
        node.table("`timeout`", |table| {
            settings.connect_timeout = table.get("connect").and_then(|node| node.duration());
            settings.response_timeout = table.get("response").and_then(|node| node.duration());
            settings.total_timeout = table.get("total").and_then(|node| node.duration());
            Some(())
        });
    }
    if let Some(node) = table.get("limits") {
        node.table("`limits`", |table| {
            settings.head_limit = table.get("head").and_then(|node| node.bytes());
            settings.body_limit = table.get("body").and_then(|node| node.bytes());
            settings.kept_body_limit = table.get("kept-body").and_then(|node| node.bytes());
            Some(())
        });
    }
}

fn user_agent(node: &Node<'_>) -> Option<String> {
    let text = node.owned_text()?;
    if http::HeaderValue::from_str(&text).is_err() {
        node.sink.add(node.problem(Code::BadHeader, "a header value cannot hold this", ""));
        return None;
    }
    Some(text)
}

fn read_tls(table: &mut Table<'_>, settings: &mut LoadSettings, folder: &Path) {
    let places = &mut settings.places;
    let mut get = |key| placed(table, places, key);
    settings.ca = get("ca").and_then(|node| existing_file(&node, folder));
    settings.cert = get("cert").and_then(|node| existing_file(&node, folder));
    settings.key = get("key").and_then(|node| existing_file(&node, folder));
    settings.server_name = get("server-name").and_then(|node| node.owned_text());
    settings.insecure = get("insecure").and_then(|node| node.boolean());
}

/// A file that is there.
pub(crate) fn existing_file(node: &Node<'_>, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(node.text()?.text);
    if let Err(error) = std::fs::File::open(&path) {
        let message = format!("cannot read {}: {error}", path.display());
        node.sink.add(node.problem(Code::UnreadableFile, message, ""));
    }
    // An unreadable file is reported once, here; the setting is there all the same.
    Some(path)
}

fn read_watch(table: &mut Table<'_>, settings: &mut LoadSettings) {
    if let Some(node) = table.get("pids") {
        let pids = few(&node);
        settings.watch_pids =
            pids.iter().filter_map(|node| node.integer(1..=i32::MAX.cast_unsigned())).collect();
    }
    if let Some(node) = table.get("prometheus") {
        settings.watch_prometheus = few(&node).iter().filter_map(read_prometheus).collect();
    }
}

/// The elements of a list that may not be long.
fn few<'a>(node: &Node<'a>) -> Vec<Node<'a>> {
    let nodes = node.list_or_one();
    if nodes.len() > WATCHED_MAX {
        let message = format!("`{}` may list at most {WATCHED_MAX}", node.key.text);
        node.sink.add(node.problem(Code::TooMany, message, ""));
    }
    nodes
}

/// Reads a URL, or `{ url, series }`.
fn read_prometheus(node: &Node<'_>) -> Option<PrometheusWatch> {
    if node.as_text().is_some() {
        return Some(PrometheusWatch { url: metrics_url(node)?, series: Vec::new() });
    }
    node.table("a metrics page", |table| {
        let url = table.required("url").and_then(|node| metrics_url(&node));
        let series = table.get("series").map_or_else(Vec::new, |node| few(&node));
        let series = series.iter().filter_map(Node::owned_text).collect();
        Some(PrometheusWatch { url: url?, series })
    })
}

fn metrics_url(node: &Node<'_>) -> Option<String> {
    let text = node.owned_text()?;
    let url = url::Url::parse(&text).ok();
    if !url.is_some_and(|url| url.scheme() == "http" && url.has_host()) {
        let message = format!("`{text}` is not an http URL");
        let problem = node.problem(Code::BadHost, message, "");
        node.sink.add(problem.help("write a whole URL, such as \"http://127.0.0.1:9100/metrics\""));
        return None;
    }
    Some(text)
}
