//! Servers whose state the tests set.

use policy::balance::{Algorithm, Balancer, Member, Servers};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

pub(crate) const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::RoundRobin,
    Algorithm::LeastRequests,
    Algorithm::PeakEwma,
    Algorithm::Random,
    Algorithm::RingHash,
    Algorithm::Maglev,
];

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) id: String,
    pub(crate) available: bool,
    pub(crate) weight: f64,
    pub(crate) in_flight: u32,
    pub(crate) latency: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Group(pub(crate) Vec<Server>);

impl Group {
    /// Available, idle servers of equal latency.
    pub(crate) fn new(weights: &[u16]) -> Group {
        let server = |(index, &weight)| Server {
            id: format!("10.0.0.{index}:80"),
            available: weight > 0,
            weight: f64::from(weight),
            in_flight: 0,
            latency: 0.01,
        };
        Group(weights.iter().enumerate().map(server).collect())
    }

    /// A balancer with the present weights as the configured ones.
    pub(crate) fn balancer(&self, algorithm: Algorithm) -> Balancer {
        let members = self.0.iter().map(|s| Member { id: &s.id, weight: s.weight as u16 });
        let members: Vec<_> = members.collect();
        Balancer::new(algorithm, &members)
    }

    /// Where each of `keys` goes, by id.
    pub(crate) fn places(&self, algorithm: Algorithm, keys: &[u64]) -> Vec<&str> {
        let (mut balancer, mut rng) = (self.balancer(algorithm), rng());
        let mut place = |&key| balancer.pick(self, Some(key), &mut rng).unwrap();
        keys.iter().map(|key| self.0[place(key)].id.as_str()).collect()
    }

    /// How many of `picks` requests without a key each server gets.
    pub(crate) fn counts(&self, algorithm: Algorithm, picks: usize) -> Vec<u64> {
        let (mut balancer, mut rng) = (self.balancer(algorithm), rng());
        let mut counts = vec![0; self.0.len()];
        for _ in 0..picks {
            counts[balancer.pick(self, None, &mut rng).unwrap()] += 1;
        }
        counts
    }
}

impl Servers for Group {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn available(&self, index: usize) -> bool {
        self.0[index].available
    }

    fn weight(&self, index: usize) -> f64 {
        self.0[index].weight
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.0[index].in_flight
    }

    fn latency(&self, index: usize) -> f64 {
        self.0[index].latency
    }
}

pub(crate) fn rng() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(7)
}

/// Keys as requests would have.
pub(crate) fn keys(count: u32) -> Vec<u64> {
    let key = |user| policy::balance::hash::hash_key(format!("user-{user}").as_bytes());
    (0..count).map(key).collect()
}

/// The p-value of the hypothesis that `counts` follow `weights`.
pub(crate) fn p_value(counts: &[u64], weights: &[f64]) -> f64 {
    stats::goodness::chi_square_gof(counts, weights).unwrap().p_value
}
