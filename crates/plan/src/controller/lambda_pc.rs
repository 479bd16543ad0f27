//! Provisioned concurrency of AWS Lambda, scaled by target tracking.
//!
//! One instance is one provisioned execution environment. Its utilisation ends at 1, as what goes
//! beyond is served on demand, so one step can at most divide by the target.
//! <https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html>

use super::TargetTracking;
use super::aws_target_tracking::{TargetTrackingParams, TrackedMetric};

/// Least `TargetValue` that AWS takes for provisioned concurrency.
pub const TARGET_VALUE_MIN: f64 = 0.1;
/// Greatest `TargetValue` that AWS takes for provisioned concurrency.
pub const TARGET_VALUE_MAX: f64 = 0.9;

/// Parameters of provisioned concurrency between `min_capacity` and `max_capacity`, tracked at the
/// share `target_value` (AWS suggests 0.7) of its use, held within what AWS takes.
#[must_use]
pub fn params(target_value: f64, min_capacity: u32, max_capacity: u32) -> TargetTrackingParams {
    let target_value = target_value.clamp(TARGET_VALUE_MIN, TARGET_VALUE_MAX);
    let metric = TrackedMetric::LambdaProvisionedConcurrencyUtilization;
    TargetTrackingParams::new(metric, target_value, min_capacity, max_capacity)
}

/// A policy whose alarms are quiet.
#[must_use]
pub fn policy(target_value: f64, min_capacity: u32, max_capacity: u32) -> TargetTracking {
    TargetTracking::new(params(target_value, min_capacity, max_capacity))
}
