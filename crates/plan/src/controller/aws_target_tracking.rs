//! AWS Application Auto Scaling, policy type `TargetTrackingScaling`.
//!
//! `CloudWatch` alarms over data points of one minute: three in a row above the target scale out,
//! fifteen in a row below nine tenths of it scale in. Cooldowns as the API's reference has them for
//! `TargetTrackingScalingPolicyConfiguration`.
//! <https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html>

use serde::{Deserialize, Serialize};

use super::{Observation, instances};

/// Share of the target below which the low alarm counts.
pub const LOW_ALARM_SHARE: f64 = 0.9;

/// What is tracked, for each unit of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackedMetric {
    /// `ALBRequestCountPerTarget`: requests in a minute for each ready instance.
    #[serde(rename = "ALBRequestCountPerTarget")]
    AlbRequestCountPerTarget,
    /// Mean utilisation (`ECSServiceAverageCPUUtilization` and the like), as a share.
    AverageCpuUtilization,
    /// `LambdaProvisionedConcurrencyUtilization`: requests in flight for each provisioned one, at
    /// most 1, as a share.
    LambdaProvisionedConcurrencyUtilization,
}

/// `TargetTrackingScalingPolicyConfiguration` and the scalable target's bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetTrackingParams {
    /// `MinCapacity`.
    pub min_capacity: u32,
    /// `MaxCapacity`.
    pub max_capacity: u32,
    /// `TargetValue`, in units of the metric.
    pub target_value: f64,
    /// `PredefinedMetricType`.
    pub metric: TrackedMetric,
    /// `ScaleOutCooldown`, in seconds.
    pub scale_out_cooldown: u32,
    /// `ScaleInCooldown`, in seconds.
    pub scale_in_cooldown: u32,
    /// `DisableScaleIn`.
    pub disable_scale_in: bool,
    /// Data points in a row that raise the high alarm.
    pub high_datapoints: u32,
    /// Data points in a row that raise the low alarm.
    pub low_datapoints: u32,
}

impl TargetTrackingParams {
    /// AWS' defaults for `metric` with `target_value`: alarms of 3 and 15 minutes, and cooldowns of
    /// 300 s (none for Lambda).
    #[must_use]
    pub fn new(metric: TrackedMetric, target_value: f64, min: u32, max: u32) -> Self {
        let lambda = metric == TrackedMetric::LambdaProvisionedConcurrencyUtilization;
        let cooldown = if lambda { 0 } else { 300 };
        Self {
            min_capacity: min,
            max_capacity: max,
            target_value,
            metric,
            scale_out_cooldown: cooldown,
            scale_in_cooldown: cooldown,
            disable_scale_in: false,
            high_datapoints: 3,
            low_datapoints: 15,
        }
    }
}

/// The policy with the state of its alarms. Each decision is one data point.
#[derive(Debug, Clone)]
pub struct TargetTracking {
    params: TargetTrackingParams,
    above: u32,
    below: u32,
    out_until_s: f64,
    in_until_s: f64,
    /// Capacity before the first scale-out of the cooldown.
    scaled_out_from: u32,
    /// Capacity that the last scale-out asked for.
    scaled_out_to: u32,
}

impl TargetTracking {
    /// A policy whose alarms are quiet.
    #[must_use]
    pub fn new(params: TargetTrackingParams) -> Self {
        Self {
            params,
            above: 0,
            below: 0,
            out_until_s: f64::NEG_INFINITY,
            in_until_s: f64::NEG_INFINITY,
            scaled_out_from: 0,
            scaled_out_to: 0,
        }
    }

    /// Moves the scalable target's bounds, as `RegisterScalableTarget` does.
    pub(super) fn set_bounds(&mut self, min_capacity: u32, max_capacity: u32) {
        self.params.min_capacity = min_capacity;
        self.params.max_capacity = max_capacity;
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let TargetTrackingParams { min_capacity, max_capacity, target_value, .. } = self.params;
        let bounded = |capacity: u32| capacity.max(min_capacity).min(max_capacity);
        let current = bounded(seen.current);
        let Some(value) = self.datapoint(seen) else { return current };
        let alarm = |count: u32, breach: bool| if breach { count.saturating_add(1) } else { 0 };
        self.above = alarm(self.above, value > target_value);
        self.below = alarm(self.below, value < LOW_ALARM_SHARE * target_value);

        let in_proportion = |from: u32| bounded(instances(f64::from(from) * value / target_value));
        let proportional = in_proportion(seen.current);
        if self.above >= self.params.high_datapoints && proportional > current {
            // During the cooldown only a larger scale-out is made. What the one before has added, perhaps
            // not ready yet, counts as a part of it.
            let cools = now_s < self.out_until_s;
            let from = if cools { self.scaled_out_from } else { seen.current };
            let wanted = in_proportion(from);
            if !cools || wanted > self.scaled_out_to.max(current) {
                self.out_until_s = now_s + f64::from(self.params.scale_out_cooldown);
                self.in_until_s = f64::NEG_INFINITY;
                (self.scaled_out_from, self.scaled_out_to) = (from, wanted);
                return wanted;
            }
        }
        let may_scale_in =
            !self.params.disable_scale_in && now_s >= self.in_until_s && now_s >= self.out_until_s;
        if self.below >= self.params.low_datapoints && proportional < current && may_scale_in {
            self.in_until_s = now_s + f64::from(self.params.scale_in_cooldown);
            return proportional;
        }
        current
    }

    /// The metric's value; `None` where there is no instance to measure, or nothing to do for a
    /// function, of which Lambda then says nothing.
    fn datapoint(&self, seen: &Observation) -> Option<f64> {
        let ready = f64::from(seen.ready);
        let (total, units) = match self.params.metric {
            TrackedMetric::AlbRequestCountPerTarget => {
                (seen.rate * 60.0, seen.mean_ready.unwrap_or(ready))
            }
            TrackedMetric::AverageCpuUtilization => {
                return (seen.ready > 0).then_some(seen.utilisation);
            }
            TrackedMetric::LambdaProvisionedConcurrencyUtilization => {
                if seen.concurrency <= 0.0 {
                    return None;
                }
                (seen.concurrency.min(ready), ready)
            }
        };
        (units > 0.0).then(|| total / units)
    }
}
