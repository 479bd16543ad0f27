//! Kubernetes' horizontal pod autoscaler, autoscaling/v2.
//!
//! After the controller's own code (`replica_calculator.go`, `horizontal.go`) and documentation,
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::extreme::{Keep, SlidingExtreme};
use super::{Observation, instances};

/// `--horizontal-pod-autoscaler-sync-period`: seconds between two decisions.
pub const SYNC_PERIOD_S: f64 = 15.0;

/// `--horizontal-pod-autoscaler-tolerance`: relative deviation from the target that is left alone.
pub const TOLERANCE: f64 = 0.1;

/// Longest `stabilizationWindowSeconds` that the API takes.
pub const STABILIZATION_WINDOW_SECONDS_MAX: u32 = 3600;

/// Longest `periodSeconds` that the API takes.
pub const PERIOD_SECONDS_MAX: u32 = 1800;

/// A metric and its target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// A `Resource` metric with target `averageUtilization`, here as a share: 0.7 is 70 %.
    AverageUtilization(f64),
    /// An `External` or `Object` metric with target `averageValue`: requests per second for each
    /// instance.
    AverageValue(f64),
    /// An `External` or `Object` metric with target `value`: requests per second in all.
    Value(f64),
}

/// `type` of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyType {
    /// A number of instances.
    Pods,
    /// A share of the instances there were when the period began.
    Percent,
}

/// One of `policies`: by how much may change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScalingPolicy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: PolicyType,
    /// Instances or per cent.
    pub value: u32,
    /// Length of the period, 1..=1800.
    pub period_seconds: u32,
}

/// `selectPolicy`: which policy counts where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// `scaleUp` or `scaleDown` of `behavior`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScalingRules {
    /// Seconds of past recommendations of which the most cautious one counts, 0..=3600.
    pub stabilization_window_seconds: u32,
    /// How to choose among `policies`.
    pub select_policy: SelectPolicy,
    /// Limits of the speed.
    pub policies: Vec<ScalingPolicy>,
    /// Relative deviation from the target, in this direction, that is left alone.
    pub tolerance: f64,
}

impl ScalingRules {
    /// What Kubernetes fills in for `scaleUp` where a manifest has `behavior`: no waiting, then the larger
    /// of twice as many and four more in 15 s. Without `behavior` it is twice as many or four in all,
    /// which differs below four instances.
    #[must_use]
    pub fn default_scale_up() -> Self {
        Self {
            stabilization_window_seconds: 0,
            select_policy: SelectPolicy::Max,
            policies: vec![
                ScalingPolicy { kind: PolicyType::Percent, value: 100, period_seconds: 15 },
                ScalingPolicy { kind: PolicyType::Pods, value: 4, period_seconds: 15 },
            ],
            tolerance: TOLERANCE,
        }
    }

    /// What Kubernetes fills in for `scaleDown`: 300 s of waiting, then all at
    /// once.
    #[must_use]
    pub fn default_scale_down() -> Self {
        Self {
            stabilization_window_seconds: 300,
            select_policy: SelectPolicy::Max,
            policies: vec![ScalingPolicy {
                kind: PolicyType::Percent,
                value: 100,
                period_seconds: 15,
            }],
            tolerance: TOLERANCE,
        }
    }
}

/// `spec` of a `HorizontalPodAutoscaler`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HpaParams {
    /// Fewest instances; Kubernetes' default is 1. Zero needs an external metric.
    pub min_replicas: u32,
    /// Most instances.
    pub max_replicas: u32,
    /// What to follow; the largest answer counts.
    pub metrics: Vec<Metric>,
    /// `behavior.scaleUp`.
    pub scale_up: ScalingRules,
    /// `behavior.scaleDown`.
    pub scale_down: ScalingRules,
}

impl HpaParams {
    /// One metric, between `min_replicas` and `max_replicas`, with the default rules of `behavior`.
    #[must_use]
    pub fn new(metric: Metric, min_replicas: u32, max_replicas: u32) -> Self {
        Self {
            min_replicas,
            max_replicas,
            metrics: vec![metric],
            scale_up: ScalingRules::default_scale_up(),
            scale_down: ScalingRules::default_scale_down(),
        }
    }
}

/// The autoscaler with its memory.
#[derive(Debug, Clone)]
pub struct Hpa {
    params: HpaParams,
    /// Recommendations of the scale-up window, the smallest counts.
    ups: SlidingExtreme,
    /// Recommendations of the scale-down window, the largest counts.
    downs: SlidingExtreme,
    /// Changes that were made: when, by how many.
    events: VecDeque<(f64, i64)>,
    /// Longest period of a policy.
    memory_s: f64,
}

impl Hpa {
    /// An autoscaler that has seen nothing yet.
    #[must_use]
    pub fn new(params: HpaParams) -> Self {
        let window = |rules: &ScalingRules| {
            f64::from(rules.stabilization_window_seconds.min(STABILIZATION_WINDOW_SECONDS_MAX))
        };
        let memory_s = [&params.scale_up, &params.scale_down]
            .into_iter()
            .flat_map(|rules| &rules.policies)
            .map(|policy| policy.period_seconds.min(PERIOD_SECONDS_MAX))
            .max();
        Self {
            ups: SlidingExtreme::new(window(&params.scale_up), Keep::Smallest),
            downs: SlidingExtreme::new(window(&params.scale_down), Keep::Largest),
            events: VecDeque::new(),
            memory_s: f64::from(memory_s.unwrap_or(0)),
            params,
        }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let proposal = self
            .params
            .metrics
            .iter()
            .map(|metric| self.proposal(metric, seen))
            .max()
            .unwrap_or(seen.current);
        self.settle(now_s, seen.current, proposal)
    }

    /// Instances that one metric asks for, before behaviour and bounds.
    fn proposal(&self, metric: &Metric, seen: &Observation) -> u32 {
        match *metric {
            Metric::AverageUtilization(target) => self.by_utilization(target, seen),
            Metric::AverageValue(target) => self.by_average_value(seen.rate, target, seen.current),
            Metric::Value(target) => {
                let ratio = seen.rate / target;
                if seen.current == 0 {
                    instances(ratio)
                } else if self.within_tolerance(ratio) {
                    seen.current
                } else {
                    instances(ratio * f64::from(seen.ready))
                }
            }
        }
    }

    /// Instances for a `total` of which each is to have `target`.
    pub(super) fn by_average_value(&self, total: f64, target: f64, current: u32) -> u32 {
        let ratio = total / (target * f64::from(current));
        if self.within_tolerance(ratio) { current } else { instances(total / target) }
    }

    /// Instances for a resource's utilisation. Instances that are not ready, and ready ones that do
    /// not report, are counted so that they dampen the change; one that would turn its direction
    /// is not made.
    fn by_utilization(&self, target: f64, seen: &Observation) -> u32 {
        let missing = seen.missing.min(seen.ready);
        let unready = seen.current.saturating_sub(seen.ready);
        let reporting = seen.ready - missing;
        if reporting == 0 {
            return seen.current;
        }
        // The controller counts in whole per cents, cut off.
        let percent = |share: f64| share.mul_add(100.0, 1e-9).floor();
        let goal = (target * 100.0).round().max(1.0);
        let ratio = percent(seen.utilisation) / goal;
        let unready_count = ratio > 1.0 && unready > 0;
        if !unready_count && missing == 0 {
            let within = self.within_tolerance(ratio);
            return if within { seen.current } else { instances(ratio * f64::from(seen.ready)) };
        }
        let mut usage = seen.utilisation * f64::from(reporting);
        let mut counted = reporting;
        if missing > 0 && ratio != 1.0 {
            // All of the request on the way down, none on the way up.
            usage += if ratio < 1.0 { f64::from(missing) } else { 0.0 };
            counted += missing;
        }
        if unready_count {
            counted += unready;
        }
        let new_ratio = percent(usage / f64::from(counted)) / goal;
        let turned = (ratio < 1.0 && new_ratio > 1.0) || (ratio > 1.0 && new_ratio < 1.0);
        if turned || self.within_tolerance(new_ratio) {
            return seen.current;
        }
        let wanted = instances(new_ratio * f64::from(counted));
        let against = (new_ratio < 1.0 && wanted > seen.current)
            || (new_ratio > 1.0 && wanted < seen.current);
        if against { seen.current } else { wanted }
    }

    fn within_tolerance(&self, ratio: f64) -> bool {
        // One part in 10¹² for what cannot be said exactly in binary.
        let slack = 1e-12;
        (1.0 - self.params.scale_down.tolerance - slack
            ..=1.0 + self.params.scale_up.tolerance + slack)
            .contains(&ratio)
    }

    /// Behaviour and bounds: from what the metrics ask for to what is done.
    pub(super) fn settle(&mut self, now_s: f64, current: u32, proposal: u32) -> u32 {
        let HpaParams { min_replicas, max_replicas, .. } = self.params;
        if current == 0 && min_replicas > 0 {
            return 0; // autoscaling is off for what was scaled to zero by others
        }
        let desired = if current > max_replicas {
            max_replicas
        } else if current < min_replicas {
            min_replicas
        } else {
            if self.ups.is_empty() {
                self.ups.push(now_s, current);
                self.downs.push(now_s, current);
            }
            let up = self.ups.push(now_s, proposal);
            let down = self.downs.push(now_s, proposal);
            // Not clamp(): up may be above down.
            let stabilized = current.max(up).min(down);
            self.limit(now_s, current, stabilized)
        };
        if desired != current {
            self.events.push_back((now_s, i64::from(desired) - i64::from(current)));
        }
        desired
    }

    /// Limits of the speed, then the bounds.
    fn limit(&mut self, now_s: f64, current: u32, desired: u32) -> u32 {
        while self.events.front().is_some_and(|&(at, _)| at <= now_s - self.memory_s) {
            self.events.pop_front();
        }
        let (min, max) = (self.params.min_replicas, self.params.max_replicas);
        if desired > current {
            desired.min(max.min(self.scale_up_limit(now_s, current)))
        } else if desired < current {
            desired.max(min.max(self.scale_down_limit(now_s, current)))
        } else {
            desired
        }
    }

    fn scale_up_limit(&self, now_s: f64, current: u32) -> u32 {
        let rules = &self.params.scale_up;
        let limits = rules.policies.iter().map(|policy| {
            let start = self.period_start(now_s, current, policy);
            match policy.kind {
                PolicyType::Pods => start + f64::from(policy.value),
                // As in the controller: 100 and 10 % more is 110.00000000000001, and so 111.
                PolicyType::Percent => (start * (1.0 + f64::from(policy.value) / 100.0)).ceil(),
            }
        });
        let limit = match rules.select_policy {
            SelectPolicy::Max => limits.reduce(f64::max),
            SelectPolicy::Min => limits.reduce(f64::min),
            SelectPolicy::Disabled => None,
        };
        limit.map_or(current, |limit| instances(limit).max(current))
    }

    fn scale_down_limit(&self, now_s: f64, current: u32) -> u32 {
        let rules = &self.params.scale_down;
        let limits = rules.policies.iter().map(|policy| {
            let start = self.period_start(now_s, current, policy);
            match policy.kind {
                PolicyType::Pods => start - f64::from(policy.value),
                PolicyType::Percent => (start * (1.0 - f64::from(policy.value) / 100.0)).trunc(),
            }
        });
        let limit = match rules.select_policy {
            SelectPolicy::Max => limits.reduce(f64::min),
            SelectPolicy::Min => limits.reduce(f64::max),
            SelectPolicy::Disabled => None,
        };
        limit.map_or(current, |limit| instances(limit).min(current))
    }

    /// Instances there were when the period of `policy` that ends now began.
    fn period_start(&self, now_s: f64, current: u32, policy: &ScalingPolicy) -> f64 {
        let begin_s = now_s - f64::from(policy.period_seconds.min(PERIOD_SECONDS_MAX));
        let recent = self.events.iter().rev().take_while(|&&(at, _)| at > begin_s);
        let change: i64 = recent.map(|&(_, change)| change).sum();
        f64::from(current) - change as f64
    }
}
