//! `[upstream.NAME]`: servers and the rules for using them, or a folder of files.

use std::path::{Component, Path};
use std::time::Duration;

use gateway::params::{
    Balance, Files, HostHeader, ProxyVersion, ServerAddress, Servers, Upstream, UpstreamKind,
    UpstreamProtocol, UpstreamTls,
};

use crate::errors::{Code, Problem};
use crate::gateway::balance::{missing, read_balance, read_sticky};
use crate::gateway::listen::read_certificate;
use crate::gateway::resilience::{
    LIMITS, default_retry, read_adaptive, read_breaker, read_ejection, read_health, read_hedge,
    read_limits, read_retry,
};
use crate::gateway::server::{ReadServers, read_servers};
use crate::gateway::value::{
    check_name, existing_folder, feature, flag, no_effect, not_empty, positive, texts, whole,
};
use crate::host::split_url;
use crate::load_tables::existing_file;
use crate::read::{Node, Table, Text};

/// How long to wait for a connection to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an idle connection to a server is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Most idle connections per server and worker.
const IDLE_MAX: usize = 64;

/// Keys that have no meaning for a folder of files.
const SERVER_KEYS: [&str; 18] = [
    "servers",
    "balance",
    "slow-start",
    "sticky",
    "health",
    "breaker",
    "ejection",
    "retry",
    "hedge",
    "limits",
    "adaptive",
    "protocol",
    "tls",
    "proxy-protocol",
    "idle",
    "idle-max",
    "host",
    "connect-timeout",
];

/// An upstream by its name.
pub(crate) struct Known<'a> {
    pub(crate) key: Text<'a>,
    /// `None` when it could not be read.
    pub(crate) kind: Option<UpstreamKind>,
    /// Who said how long to wait for a connection.
    connect: Option<(Text<'a>, Duration)>,
}

impl<'a> Known<'a> {
    /// The whole, if it could be read.
    pub(crate) fn finish(self) -> Option<Upstream> {
        let mut kind = self.kind?;
        if let (UpstreamKind::Servers(servers), Some((_, timeout))) = (&mut kind, self.connect) {
            servers.connect_timeout = timeout;
        }
        Some(Upstream { name: self.key.text.to_owned(), kind })
    }

    /// Takes the connect timeout that a route asks for. Connections are shared by all routes, so
    /// all that say one must say the same.
    pub(crate) fn connect_within(&mut self, table: &Table<'_>, place: Text<'a>, timeout: Duration) {
        match &self.connect {
            Some((first, other)) if *other != timeout => {
                let message = format!("upstream `{}` has two connect timeouts", self.key.text);
                let problem = Problem::new(Code::Conflict, message);
                let help = "its connections are shared by all routes: say it once, as \
                            `connect-timeout` of the upstream";
                table.sink.add(problem.at(place.at, "this").at(first.at, "and this").help(help));
            }
            Some(_) => {}
            None => self.connect = Some((place, timeout)),
        }
    }
}

/// Reads all `[upstream.NAME]`.
pub(crate) fn read_upstreams<'a>(table: &mut Table<'a>, folder: &Path) -> Vec<Known<'a>> {
    let nodes = table.get("upstream").and_then(|node| node.entries()).unwrap_or_default();
    let read = |node: &Node<'a>| {
        check_name(node);
        let mut connect = None;
        let kind = node.table("an upstream", |table| {
            let timeout = table.get("connect-timeout");
            connect = positive(table, "connect-timeout")
                .and_then(|duration| Some((timeout?.key, duration)));
            read_upstream(table, folder)
        });
        Known { key: node.key, kind, connect }
    };
    nodes.iter().map(read).collect()
}

fn read_upstream(table: &mut Table<'_>, folder: &Path) -> Option<UpstreamKind> {
    let Some(serve) = table.get("serve") else {
        if !table.has("servers") {
            missing(
                table,
                "an upstream needs `servers` or `serve`",
                "add `servers = [\"127.0.0.1:9001\"]` or `serve = \"FOLDER\"`",
            );
            // So that the rest is checked all the same.
            for key in SERVER_KEYS {
                table.get(key);
            }
            return None;
        }
        return read_settings(table, folder)
            .map(|servers| UpstreamKind::Servers(Box::new(servers)));
    };
    for key in SERVER_KEYS {
        if let Some(other) = table.get(key) {
            table.conflict(serve.key, other.key, "a folder of files has no servers");
        }
    }
    let root = existing_folder(&serve, folder);
    let index =
        table.get("index").map_or_else(|| vec!["index.html".to_owned()], |node| index(&node));
    let not_found = table.get("not-found").and_then(|node| not_found(&node, root.as_deref()?));
    let precompressed = flag(table, "precompressed").unwrap_or(false);
    Some(UpstreamKind::Files(Files { root: root?, index, not_found, precompressed }))
}

fn index(node: &Node<'_>) -> Vec<String> {
    let names = texts(node);
    not_empty(node, &names);
    for name in names.iter().filter(|name| name.text.is_empty() || name.text.contains('/')) {
        let message = format!("`{}` is not the name of a file", name.text.escape_debug());
        node.sink.add(Problem::new(Code::BadPath, message).at(name.at, ""));
    }
    names.into_iter().map(|name| name.text.to_owned()).collect()
}

fn not_found(node: &Node<'_>, root: &Path) -> Option<String> {
    let name = node.owned_text()?;
    let path = Path::new(&name);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        let problem = node.problem(Code::BadPath, "`not-found` must be inside of the folder", "");
        node.sink.add(problem.help("write its path from the folder on, such as \"404.html\""));
    } else {
        existing_file(node, root);
    }
    Some(name)
}

fn read_settings(table: &mut Table<'_>, folder: &Path) -> Option<Servers> {
    let servers = table.required("servers").and_then(|node| read_servers(&node, folder));
    let protocols = [
        ("http1", UpstreamProtocol::Http1),
        ("http2", UpstreamProtocol::Http2),
        ("auto", UpstreamProtocol::Auto),
    ];
    let versions = [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
    let retry = table.get("retry").and_then(|node| node.table("`retry`", read_retry));
    let limits = table.get("limits").and_then(|node| node.table("`limits`", read_limits));
    let settings = Servers {
        balance: table
            .get("balance")
            .and_then(|node| read_balance(&node))
            .unwrap_or(Balance::PeakEwma),
        slow_start: table.get("slow-start").and_then(|node| node.duration()).unwrap_or_default(),
        sticky: table.get("sticky").and_then(|node| read_sticky(&node, folder)),
        health: table.get("health").and_then(|node| node.table("`health`", read_health)),
        breaker: table.get("breaker").and_then(|node| feature(&node, "`breaker`", read_breaker)),
        ejection: table
            .get("ejection")
            .and_then(|node| feature(&node, "`ejection`", read_ejection)),
        retry: retry.unwrap_or_else(default_retry),
        hedge: table.get("hedge").and_then(|node| {
            let hedge = node.table("`hedge`", read_hedge);
            check_hedge(&node, servers.as_ref());
            hedge
        }),
        limits: limits.unwrap_or(LIMITS),
        adaptive: table
            .get("adaptive")
            .and_then(|node| feature(&node, "`adaptive`", read_adaptive)),
        protocol: table
            .get("protocol")
            .and_then(|node| node.choice(&protocols))
            .unwrap_or(UpstreamProtocol::Auto),
        tls: read_tls(table, servers.as_ref(), folder),
        proxy_protocol: table.get("proxy-protocol").and_then(|node| node.choice(&versions)),
        idle: positive(table, "idle").unwrap_or(IDLE),
        idle_max: whole(table, "idle-max", 0..=65_536).unwrap_or(IDLE_MAX),
        host: table.get("host").and_then(|node| read_host(&node)).unwrap_or(HostHeader::Client),
        connect_timeout: CONNECT_TIMEOUT,
        servers: Vec::new(),
    };
    Some(Servers { servers: servers?.servers, ..settings })
}

/// A second attempt needs a second server; a name may stand for several.
fn check_hedge(node: &Node<'_>, servers: Option<&ReadServers<'_>>) {
    let Some(ReadServers { servers, .. }) = servers else { return };
    if servers.len() == 1 && !matches!(servers[0].address, ServerAddress::Name { .. }) {
        no_effect(node.sink, node.key, None, "there is only one server");
    }
}

fn read_tls(
    table: &mut Table<'_>,
    servers: Option<&ReadServers<'_>>,
    folder: &Path,
) -> Option<UpstreamTls> {
    let plain = UpstreamTls { ca: None, server_name: None, client: None, insecure: false };
    let node = table.get("tls");
    let told = node.and_then(|node| feature(&node, "`tls`", |table| read_tls_table(table, folder)));
    let (https, http) = servers.map_or((None, None), |servers| (servers.https, servers.http));
    let off = node.filter(|node| node.value().as_bool() == Some(false)).map(|node| node.key);
    // One upstream has TLS or has none.
    if let (Some(with), Some(without)) = (https, http.or(off)) {
        table.conflict(with, without, "put them into two upstreams");
    }
    if let (Some(node), Some(http), true) = (node, http, told.is_some()) {
        table.conflict(node.key, http, "write https://, or no scheme at all");
    }
    told.or_else(|| https.map(|_| plain))
}

fn read_tls_table(table: &mut Table<'_>, folder: &Path) -> Option<UpstreamTls> {
    let ca_node = table.get("ca");
    let ca = ca_node.and_then(|node| existing_file(&node, folder));
    let server_name = table.get("server-name").and_then(|node| {
        let name = node.owned_text()?;
        if !split_url(&name).is_ok_and(|(origin, path)| origin.host == name && path.is_empty()) {
            let message = format!("`{}` is not the name of a host", name.escape_debug());
            node.sink.add(node.problem(Code::BadHost, message, ""));
        }
        Some(name)
    });
    let client = (table.has("cert") || table.has("key")).then(|| read_certificate(table, folder));
    let insecure_node = table.get("insecure");
    let insecure = insecure_node.and_then(|node| node.boolean()).unwrap_or(false);
    if let (Some(ca), Some(insecure), true) = (ca_node, insecure_node, insecure) {
        no_effect(table.sink, ca.key, Some(insecure.key), "certificates are not checked");
    }
    Some(UpstreamTls { ca, server_name, client: client.flatten(), insecure })
}

fn read_host(node: &Node<'_>) -> Option<HostHeader> {
    let text = node.text()?.text;
    match text {
        "client" => Some(HostHeader::Client),
        "server" => Some(HostHeader::Server),
        name => {
            let url = format!("http://{name}");
            if !split_url(&url).is_ok_and(|(_, path)| path.is_empty()) {
                let message = format!("`{}` is not a host", name.escape_debug());
                let problem = node.problem(Code::BadHost, message, "");
                node.sink.add(problem.help("write \"client\", \"server\", or a host name"));
            }
            Some(HostHeader::Fixed(name.to_owned()))
        }
    }
}
