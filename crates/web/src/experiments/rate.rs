//! How often one client may ask.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use policy::gcra::Gcra;
use policy::key_table::KeyTable;

/// Clients that are told apart at once.
const CLIENTS_MAX: usize = 65_536;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The limit, and what each client used of it.
#[derive(Debug)]
pub(super) struct Rates {
    limit: Gcra,
    used: Mutex<KeyTable>,
    began: Instant,
}

impl Rates {
    /// So many requests per second, and at once.
    pub(super) fn new(per_s: u32) -> Rates {
        let seed = RandomState::new().hash_one(CLIENTS_MAX);
        Rates {
            limit: Gcra::new(f64::from(per_s), per_s.into()),
            used: Mutex::new(KeyTable::new(CLIENTS_MAX, seed)),
            began: Instant::now(),
        }
    }

    /// Lets a request pass, or says when one may come.
    pub(super) fn pass(&self, Peer(address): Peer) -> Result<(), Duration> {
        let now = self.began.elapsed();
        let key = network(address).octets();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.limit.check(used.entry(&key, now), now, 1);
        passed.map(drop).map_err(|limited| limited.retry_after)
    }
}

/// A client's own part of the net: of IPv6, everybody has 64 bits to choose from.
fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own() {
        let rates = Rates::new(3);
        let pass = |text: &str| rates.pass(Peer(text.parse().unwrap())).is_ok();
        assert!((0..3).all(|_| pass("192.0.2.1")));
        assert!(!pass("192.0.2.1") && !pass("::ffff:192.0.2.1"), "the same, said otherwise");
        assert!(pass("192.0.2.2"));
        assert!(pass("2001:db8::1") && pass("2001:db8::2") && pass("2001:db8::3"));
        assert!(!pass("2001:db8::4"), "one network");
        assert!(pass("2001:db8:0:1::1"));
    }
}
