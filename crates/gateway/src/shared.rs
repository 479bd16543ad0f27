//! What all cores share and no configuration changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::treatment::Experiments;
use crate::upstream::shared::lock;

/// State of the whole process.
pub(crate) struct Shared {
    epoch: Instant,
    /// Key of signatures that need not outlive the process.
    pub(crate) secret: [u8; 32],
    /// Seed of hashes that clients must not foresee.
    pub(crate) seed: u64,
    connections: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    pub(crate) draining: AtomicBool,
    /// Who decides what requests are served, if anybody does.
    pub(crate) experiments: Option<Arc<dyn Experiments>>,
}

impl Shared {
    pub(crate) fn new(
        secret: [u8; 32],
        seed: u64,
        experiments: Option<Arc<dyn Experiments>>,
    ) -> Shared {
        Shared {
            // Times of zero mean "never".
            epoch: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            secret,
            seed,
            connections: AtomicUsize::new(0),
            by_address: Mutex::default(),
            draining: AtomicBool::new(false),
            experiments,
        }
    }

    /// Time of the gateway's clock.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Client connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a client's connection; `None` when there are too many.
    pub(crate) fn admit(
        self: &Arc<Shared>,
        ip: IpAddr,
        max: usize,
        max_per_ip: usize,
    ) -> Option<Admitted> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= max {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut admitted = Admitted { shared: Arc::clone(self), ip: None };
        if max_per_ip > 0 {
            let mut by_address = lock(&self.by_address);
            let count = by_address.entry(ip).or_insert(0);
            if *count >= max_per_ip {
                return None;
            }
            *count += 1;
            admitted.ip = Some(ip);
        }
        Some(admitted)
    }
}

/// A client's connection that was let in.
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    ip: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(ip) = self.ip else { return };
        let mut by_address = lock(&self.shared.by_address);
        if let Some(count) = by_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&ip);
            }
        }
    }
}
