//! The gateway in front of the shop, and the same one with everything turned off that helps.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use config::{Look, parse_gateway, parse_scenario, resolve};
use gateway::params::{Balance, GatewayParams, UpstreamKind};
use gateway::{Experiments, Gateway};
use load::params::LoadParams;

use crate::demo::shop::{SERVERS, Server, Shop};
use crate::exit::Failed;

/// The configuration, as people may copy it.
const TEXT: &str = include_str!("gateway.toml");
/// Its addresses, which the demo replaces by free ones.
const LISTENERS: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:8081"];
const SHOP: [&str; SERVERS] = ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"];
/// The configuration and the access log in the demo's folder.
pub(crate) const CONFIG_NAME: &str = "gateway.toml";
pub(crate) const LOG_NAME: &str = "access.log";

/// A folder of the demo's own, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    /// When it exists already or cannot be made.
    pub(crate) fn make() -> io::Result<Folder> {
        // A process may make several.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("tidegate-demo-{process}-{number}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to tidy up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The gateway's parameters, with the addresses of this shop. Their text is left in the folder.
///
/// # Errors
/// When the folder cannot be written to.
pub(crate) fn params(shop: &Shop, folder: &Folder) -> Result<GatewayParams, Failed> {
    let text = with_addresses(TEXT, shop);
    std::fs::write(folder.path().join(CONFIG_NAME), &text)
        .map_err(|error| Failed::environment(&error))?;
    parse_gateway(CONFIG_NAME, &text, folder.path())
        .map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))
}

/// A configuration with free ports and the addresses of this shop.
pub(crate) fn with_addresses(text: &str, shop: &Shop) -> String {
    let mut text = text.to_owned();
    for listener in LISTENERS {
        text = text.replace(listener, "127.0.0.1:0");
    }
    for (written, server) in SHOP.iter().zip(shop.servers()) {
        text = text.replace(written, &server.address().to_string());
    }
    text
}

/// Parameters of load on what is at `address`, as one of the demo's own scenarios says.
///
/// # Errors
/// Only if the scenario that is part of the program is wrong.
pub(crate) fn load_params(
    name: &str,
    text: &str,
    address: SocketAddr,
) -> Result<LoadParams, Failed> {
    let rendered = |errors: config::Errors| Failed::rendered(errors.render(Look::of_stderr()));
    let file = parse_scenario(name, text, Path::new(".")).map_err(rendered)?;
    let mut settings = file.settings;
    let host = format!("http://{address}").parse();
    settings.host =
        Some(host.map_err(|error: config::ValueError| Failed::usage(error.to_string()))?);
    resolve(file.scenario, settings).map_err(rendered)
}

/// The same without what this gateway does for the shop: requests go to the servers in turn.
pub(crate) fn without(mut params: GatewayParams) -> GatewayParams {
    for upstream in &mut params.upstreams {
        if let UpstreamKind::Servers(servers) = &mut upstream.kind {
            servers.balance = Balance::RoundRobin;
            servers.health = None;
            servers.ejection = None;
            servers.retry.attempts = 0;
            servers.hedge = None;
        }
    }
    for route in &mut params.routes {
        route.cache = None;
        route.rate_limits.clear();
    }
    params.access_log = None;
    params
}

/// Starts a gateway, perhaps with experiments, and says where.
///
/// # Errors
/// When it cannot have a port, a thread or its log.
pub(crate) fn start(
    params: GatewayParams,
    experiments: Option<Arc<dyn Experiments>>,
) -> Result<(Gateway, SocketAddr), Failed> {
    let gateway = Gateway::start_with(params, Vec::new(), experiments)
        .map_err(|error| Failed::environment(&error))?;
    match gateway.addresses().first() {
        Some((_, address)) => Ok((gateway, *address)),
        None => Err(Failed::environment(&io::Error::other("the gateway listens nowhere"))),
    }
}

/// What a gateway has counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Requests of routes with a cache.
    pub(crate) pages: u64,
    /// Those that no user had to wait for a server for.
    pub(crate) from_cache: u64,
    /// Of these, those that were shown beyond their time.
    pub(crate) stale: u64,
    /// Requests that were sent again.
    pub(crate) retries: u64,
    /// Requests that were sent to a second server as well.
    pub(crate) hedges: u64,
    /// Times that a server was left alone for its errors.
    pub(crate) ejections: u64,
    /// Attempts at each server.
    pub(crate) attempts: [u64; SERVERS],
}

impl Counts {
    /// Those of a gateway at this moment.
    pub(crate) fn of(gateway: &Gateway, shop: &Shop) -> Counts {
        Counts::read(&gateway.metrics(), shop.servers().iter().map(Server::address))
    }

    fn read(metrics: &str, servers: impl Iterator<Item = SocketAddr>) -> Counts {
        let cache = |result: &str| {
            sum(metrics, "tidegate_cache_requests_total{", &format!("result=\"{result}\""))
        };
        let event = |event: &str| {
            sum(metrics, "tidegate_upstream_events_total{", &format!("event=\"{event}\""))
        };
        let mut attempts = [0; SERVERS];
        for (count, address) in attempts.iter_mut().zip(servers) {
            let server = format!("server=\"{address}\"");
            *count = sum(metrics, "tidegate_server_attempts_total{", &server);
        }
        Counts {
            requests: sum(metrics, "tidegate_requests_total{", ""),
            pages: sum(metrics, "tidegate_cache_requests_total{", ""),
            from_cache: cache("hit") + cache("stale") + cache("collapsed"),
            stale: cache("stale"),
            retries: event("retry"),
            hedges: event("hedge"),
            ejections: event("ejection"),
            attempts,
        }
    }
}

/// The sum of a counter over all labels that hold a text.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once("} "));
    let values = samples.filter(|(labels, _)| labels.contains(label));
    values.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_text_is_replaced() {
        let shop = Shop::open().unwrap();
        let folder = Folder::make().unwrap();
        let params = params(&shop, &folder).unwrap_or_else(|failed| panic!("{}", failed.message));
        let text = std::fs::read_to_string(folder.path().join(CONFIG_NAME)).unwrap();
        for server in shop.servers() {
            assert!(text.contains(&server.address().to_string()), "{text}");
        }
        assert!(params.listeners.iter().all(|listener| listener.address.port() == 0));
        assert!(params.admin.as_ref().is_some_and(|admin| admin.address.port() == 0));
        let plain = without(params.clone());
        assert!(plain.routes.iter().all(|route| route.cache.is_none()));
        assert!(params.routes.iter().any(|route| route.cache.is_some()));
    }

    #[test]
    fn counters_are_read_from_the_metrics() {
        let text = "\
# HELP tidegate_cache_requests_total Requests by what the cache did for them.
tidegate_cache_requests_total{route=\"a\",result=\"hit\"} 5
tidegate_cache_requests_total{route=\"b\",result=\"stale\"} 2
tidegate_cache_requests_total{route=\"b\",result=\"miss\"} 3
tidegate_upstream_events_total{upstream=\"shop\",event=\"retry\"} 7
tidegate_upstream_events_total{upstream=\"shop\",event=\"retry-budget-exhausted\"} 100
tidegate_server_attempts_total{upstream=\"shop\",server=\"127.0.0.1:1\",result=\"ok\"} 4
tidegate_server_attempts_total{upstream=\"shop\",server=\"127.0.0.1:1\",result=\"failed\"} 1
tidegate_server_attempts_total{upstream=\"shop\",server=\"127.0.0.1:10\",result=\"ok\"} 9
";
        let servers = ["127.0.0.1:1", "127.0.0.1:10", "127.0.0.1:2"];
        let counts = Counts::read(text, servers.iter().filter_map(|text| text.parse().ok()));
        assert_eq!((counts.pages, counts.from_cache, counts.stale), (10, 7, 2));
        assert_eq!((counts.retries, counts.hedges, counts.attempts), (7, 0, [5, 9, 0]));
    }
}
