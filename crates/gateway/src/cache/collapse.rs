//! One fetch per key at a time: the others wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most keys that are being fetched, or known not to be worth waiting for; beyond, nobody waits.
pub const FLIGHTS_MAX: usize = 16_384;

/// Most requests that wait for one fetch; beyond, they go by themselves.
pub const FOLLOWERS_MAX: usize = 4_096;

/// Seconds for which nobody waits for a key whose answers cannot be shared.
pub const ALONE_S: i64 = 5;

/// What a request does.
#[derive(Debug)]
pub enum Turn {
    /// Fetch, and tell the others.
    Lead(Flight),
    /// Wait for another's fetch.
    Follow(Follower),
    /// Fetch, without telling anybody.
    Alone,
}

/// What a wait ends with.
#[derive(Debug)]
pub enum After {
    /// An answer was kept: look again.
    Ready,
    /// The answer cannot be shared.
    Alone,
    /// The origin failed.
    Failed,
    /// Whoever was fetching is gone: it is this one's turn.
    Lead(Flight),
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Ready,
    Alone,
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    table: Mutex<HashMap<Vec<u8>, Place>>,
}

#[derive(Debug)]
enum Place {
    Flying(Arc<Shared>),
    /// Nobody waits until then, unix seconds.
    AloneUntil(i64),
}

/// Of one fetch. The leader holds the only permit: if it is dropped, the next in line has it;
/// once there is an outcome the semaphore is closed, which wakes all.
#[derive(Debug)]
struct Shared {
    permit: Arc<Semaphore>,
    outcome: OnceLock<Outcome>,
    /// Followers; changed under the table's lock.
    waiting: Mutex<usize>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Place>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the fetch of a key, or begins it.
    pub(super) fn join(self: &Arc<Flights>, key: &[u8], now: i64) -> Turn {
        let mut table = self.lock();
        match table.get(key) {
            Some(Place::AloneUntil(until)) if now < *until && now >= *until - ALONE_S => {
                return Turn::Alone;
            }
            Some(Place::Flying(shared)) => {
                // Free when its leader is lost and nobody has taken over yet.
                if let Ok(permit) = Arc::clone(&shared.permit).try_acquire_owned() {
                    return Turn::Lead(self.flight(key, shared, permit));
                }
                let mut waiting = lock(&shared.waiting);
                if *waiting >= FOLLOWERS_MAX {
                    return Turn::Alone;
                }
                *waiting += 1;
                return Turn::Follow(Follower {
                    seat: Seat {
                        flights: Arc::clone(self),
                        key: key.to_vec(),
                        shared: Arc::clone(shared),
                    },
                });
            }
            _ => {}
        }
        if table.len() >= FLIGHTS_MAX {
            table.retain(|_, place| match place {
                Place::Flying(_) => true,
                Place::AloneUntil(until) => now < *until,
            });
            if table.len() >= FLIGHTS_MAX {
                return Turn::Alone;
            }
        }
        let permit = Arc::new(Semaphore::new(1));
        let Ok(held) = Arc::clone(&permit).try_acquire_owned() else { return Turn::Alone };
        let shared = Arc::new(Shared { permit, outcome: OnceLock::new(), waiting: Mutex::new(0) });
        table.insert(key.to_vec(), Place::Flying(Arc::clone(&shared)));
        Turn::Lead(self.flight(key, &shared, held))
    }

    fn flight(
        self: &Arc<Flights>,
        key: &[u8],
        shared: &Arc<Shared>,
        permit: OwnedSemaphorePermit,
    ) -> Flight {
        Flight {
            flights: Arc::clone(self),
            key: key.to_vec(),
            shared: Arc::clone(shared),
            permit: Some(permit),
        }
    }

    /// How many keys are in the table.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn lock(count: &Mutex<usize>) -> MutexGuard<'_, usize> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is(place: Option<&Place>, shared: &Arc<Shared>) -> bool {
    matches!(place, Some(Place::Flying(other)) if Arc::ptr_eq(other, shared))
}

/// The right to fetch a key for all who wait. Dropped without a word, it passes to the next.
#[derive(Debug)]
pub struct Flight {
    flights: Arc<Flights>,
    key: Vec<u8>,
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Flight {
    /// An answer has been kept.
    pub fn ready(self) {
        self.land(Outcome::Ready, None);
    }

    /// The answer cannot be shared.
    ///
    /// * `remember`: nobody waits for this key for [`ALONE_S`] seconds from this time on
    pub fn alone(self, remember: Option<i64>) {
        self.land(Outcome::Alone, remember.map(|now| now + ALONE_S));
    }

    /// The origin failed.
    pub fn failed(self) {
        self.land(Outcome::Failed, None);
    }

    fn land(mut self, outcome: Outcome, alone_until: Option<i64>) {
        let mut table = self.flights.lock();
        if is(table.get(&self.key), &self.shared) {
            match alone_until {
                Some(until) => table.insert(self.key.clone(), Place::AloneUntil(until)),
                None => table.remove(&self.key),
            };
        }
        drop(table);
        let _ = self.shared.outcome.set(outcome);
        self.shared.permit.close();
        self.permit = None;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut table = self.flights.lock();
        if *lock(&self.shared.waiting) == 0 && is(table.get(&self.key), &self.shared) {
            table.remove(&self.key);
        }
        drop(permit);
    }
}

/// A request that waits.
#[derive(Debug)]
pub struct Follower {
    seat: Seat,
}

impl Follower {
    /// Waits. May be dropped at any time, for instance when it takes too long.
    pub async fn wait(self) -> After {
        let seat = self.seat;
        match Arc::clone(&seat.shared.permit).acquire_owned().await {
            Ok(permit) => After::Lead(seat.flights.flight(&seat.key, &seat.shared, permit)),
            Err(_) => match seat.shared.outcome.get() {
                Some(Outcome::Ready) => After::Ready,
                Some(Outcome::Failed) => After::Failed,
                Some(Outcome::Alone) | None => After::Alone,
            },
        }
    }
}

#[derive(Debug)]
struct Seat {
    flights: Arc<Flights>,
    key: Vec<u8>,
    shared: Arc<Shared>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        let mut waiting = lock(&self.shared.waiting);
        *waiting = waiting.saturating_sub(1);
        let leaderless = self.shared.permit.available_permits() > 0;
        if *waiting == 0 && leaderless && is(table.get(&self.key), &self.shared) {
            table.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(turn: Turn) -> Flight {
        match turn {
            Turn::Lead(flight) => flight,
            other => panic!("{other:?}"),
        }
    }

    fn follow(turn: Turn) -> Follower {
        match turn {
            Turn::Follow(follower) => follower,
            other => panic!("{other:?}"),
        }
    }

    fn run(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
    }

    #[test]
    fn followers_learn_the_outcome_and_the_table_is_empty_again() {
        run(async {
            let flights = Arc::new(Flights::default());
            let leader = lead(flights.join(b"a", 0));
            let (one, two) = (follow(flights.join(b"a", 0)), follow(flights.join(b"a", 0)));
            let other = lead(flights.join(b"b", 0));
            leader.ready();
            assert!(matches!(one.wait().await, After::Ready));
            assert!(matches!(two.wait().await, After::Ready));
            let late = follow(flights.join(b"b", 0));
            other.failed();
            assert!(matches!(late.wait().await, After::Failed));
            assert_eq!(flights.len(), 0);
        });
    }

    #[test]
    fn a_lost_leader_is_followed_by_the_next() {
        run(async {
            let flights = Arc::new(Flights::default());
            let leader = lead(flights.join(b"a", 0));
            let (one, two) = (follow(flights.join(b"a", 0)), follow(flights.join(b"a", 0)));
            drop(leader);
            let After::Lead(next) = one.wait().await else { panic!("not led") };
            next.ready();
            assert!(matches!(two.wait().await, After::Ready));
            assert_eq!(flights.len(), 0);
            drop(lead(flights.join(b"a", 0)));
            assert_eq!(flights.len(), 0);
            // The last follower goes, and the leader before it.
            let leader = lead(flights.join(b"a", 0));
            let follower = follow(flights.join(b"a", 0));
            drop(leader);
            drop(follower);
            assert_eq!(flights.len(), 0);
        });
    }

    #[test]
    fn nobody_waits_for_what_cannot_be_shared() {
        run(async {
            let flights = Arc::new(Flights::default());
            let leader = lead(flights.join(b"a", 100));
            let follower = follow(flights.join(b"a", 100));
            leader.alone(Some(100));
            assert!(matches!(follower.wait().await, After::Alone));
            assert!(matches!(flights.join(b"a", 104), Turn::Alone));
            assert!(matches!(flights.join(b"a", 105), Turn::Lead(_)));
        });
    }

    #[test]
    fn the_table_is_bounded() {
        let flights = Arc::new(Flights::default());
        for index in 0..FLIGHTS_MAX {
            lead(flights.join(&index.to_le_bytes(), 0)).alone(Some(0));
        }
        let flying = lead(flights.join(b"more", ALONE_S));
        assert_eq!(flights.len(), 1);
        drop(flying);
    }
}
