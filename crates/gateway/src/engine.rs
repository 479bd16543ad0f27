//! A running gateway: starting its threads, giving them new configurations, stopping them.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::ServerConfig;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::accept::listener::bind;
use crate::build::{self, BuildError, Resolved, Stores};
use crate::cache::Purge;
use crate::control;
use crate::log::AccessLogger;
use crate::metrics::Registry;
use crate::params::{GatewayParams, Listener};
use crate::shared::Shared;
use crate::snapshot::{Backend, Snapshot};
use crate::status;
use crate::tls::{self, CertificateWatch};
use crate::upstream::shared::{Duty, Server, Upstream, lock};
use crate::worker::{Command, Listen, Setup, Worker};

/// Why a gateway cannot start, or cannot take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be made ready.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {path}: {source}")]
    AccessLog {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Something that only a restart can change.
    #[error("{0} cannot change while the gateway runs: restart it, or upgrade it in place")]
    NeedsRestart(&'static str),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// Which stored answers are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purged {
    /// Those of a URL, with scheme and host.
    Url(String),
    /// Those whose URL begins so.
    Prefix(String),
    /// Those with this tag.
    Tag(String),
    /// All.
    All,
}

/// A running gateway. Dropping it stops it at once; [`Gateway::drain`] lets it finish.
pub struct Gateway {
    inner: Arc<Inner>,
    control: Mutex<Option<JoinHandle<()>>>,
    stop: mpsc::Sender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    logger: Mutex<Option<AccessLogger>>,
}

/// What the control plane works on.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
    /// Held while the configuration changes.
    changing: AsyncMutex<Current>,
    /// The snapshot that holds, for those who only look.
    seen: Mutex<Arc<Snapshot>>,
    /// Names and addresses that are listened on.
    addresses: Mutex<Vec<(String, SocketAddr)>>,
    workers: Vec<mpsc::Sender<Command>>,
    seed: u64,
}

/// What may change.
struct Current {
    snapshot: Arc<Snapshot>,
    sockets: HashMap<SocketAddr, Vec<TcpListener>>,
    stores: Stores,
    resolved: Resolved,
    watches: Vec<CertificateWatch>,
}

impl Gateway {
    /// Starts a gateway. `inherited` are listening sockets of a predecessor; those whose address
    /// is not listened on are closed.
    ///
    /// # Errors
    /// When anything that the configuration needs cannot be had.
    pub fn start(
        params: GatewayParams,
        inherited: Vec<TcpListener>,
    ) -> Result<Gateway, StartError> {
        let params = Arc::new(params);
        let (secret, seed) = draw_secret();
        let registry = Arc::new(Registry::new(params.workers));
        let shared = Arc::new(Shared::new(secret, seed));
        let runtime = control::runtime().map_err(StartError::Thread)?;
        let resolved = runtime.block_on(control::resolve_all(&build::names(&params)));
        drop(runtime);
        let mut stores = Stores::new();
        let snapshot = build::snapshot(&params, &resolved, &registry, None, &mut stores, seed)?;
        let snapshot = Arc::new(snapshot);
        let (tls, watches) = tls_of(&params)?;
        let mut sockets = sort(inherited);
        let wanted: Vec<SocketAddr> = crate::snapshot::addresses(&params).collect();
        sockets.retain(|address, _| wanted.contains(address));
        open_sockets(&params, &mut sockets)?;
        let logger = params
            .access_log
            .as_ref()
            .map(|log| {
                AccessLogger::open(log, params.workers)
                    .map_err(|source| StartError::AccessLog { path: log.path.clone(), source })
            })
            .transpose()?;
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for index in 0..params.workers {
            let worker = Worker::start(Setup {
                index,
                shared: Arc::clone(&shared),
                snapshot: Arc::clone(&snapshot),
                listeners: listens(&params, &tls, &sockets, index, |_| true)?,
                seed: seed.wrapping_add(index as u64 + 1),
                log: logger.as_ref().map(AccessLogger::core),
                metrics: registry.core(index),
            })
            .map_err(StartError::Thread)?;
            workers.push(worker.commands);
            threads.push(worker.thread);
        }
        let seen = Mutex::new(Arc::clone(&snapshot));
        let addresses = Mutex::new(addresses_of(&params, &sockets));
        let current = Current { snapshot, sockets, stores, resolved, watches };
        let inner = Arc::new(Inner {
            shared,
            registry,
            changing: AsyncMutex::new(current),
            seen,
            addresses,
            workers,
            seed,
        });
        let (stop, stopped) = mpsc::channel(1);
        let for_control = Arc::clone(&inner);
        let control = std::thread::Builder::new()
            .name("gateway-control".to_owned())
            .spawn(move || match control::runtime() {
                Ok(runtime) => runtime.block_on(control::run(for_control, stopped)),
                Err(error) => tracing::error!(%error, "nobody checks servers: no runtime"),
            })
            .map_err(StartError::Thread)?;
        Ok(Gateway {
            inner,
            control: Mutex::new(Some(control)),
            stop,
            threads: Mutex::new(threads),
            logger: Mutex::new(logger),
        })
    }

    /// The addresses that are listened on, with their listeners' names.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        lock(&self.inner.addresses).clone()
    }

    /// The configuration that holds.
    pub fn params(&self) -> Arc<GatewayParams> {
        Arc::clone(&self.snapshot().params)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.inner.seen))
    }

    /// Takes a new configuration: all of it, or none. Requests under way end with the old one.
    ///
    /// # Errors
    /// As [`Gateway::start`]; the old configuration goes on then.
    pub async fn reload(&self, params: GatewayParams) -> Result<(), StartError> {
        let result = self.inner.reload(params).await;
        self.inner.registry.reloaded(result.is_ok());
        result
    }

    /// What is counted, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        self.inner.registry.render_prometheus(&self.state())
    }

    /// What is counted and how servers are, as JSON.
    pub fn status(&self) -> serde_json::Value {
        self.inner.registry.status_json(&self.state())
    }

    fn state(&self) -> crate::metrics::State {
        let log = lock(&self.logger).as_ref().map(AccessLogger::counters);
        status::state_of(&self.inner, log.as_deref())
    }

    /// Removes stored answers, of all routes that have a cache; false when the URL is none.
    pub fn purge(&self, what: &Purged, how: Purge) -> bool {
        let snapshot = self.snapshot();
        if let Purged::Url(url) = what {
            // Routes may make different keys of one URL.
            let caches = snapshot.routes.iter().filter_map(|route| route.cache.as_ref());
            let mut is_url = true;
            for cache in caches {
                is_url &= cache.purge_url(url, how);
            }
            return is_url;
        }
        for (_, store) in status::stores(&snapshot) {
            match what {
                Purged::Prefix(prefix) => store.purge_prefix(prefix, how),
                Purged::Tag(tag) => store.purge_tag(tag, how),
                Purged::All | Purged::Url(_) => store.purge_all(how),
            };
        }
        true
    }

    /// Changes what an operator says about a server; false when there is none of that name.
    pub fn set_duty(&self, upstream: &str, server: &str, duty: Duty) -> bool {
        self.with_server(upstream, server, |server| server.set_duty(duty))
    }

    /// Changes the weight of a server until the next configuration; false when there is none of
    /// that name. Hashes do not follow: their places are laid out when the servers change.
    pub fn set_weight(&self, upstream: &str, server: &str, weight: u16) -> bool {
        self.with_server(upstream, server, |server| server.configure(weight, server.tier()))
    }

    fn with_server(&self, upstream: &str, server: &str, change: impl FnOnce(&Server)) -> bool {
        let snapshot = self.snapshot();
        let found = upstreams(&snapshot)
            .filter(|known| known.name == upstream)
            .flat_map(|upstream| &upstream.servers)
            .find(|known| known.id() == server);
        found.map(|server| change(server)).is_some()
    }

    /// Opens the access log's file again, after somebody has moved it.
    pub fn reopen_log(&self) {
        if let Some(logger) = &*lock(&self.logger) {
            logger.reopen();
        }
    }

    /// Copies of the listening sockets, for a successor.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub async fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        let current = self.inner.changing.lock().await;
        current.sockets.values().flatten().map(TcpListener::try_clone).collect()
    }

    /// Whether it is stopping.
    pub fn is_draining(&self) -> bool {
        self.inner.shared.draining.load(Ordering::Relaxed)
    }

    /// Accepts nothing more, finishes what is under way within the configured time, and ends.
    /// Blocks until then. Does nothing the second time.
    pub fn drain(&self) {
        self.stop_threads(self.params().drain);
    }

    fn stop_threads(&self, within: Duration) {
        self.inner.shared.draining.store(true, Ordering::Relaxed);
        // The control plane goes on checking servers until the last request is over.
        for worker in &self.inner.workers {
            // A worker that is gone needs no command.
            let _ = worker.try_send(Command::Drain { within });
        }
        // Who connects from now on is refused at once. A reload under way ends with its own.
        if let Ok(mut current) = self.inner.changing.try_lock() {
            current.sockets.clear();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended with a panic");
            }
        }
        let _ = self.stop.try_send(());
        let control = lock(&self.control).take();
        if let Some(control) = control
            && control.join().is_err()
        {
            tracing::error!("the control thread ended with a panic");
        }
        let logger = lock(&self.logger).take();
        if let Some(logger) = logger {
            logger.close();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop_threads(Duration::ZERO);
    }
}

/// The groups of servers of a snapshot.
pub(crate) fn upstreams(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Upstream>> {
    snapshot.upstreams.iter().filter_map(|backend| match backend {
        Backend::Servers { upstream, .. } => Some(upstream),
        Backend::Files(_) => None,
    })
}

impl Inner {
    /// The snapshot that holds.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.seen))
    }

    async fn reload(&self, params: GatewayParams) -> Result<(), StartError> {
        if self.shared.draining.load(Ordering::Relaxed) {
            return Err(StartError::Stopping);
        }
        let mut current = self.changing.lock().await;
        let before = &current.snapshot.params;
        if params.workers != before.workers {
            return Err(StartError::NeedsRestart("`workers`"));
        }
        if params.access_log != before.access_log {
            return Err(StartError::NeedsRestart("`[access-log]`"));
        }
        if params.admin != before.admin {
            return Err(StartError::NeedsRestart("`[admin]`"));
        }
        let params = Arc::new(params);
        let mut resolved = control::resolve_all(&build::names(&params)).await;
        for (name, addresses) in &mut resolved {
            // A name that cannot be looked up at the moment keeps its addresses.
            if addresses.is_empty()
                && let Some(known) = current.resolved.get(name)
            {
                addresses.clone_from(known);
            }
        }
        let (tls, watches) = tls_of(&params)?;
        self.change(&mut current, params, resolved, tls, watches).await
    }

    /// Takes new addresses of names, if they differ.
    pub(crate) async fn set_resolved(&self, name: &str, addresses: Vec<SocketAddr>) {
        let mut current = self.changing.lock().await;
        if current.resolved.get(name) == Some(&addresses) {
            return;
        }
        let mut resolved = current.resolved.clone();
        resolved.insert(name.to_owned(), addresses);
        let params = Arc::clone(&current.snapshot.params);
        let (tls, watches) = match tls_of(&params) {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(%error, "new addresses are not used yet");
                return;
            }
        };
        if let Err(error) = self.change(&mut current, params, resolved, tls, watches).await {
            tracing::warn!(%error, "new addresses are not used yet");
        }
    }

    /// Reads certificates again whose files have changed.
    pub(crate) async fn renew_certificates(&self) {
        let current = self.changing.lock().await;
        for watch in &current.watches {
            if watch.changed() {
                match watch.reload() {
                    Ok(()) => tracing::info!("certificates were renewed"),
                    Err(error) => tracing::error!(%error, "renewed certificates cannot be used"),
                }
            }
        }
    }

    async fn change(
        &self,
        current: &mut Current,
        params: Arc<GatewayParams>,
        resolved: Resolved,
        tls: TlsConfigs,
        watches: Vec<CertificateWatch>,
    ) -> Result<(), StartError> {
        let mut stores = current.stores.clone();
        let before = Some(&*current.snapshot);
        let snapshot =
            build::snapshot(&params, &resolved, &self.registry, before, &mut stores, self.seed)?;
        let snapshot = Arc::new(snapshot);
        let known: Vec<SocketAddr> = current.sockets.keys().copied().collect();
        let is_new = |address: &SocketAddr| !known.contains(address);
        open_sockets(&params, &mut current.sockets).inspect_err(|_| {
            current.sockets.retain(|address, _| known.contains(address));
        })?;
        // All that can fail, before any worker changes.
        let listeners = (0..self.workers.len())
            .map(|index| listens(&params, &tls, &current.sockets, index, is_new))
            .collect::<Result<Vec<_>, StartError>>()
            .inspect_err(|_| current.sockets.retain(|address, _| known.contains(address)))?;
        let mut waiting = Vec::new();
        for (worker, listeners) in self.workers.iter().zip(listeners) {
            let (done, obeyed) = oneshot::channel();
            let snapshot = Arc::clone(&snapshot);
            let command = Command::Update { snapshot, listeners, done };
            worker.send(command).await.map_err(|_| StartError::Stopping)?;
            waiting.push(obeyed);
        }
        for obeyed in waiting {
            obeyed.await.map_err(|_| StartError::Stopping)?;
        }
        let wanted: Vec<SocketAddr> = crate::snapshot::addresses(&params).collect();
        current.sockets.retain(|address, _| wanted.contains(address));
        current.snapshot = Arc::clone(&snapshot);
        current.stores = stores;
        current.resolved = resolved;
        current.watches = watches;
        *lock(&self.addresses) = addresses_of(&current.snapshot.params, &current.sockets);
        *lock(&self.seen) = snapshot;
        Ok(())
    }
}

/// TLS configurations by the listeners' addresses.
type TlsConfigs = HashMap<SocketAddr, Arc<ServerConfig>>;

fn tls_of(params: &GatewayParams) -> Result<(TlsConfigs, Vec<CertificateWatch>), BuildError> {
    let mut configs = HashMap::new();
    let mut watches = Vec::new();
    for listener in &params.listeners {
        let Some(settings) = &listener.tls else { continue };
        let made = tls::server_config(settings, listener.http2);
        let (config, watch) = made.map_err(|source| BuildError::Tls {
            what: format!("listener `{}`", listener.name),
            source: Box::new(source),
        })?;
        configs.insert(listener.address, config);
        watches.push(watch);
    }
    Ok((configs, watches))
}

fn sort(inherited: Vec<TcpListener>) -> HashMap<SocketAddr, Vec<TcpListener>> {
    let mut sockets: HashMap<SocketAddr, Vec<TcpListener>> = HashMap::new();
    for socket in inherited {
        if let Ok(address) = socket.local_addr() {
            sockets.entry(address).or_default().push(socket);
        }
    }
    sockets
}

/// Opens the sockets that are missing: one per listener and worker.
fn open_sockets(
    params: &GatewayParams,
    sockets: &mut HashMap<SocketAddr, Vec<TcpListener>>,
) -> Result<(), StartError> {
    for listener in &params.listeners {
        let address = listener.address;
        let open = sockets.entry(address).or_default();
        while open.len() < params.workers {
            // With port 0 the system chooses one for the first socket; the others share it.
            let chosen = open.first().map_or(Ok(address), TcpListener::local_addr);
            let socket = chosen.and_then(bind);
            open.push(socket.map_err(|source| StartError::Bind { address, source })?);
        }
    }
    Ok(())
}

/// Where listeners listen, ports that the system chose among them.
fn addresses_of(
    params: &GatewayParams,
    sockets: &HashMap<SocketAddr, Vec<TcpListener>>,
) -> Vec<(String, SocketAddr)> {
    let address = |listener: &Listener| {
        let socket = sockets.get(&listener.address).and_then(|sockets| sockets.first());
        let bound = socket.and_then(|socket| socket.local_addr().ok());
        (listener.name.clone(), bound.unwrap_or(listener.address))
    };
    params.listeners.iter().map(address).collect()
}

/// What one worker listens on. Sockets beyond the number of workers, left by a predecessor that
/// had more, go to the first: their queues may hold connections.
fn listens(
    params: &GatewayParams,
    tls: &TlsConfigs,
    sockets: &HashMap<SocketAddr, Vec<TcpListener>>,
    index: usize,
    is_new: impl Fn(&SocketAddr) -> bool,
) -> Result<Vec<Listen>, StartError> {
    let mut listens = Vec::new();
    for listener in &params.listeners {
        let address = listener.address;
        let open = sockets.get(&address).filter(|_| is_new(&address)).into_iter().flatten();
        let mine = |at: usize| at == index || (index == 0 && at >= params.workers);
        let copies = open.enumerate().filter(|(at, _)| mine(*at)).map(|(_, open)| open.try_clone());
        let sockets = copies
            .collect::<io::Result<_>>()
            .map_err(|source| StartError::Bind { address, source })?;
        listens.push(Listen { params: listener.clone(), tls: tls.get(&address).cloned(), sockets });
    }
    Ok(listens)
}

fn draw_secret() -> ([u8; 32], u64) {
    let mut bytes = [0; 40];
    // Fails only where the system has no randomness at all; TLS would not work there either.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes");
    }
    let (secret, seed) = bytes.split_at(32);
    let mut key = [0; 32];
    key.copy_from_slice(secret);
    (key, seed.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
}
