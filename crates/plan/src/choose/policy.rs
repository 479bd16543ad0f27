//! A policy: a controller and its parameters, in words that all controllers share.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::params::Kind;
use crate::controller::aws_scheduled::ScheduledAction;
use crate::controller::aws_target_tracking::{TargetTrackingParams, TrackedMetric};
use crate::controller::hpa::{HpaParams, Metric, STABILIZATION_WINDOW_SECONDS_MAX};
use crate::controller::keda::KedaParams;
use crate::controller::knative::{KnativeMetric, KnativeParams};
use crate::controller::{
    AwsScheduled, Controller, Hpa, Keda, Knative, Schedule, TargetTracking, Window,
};

/// A policy that can be built, simulated and written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The controller.
    #[serde(skip)]
    pub kind: Option<Kind>,
    /// Share of an instance's capacity that is aimed at.
    pub target_utilisation: f64,
    /// The same in requests per second for each instance.
    pub target_rate_per_instance: f64,
    /// Fewest instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Seconds before fewer instances are taken for enough: the stabilisation window of HPA and
    /// KEDA, Knative's scale-down delay, the scale-in cooldown of AWS.
    pub scale_down_s: u32,
    /// The floor, where there is one.
    pub windows: Vec<Window>,
    /// Zone in whose time the windows are.
    pub zone: String,
}

impl Policy {
    /// Plain HPA at `target` of a capacity, with Kubernetes' default behaviour.
    #[must_use]
    pub fn hpa(target: f64, capacity_per_s: f64, (min, max): (u32, u32)) -> Self {
        Self {
            kind: Some(Kind::Hpa),
            target_utilisation: target,
            target_rate_per_instance: target * capacity_per_s,
            min: min.max(1),
            max: max.max(1),
            scale_down_s: 300,
            windows: Vec::new(),
            zone: String::new(),
        }
    }

    /// The controller, ready to run in the time of `zone`.
    #[must_use]
    pub fn build(&self, zone: &TimeZone) -> Controller {
        let rate = self.target_rate_per_instance;
        let (min, max) = (self.min, self.max);
        let stabilization = self.scale_down_s.min(STABILIZATION_WINDOW_SECONDS_MAX);
        let tracking = || {
            let metric = TrackedMetric::AlbRequestCountPerTarget;
            TargetTracking::new(TargetTrackingParams {
                scale_in_cooldown: self.scale_down_s,
                scale_out_cooldown: 60,
                ..TargetTrackingParams::new(metric, rate * 60.0, min, max)
            })
        };
        match self.kind.unwrap_or(Kind::Hpa) {
            Kind::Hpa => {
                let mut params = HpaParams::new(Metric::AverageValue(rate), min, max);
                params.scale_down.stabilization_window_seconds = stabilization;
                Controller::Hpa(Box::new(Hpa::new(params)))
            }
            Kind::Keda => {
                let mut params = KedaParams::new(rate);
                (params.min_replica_count, params.max_replica_count) = (min, max);
                params.scale_down.stabilization_window_seconds = stabilization;
                let cron = (!self.windows.is_empty()).then(|| Schedule::new(&self.windows, zone));
                Controller::Keda(Box::new(Keda::new(params, cron)))
            }
            Kind::Knative => {
                let capacity = rate / self.target_utilisation;
                Controller::Knative(Box::new(Knative::new(KnativeParams {
                    target_utilization_percentage: self.target_utilisation * 100.0,
                    min_scale: min,
                    max_scale: max,
                    scale_down_delay_s: f64::from(self.scale_down_s),
                    ..KnativeParams::new(KnativeMetric::Rps, capacity)
                })))
            }
            Kind::AwsTargetTracking => Controller::TargetTracking(Box::new(tracking())),
            Kind::AwsScheduled => {
                let actions = ScheduledAction::from_windows(&self.windows, min);
                Controller::AwsScheduled(Box::new(AwsScheduled::new(
                    &actions,
                    zone.clone(),
                    (min, max),
                    Some(tracking()),
                )))
            }
        }
    }

    /// The controller's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind.unwrap_or(Kind::Hpa) {
            Kind::Hpa => "hpa",
            Kind::Keda => "keda",
            Kind::Knative => "knative",
            Kind::AwsTargetTracking => "aws-target-tracking",
            Kind::AwsScheduled => "aws-scheduled",
        }
    }

    /// One line about it.
    #[must_use]
    pub fn summary(&self) -> String {
        let floor = match self.windows.len() {
            0 => String::new(),
            1 => ", floor by 1 cron entry".to_owned(),
            entries => format!(", floor by {entries} cron entries"),
        };
        format!(
            "{} at {:.0} % ({} requests/s per instance), {} to {} instances, {} s before scaling \
             down{floor}",
            self.name(),
            self.target_utilisation * 100.0,
            significant(self.target_rate_per_instance),
            self.min,
            self.max,
            self.scale_down_s,
        )
    }
}

/// Three significant digits, and all of whole numbers.
fn significant(value: f64) -> String {
    let digits = 2.0 - value.abs().max(1e-12).log10().floor();
    format!("{value:.*}", digits.clamp(0.0, 12.0) as usize)
}
