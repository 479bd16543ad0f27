//! Draws by weight, and the better of two of them.

use rand::{Rng, RngExt};

use super::{Member, Servers, available};

/// Draws before all servers are looked at. With half of the servers available, 1 in 256 draws
/// comes to that.
const TRIES_MAX: u32 = 8;

/// Draws available servers with a chance in proportion to their weight.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    /// Sum of the configured weights up to and including each member.
    cumulative: Vec<u64>,
}

impl Draw {
    pub(super) fn new(members: &[Member<'_>]) -> Draw {
        let sums = members.iter().scan(0, |sum, member| {
            *sum += u64::from(member.weight);
            Some(*sum)
        });
        Draw { cumulative: sums.collect() }
    }

    /// One of the available servers other than `except`.
    ///
    /// Rejection sampling from the configured weights finds one in O(log n) when most are available
    /// at full weight; otherwise one pass over all of them does. Both draw by the same chances.
    pub(super) fn one(
        &self,
        servers: &impl Servers,
        except: Option<usize>,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let may_get = |index| Some(index) != except && servers.available(index);
        for _ in 0..TRIES_MAX {
            let Some((index, configured)) = self.by_configured_weight(rng) else { break };
            if may_get(index) {
                let accepted = servers.weight(index) / configured;
                if accepted >= 1.0 || rng.random::<f64>() < accepted {
                    return Some(index);
                }
            }
        }
        let candidates = || available(servers).filter(|&index| may_get(index));
        let total: f64 = candidates().map(|index| servers.weight(index)).sum();
        let mut point = rng.random::<f64>() * total;
        let hit = candidates().find(|&index| {
            point -= servers.weight(index);
            point < 0.0
        });
        // Rounding may leave the point just past the end.
        hit.or_else(|| candidates().last())
    }

    /// Any member, and its configured weight. `None` when all weights are 0.
    fn by_configured_weight(&self, rng: &mut impl Rng) -> Option<(usize, f64)> {
        let total = *self.cumulative.last().filter(|&&total| total > 0)?;
        let point = rng.random_range(0..total);
        let index = self.cumulative.partition_point(|&sum| sum <= point);
        let before = index.checked_sub(1).map_or(0, |previous| self.cumulative[previous]);
        Some((index, (self.cumulative[index] - before) as f64))
    }

    /// The first of two draws, unless the second would, even with this request added, have no more
    /// requests in flight per weight than the first has without.
    ///
    /// With equal weights this is "the one with fewer". With unequal ones it also keeps an idle
    /// server of small weight (one that has just come back) from winning every comparison.
    pub(super) fn fewer_requests(
        &self,
        servers: &impl Servers,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let load = |index, added: f64| {
            (f64::from(servers.in_flight(index)) + added) / servers.weight(index)
        };
        self.better_of_two(servers, rng, |first, second| load(second, 1.0) <= load(first, 0.0))
    }

    /// Of two draws, the one with the lower latency × (requests in flight + 1) / weight.
    pub(super) fn lower_latency(
        &self,
        servers: &impl Servers,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let cost = |index| {
            let requests = f64::from(servers.in_flight(index)) + 1.0;
            servers.latency(index) * requests / servers.weight(index)
        };
        self.better_of_two(servers, rng, |first, second| cost(second) < cost(first))
    }

    /// Two draws, never of the same server when there are two; the second if it is better.
    fn better_of_two(
        &self,
        servers: &impl Servers,
        rng: &mut impl Rng,
        second_is_better: impl Fn(usize, usize) -> bool,
    ) -> Option<usize> {
        let first = self.one(servers, None, rng)?;
        let second = self.one(servers, Some(first), rng);
        Some(second.filter(|&second| second_is_better(first, second)).unwrap_or(first))
    }
}
