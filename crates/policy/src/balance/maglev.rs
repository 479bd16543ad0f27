//! Maglev hashing.

use super::hash::xxh64;
use super::{Member, Servers, available};

/// Slots of the table, prime (the paper's two sizes): the first that gives each member a hundred.
const SIZES: [u64; 2] = [65_537, 655_373];

/// Marks a slot that no member has taken: when all weights are 0.
const FREE: u32 = u32::MAX;

/// The lookup table of Maglev (Eisenbud et al.: Maglev: A fast and reliable software network load
/// balancer, NSDI 2016, section 3.4).
///
/// Members take turns in claiming the next free slot of their own permutation of all slots, in
/// proportion to their weights. Compared with a ring: shares within about 1 %, one lookup per
/// request, and a few more keys that move when a member comes or goes.
#[derive(Debug, Clone)]
pub(super) struct Maglev {
    /// The member of each slot.
    table: Vec<u32>,
}

/// A member that claims slots.
struct Claimant {
    index: u32,
    /// The slot it looks at next, and the step to the one after.
    slot: u64,
    step: u64,
    /// Turns per round, at most 1, and those saved up. One is there at the start, so that small
    /// weights get a slot before the table is full.
    share: f64,
    turns: f64,
}

impl Maglev {
    pub(super) fn new(members: &[Member<'_>]) -> Maglev {
        let size = SIZES.into_iter().find(|&size| members.len() as u64 * 100 <= size);
        let size = size.unwrap_or(SIZES[1]);
        let mut table = vec![FREE; size as usize];
        let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(0);
        // Sorted, so that the order in the configuration is of no consequence.
        let mut sorted: Vec<_> = (0..).zip(members).filter(|(_, m)| m.weight > 0).collect();
        sorted.sort_by_key(|(_, member)| member.id);
        let claimant = |(index, member): (u32, &Member<'_>)| Claimant {
            index,
            slot: xxh64(member.id.as_bytes(), 0) % size,
            step: 1 + xxh64(member.id.as_bytes(), 1) % (size - 1),
            share: f64::from(member.weight) / f64::from(heaviest),
            turns: 1.0,
        };
        let mut claimants: Vec<Claimant> = sorted.into_iter().map(claimant).collect();
        let mut free = if claimants.is_empty() { 0 } else { size };
        while free > 0 {
            for claimant in &mut claimants {
                if claimant.turns >= 1.0 && free > 0 {
                    claimant.claim(&mut table);
                    claimant.turns -= 1.0;
                    free -= 1;
                }
                claimant.turns += claimant.share;
            }
        }
        Maglev { table }
    }

    /// The server of the key's slot.
    ///
    /// When that one is not available, further slots are looked up, in an order (a permutation of
    /// the table) that depends on the key alone: its keys spread over the others by weight, keys of
    /// other servers stay, and all return when it does.
    pub(super) fn pick(&self, servers: &impl Servers, key: u64) -> Option<usize> {
        let size = self.table.len() as u64;
        let server = |slot: u64| {
            let index = self.table[slot as usize] as usize;
            (index < servers.len() && servers.available(index)).then_some(index)
        };
        let mut slot = key % size;
        if let Some(index) = server(slot) {
            return Some(index);
        }
        let any = available(servers).next()?;
        let step = 1 + (key >> 32) % (size - 1);
        let found = (1..size).find_map(|_| {
            slot = (slot + step) % size;
            server(slot)
        });
        found.or(Some(any))
    }
}

impl Claimant {
    /// Takes its next free slot; there must be one.
    fn claim(&mut self, table: &mut [u32]) {
        let size = table.len() as u64;
        while table[self.slot as usize] != FREE {
            self.slot = (self.slot + self.step) % size;
        }
        table[self.slot as usize] = self.index;
    }
}
