//! What one core has: its view of the configuration, buffers, random numbers, log and counters.

use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::ResponseHead;

use crate::files::Files;
use crate::log::CoreLog;
use crate::metrics::CoreMetrics;
use crate::net::buffer::BufferPool;
use crate::params::GatewayParams;
use crate::router::Matched;
use crate::shared::Shared;
use crate::snapshot::{Backend, RouteState, Snapshot};
use crate::upstream::local::LocalUpstream;

/// Response heads that a core keeps for later.
const HEADS_MAX: usize = 256;

/// The configuration as one core sees it.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) params: Arc<GatewayParams>,
    pub(crate) upstreams: Vec<LocalBackend>,
}

/// What answers requests, as one core sees it.
#[derive(Clone)]
pub(crate) enum LocalBackend {
    Servers(Rc<LocalUpstream>),
    Files(Arc<Files>),
}

impl View {
    /// Makes the view of a new snapshot, keeping connections to servers that stay.
    pub(crate) fn new(snapshot: Arc<Snapshot>, shared: &Shared, before: Option<&View>) -> View {
        let now = shared.now();
        let cores = snapshot.params.workers;
        let upstreams = snapshot
            .upstreams
            .iter()
            .map(|backend| match backend {
                Backend::Files(files) => LocalBackend::Files(Arc::clone(files)),
                Backend::Servers { upstream, tls } => {
                    let known = before.and_then(|before| {
                        before.upstreams.iter().find_map(|known| match known {
                            LocalBackend::Servers(known) if known.shared.name == upstream.name => {
                                Some(known)
                            }
                            _ => None,
                        })
                    });
                    LocalBackend::Servers(match known {
                        Some(known) if Arc::ptr_eq(&known.shared, upstream) => Rc::clone(known),
                        known => Rc::new(LocalUpstream::new(
                            Arc::clone(upstream),
                            tls.clone(),
                            cores,
                            now,
                            &shared.secret,
                            known.map(|known| &**known),
                        )),
                    })
                }
            })
            .collect();
        let params = Arc::clone(&snapshot.params);
        View { snapshot, params, upstreams }
    }

    /// The route that takes a request.
    pub(crate) fn route(&self, request: &Matched<'_>) -> Option<&Arc<RouteState>> {
        self.snapshot.routes.get(self.snapshot.router.find(request)?)
    }
}

/// One core of the data plane.
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    view: RefCell<Rc<View>>,
    pub(crate) buffers: Rc<BufferPool>,
    heads: RefCell<Vec<ResponseHead>>,
    rng: RefCell<Xoshiro256PlusPlus>,
    pub(crate) log: RefCell<Option<CoreLog>>,
    pub(crate) metrics: Arc<CoreMetrics>,
    /// Wakes connections that wait for their next request when they should end.
    pub(crate) ending: Notify,
    pub(crate) draining: Cell<bool>,
    /// Connections and background tasks under way.
    pub(crate) tasks: Cell<usize>,
    pub(crate) all_done: Notify,
    pub(crate) mirrored: Cell<usize>,
    /// The second whose start in microseconds since 1970 is known, for cheap wall-clock times.
    wall: Cell<(Instant, i64)>,
    coarse: Cell<Duration>,
    /// The last date that was formatted.
    date: Cell<(i64, [u8; 29])>,
}

impl Core {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        snapshot: Arc<Snapshot>,
        seed: u64,
        log: Option<CoreLog>,
        metrics: Arc<CoreMetrics>,
    ) -> Core {
        use rand::SeedableRng;
        let view = View::new(snapshot, &shared, None);
        Core {
            index,
            shared,
            view: RefCell::new(Rc::new(view)),
            buffers: Rc::default(),
            heads: RefCell::default(),
            rng: RefCell::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            log: RefCell::new(log),
            metrics,
            ending: Notify::new(),
            draining: Cell::new(false),
            tasks: Cell::new(0),
            all_done: Notify::new(),
            mirrored: Cell::new(0),
            wall: Cell::new((Instant::now(), unix_us())),
            coarse: Cell::default(),
            date: Cell::new((i64::MIN, [b' '; 29])),
        }
    }

    /// The configuration that holds now. Requests keep the one they began with.
    pub(crate) fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// Takes a new configuration.
    pub(crate) fn set_view(&self, snapshot: Arc<Snapshot>) {
        let view = View::new(snapshot, &self.shared, Some(&self.view.borrow()));
        *self.view.borrow_mut() = Rc::new(view);
    }

    /// Time of the gateway's clock, which all cores share.
    pub(crate) fn now(&self) -> Duration {
        self.shared.now()
    }

    /// Time of the gateway's clock as of the last chores: for what may be late by a little.
    pub(crate) fn coarse_now(&self) -> Duration {
        self.coarse.get()
    }

    /// Brings the coarse time up to date.
    pub(crate) fn tick(&self) {
        self.coarse.set(self.now());
    }

    /// Microseconds since 1970.
    pub(crate) fn unix_us(&self) -> i64 {
        self.unix_us_at(Instant::now())
    }

    /// Microseconds since 1970 of an instant not long ago.
    pub(crate) fn unix_us_at(&self, at: Instant) -> i64 {
        let (known, us) = self.wall.get();
        us + at.saturating_duration_since(known).as_micros() as i64
    }

    /// Follows changes of the wall clock; called every now and then.
    pub(crate) fn adjust_wall_clock(&self) {
        self.wall.set((Instant::now(), unix_us()));
    }

    /// The current time as an HTTP date, formatted once a second.
    pub(crate) fn date(&self) -> [u8; 29] {
        let unix = self.unix_us().div_euclid(1_000_000);
        let (known, text) = self.date.get();
        if known == unix {
            return text;
        }
        let text = policy::cache::format_http_date(unix);
        self.date.set((unix, text));
        text
    }

    pub(crate) fn rng(&self) -> RefMut<'_, Xoshiro256PlusPlus> {
        self.rng.borrow_mut()
    }

    pub(crate) fn take_head(&self) -> ResponseHead {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_head(&self, mut head: ResponseHead) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < HEADS_MAX {
            head.clear();
            heads.push(head);
        }
    }

    /// Runs a task that the core counts until it ends. Drivers of HTTP/2 connections use
    /// [`Core::spawn`] instead: they end with their last user.
    pub(crate) fn spawn_counted(self: &Rc<Core>, task: impl Future<Output = ()> + 'static) {
        let core = Rc::clone(self);
        core.tasks.set(core.tasks.get() + 1);
        // Boxed, or the outer task would hold room for it twice: as what it was given and as what
        // it waits for.
        let task = Box::pin(task);
        tokio::task::spawn_local(async move {
            let _ended = Ended(core);
            task.await;
        });
    }

    /// Runs a task that ends by itself.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }
}

/// Counts a task off, also when it panics.
struct Ended(Rc<Core>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.tasks.set(self.0.tasks.get().saturating_sub(1));
        if self.0.tasks.get() == 0 {
            self.0.all_done.notify_waiters();
        }
    }
}

fn unix_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
