//! A number of requests shared by all workers, without touching shared memory for each of them.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most requests that a worker reserves at once.
const CHUNK_MAX: u64 = 64;

/// One worker's view of the requests that are left.
pub(crate) struct Quota {
    /// `None`: no limit.
    shared: Option<Arc<AtomicU64>>,
    chunk: u64,
    reserved: Cell<u64>,
}

impl Quota {
    /// A view of `total` requests left in `shared`, for one of `workers`.
    pub(crate) fn new(shared: Option<Arc<AtomicU64>>, total: u64, workers: usize) -> Quota {
        let chunk = (total / (workers as u64 * 64)).clamp(1, CHUNK_MAX);
        Quota { shared, chunk, reserved: Cell::new(0) }
    }

    /// Takes one request; false when none is left.
    pub(crate) fn take(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        if self.reserved.get() == 0 {
            let left = shared
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    Some(left.saturating_sub(self.chunk))
                })
                .unwrap_or(0);
            self.reserved.set(left.min(self.chunk));
        }
        match self.reserved.get() {
            0 => false,
            reserved => {
                self.reserved.set(reserved - 1);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_exactly_the_total() {
        for total in [0, 1, 7, 1_000, 100_003] {
            let shared = Arc::new(AtomicU64::new(total));
            let workers: Vec<Quota> =
                (0..3).map(|_| Quota::new(Some(Arc::clone(&shared)), total, 3)).collect();
            let mut taken = 0;
            while workers.iter().filter(|quota| quota.take()).map(|_| taken += 1).count() > 0 {}
            assert_eq!(taken, total);
        }
        assert!(Quota::new(None, 0, 1).take());
    }
}
