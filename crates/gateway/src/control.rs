//! The control plane: asking servers how they are, looking names up, renewing certificates. On a
//! runtime of its own, so that it can never slow a request down.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::build::{self, Resolved};
use crate::engine::Inner;
use crate::snapshot::Backend;
use crate::upstream::health;

/// How often the control plane looks what has changed.
const TICK: Duration = Duration::from_millis(500);
/// How often certificate files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(10);
/// Bounds on how long an answer of DNS is believed.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(300);
/// When a name is looked up again that could not be.
const RETRY: Duration = Duration::from_secs(5);
/// How long a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The runtime of the control plane.
pub(crate) fn runtime() -> io::Result<LocalRuntime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build_local(LocalOptions::default())
}

/// Looks names up; those that cannot be found have no address.
pub(crate) async fn resolve_all(names: &[String]) -> Resolved {
    let mut resolved = HashMap::new();
    if names.is_empty() {
        return resolved;
    }
    let resolver = resolver();
    for name in names {
        let (addresses, _) = resolve(resolver.as_ref(), name).await;
        resolved.insert(name.clone(), addresses);
    }
    resolved
}

fn resolver() -> Option<TokioResolver> {
    let built = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
    built
        .inspect_err(|error| tracing::warn!(%error, "cannot read the system's DNS configuration"))
        .ok()
}

/// Addresses of a name, sorted, and when to look again.
async fn resolve(resolver: Option<&TokioResolver>, name: &str) -> (Vec<SocketAddr>, Duration) {
    let Some(resolver) = resolver else { return (Vec::new(), RETRY) };
    match tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup_ip(name)).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> =
                found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            addresses.sort_unstable();
            addresses.dedup();
            let ttl = found.valid_until().saturating_duration_since(std::time::Instant::now());
            (addresses, ttl.clamp(TTL_MIN, TTL_MAX))
        }
        Ok(Err(error)) => {
            tracing::warn!(name, %error, "cannot look a name up");
            (Vec::new(), RETRY)
        }
        Err(_) => {
            tracing::warn!(name, "looking a name up took too long");
            (Vec::new(), RETRY)
        }
    }
}

/// Runs the control plane until it is told to stop.
pub(crate) async fn run(inner: Arc<Inner>, mut stop: mpsc::Receiver<()>) {
    let mut checks = JoinSet::new();
    let mut checked = 0;
    let mut names: HashMap<String, Instant> = HashMap::new();
    let mut certificates = Instant::now() + CERTIFICATES;
    let resolver = resolver();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.recv() => return,
        }
        let snapshot = inner.snapshot();
        if snapshot.generation != checked {
            checked = snapshot.generation;
            // Servers that stay keep their health: it lives with them, not with the task.
            checks.shutdown().await;
            for backend in &snapshot.upstreams {
                let Backend::Servers { upstream, tls } = backend else { continue };
                if upstream.params.health.is_none() {
                    continue;
                }
                for server in &upstream.servers {
                    let server = Arc::clone(server);
                    let (upstream, shared) = (Arc::clone(upstream), Arc::clone(&inner.shared));
                    let watch = health::watch(upstream, server, tls.clone(), shared);
                    checks.spawn_local(watch);
                }
            }
            let wanted = build::names(&snapshot.params);
            names.retain(|name, _| wanted.contains(name));
            for name in wanted {
                names.entry(name).or_insert_with(|| Instant::now() + TTL_MIN);
            }
        }
        let now = Instant::now();
        for (name, due) in &mut names {
            if *due > now {
                continue;
            }
            let (addresses, ttl) = resolve(resolver.as_ref(), name).await;
            *due = Instant::now() + ttl;
            // A name that cannot be looked up keeps its addresses.
            if !addresses.is_empty() {
                inner.set_resolved(name, addresses).await;
            }
        }
        if now >= certificates {
            certificates = now + CERTIFICATES;
            inner.renew_certificates().await;
        }
    }
}
