//! The larger of what a reactive controller wants and a floor that was planned.

use super::schedule::Schedule;
use super::{Controller, Observation};

/// A reactive controller above a floor.
///
/// The reactive part runs as if it were alone: it is shown its own last answer as the current
/// number of instances, and the utilisation that as many would have. So the floor can only add: for
/// HPA, KEDA and AWS. Knative also looks at how many instances are ready, and those that the floor has
/// made ready can keep it from panicking.
#[derive(Debug, Clone)]
pub struct Hybrid {
    /// What answers to the load.
    pub reactive: Controller,
    floor: Schedule,
    max: u32,
    own: Option<u32>,
}

impl Hybrid {
    /// `reactive`, but never below `floor`, of which no more than `max` counts.
    #[must_use]
    pub fn new(reactive: Controller, floor: Schedule, max: u32) -> Self {
        Self { reactive, floor, max, own: None }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let own = self.own.unwrap_or(seen.current);
        let ready = seen.ready.min(own);
        let share = f64::from(seen.ready) / f64::from(ready.max(1));
        let alone = Observation {
            current: own,
            ready,
            mean_ready: seen.mean_ready.map(|mean| mean.min(f64::from(own))),
            missing: seen.missing.min(ready),
            utilisation: (seen.utilisation * share).min(seen.utilisation.max(1.0)),
            ..*seen
        };
        let wanted = self.reactive.decide(now_s, &alone);
        self.own = Some(wanted);
        wanted.max(self.floor.floor(now_s).min(self.max))
    }
}
