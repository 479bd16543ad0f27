//! What is given to a choice besides the demand.

use serde::{Deserialize, Serialize};

use crate::simulate::{Distribution, Lifecycle, Plant};

/// Most slots of an instance that are tried.
const SLOTS_MAX: u32 = 10_000;

/// A kind of controller to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Horizontal pod autoscaler on requests per second.
    Hpa,
    /// KEDA: the same with cron triggers as a floor.
    Keda,
    /// Knative pod autoscaler on requests per second.
    Knative,
    /// AWS target tracking on requests per target.
    AwsTargetTracking,
    /// The same with scheduled actions as a floor.
    AwsScheduled,
}

/// The system, its objective and its price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Params {
    /// Requests per second that one instance serves within the objective. No default.
    pub capacity_per_s: f64,
    /// Service time of a request, in seconds. Default: lognormal, mean 0.1 s, variation 0.5.
    pub service: Distribution,
    /// Requests that one instance works on at a time. Default: the fewest slots with which an
    /// M/M/c queue meets the objective at the capacity.
    pub concurrency: Option<u32>,
    /// A request is late when its response takes longer, in seconds. Default 1 s.
    pub late_after_s: f64,
    /// Share of the requests that may be late. Default 0.001.
    pub late_share: f64,
    /// Time after which a waiting request gives up, in seconds. Default 30 s.
    pub timeout_s: f64,
    /// Time from a decision to a ready instance, in seconds. Default: lognormal, mean 60 s,
    /// variation 0.25.
    pub boot: Distribution,
    /// Time that a stopped instance goes on being paid for, in seconds. Default 30 s.
    pub drain_s: f64,
    /// Least time that is billed for an instance, in seconds. Default 60 s.
    pub billing_min_s: f64,
    /// Price of an instance for an hour, in any currency. Default 0.10.
    pub price_per_instance_hour: f64,
    /// Fewest instances. Default 1.
    pub min: u32,
    /// Most instances. Default: twice what the busiest step of the history needs.
    pub max: Option<u32>,
    /// Most cron entries of a schedule. Default 6.
    pub cron_entries_max: usize,
    /// Span over which metrics are averaged, in seconds. Default 60 s.
    pub metric_window_s: f64,
    /// Age of the newest measurement that is seen, in seconds. Default 15 s.
    pub metric_lag_s: f64,
    /// Controllers to choose from. Default: HPA and KEDA.
    pub kinds: Vec<Kind>,
    /// Seed of everything that is drawn. Default 1.
    pub seed: u64,
}

impl Params {
    /// The defaults, for instances of which each serves `capacity_per_s`.
    #[must_use]
    pub fn new(capacity_per_s: f64) -> Self {
        Self {
            capacity_per_s,
            service: Distribution::Lognormal { mean: 0.1, cv: 0.5 },
            concurrency: None,
            late_after_s: 1.0,
            late_share: 0.001,
            timeout_s: 30.0,
            boot: Distribution::Lognormal { mean: 60.0, cv: 0.25 },
            drain_s: 30.0,
            billing_min_s: 60.0,
            price_per_instance_hour: 0.10,
            min: 1,
            max: None,
            cron_entries_max: 6,
            metric_window_s: 60.0,
            metric_lag_s: 15.0,
            kinds: vec![Kind::Hpa, Kind::Keda],
            seed: 1,
        }
    }

    /// The first thing that makes no sense, said so that it can be mended.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let service = self.service.mean();
        let checks = [
            (positive(self.capacity_per_s), "the capacity of an instance must be above 0/s"),
            (positive(service), "the service time must be above 0 s"),
            (
                self.late_after_s.is_finite() && self.late_after_s > service,
                "the time after which a request is late must be above the mean service time",
            ),
            (
                self.late_share > 0.0 && self.late_share < 1.0,
                "the share of late requests must be above 0 and below 1",
            ),
            (positive(self.timeout_s), "the time-out must be above 0 s"),
            (
                not_negative(self.boot.mean()) && self.boot.mean() <= 86_400.0,
                "the boot time must be between 0 s and a day",
            ),
            (not_negative(self.drain_s), "the drain time must not be negative"),
            (not_negative(self.billing_min_s), "the least billed time must not be negative"),
            (not_negative(self.price_per_instance_hour), "the price must not be negative"),
            (
                self.max.is_none_or(|max| max >= self.min.max(1)),
                "the most instances must be at least the fewest, and at least 1",
            ),
            (self.concurrency != Some(0), "the concurrency of an instance must be at least 1"),
            (
                positive(self.metric_window_s) && self.metric_window_s <= 86_400.0,
                "the window of the metrics must be above 0 s and at most a day",
            ),
            (
                not_negative(self.metric_lag_s) && self.metric_lag_s <= 86_400.0,
                "the lag of the metrics must be between 0 s and a day",
            ),
            (!self.kinds.is_empty(), "name at least one controller to choose from"),
        ];
        checks.into_iter().find(|(fine, _)| !fine).map(|(_, fault)| fault)
    }

    /// Requests per second that one instance answers: what is given as its capacity, or, by Little's law,
    /// what it can answer where it works on few requests at a time.
    #[must_use]
    pub fn reach_per_s(&self) -> f64 {
        let by_slots = |slots: u32| f64::from(slots) / self.service.mean();
        self.concurrency
            .map_or(self.capacity_per_s, |slots| self.capacity_per_s.min(by_slots(slots)))
    }

    /// What does not fit together: more capacity than the slots of an instance can serve.
    pub(super) fn doubt(&self) -> Option<String> {
        let (slots, reach) = (self.concurrency?, self.reach_per_s());
        (reach < self.capacity_per_s * (1.0 - 1e-9)).then(|| {
            format!(
                "an instance that works on {slots} requests at a time, of {:.0} ms each, answers at most \
                 {reach:.1}/s, not the {:.1}/s that were given: planned with the former; check --capacity, \
                 --service and --concurrency",
                self.service.mean() * 1000.0,
                self.capacity_per_s
            )
        })
    }

    /// The system as it is simulated.
    #[must_use]
    pub fn plant(&self) -> Plant {
        Plant {
            capacity_per_s: self.reach_per_s(),
            slots: self.concurrency.unwrap_or_else(|| self.slots()),
            service: self.service.clone(),
            late_after_s: self.late_after_s,
            timeout_s: self.timeout_s,
            lifecycle: Lifecycle {
                boot: self.boot.clone(),
                drain_s: self.drain_s,
                billing_min_s: self.billing_min_s,
                billing_unit_s: 1.0,
            },
            metric_window_s: self.metric_window_s,
            metric_lag_s: self.metric_lag_s,
        }
    }

    /// The fewest slots with which an M/M/c queue meets the objective at the capacity; where none
    /// does, as many as are busy at the capacity, and a tenth more.
    fn slots(&self) -> u32 {
        let rate = 1.0 / self.service.mean();
        let busy = (self.capacity_per_s / rate).ceil().clamp(1.0, f64::from(SLOTS_MAX)) as u32;
        let meets = |slots: &u32| {
            stats::Mmc::new(*slots, self.capacity_per_s, rate)
                .is_some_and(|queue| queue.response_survival(self.late_after_s) <= self.late_share)
        };
        let most = busy.saturating_mul(2).saturating_add(2).min(SLOTS_MAX);
        (busy..=most).find(meets).unwrap_or_else(|| busy.saturating_add(busy.div_ceil(10)))
    }
}
