//! Instances that start, serve, drain and are paid for.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::Distribution;

/// How instances come and go, and how they are billed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lifecycle {
    /// From the decision until an instance serves, in seconds. It is paid for.
    pub boot: Distribution,
    /// From the decision until an instance that served is gone, in seconds. It is paid for.
    pub drain_s: f64,
    /// Least time that is billed for an instance, in seconds.
    pub billing_min_s: f64,
    /// Billed times are rounded up to whole multiples of this, in seconds; 0 rounds nothing.
    pub billing_unit_s: f64,
}

/// The instances at a time.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    lifecycle: &'a Lifecycle,
    rng: Xoshiro256PlusPlus,
    /// When each ready instance was started.
    ready: Vec<f64>,
    /// When each starting instance will be ready, and was started.
    starting: Vec<(f64, f64)>,
    /// When the first of `starting` will be ready.
    next_ready_s: f64,
    pub(super) launches: u64,
    pub(super) stops: u64,
}

impl<'a> Fleet<'a> {
    /// A fleet with `ready` instances at `now_s`.
    pub(super) fn new(lifecycle: &'a Lifecycle, ready: u32, now_s: f64, seed: u64) -> Self {
        Self {
            lifecycle,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            ready: vec![now_s; ready as usize],
            starting: Vec::new(),
            next_ready_s: f64::INFINITY,
            launches: 0,
            stops: 0,
        }
    }

    /// Instances that serve.
    pub(super) fn ready(&self) -> u32 {
        self.ready.len() as u32
    }

    /// Instances that serve or start.
    pub(super) fn current(&self) -> u32 {
        (self.ready.len() + self.starting.len()) as u32
    }

    /// Starts or stops instances until there are `desired`; those that are still starting go first,
    /// then the youngest, as Kubernetes does. Returns the seconds that are billed for the stopped
    /// ones beyond `now_s`.
    pub(super) fn scale_to(&mut self, desired: u32, now_s: f64) -> f64 {
        for _ in self.current()..desired {
            let ready_s = now_s + self.lifecycle.boot.draw(&mut self.rng);
            self.starting.push((ready_s, now_s));
            self.next_ready_s = self.next_ready_s.min(ready_s);
            self.launches += 1;
        }
        let mut billed_beyond_s = 0.0;
        for _ in desired..self.current() {
            self.stops += 1;
            billed_beyond_s += match (self.starting.pop(), self.ready.last()) {
                (Some((_, launched_s)), _) => self.billed_beyond(now_s - launched_s, 0.0),
                (None, Some(&launched_s)) => {
                    self.ready.pop();
                    self.billed_beyond(now_s - launched_s, self.lifecycle.drain_s)
                }
                (None, None) => 0.0,
            };
        }
        if self.starting.is_empty() {
            self.next_ready_s = f64::INFINITY;
        }
        billed_beyond_s
    }

    /// Seconds billed beyond `age_s` for an instance that lives `drain_s` longer.
    fn billed_beyond(&self, age_s: f64, drain_s: f64) -> f64 {
        let Lifecycle { billing_min_s, billing_unit_s, .. } = *self.lifecycle;
        let mut billed_s = (age_s + drain_s).max(billing_min_s);
        if billing_unit_s > 0.0 {
            billed_s = (billed_s / billing_unit_s).ceil() * billing_unit_s;
        }
        billed_s - age_s
    }

    /// Makes instances ready whose time has come.
    pub(super) fn boot(&mut self, now_s: f64) {
        if self.next_ready_s > now_s {
            return;
        }
        let ready = &mut self.ready;
        self.starting.retain(|&(ready_s, launched_s)| {
            let still = ready_s > now_s;
            if !still {
                ready.push(launched_s);
            }
            still
        });
        self.next_ready_s = self.starting.iter().map(|one| one.0).fold(f64::INFINITY, f64::min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_by_hand() {
        let lifecycle = Lifecycle {
            boot: Distribution::Constant(30.0),
            drain_s: 10.0,
            billing_min_s: 60.0,
            billing_unit_s: 5.0,
        };
        let mut fleet = Fleet::new(&lifecycle, 1, 0.0, 1);
        assert_eq!(fleet.scale_to(3, 10.0), 0.0);
        fleet.boot(39.0);
        assert_eq!((fleet.ready(), fleet.current()), (1, 3));
        // One that never served: billed the least time, 60 s of which 29 are over.
        assert_eq!(fleet.scale_to(2, 39.0), 31.0);
        fleet.boot(40.0);
        assert_eq!((fleet.ready(), fleet.current()), (2, 2));
        // 92 s old and 10 s of draining, rounded up to 105 s.
        assert_eq!(fleet.scale_to(1, 102.0), 13.0);
        assert_eq!((fleet.launches, fleet.stops), (2, 2));
    }
}
