//! A policy: a controller and its parameters, in words that all controllers share.

use std::borrow::Cow;

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
use crate::simulate::Plant;

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
    /// Seconds for which what a scale-out adds may not show yet: the scale-out cooldown of AWS.
    #[serde(default = "scale_out_s")]
    pub scale_out_s: u32,
    /// The floor, where there is one.
    pub windows: Vec<Window>,
    /// Zone in whose time the windows are.
    pub zone: String,
    /// Requests that an instance takes at a time, of which the target is a share: Knative's
    /// `containerConcurrency`. `None` where requests per second are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl Policy {
    /// Plain HPA at `target` of a capacity, with Kubernetes' default rules of `behavior`.
    #[must_use]
    pub fn hpa(target: f64, capacity_per_s: f64, (min, max): (u32, u32)) -> Self {
        Self {
            kind: Some(Kind::Hpa),
            target_utilisation: target,
            target_rate_per_instance: target * capacity_per_s,
            min: min.max(1),
            max: max.max(1),
            scale_down_s: 300,
            scale_out_s: scale_out_s(),
            windows: Vec::new(),
            zone: String::new(),
            concurrency: None,
        }
    }

    /// The same with a scale-out cooldown that lasts, in whole minutes, until instances of `plant` have
    /// started and show in its metrics: else the same need would be answered again and again.
    #[must_use]
    pub fn for_boots_of(self, plant: &Plant) -> Self {
        let shown_s = plant.lifecycle.boot.mean() + plant.metric_lag_s + plant.metric_window_s;
        Self { scale_out_s: (shown_s / 60.0).ceil() as u32 * 60, ..self }
    }

    /// The same on requests in flight, of which an instance of `plant` takes `limit` at a time.
    #[must_use]
    pub fn by_concurrency(self, limit: u32, plant: &Plant) -> Self {
        let most_per_s = f64::from(limit) / plant.service.mean();
        let target_rate_per_instance = self.target_utilisation * most_per_s;
        Self { concurrency: Some(limit), target_rate_per_instance, ..self }
    }

    /// `plant` under this policy: what takes fewer requests at a time answers no more than they allow,
    /// by Little's law.
    #[must_use]
    pub fn plant<'a>(&self, plant: &'a Plant) -> Cow<'a, Plant> {
        let Some(limit) = self.concurrency else { return Cow::Borrowed(plant) };
        let bound = f64::from(limit) / plant.service.mean();
        Cow::Owned(Plant {
            slots: limit,
            capacity_per_s: plant.capacity_per_s.min(bound),
            ..plant.clone()
        })
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
                scale_out_cooldown: self.scale_out_s,
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
            Kind::Knative => Controller::Knative(Box::new(Knative::new(KnativeParams {
                target_utilization_percentage: self.target_utilisation * 100.0,
                min_scale: min,
                max_scale: max,
                scale_down_delay_s: f64::from(self.scale_down_s),
                ..match self.concurrency {
                    Some(limit) => KnativeParams::new(KnativeMetric::Concurrency, f64::from(limit)),
                    None => KnativeParams::new(KnativeMetric::Rps, rate / self.target_utilisation),
                }
            }))),
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
        let counted = match self.concurrency {
            Some(limit) => format!("of {limit} requests at a time"),
            None => format!("{} requests/s", significant(self.target_rate_per_instance)),
        };
        format!(
            "{} at {:.0} % ({counted} per instance), {} to {} instances, {} s before scaling \
             down{floor}",
            self.name(),
            self.target_utilisation * 100.0,
            self.min,
            self.max,
            self.scale_down_s,
        )
    }
}

/// The scale-out cooldown that AWS takes where none is given, in seconds.
fn scale_out_s() -> u32 {
    300
}

/// Three significant digits, and all of whole numbers.
fn significant(value: f64) -> String {
    let digits = 2.0 - value.abs().max(1e-12).log10().floor();
    format!("{value:.*}", digits.clamp(0.0, 12.0) as usize)
}
