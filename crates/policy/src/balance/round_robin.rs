//! Smooth weighted round robin.

use super::{Servers, available};

/// Credits closer than this count as equal, so that rounding does not disturb the order.
const EQUAL: f64 = 1e-9;

/// nginx's algorithm (`ngx_http_upstream_get_peer`), with credits in requests.
///
/// Each pick gives every available server its share of one request as credit; the one with the most
/// credit is picked and pays one. nginx counts in units of weight; counting in requests yields the
/// same order, and debts from before a weight changed keep their size. A server that is not
/// available neither earns nor pays: it comes back without a backlog.
#[derive(Debug, Clone)]
pub(super) struct RoundRobin {
    /// Requests owed to each server. Sharing among whoever is there is the carpool problem, in which
    /// this greedy rule keeps all debts bounded (Fagin and Williams, 1983).
    credits: Vec<f64>,
}

impl RoundRobin {
    pub(super) fn new(members: usize) -> RoundRobin {
        RoundRobin { credits: vec![0.0; members] }
    }

    pub(super) fn pick(&mut self, servers: &impl Servers) -> Option<usize> {
        let total: f64 = available(servers).map(|index| servers.weight(index)).sum();
        let mut best: Option<(usize, f64)> = None;
        for index in available(servers) {
            let Some(credit) = self.credits.get_mut(index) else { break };
            *credit += servers.weight(index) / total;
            if best.is_none_or(|(_, most)| *credit > most + EQUAL) {
                best = Some((index, *credit));
            }
        }
        let (index, _) = best?;
        self.credits[index] -= 1.0;
        Some(index)
    }
}
