//! What a controller does to a recorded demand: how many instances run, what they cost, who waits.
//!
//! [`fluid`] takes requests for a liquid and is fast; [`queue`] serves every single one and is
//! exact for its assumptions. Both run the same [`Controller`](crate::controller::Controller) on
//! the same [`Plant`].

pub mod arrivals;
pub mod distribution;
pub mod fleet;
pub mod fluid;
pub mod queue;

mod meter;

pub use distribution::{Distribution, QUANTILES_MAX};
pub use fleet::Lifecycle;

/// The system that is scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Plant {
    /// Requests per second that one instance serves within the objective.
    pub capacity_per_s: f64,
    /// Requests that one instance works on at a time ([`queue`] only).
    pub slots: u32,
    /// Time that a request keeps a slot busy, in seconds.
    pub service: Distribution,
    /// A request is late when its response takes longer, in seconds.
    pub late_after_s: f64,
    /// Time after which a waiting request gives up, in seconds ([`queue`] only).
    pub timeout_s: f64,
    /// How instances come and go.
    pub lifecycle: Lifecycle,
    /// Span over which the controller's metrics are averaged, in seconds.
    pub metric_window_s: f64,
    /// Age of the newest measurement that a controller sees, in seconds.
    pub metric_lag_s: f64,
}

impl Plant {
    /// How long a request may wait and still not be late, in seconds: the limit without a mean
    /// service time.
    #[must_use]
    pub fn patience_s(&self) -> f64 {
        (self.late_after_s - self.service.mean()).max(0.0)
    }
}

/// Length of a [`Block`], in seconds.
pub const BLOCK_S: i64 = 3600;

/// What happened in one hour of the clock of Greenwich.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Block {
    /// Begin, in seconds since the Unix epoch.
    pub start_s: i64,
    /// Requests that arrived.
    pub requests: f64,
    /// Of these, late or lost.
    pub late: f64,
    /// Seconds of instances that are paid for.
    pub instance_s: f64,
    /// Seconds that are counted: of known demand.
    pub known_s: f64,
}

/// What a simulation came to. Times of unknown demand are simulated, but not counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Requests that arrived.
    pub requests: f64,
    /// Of these, late or lost.
    pub late: f64,
    /// Seconds of instances that are paid for.
    pub instance_s: f64,
    /// Instances started.
    pub launches: u64,
    /// Instances stopped.
    pub stops: u64,
    /// Most instances at a time.
    pub peak: u32,
    /// The same hour by hour.
    pub blocks: Vec<Block>,
}

impl Outcome {
    /// Share of the requests that were late or lost; 0 when there were none.
    #[must_use]
    pub fn late_ratio(&self) -> f64 {
        if self.requests > 0.0 { self.late / self.requests } else { 0.0 }
    }

    /// Hours of instances that are paid for.
    #[must_use]
    pub fn instance_hours(&self) -> f64 {
        self.instance_s / 3600.0
    }

    /// Instances started and stopped.
    #[must_use]
    pub fn churn(&self) -> u64 {
        self.launches + self.stops
    }

    /// Counts what happened in `known_s` from `now_s` on.
    pub(crate) fn count(
        &mut self,
        (now_s, known_s): (f64, f64),
        requests: f64,
        late: f64,
        instance_s: f64,
    ) {
        self.requests += requests;
        self.late += late;
        self.instance_s += instance_s;
        let start_s = (now_s as i64).div_euclid(BLOCK_S) * BLOCK_S;
        match self.blocks.last_mut() {
            Some(block) if block.start_s == start_s => {
                block.requests += requests;
                block.late += late;
                block.instance_s += instance_s;
                block.known_s += known_s;
            }
            _ => self.blocks.push(Block { start_s, requests, late, instance_s, known_s }),
        }
    }
}
