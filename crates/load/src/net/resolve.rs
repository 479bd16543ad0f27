//! Host names to addresses, looked up once per run and worker, or for every connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::failure::{Failure, FailureKind};
use crate::params::DnsPolicy;

/// Most names that a worker remembers.
const NAMES_MAX: usize = 1_024;

/// Addresses of one name, tried in order.
pub(crate) type Addresses = Rc<RefCell<Vec<SocketAddr>>>;

/// The names known to one worker.
pub(crate) struct Resolver {
    policy: DnsPolicy,
    known: RefCell<HashMap<(String, u16), Addresses>>,
}

impl Resolver {
    pub(crate) fn new(policy: DnsPolicy) -> Resolver {
        Resolver { policy, known: RefCell::default() }
    }

    /// The addresses of `host`, and whether they had to be looked up.
    pub(crate) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<(Addresses, bool), Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok((Rc::new(RefCell::new(vec![SocketAddr::new(address, port)])), false));
        }
        let key = (host.to_owned(), port);
        if self.policy == DnsPolicy::PerRun
            && let Some(known) = self.known.borrow().get(&key)
        {
            return Ok((Rc::clone(known), false));
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| Failure::new(FailureKind::Dns, format!("{host}: {error}")))?
            .collect();
        if found.is_empty() {
            return Err(Failure::new(FailureKind::Dns, format!("{host} has no address")));
        }
        let addresses = Rc::new(RefCell::new(found));
        let mut known = self.known.borrow_mut();
        if self.policy == DnsPolicy::PerRun && known.len() < NAMES_MAX {
            known.insert(key, Rc::clone(&addresses));
        }
        Ok((addresses, true))
    }
}
