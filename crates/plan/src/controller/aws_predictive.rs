//! AWS predictive scaling: an hourly forecast of capacity as a floor below target tracking.
//!
//! It never scales in by itself; what is larger, forecast or policy, holds.
//! <https://docs.aws.amazon.com/autoscaling/application/userguide/aas-predictive-scaling-how-it-works.html>

use serde::{Deserialize, Serialize};

use super::{Observation, TargetTracking, instances};

/// Most hours of a forecast: two years.
pub const HOURS_MAX: usize = 2 * 366 * 24;

/// `Mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The forecast is made, but nothing is done.
    ForecastOnly,
    /// The forecast is a floor.
    ForecastAndScale,
}

/// `MaxCapacityBreachBehavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxCapacityBreachBehavior {
    /// A forecast above the greatest capacity is cut to it.
    HonorMaxCapacity,
    /// The greatest capacity rises to the forecast and `MaxCapacityBuffer` per cent above.
    IncreaseMaxCapacity(u32),
}

/// `PredictiveScalingPolicyConfiguration` and the scalable target's bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PredictiveParams {
    /// `MinCapacity`.
    pub min_capacity: u32,
    /// `MaxCapacity`.
    pub max_capacity: u32,
    /// Whether the forecast acts.
    pub mode: Mode,
    /// `SchedulingBufferTime`, in seconds, below 3600: how much earlier than its hour a forecast
    /// acts. AWS' default is 300.
    pub scheduling_buffer_time: u32,
    /// What a forecast above `max_capacity` does.
    pub max_capacity_breach_behavior: MaxCapacityBreachBehavior,
}

/// The policy, its forecast and the policy beside it.
#[derive(Debug, Clone)]
pub struct AwsPredictive {
    params: PredictiveParams,
    /// Begin of the first hour, in seconds since the Unix epoch.
    start_s: f64,
    /// Capacity forecast for each hour.
    forecast: Vec<u32>,
    tracking: TargetTracking,
}

impl AwsPredictive {
    /// A policy with the capacity that was forecast for each hour from `start_s` on (at most
    /// [`HOURS_MAX`]); outside of it there is no forecast.
    #[must_use]
    pub fn new(
        params: PredictiveParams,
        start_s: f64,
        mut forecast: Vec<u32>,
        tracking: TargetTracking,
    ) -> Self {
        forecast.truncate(HOURS_MAX);
        Self { params, start_s, forecast, tracking }
    }

    fn forecast_at(&self, now_s: f64) -> u32 {
        let hour = ((now_s - self.start_s) / 3600.0).floor();
        if hour < 0.0 { 0 } else { self.forecast.get(hour as usize).copied().unwrap_or(0) }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let buffer_s = f64::from(self.params.scheduling_buffer_time.min(3599));
        let forecast = match self.params.mode {
            Mode::ForecastOnly => 0,
            Mode::ForecastAndScale => {
                self.forecast_at(now_s).max(self.forecast_at(now_s + buffer_s))
            }
        };
        let max = match self.params.max_capacity_breach_behavior {
            MaxCapacityBreachBehavior::HonorMaxCapacity => self.params.max_capacity,
            MaxCapacityBreachBehavior::IncreaseMaxCapacity(buffer) => {
                let raised = instances(f64::from(forecast) * (1.0 + f64::from(buffer) / 100.0));
                self.params.max_capacity.max(raised)
            }
        };
        let min = self.params.min_capacity.max(forecast).min(max);
        self.tracking.set_bounds(min, max);
        self.tracking.decide(now_s, seen)
    }
}
