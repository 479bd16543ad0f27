//! Which server of an upstream gets the next request.
//!
//! A [`Balancer`] holds what an algorithm must remember or precompute; what changes from request to
//! request (who is up, weights during slow start, requests in flight, latencies) it asks of
//! [`Servers`]. Every algorithm keeps two promises: it never picks a server that is not available,
//! and it picks one whenever there is one.
//!
//! Around it: [`ewma`] estimates latencies, [`slow_start`] lowers the weight of a server that came
//! back, [`tiers`] says which tier gets the requests, [`hash`] makes the key of a request.

pub mod ewma;
pub mod hash;
pub mod slow_start;
pub mod tiers;

mod draw;
mod maglev;
mod ring;
mod round_robin;

use draw::Draw;
use maglev::Maglev;
use rand::{Rng, RngExt};
use ring::Ring;
use round_robin::RoundRobin;

/// What a balancer sees of the servers of an upstream at this moment.
///
/// Servers are numbered as the members that the [`Balancer`] was made of.
pub trait Servers {
    /// How many there are, available or not: as many as the balancer has members.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it may get a request now: up, not ejected, not full, in the active tier, not yet
    /// tried for this request.
    fn available(&self, index: usize) -> bool;

    /// Its weight now: the configured weight × the factor of slow start (at most 1). Finite, and
    /// > 0 when it is available.
    fn weight(&self, index: usize) -> f64;

    /// Requests in flight.
    fn in_flight(&self, index: usize) -> u32;

    /// Estimated latency in seconds ([`ewma::PeakEwma`]). Only [`Algorithm::PeakEwma`] asks for it.
    fn latency(&self, index: usize) -> f64;
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, by weight, evenly interleaved: the smooth weighted round robin of nginx.
    RoundRobin,
    /// Of two drawn by weight, the one with fewer requests in flight per weight: the power of two
    /// choices (Mitzenmacher, 2001).
    LeastRequests,
    /// Of two drawn by weight, the one with the lower latency × (requests in flight + 1) / weight
    /// (Finagle, linkerd).
    PeakEwma,
    /// At random, by weight.
    Random,
    /// By key, on a hash ring with bounded load (Karger et al., 1997; Mirrokni et al., 2016).
    RingHash,
    /// By key, with a lookup table (Eisenbud et al., 2016). Slow start does not move keys.
    Maglev,
}

/// A server, as far as it is known when the balancer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// What it is told apart by, e.g. `10.0.0.1:80`. Keys follow it over reloads and restarts and
    /// between gateways, in whatever order the members are listed.
    pub id: &'a str,
    /// Its share relative to the others. One of weight 0 should never be available.
    pub weight: u16,
}

/// Picks servers by one algorithm.
#[derive(Debug, Clone)]
pub struct Balancer(State);

#[derive(Debug, Clone)]
enum State {
    RoundRobin(RoundRobin),
    LeastRequests(Draw),
    PeakEwma(Draw),
    Random(Draw),
    RingHash(Ring),
    Maglev(Maglev),
}

impl Balancer {
    /// A balancer of these members, at the start of its turn.
    #[must_use]
    pub fn new(algorithm: Algorithm, members: &[Member<'_>]) -> Balancer {
        Balancer(match algorithm {
            Algorithm::RoundRobin => State::RoundRobin(RoundRobin::new(members.len())),
            Algorithm::LeastRequests => State::LeastRequests(Draw::new(members)),
            Algorithm::PeakEwma => State::PeakEwma(Draw::new(members)),
            Algorithm::Random => State::Random(Draw::new(members)),
            Algorithm::RingHash => State::RingHash(Ring::new(members)),
            Algorithm::Maglev => State::Maglev(Maglev::new(members)),
        })
    }

    /// The server for the next request; `None` when none is available.
    ///
    /// `key` is the hash ([`hash::hash_key`]) of what keeps requests together; the algorithms
    /// without keys ignore it, the others spread a request without a key at random.
    pub fn pick(
        &mut self,
        servers: &impl Servers,
        key: Option<u64>,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        if servers.len() == 1 {
            return servers.available(0).then_some(0);
        }
        match &mut self.0 {
            State::RoundRobin(turn) => turn.pick(servers),
            State::LeastRequests(draw) => draw.fewer_requests(servers, rng),
            State::PeakEwma(draw) => draw.lower_latency(servers, rng),
            State::Random(draw) => draw.one(servers, None, rng),
            State::RingHash(ring) => ring.pick(servers, key.unwrap_or_else(|| rng.random())),
            State::Maglev(table) => table.pick(servers, key.unwrap_or_else(|| rng.random())),
        }
    }
}

/// The servers that are available, in order.
fn available(servers: &impl Servers) -> impl Iterator<Item = usize> {
    (0..servers.len()).filter(|&index| servers.available(index))
}
