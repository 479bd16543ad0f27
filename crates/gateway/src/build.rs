//! From parameters to a snapshot: everything that can fail fails here, before anything changes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::{RouteCache, Store};
use crate::files::Files;
use crate::limit::Limiter;
use crate::metrics::Registry;
use crate::params::{GatewayParams, ServerAddress, Servers, UpstreamKind, UpstreamProtocol};
use crate::router::Router;
use crate::snapshot::{Backend, RouteState, Snapshot};
use crate::tls::{self, TlsError};
use crate::upstream::shared::{Identity, Server, Target, Upstream};

/// Addresses of host names.
pub(crate) type Resolved = HashMap<String, Vec<SocketAddr>>;

/// Cache stores by name.
pub(crate) type Stores = HashMap<String, NamedStore>;

/// A cache store and what it was made for.
#[derive(Clone)]
pub(crate) struct NamedStore {
    /// Its bytes, and those of its largest object.
    size: (u64, u64),
    store: Arc<Store>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Certificates or keys.
    #[error("cannot set up TLS of {what}: {source}")]
    Tls {
        /// Whose.
        what: String,
        /// Why.
        source: Box<TlsError>,
    },
    /// A folder of files.
    #[error("cannot serve files from {path}: {source}")]
    Files {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Makes a snapshot. What stays the same keeps its state: servers, breakers, limits, stores.
pub(crate) fn snapshot(
    params: &Arc<GatewayParams>,
    resolved: &Resolved,
    registry: &Registry,
    before: Option<&Snapshot>,
    stores: &mut Stores,
    seed: u64,
) -> Result<Snapshot, BuildError> {
    let generation = before.map_or(1, |before| before.generation + 1);
    let upstreams = params
        .upstreams
        .iter()
        .map(|upstream| match &upstream.kind {
            UpstreamKind::Files(files) => {
                let opened = Files::open(files)
                    .map_err(|source| BuildError::Files { path: files.root.clone(), source })?;
                Ok(Backend::Files(Arc::new(opened)))
            }
            UpstreamKind::Servers(servers) => {
                servers_of(&upstream.name, servers, resolved, before, registry)
            }
        })
        .collect::<Result<Vec<Backend>, BuildError>>()?;
    let mut used = HashMap::new();
    let routes = params
        .routes
        .iter()
        .map(|route| {
            let known = before.and_then(|before| {
                before.routes.iter().find(|known| known.params.name == route.name)
            });
            let limits = route
                .rate_limits
                .iter()
                .map(|limit| {
                    let known = known.and_then(|known| {
                        known.limits.iter().find(|known| known.params() == limit)
                    });
                    match known {
                        Some(known) => Arc::clone(known),
                        None => Arc::new(Limiter::new(limit.clone(), seed)),
                    }
                })
                .collect();
            let cache = route.cache.as_ref().map(|cache| {
                let size = (cache.max_bytes, cache.max_object);
                let named = used.entry(cache.store.clone()).or_insert_with(|| {
                    match stores.get(&cache.store).filter(|kept| kept.size == size) {
                        Some(kept) => kept.clone(),
                        None => NamedStore { size, store: Store::new(size.0, size.1) },
                    }
                });
                RouteCache::new(cache, Arc::clone(&named.store))
            });
            let counters = registry.route(&route.name);
            let in_flight = known.map(|known| Arc::clone(&known.in_flight)).unwrap_or_default();
            Arc::new(RouteState { params: route.clone(), limits, in_flight, cache, counters })
        })
        .collect();
    *stores = used;
    let router = Router::new(&params.routes);
    Ok(Snapshot { params: Arc::clone(params), router, routes, upstreams, generation })
}

fn servers_of(
    name: &str,
    params: &Servers,
    resolved: &Resolved,
    before: Option<&Snapshot>,
    registry: &Registry,
) -> Result<Backend, BuildError> {
    let known = before.and_then(|before| {
        before.upstreams.iter().find_map(|known| match known {
            Backend::Servers { upstream, tls } if upstream.name == name => Some((upstream, tls)),
            _ => None,
        })
    });
    let mut servers: Vec<Arc<Server>> = Vec::new();
    for server in &params.servers {
        for (id, target, host) in targets(&server.address, resolved) {
            let identity =
                Identity { upstream: name.to_owned(), id, target, tls: params.tls.clone() };
            if servers.iter().any(|other| other.identity == identity) {
                continue;
            }
            let kept = known.and_then(|(upstream, _)| {
                upstream.servers.iter().find(|kept| kept.identity == identity)
            });
            servers.push(match kept {
                Some(kept) => {
                    kept.configure(server.weight, server.tier);
                    Arc::clone(kept)
                }
                None => {
                    let counters = registry.server(name, &identity.id);
                    Arc::new(Server::new(identity, host, server.weight, server.tier, counters))
                }
            });
        }
    }
    // Certificates may have been renewed in their files, which are read again.
    if let Some((upstream, tls)) = known
        && params.tls.is_none()
        && *upstream.params == *params
        && upstream.servers.len() == servers.len()
        && upstream.servers.iter().zip(&servers).all(|(one, other)| Arc::ptr_eq(one, other))
    {
        return Ok(Backend::Servers { upstream: Arc::clone(upstream), tls: tls.clone() });
    }
    let tls = match &params.tls {
        None => None,
        Some(settings) => {
            let alpn: &[&[u8]] = match params.protocol {
                UpstreamProtocol::Http1 => &[b"http/1.1"],
                UpstreamProtocol::Http2 => &[b"h2"],
                UpstreamProtocol::Auto => &[b"h2", b"http/1.1"],
            };
            let config = tls::client_config(settings, alpn);
            Some(config.map_err(|source| BuildError::Tls {
                what: format!("upstream `{name}`"),
                source: Box::new(source),
            })?)
        }
    };
    let params = Arc::new(params.clone());
    let counters = registry.upstream(name);
    let load = known.map(|(upstream, _)| Arc::clone(&upstream.load)).unwrap_or_default();
    let upstream = Arc::new(Upstream::new(name.to_owned(), params, servers, counters, load));
    Ok(Backend::Servers { upstream, tls })
}

/// Where a server is: its id, its address and its host, for each address of a name.
fn targets(address: &ServerAddress, resolved: &Resolved) -> Vec<(String, Target, String)> {
    match address {
        ServerAddress::Socket(address) => {
            let text = address.to_string();
            vec![(text.clone(), Target::Socket(*address), text)]
        }
        ServerAddress::Unix(path) => {
            let id = format!("unix:{}", path.display());
            vec![(id, Target::Unix(path.clone()), "localhost".to_owned())]
        }
        ServerAddress::Name { host, port } => {
            let addresses = resolved.get(host).map_or(&[][..], Vec::as_slice);
            let text = format!("{host}:{port}");
            let target = |address: &SocketAddr| {
                let target = SocketAddr::new(address.ip(), *port);
                (format!("{text}/{}", address.ip()), Target::Socket(target), text.clone())
            };
            addresses.iter().map(target).collect()
        }
    }
}

/// The names that must be looked up.
pub(crate) fn names(params: &GatewayParams) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for upstream in &params.upstreams {
        let UpstreamKind::Servers(servers) = &upstream.kind else { continue };
        for server in &servers.servers {
            if let ServerAddress::Name { host, .. } = &server.address
                && !names.contains(host)
            {
                names.push(host.clone());
            }
        }
    }
    names
}
