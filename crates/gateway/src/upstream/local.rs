//! What one core has of its own about an upstream: connections, the balancer, latencies, budgets.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use policy::balance::ewma::PeakEwma;
use policy::balance::tiers::{TierState, active_tier};
use policy::balance::{Algorithm, Balancer, Member, Servers as Seen, slow_start};
use policy::retry::Budget;
use rand::Rng;
use rustls::ClientConfig;

use crate::params::Balance;
use crate::sticky::Stickiness;
use crate::upstream::pool::Pool;
use crate::upstream::shared::{Server, Upstream};

/// One server, as one core sees it.
pub(crate) struct LocalServer {
    pub(crate) shared: Arc<Server>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) latency: RefCell<PeakEwma>,
}

/// An upstream, as one core sees it.
pub(crate) struct LocalUpstream {
    pub(crate) shared: Arc<Upstream>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) sticky: Option<Stickiness>,
    pub(crate) servers: Vec<LocalServer>,
    balancer: RefCell<Balancer>,
    pub(crate) retries: RefCell<Budget>,
    pub(crate) hedges: RefCell<Budget>,
    /// One tier only: nothing to choose.
    single_tier: bool,
}

/// Servers that a request must not use (again).
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried {
    bits: [u64; 4],
}

impl Tried {
    pub(crate) fn add(&mut self, server: usize) {
        if let Some(word) = self.bits.get_mut(server / 64) {
            *word |= 1 << (server % 64);
        }
    }

    pub(crate) fn has(&self, server: usize) -> bool {
        self.bits.get(server / 64).is_some_and(|word| word & (1 << (server % 64)) != 0)
    }
}

/// What choosing a server came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    Server(usize),
    /// Some are up, and all of them have as much as they may.
    Full,
    /// None is up.
    None,
}

impl LocalUpstream {
    pub(crate) fn new(
        shared: Arc<Upstream>,
        tls: Option<Arc<ClientConfig>>,
        cores: usize,
        now: Duration,
        secret: &[u8],
        before: Option<&LocalUpstream>,
    ) -> LocalUpstream {
        let servers: Vec<LocalServer> = shared
            .servers
            .iter()
            .map(|server| {
                let known = before.and_then(|before| {
                    before.servers.iter().find(|known| Arc::ptr_eq(&known.shared, server))
                });
                match known {
                    Some(known) => LocalServer {
                        shared: Arc::clone(server),
                        pool: Rc::clone(&known.pool),
                        latency: RefCell::new(*known.latency.borrow()),
                    },
                    None => LocalServer {
                        shared: Arc::clone(server),
                        pool: Rc::default(),
                        latency: RefCell::new(PeakEwma::new(now)),
                    },
                }
            })
            .collect();
        let algorithm = match &shared.params.balance {
            Balance::RoundRobin => Algorithm::RoundRobin,
            Balance::LeastRequests => Algorithm::LeastRequests,
            Balance::PeakEwma => Algorithm::PeakEwma,
            Balance::Random => Algorithm::Random,
            Balance::Hash(_) => Algorithm::RingHash,
            Balance::Maglev(_) => Algorithm::Maglev,
        };
        let members: Vec<Member<'_>> = shared
            .servers
            .iter()
            .map(|server| Member {
                id: server.id(),
                weight: u16::try_from(server.weight()).unwrap_or(u16::MAX),
            })
            .collect();
        let balancer = RefCell::new(Balancer::new(algorithm, &members));
        let first_tier = shared.servers.first().map(|server| server.tier());
        let single_tier = shared.servers.iter().all(|server| Some(server.tier()) == first_tier);
        let retry = &shared.params.retry;
        // Each core has its share of the floor.
        let floor = retry.budget_floor.as_per_s() / cores.max(1) as f64;
        let retries = RefCell::new(Budget::new(retry.budget.get(), floor));
        let hedge_share = shared.params.hedge.as_ref().map_or(0.0, |hedge| hedge.budget.get());
        let hedges = RefCell::new(Budget::new(hedge_share, 1.0 / cores.max(1) as f64));
        let sticky = shared.params.sticky.as_ref();
        let sticky = sticky.map(|sticky| Stickiness::new(sticky, &shared.name, secret));
        LocalUpstream { shared, tls, sticky, servers, balancer, retries, hedges, single_tier }
    }

    /// Chooses a server for a request.
    pub(crate) fn pick(
        &self,
        key: Option<u64>,
        tried: &Tried,
        now: Duration,
        rng: &mut impl Rng,
    ) -> Pick {
        let tier = if self.single_tier { None } else { self.active_tier(tried, now) };
        let seen = View { upstream: self, tried, now, tier };
        match self.balancer.borrow_mut().pick(&seen, key, rng) {
            Some(server) => Pick::Server(server),
            None if self.servers.iter().any(|server| server.shared.is_up(now)) => Pick::Full,
            None => Pick::None,
        }
    }

    /// Whether a server is up that was not tried yet.
    pub(crate) fn has_untried(&self, tried: &Tried, now: Duration) -> bool {
        let mut servers = self.servers.iter().enumerate();
        servers.any(|(index, server)| !tried.has(index) && server.shared.is_up(now))
    }

    /// The server that a client sticks to, when it may.
    pub(crate) fn stuck_to(&self, tag: u64, tried: &Tried, now: Duration) -> Option<usize> {
        let max = self.shared.params.limits.connections;
        let index = self.servers.iter().position(|server| server.shared.tag == tag)?;
        let server = &self.servers[index].shared;
        let may = server.may_keep_clients(now) && (server.in_flight() as usize) < max;
        (may && !tried.has(index)).then_some(index)
    }

    fn active_tier(&self, tried: &Tried, now: Duration) -> Option<u8> {
        let mut tiers: Vec<TierState> = Vec::new();
        for (index, server) in self.servers.iter().enumerate() {
            let tier = server.shared.tier();
            let up = u32::from(server.shared.is_up(now) && !tried.has(index));
            match tiers.iter_mut().find(|known| known.tier == tier) {
                Some(known) => {
                    known.servers += 1;
                    known.up += up;
                }
                None => tiers.push(TierState { tier, servers: 1, up }),
            }
        }
        active_tier(&tiers)
    }

    /// Takes note of how long a server took to answer.
    pub(crate) fn observe(&self, server: usize, now: Duration, took: Duration) {
        if let Some(server) = self.servers.get(server) {
            server.latency.borrow_mut().observe(now, took);
        }
    }

    /// Closes idle connections whose time is over.
    pub(crate) fn sweep(&self, now: Duration) {
        for server in &self.servers {
            server.pool.sweep(now, self.shared.params.idle);
        }
    }
}

/// What the balancer sees.
struct View<'a> {
    upstream: &'a LocalUpstream,
    tried: &'a Tried,
    now: Duration,
    tier: Option<u8>,
}

impl Seen for View<'_> {
    fn len(&self) -> usize {
        self.upstream.servers.len()
    }

    fn available(&self, index: usize) -> bool {
        let Some(server) = self.upstream.servers.get(index) else { return false };
        let server = &server.shared;
        server.is_up(self.now)
            && !self.tried.has(index)
            && self.tier.is_none_or(|tier| tier == server.tier())
            && (server.in_flight() as usize) < self.upstream.shared.params.limits.connections
    }

    fn weight(&self, index: usize) -> f64 {
        let Some(server) = self.upstream.servers.get(index) else { return 0.0 };
        let weight = f64::from(server.shared.weight());
        let window = self.upstream.shared.params.slow_start;
        match server.shared.up_for(self.now) {
            Some(up_for) if up_for < window => weight * slow_start::factor(up_for, window),
            _ => weight,
        }
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.upstream.servers.get(index).map_or(0, |server| server.shared.in_flight())
    }

    fn latency(&self, index: usize) -> f64 {
        let server = self.upstream.servers.get(index);
        server.map_or(0.0, |server| server.latency.borrow().get(self.now))
    }
}
