//! Knative's pod autoscaler (KPA).
//!
//! After `pkg/autoscaler/scaling/autoscaler.go` and
//! <https://knative.dev/docs/serving/autoscaling/>.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::extreme::{Keep, SlidingExtreme};
use super::{Observation, instances};

/// `tick-interval`: seconds between two decisions.
pub const TICK_S: f64 = 2.0;

/// Longest stable `window` that Knative takes: an hour.
pub const WINDOW_S_MAX: f64 = 3600.0;

/// `autoscaling.knative.dev/metric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnativeMetric {
    /// Requests in flight.
    Concurrency,
    /// Requests per second.
    Rps,
}

/// Annotations of a revision and keys of `config-autoscaler`, by their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnativeParams {
    /// What is followed.
    pub metric: KnativeMetric,
    /// `target`: of the metric, for each instance.
    pub target: f64,
    /// `target-utilization-percentage`, 1..=100: how much of `target` is aimed at.
    pub target_utilization_percentage: f64,
    /// `min-scale`.
    pub min_scale: u32,
    /// `max-scale`; 0 is no limit.
    pub max_scale: u32,
    /// `activation-scale`: fewest instances when there are any.
    pub activation_scale: u32,
    /// `window`, in seconds: the stable window, 6 s to 1 h.
    pub window_s: f64,
    /// `panic-window-percentage` of the stable window.
    pub panic_window_percentage: f64,
    /// `panic-threshold-percentage`: of the ready instances, at which panic begins.
    pub panic_threshold_percentage: f64,
    /// `max-scale-up-rate`.
    pub max_scale_up_rate: f64,
    /// `max-scale-down-rate`.
    pub max_scale_down_rate: f64,
    /// `scale-down-delay`, in seconds.
    pub scale_down_delay_s: f64,
    /// `scale-to-zero-grace-period`, in seconds.
    pub scale_to_zero_grace_period_s: f64,
    /// `scale-to-zero-pod-retention-period`, in seconds.
    pub scale_to_zero_pod_retention_period_s: f64,
}

impl KnativeParams {
    /// Knative's defaults for `metric` with `target`: 70 % of it over 60 s, panic over 6 s at twice
    /// the ready instances, at most ×1000 up and ÷2 down.
    #[must_use]
    pub fn new(metric: KnativeMetric, target: f64) -> Self {
        Self {
            metric,
            target,
            target_utilization_percentage: 70.0,
            min_scale: 0,
            max_scale: 0,
            activation_scale: 1,
            window_s: 60.0,
            panic_window_percentage: 10.0,
            panic_threshold_percentage: 200.0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            scale_down_delay_s: 0.0,
            scale_to_zero_grace_period_s: 30.0,
            scale_to_zero_pod_retention_period_s: 0.0,
        }
    }

    fn target_value(&self) -> f64 {
        self.target * self.target_utilization_percentage / 100.0
    }
}

/// The autoscaler with its memory.
#[derive(Debug, Clone)]
pub struct Knative {
    params: KnativeParams,
    samples: Samples,
    panic_since_s: Option<f64>,
    max_panic_pods: u32,
    delay: Option<SlidingExtreme>,
    idle_since_s: Option<f64>,
    started: bool,
}

impl Knative {
    /// An autoscaler that has seen nothing yet.
    #[must_use]
    pub fn new(params: KnativeParams) -> Self {
        let delay_s = params.scale_down_delay_s.min(WINDOW_S_MAX);
        let window_s = params.window_s.clamp(6.0, WINDOW_S_MAX);
        Self {
            samples: Samples::new(window_s, window_s * params.panic_window_percentage / 100.0),
            panic_since_s: None,
            max_panic_pods: 0,
            delay: (delay_s > 0.0).then(|| SlidingExtreme::new(delay_s, Keep::Largest)),
            idle_since_s: None,
            started: false,
            params,
        }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let value = match self.params.metric {
            KnativeMetric::Concurrency => seen.concurrency,
            KnativeMetric::Rps => seen.rate,
        };
        let (stable, panic) = self.samples.push(now_s, value);
        let scaled = self.scale(now_s, stable, panic, seen.ready);
        self.bound(now_s, scaled, seen.current)
    }

    /// Knative's `Scale`: instances for the averages of the metric over both windows, before the
    /// bounds.
    pub fn scale(&mut self, now_s: f64, stable: f64, panic: f64, ready: u32) -> u32 {
        let params = &self.params;
        if !self.started {
            self.started = true;
            // It starts in panic mode, so that an empty memory does not scale down.
            if ready > 1 {
                self.panic_since_s = Some(now_s);
                self.max_panic_pods = ready;
            }
        }
        let ready = f64::from(ready.max(1));
        let most = instances(params.max_scale_up_rate * ready);
        let fewest = (ready / params.max_scale_down_rate).floor() as u32;
        let by_stable = instances(stable / params.target_value());
        let by_panic = instances(panic / params.target_value());
        let within = |wanted: u32| {
            let bounded = wanted.max(fewest).min(most);
            if wanted > 0 { bounded.max(params.activation_scale) } else { bounded }
        };
        let over = f64::from(by_panic) / ready >= params.panic_threshold_percentage / 100.0;
        if over {
            self.panic_since_s = Some(now_s);
        } else if self.panic_since_s.is_some_and(|since| since + params.window_s < now_s) {
            self.panic_since_s = None;
            self.max_panic_pods = 0;
        }
        let mut desired = within(by_stable);
        if self.panic_since_s.is_some() {
            self.max_panic_pods = self.max_panic_pods.max(desired).max(within(by_panic));
            desired = self.max_panic_pods;
        }
        self.delay.as_mut().map_or(desired, |delay| delay.push(now_s, desired))
    }

    /// Least and greatest scale, and the grace before zero.
    fn bound(&mut self, now_s: f64, desired: u32, current: u32) -> u32 {
        let params = &self.params;
        let most = if params.max_scale == 0 { u32::MAX } else { params.max_scale };
        let desired = desired.max(params.min_scale).min(most);
        if desired > 0 {
            self.idle_since_s = None;
            return desired;
        }
        let since_s = *self.idle_since_s.get_or_insert(now_s);
        let grace_s =
            params.scale_to_zero_grace_period_s.max(params.scale_to_zero_pod_retention_period_s);
        if now_s - since_s >= grace_s { 0 } else { current.min(1) }
    }
}

/// Means of a metric over the stable and the panic window.
#[derive(Debug, Clone)]
struct Samples {
    stable_s: f64,
    panic_s: f64,
    values: VecDeque<(f64, f64)>,
    sum: f64,
}

impl Samples {
    fn new(stable_s: f64, panic_s: f64) -> Self {
        Self { stable_s, panic_s, values: VecDeque::new(), sum: 0.0 }
    }

    fn push(&mut self, now_s: f64, value: f64) -> (f64, f64) {
        self.values.push_back((now_s, value));
        self.sum += value;
        while self.values.front().is_some_and(|&(at, _)| at <= now_s - self.stable_s)
            && self.values.len() > 1
        {
            self.sum -= self.values.pop_front().map_or(0.0, |(_, old)| old);
        }
        let recent = self.values.iter().rev().take_while(|&&(at, _)| at > now_s - self.panic_s);
        let (count, panic) = recent.fold((0_u32, 0.0), |(n, sum), &(_, v)| (n + 1, sum + v));
        let stable = (self.sum / self.values.len() as f64).max(0.0);
        (stable, if count == 0 { value } else { panic / f64::from(count) })
    }
}
