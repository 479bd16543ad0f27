//! One thread of the data plane: its runtime, its listeners, and the commands it obeys.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::accept::listener::{self, ListenerState, Slot};
use crate::core::{Core, LocalBackend};
use crate::log::CoreLog;
use crate::metrics::CoreMetrics;
use crate::params::Listener;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Commands that a worker has not obeyed yet.
const COMMANDS_MAX: usize = 64;
/// How often a worker does its small chores: log, idle connections, clock.
const CHORES: Duration = Duration::from_millis(200);

/// A listener as the control plane hands it to a worker.
pub(crate) struct Listen {
    pub(crate) params: Listener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// New sockets; none: the worker has one at this address.
    pub(crate) sockets: Vec<std::net::TcpListener>,
}

/// What a worker is told.
pub(crate) enum Command {
    /// A new configuration: all listeners, those that are not named end.
    Update { snapshot: Arc<Snapshot>, listeners: Vec<Listen>, done: oneshot::Sender<()> },
    /// Accept nothing more, finish what is under way, end.
    Drain { within: Duration },
}

/// A running worker.
pub(crate) struct Worker {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) thread: JoinHandle<()>,
}

/// What a worker starts with.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) listeners: Vec<Listen>,
    pub(crate) seed: u64,
    pub(crate) log: Option<CoreLog>,
    pub(crate) metrics: Arc<CoreMetrics>,
}

impl Worker {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be started.
    pub(crate) fn start(setup: Setup) -> io::Result<Worker> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let name = format!("gateway-{}", setup.index);
        let (started, ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            runtime.block_on(run(setup, receiver));
        })?;
        ready.recv().map_err(io::Error::other)??;
        Ok(Worker { commands, thread })
    }
}

async fn run(setup: Setup, mut commands: mpsc::Receiver<Command>) {
    let Setup { index, shared, snapshot, listeners, seed, log, metrics } = setup;
    let core = Rc::new(Core::new(index, shared, snapshot, seed, log, metrics));
    let listening = Listening { core: Rc::clone(&core), slots: RefCell::default() };
    listening.update(listeners);
    let mut chores = tokio::time::interval(CHORES);
    chores.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    let within = loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Update { snapshot, listeners, done }) => {
                    core.set_view(snapshot);
                    listening.update(listeners);
                    // Nobody waits any more: the control plane has given up.
                    let _ = done.send(());
                }
                Some(Command::Drain { within }) => break within,
                None => break Duration::ZERO,
            },
            _ = chores.tick() => {
                core.tick();
                flush(&core);
                ticks += 1;
                if ticks.is_multiple_of(5) {
                    every_second(&core);
                }
            }
        }
    };
    drain(&core, &listening, within).await;
    flush(&core);
}

fn flush(core: &Core) {
    if let Some(log) = core.log.borrow_mut().as_mut() {
        log.flush();
    }
}

fn every_second(core: &Core) {
    core.adjust_wall_clock();
    for backend in &core.view().upstreams {
        if let LocalBackend::Servers(upstream) = backend {
            upstream.sweep(core.now());
        }
    }
}

/// Finishes what is under way.
async fn drain(core: &Rc<Core>, listening: &Listening, within: Duration) {
    listening.update(Vec::new());
    core.draining.set(true);
    let deadline = Instant::now() + within;
    loop {
        let done = core.all_done.notified();
        core.ending.notify_waiters();
        if core.tasks.get() == 0 {
            return;
        }
        // Connections that were between two states when they were told are told again.
        let next = deadline.min(Instant::now() + CHORES);
        if tokio::time::timeout_at(next, done).await.is_err() && Instant::now() >= deadline {
            let left = core.tasks.get();
            tracing::warn!(
                worker = core.index,
                left,
                "connections were cut at the end of the drain"
            );
            return;
        }
        flush(core);
    }
}

/// The listeners of a worker.
struct Listening {
    core: Rc<Core>,
    slots: RefCell<Vec<(SocketAddr, Rc<Slot>)>>,
}

impl Listening {
    /// Makes the listeners those of the list.
    fn update(&self, listeners: Vec<Listen>) {
        let mut before = std::mem::take(&mut *self.slots.borrow_mut());
        for listen in listeners {
            let address = listen.params.address;
            let state = Rc::new(ListenerState {
                name: listen.params.name.as_str().into(),
                params: listen.params,
                tls: listen.tls,
            });
            let known = before.iter().position(|(known, _)| *known == address);
            let slot = match known {
                Some(known) => {
                    let (_, slot) = before.swap_remove(known);
                    slot.set(state);
                    slot
                }
                None => Rc::new(Slot::new(state)),
            };
            for socket in listen.sockets {
                match tokio::net::TcpListener::from_std(socket) {
                    Ok(socket) => {
                        let run = listener::run(Rc::clone(&self.core), Rc::clone(&slot), socket);
                        self.core.spawn(run);
                    }
                    Err(error) => {
                        tracing::error!(%address, %error, "cannot use a listening socket");
                    }
                }
            }
            self.slots.borrow_mut().push((address, slot));
        }
        for (_, slot) in before {
            slot.close();
        }
    }
}
