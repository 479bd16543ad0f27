//! The servers of an upstream and where they are.

use std::path::Path;

use gateway::params::{SERVERS_MAX, Server, ServerAddress};

use crate::errors::{Code, Problem};
use crate::gateway::value::whole;
use crate::host::split_url;
use crate::read::{Node, Text};

/// What the servers of an upstream have in common.
pub(crate) struct ReadServers<'a> {
    pub(crate) servers: Vec<Server>,
    /// The first address that begins with `https://`, and the first with `http://`.
    pub(crate) https: Option<Text<'a>>,
    pub(crate) http: Option<Text<'a>>,
}

/// Whether an address says that the server speaks TLS.
#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    None,
    Http,
    Https,
}

/// Reads `servers`.
pub(crate) fn read_servers<'a>(node: &Node<'a>, folder: &Path) -> Option<ReadServers<'a>> {
    let nodes = node.list()?;
    if nodes.is_empty() || nodes.len() > SERVERS_MAX {
        let code = if nodes.is_empty() { Code::MissingKey } else { Code::TooMany };
        let message = format!("`servers` should list 1 to {SERVERS_MAX} servers");
        node.sink.add(node.problem(code, message, ""));
        return None;
    }
    let mut read = ReadServers { servers: Vec::new(), https: None, http: None };
    let mut known: Vec<(ServerAddress, Text<'a>)> = Vec::new();
    let mut complete = true;
    for node in &nodes {
        let Some((server, scheme, text)) = read_server(node, folder) else {
            complete = false;
            continue;
        };
        match scheme {
            Scheme::Https => read.https = read.https.or(Some(text)),
            Scheme::Http => read.http = read.http.or(Some(text)),
            Scheme::None => {}
        }
        if let Some((_, first)) = known.iter().find(|(address, _)| *address == server.address) {
            let message = format!("server `{}` is listed twice", text.text);
            let problem = Problem::new(Code::Duplicate, message).at(text.at, "this");
            node.sink
                .add(problem.at(first.at, "and this").help("`weight` gives it a larger share"));
        }
        known.push((server.address.clone(), text));
        read.servers.push(server);
    }
    if complete && read.servers.iter().all(|server| server.weight == 0) {
        let problem = node.problem(Code::NoEffect, "no server has a weight above zero", "");
        node.sink.add(problem);
    }
    complete.then_some(read)
}

fn read_server<'a>(node: &Node<'a>, folder: &Path) -> Option<(Server, Scheme, Text<'a>)> {
    if node.as_text().is_some() {
        let (address, scheme) = read_address(node, folder)?;
        return Some((Server { address, weight: 1, tier: 0 }, scheme, node.as_text()?));
    }
    if !node.value().is_table() {
        node.wrong_type("an address, or a table with `address`");
        return None;
    }
    node.table("a server", |table| {
        let place = table.required("address");
        let weight = whole(table, "weight", 0..=u16::MAX).unwrap_or(1);
        let tier = whole(table, "tier", 0..=u8::MAX).unwrap_or(0);
        let (address, scheme) = read_address(&place?, folder)?;
        Some((Server { address, weight, tier }, scheme, place?.as_text()?))
    })
}

/// Reads `127.0.0.1:9001`, `shop.internal:80`, `unix:/run/x.sock` or a URL without a path.
fn read_address(node: &Node<'_>, folder: &Path) -> Option<(ServerAddress, Scheme)> {
    let text = node.text()?.text;
    parse_address(text, folder)
        .map_err(|why| {
            let message = format!("`{}` {why}", text.escape_debug());
            let problem = node.problem(Code::BadAddress, message, "");
            node.sink.add(problem.help(
                "write \"127.0.0.1:9001\", \"shop.internal:80\", \"https://shop.internal\" or \
                 \"unix:/run/shop.sock\"",
            ));
        })
        .ok()
}

fn parse_address(text: &str, folder: &Path) -> Result<(ServerAddress, Scheme), &'static str> {
    const NEITHER: &str = "is not the address of a server";
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() || path.contains('\0') {
            return Err("has no path of a socket");
        }
        return Ok((ServerAddress::Unix(folder.join(path)), Scheme::None));
    }
    let (url, scheme) = match text.split_once("://") {
        Some(("http", _)) => (text.to_owned(), Scheme::Http),
        Some(("https", _)) => (text.to_owned(), Scheme::Https),
        Some(_) => return Err("is neither an http nor an https URL"),
        None => (format!("http://{text}"), Scheme::None),
    };
    let (origin, path) = split_url(&url).map_err(|_| NEITHER)?;
    if !path.is_empty() && (path != "/" || scheme == Scheme::None) {
        return Err("has a path; the `rewrite` of a route changes paths");
    }
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if scheme == Scheme::None && !has_port {
        return Err("has no port");
    }
    let address = match origin.host.parse() {
        Ok(ip) => ServerAddress::Socket(std::net::SocketAddr::new(ip, origin.port)),
        Err(_) => ServerAddress::Name { host: origin.host, port: origin.port },
    };
    Ok((address, scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let folder = Path::new("/etc/tidegate");
        let name = |host: &str, port| ServerAddress::Name { host: host.to_owned(), port };
        let socket = |text: &str| ServerAddress::Socket(text.parse().unwrap());
        for (text, expected) in [
            ("127.0.0.1:9001", socket("127.0.0.1:9001")),
            ("[::1]:80", socket("[::1]:80")),
            ("Shop.internal:80", name("shop.internal", 80)),
            ("http://shop.internal/", name("shop.internal", 80)),
            ("https://shop.internal", name("shop.internal", 443)),
            ("https://[::1]", socket("[::1]:443")),
            ("unix:/run/x.sock", ServerAddress::Unix("/run/x.sock".into())),
            ("unix:x.sock", ServerAddress::Unix("/etc/tidegate/x.sock".into())),
        ] {
            assert_eq!(parse_address(text, folder).map(|read| read.0), Ok(expected), "{text}");
        }
        for text in [
            "",
            "shop",
            "[::1]",
            "127.0.0.1",
            "127.0.0.1:0",
            "shop:80/x",
            "shop:80/",
            "http://a/b",
            "ftp://a",
            "a b:80",
            "unix:",
            "ann@shop:80",
            "shop:99999",
        ] {
            assert!(parse_address(text, folder).is_err(), "{text}");
        }
    }
}
