//! KEDA: an operator that wakes from zero and puts to sleep, above a horizontal pod autoscaler that
//! it feeds. After the documentation of `ScaledObject` and the operator's code, version 2.21.
//!
//! <https://keda.sh/docs/latest/reference/scaledobject-spec/>

use serde::{Deserialize, Serialize};

use super::hpa::{Hpa, HpaParams, Metric, ScalingRules};
use super::schedule::Schedule;
use super::{Observation, instances};

/// Parameters of a `ScaledObject` with one Prometheus trigger of requests per second and, if there
/// is a schedule, its cron triggers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KedaParams {
    /// `pollingInterval`: seconds between two looks of the operator at the triggers.
    pub polling_interval: u32,
    /// `cooldownPeriod`: seconds without activity before the step to zero.
    pub cooldown_period: u32,
    /// `minReplicaCount`.
    pub min_replica_count: u32,
    /// `maxReplicaCount`.
    pub max_replica_count: u32,
    /// `threshold` of the Prometheus trigger: requests per second for each instance.
    pub threshold: f64,
    /// `activationThreshold`: requests per second above which zero instances are not enough.
    pub activation_threshold: f64,
    /// Whether `scalingModifiers` join both triggers into the formula
    /// `max(rps / threshold, floor)` with target 1, instead of leaving the maximum to the
    /// autoscaler.
    pub scaling_modifiers: bool,
    /// `advanced.horizontalPodAutoscalerConfig.behavior.scaleUp`.
    pub scale_up: ScalingRules,
    /// `advanced.horizontalPodAutoscalerConfig.behavior.scaleDown`.
    pub scale_down: ScalingRules,
}

impl KedaParams {
    /// KEDA's defaults (polling 30 s, cooldown 300 s, 0 to 100 instances) and one threshold.
    #[must_use]
    pub fn new(threshold: f64) -> Self {
        Self {
            polling_interval: 30,
            cooldown_period: 300,
            min_replica_count: 0,
            max_replica_count: 100,
            threshold,
            activation_threshold: 0.0,
            scaling_modifiers: false,
            scale_up: ScalingRules::default_scale_up(),
            scale_down: ScalingRules::default_scale_down(),
        }
    }
}

/// The operator, its cron triggers and its autoscaler.
#[derive(Debug, Clone)]
pub struct Keda {
    params: KedaParams,
    cron: Option<Schedule>,
    hpa: Hpa,
    next_poll_s: f64,
    last_active_s: f64,
}

impl Keda {
    /// A scaled object; `cron` holds the windows of its cron triggers, each active from its start
    /// until before its end.
    #[must_use]
    pub fn new(params: KedaParams, cron: Option<Schedule>) -> Self {
        let hpa = Hpa::new(HpaParams {
            min_replicas: params.min_replica_count.max(1),
            max_replicas: params.max_replica_count,
            metrics: vec![Metric::AverageValue(params.threshold)],
            scale_up: params.scale_up.clone(),
            scale_down: params.scale_down.clone(),
        });
        Self { params, cron, hpa, next_poll_s: f64::NEG_INFINITY, last_active_s: f64::NEG_INFINITY }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let floor = self.cron.as_mut().map_or(0, |cron| cron.floor(now_s));
        let scaled = self.autoscaler(now_s, seen, floor);
        if now_s >= self.next_poll_s {
            self.next_poll_s = now_s + f64::from(self.params.polling_interval);
            let active = seen.rate > self.params.activation_threshold || floor > 0;
            return self.operator(now_s, scaled, active);
        }
        scaled
    }

    /// The autoscaler's part: one to many.
    fn autoscaler(&mut self, now_s: f64, seen: &Observation, floor: u32) -> u32 {
        let KedaParams { threshold, scaling_modifiers, .. } = self.params;
        let current = seen.current;
        let proposal = if scaling_modifiers {
            let composite = (seen.rate / threshold).max(f64::from(floor));
            self.hpa.by_average_value(composite, 1.0, current)
        } else {
            let by_load = self.hpa.by_average_value(seen.rate, threshold, current);
            // Without a schedule there is no second metric; an idle cron trigger says 0.
            let by_cron = self
                .cron
                .is_some()
                .then(|| self.hpa.by_average_value(f64::from(floor), 1.0, current));
            by_load.max(by_cron.unwrap_or(0))
        };
        self.hpa.settle(now_s, current, proposal)
    }

    /// The operator's part: between zero and one.
    fn operator(&mut self, now_s: f64, current: u32, active: bool) -> u32 {
        let min = self.params.min_replica_count;
        if active {
            self.last_active_s = now_s;
            return if current == 0 { instances(f64::from(min)).max(1) } else { current };
        }
        if min > 0 {
            return current.max(min);
        }
        // What was never active has nothing to cool down from. KEDA asks for more than the period; its
        // clock is always a little late.
        let cooled = now_s - self.last_active_s >= f64::from(self.params.cooldown_period);
        if cooled { 0 } else { current }
    }
}
