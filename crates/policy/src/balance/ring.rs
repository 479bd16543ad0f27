//! Consistent hashing on a ring, with bounded load.

use super::hash::xxh64;
use super::{Member, Servers, available};

/// Points per unit of weight, as in ketama.
const POINTS_PER_UNIT: f64 = 160.0;

/// About the most points on a ring (each member with a weight has one in any case): 1 MiB.
const POINTS_MAX: f64 = 65_536.0;

/// How far above its fair share of the requests in flight a server may go: c = 1 + ε = 1.25.
const BOUND: f64 = 1.25;

/// A hash ring (Karger et al., 1997).
///
/// A member has points on the ring in proportion to its weight, at hashes of its id; a key belongs
/// to the first point at or after it. The unit of weight is the greatest common divisor of all
/// weights. Beyond [`POINTS_MAX`] / 160 units, members get fewer points per unit.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// Place and member of each point, sorted.
    points: Vec<(u64, u32)>,
}

impl Ring {
    pub(super) fn new(members: &[Member<'_>]) -> Ring {
        let unit = members.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
        let units = |member: &Member<'_>| f64::from(member.weight) / f64::from(unit);
        let total: f64 = members.iter().map(units).sum();
        let per_unit = POINTS_PER_UNIT.min(POINTS_MAX / total);
        let mut points = Vec::new();
        for (index, member) in (0..).zip(members).filter(|(_, member)| member.weight > 0) {
            // The number of the point is the seed, so more weight only adds points.
            let count = (units(member) * per_unit).max(1.0) as u64;
            points.extend((0..count).map(|seed| (xxh64(member.id.as_bytes(), seed), index)));
        }
        points.sort_unstable();
        Ring { points }
    }

    /// The first server with room at or after the key, clockwise.
    ///
    /// A server has room when, with this request, it stays within ⌈c × its fair share⌉ of the
    /// requests in flight on available servers (Mirrokni, Thorup, Zadimoghaddam: Consistent hashing
    /// with bounded loads, 2016). These limits add up to more than there are requests, so one
    /// always has room. With few requests in flight the limit is 1 or 2, and simultaneous requests
    /// of one key go to several servers.
    pub(super) fn pick(&self, servers: &impl Servers, key: u64) -> Option<usize> {
        let (mut weights, mut requests) = (0.0, 1.0);
        for index in available(servers) {
            weights += servers.weight(index);
            requests += f64::from(servers.in_flight(index));
        }
        if weights <= 0.0 {
            return None;
        }
        let has_room = |index: usize| {
            let limit = (BOUND * requests * servers.weight(index) / weights).ceil();
            f64::from(servers.in_flight(index)) < limit
        };
        let start = self.points.partition_point(|&(place, _)| place < key);
        let (before, after) = self.points.split_at(start);
        let mut clockwise = after.iter().chain(before).map(|&(_, index)| index as usize);
        clockwise
            .find(|&index| servers.available(index) && has_room(index))
            .or_else(|| available(servers).next())
    }
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}
