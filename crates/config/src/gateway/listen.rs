//! `[listen.NAME]` and `[admin]`: where tidegate listens.

use std::net::SocketAddr;
use std::path::Path;

use gateway::params::{Admin, Certificate, Listener, ListenerTls};

use crate::errors::{Code, Problem};
use crate::gateway::value::{check_name, flag, no_effect, not_empty, secret};
use crate::load_tables::existing_file;
use crate::read::{Node, Table, Text};

/// A listener and its name; `None` when it could not be read.
pub(crate) type Named<'a> = (Text<'a>, Option<Listener>);

/// Reads all `[listen.NAME]`.
pub(crate) fn read_listeners<'a>(
    table: &mut Table<'a>,
    folder: &Path,
    proxies_are_trusted: bool,
) -> Vec<Named<'a>> {
    let nodes = table.get("listen").and_then(|node| node.entries()).unwrap_or_default();
    if nodes.is_empty() && !table.has("listen") {
        let problem = Problem::new(Code::MissingKey, "there is no listener");
        let problem = problem.at(Some(table.at), "");
        table.sink.add(problem.help("add one: `[listen.web]` and `address = \"0.0.0.0:8080\"`"));
    }
    let read = |node: &Node<'a>| {
        check_name(node);
        node.table("a listener", |table| {
            read_listener(table, node.key.text, folder, proxies_are_trusted)
        })
    };
    nodes.iter().map(|node| (node.key, read(node))).collect()
}

fn read_listener(
    table: &mut Table<'_>,
    name: &str,
    folder: &Path,
    proxies_are_trusted: bool,
) -> Option<Listener> {
    let address = table.required("address").and_then(|node| read_address(&node));
    let tls_node = table.get("tls");
    let tls = tls_node.and_then(|node| node.table("`tls`", |table| read_tls(table, folder)));
    let http2 = flag(table, "http2").unwrap_or(true);
    let proxy_node = table.get("proxy-protocol");
    let proxy_protocol = proxy_node.and_then(|node| node.boolean()).unwrap_or(false);
    if let (Some(node), true, false) = (proxy_node, proxy_protocol, proxies_are_trusted) {
        let message = "`proxy-protocol` needs `trusted-proxies`: all connections would be refused";
        let problem = Problem::new(Code::MissingKey, message).at(node.key.at, "");
        node.sink.add(problem.help("list the proxies at the top of the file"));
    }
    let redirect = table.get("redirect-https");
    let redirect_https = redirect.and_then(|node| match node.value().as_bool() {
        Some(redirect) => redirect.then_some(443),
        None => node.integer(1..=u16::MAX),
    });
    if let (Some(tls), Some(redirect), true) = (tls_node, redirect, redirect_https.is_some()) {
        table.conflict(tls.key, redirect.key, "a listener that redirects to https speaks http");
    }
    let name = name.to_owned();
    Some(Listener { name, address: address?, tls, http2, proxy_protocol, redirect_https })
}

fn read_address(node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?.text;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is not an address and a port", text.escape_debug());
        let problem = node.problem(Code::BadAddress, message, "");
        node.sink.add(problem.help("write \"0.0.0.0:8080\", \"127.0.0.1:8080\" or \"[::]:8080\""));
    }
    address
}

fn read_tls(table: &mut Table<'_>, folder: &Path) -> Option<ListenerTls> {
    let certificates = match (table.get("certificates"), table.get("cert"), table.get("key")) {
        (Some(list), cert, key) => {
            if let Some(single) = cert.or(key) {
                table.conflict(list.key, single.key, "list all certificates in `certificates`");
            }
            let nodes = list.list()?;
            not_empty(&list, &nodes);
            let read = |node: &Node<'_>| {
                node.table("a certificate", |table| read_certificate(table, folder))
            };
            nodes.iter().map(read).collect()
        }
        (None, ..) => read_certificate(table, folder).map(|one| vec![one]),
    };
    let versions = [("1.2", true), ("1.3", false)];
    let tls12 = table.get("min-version").and_then(|node| node.choice(&versions)).unwrap_or(true);
    let client_ca = table.get("client-ca").and_then(|node| existing_file(&node, folder));
    let auth = table.get("client-auth");
    if let (Some(auth), None) = (auth, &client_ca) {
        no_effect(table.sink, auth.key, None, "there is no `client-ca`");
    }
    let kinds = [("required", true), ("optional", false)];
    let required = auth.and_then(|node| node.choice(&kinds)).unwrap_or(true);
    let client_required = required && client_ca.is_some();
    Some(ListenerTls { certificates: certificates?, tls12, client_ca, client_required })
}

/// Reads `cert` and `key`.
pub(crate) fn read_certificate(table: &mut Table<'_>, folder: &Path) -> Option<Certificate> {
    let cert = table.required("cert").and_then(|node| existing_file(&node, folder));
    let key = table.required("key").and_then(|node| existing_file(&node, folder));
    Some(Certificate { cert: cert?, key: key? })
}

/// Reads `[admin]`.
pub(crate) fn read_admin(node: &Node<'_>, folder: &Path) -> Option<Admin> {
    node.table("[admin]", |table| {
        let place = table.required("address");
        let address = place.and_then(|node| read_address(&node));
        let told = ["token", "token-file", "token-env"].iter().any(|key| table.has(key));
        let token = secret(table, ["token", "token-file", "token-env"], folder);
        if let Some((key, token)) = &token
            && !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = "a token is sent in a header: visible ASCII characters only";
            table.sink.add(Problem::new(Code::BadSecret, message).at(key.at, ""));
        }
        if let (Some(place), Some(address), false) = (place, address, told)
            && !address.ip().is_loopback()
        {
            let message = "others can reach this address, and there is no token";
            let problem = place.problem(Code::Unprotected, message, "not a loopback address");
            table.sink.add(problem.help("add `token-file`, or listen on 127.0.0.1"));
        }
        Some(Admin { address: address?, token: token.map(|(_, token)| token) })
    })
}

/// Reports addresses that are used twice. Port 0 is another one each time.
pub(crate) fn check_listeners(
    table: &Table<'_>,
    listeners: &[Named<'_>],
    admin: Option<&(Node<'_>, Admin)>,
) {
    let read = listeners.iter().filter_map(|(key, one)| Some((*key, one.as_ref()?.address)));
    let admin = admin.map(|(node, admin)| (node.key, admin.address));
    let mut known: Vec<(Text<'_>, SocketAddr)> = Vec::new();
    for (key, address) in read.chain(admin) {
        let same = known.iter().find(|(_, other)| *other == address && address.port() != 0);
        if let Some((other, _)) = same {
            let message =
                format!("`{}` and `{}` listen on the same address {address}", other.text, key.text);
            let problem = Problem::new(Code::Duplicate, message);
            table.sink.add(problem.at(key.at, "this").at(other.at, "and this"));
        }
        known.push((key, address));
    }
}
