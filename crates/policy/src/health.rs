//! Active health of one server: it goes down after `fall` failures in a row and comes up after
//! `rise` successes in a row.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Share of the interval by which checks are moved at random, so that many of them spread.
pub const JITTER: f64 = 0.1;

/// A change of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It may get requests again.
    Up,
    /// It must not get requests.
    Down,
}

/// Health of one server.
#[derive(Debug, Clone)]
pub struct Health {
    fall: u32,
    rise: u32,
    up: bool,
    /// Results in a row that contradict `up`.
    against: u32,
}

impl Health {
    /// Health that changes after `fall` failures and `rise` successes in a row (at least one).
    pub fn new(fall: u32, rise: u32, up: bool) -> Health {
        Health { fall: fall.max(1), rise: rise.max(1), up, against: 0 }
    }

    /// Takes the result of a check; tells when health changes.
    pub fn observe(&mut self, ok: bool) -> Option<Change> {
        if ok == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.up { self.fall } else { self.rise };
        if self.against < needed {
            return None;
        }
        self.up = ok;
        self.against = 0;
        Some(if ok { Change::Up } else { Change::Down })
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.up
    }
}

/// How long to wait for the next check: the interval ± [`JITTER`].
pub fn next_check(every: Duration, rng: &mut impl Rng) -> Duration {
    let factor = 1.0 + JITTER * (2.0 * rng.random::<f64>() - 1.0);
    Duration::try_from_secs_f64(every.as_secs_f64() * factor).unwrap_or(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_in_a_row_change_it() {
        let mut health = Health::new(3, 2, true);
        let changes: Vec<Option<Change>> =
            [false, false, true, false, false, false, false, true, false, true, true]
                .map(|ok| health.observe(ok))
                .into();
        let expected = [None; 5].into_iter().chain([
            Some(Change::Down),
            None,
            None,
            None,
            None,
            Some(Change::Up),
        ]);
        assert!(changes.into_iter().eq(expected));
        assert!(health.is_up());
    }

    #[test]
    fn checks_spread_around_their_interval() {
        use rand::SeedableRng;
        let mut rng = rand::rngs::Xoshiro256PlusPlus::seed_from_u64(1);
        let every = Duration::from_secs(10);
        for _ in 0..1_000 {
            let next = next_check(every, &mut rng).as_secs_f64();
            assert!((9.0..=11.0).contains(&next));
        }
    }
}
