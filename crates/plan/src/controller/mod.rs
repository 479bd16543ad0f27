//! The autoscalers that people run, as state machines without IO: what they see goes in, the number
//! of instances they want comes out. Parameters carry the vendors' names.
//!
//! Requests per second stand in for any metric that is proportional to the load.

pub mod aws_predictive;
pub mod aws_scheduled;
pub mod aws_target_tracking;
pub mod fixed;
pub mod hpa;
pub mod hybrid;
pub mod keda;
pub mod knative;
pub mod lambda_pc;
pub mod schedule;

mod extreme;

pub use aws_predictive::AwsPredictive;
pub use aws_scheduled::AwsScheduled;
pub use aws_target_tracking::TargetTracking;
pub use fixed::Fixed;
pub use hpa::Hpa;
pub use hybrid::Hybrid;
pub use keda::Keda;
pub use knative::Knative;
pub use schedule::{Schedule, Window};

/// Most instances that anything here asks for.
pub const INSTANCES_MAX: u32 = 100_000;

/// What a controller sees when it decides.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observation {
    /// Instances that are asked for at present, running or starting.
    pub current: u32,
    /// Of these, instances that are ready to serve.
    pub ready: u32,
    /// Ready instances on average over the time that the metrics are of; `None` where that is not known
    /// and [`ready`](Self::ready) stands for it.
    pub mean_ready: Option<f64>,
    /// Of the ready ones, instances of which no measurement has arrived.
    pub missing: u32,
    /// Requests per second that arrive, for all instances together.
    pub rate: f64,
    /// Mean share of its capacity that a reporting instance uses; 1 is all of it.
    pub utilisation: f64,
    /// Requests in flight, waiting ones included, for all instances together.
    pub concurrency: f64,
}

/// One of the controllers.
#[derive(Debug, Clone)]
pub enum Controller {
    /// A number that never changes.
    Fixed(Fixed),
    /// Kubernetes' horizontal pod autoscaler.
    Hpa(Box<Hpa>),
    /// KEDA above the horizontal pod autoscaler.
    Keda(Box<Keda>),
    /// Knative's pod autoscaler.
    Knative(Box<Knative>),
    /// AWS Application Auto Scaling, target tracking (also for provisioned concurrency of Lambda).
    TargetTracking(Box<TargetTracking>),
    /// The same between bounds that scheduled actions move.
    AwsScheduled(Box<AwsScheduled>),
    /// The same above an hourly forecast.
    AwsPredictive(Box<AwsPredictive>),
    /// The larger of a reactive controller's wish and a floor.
    Hybrid(Box<Hybrid>),
}

impl Controller {
    /// Instances wanted at `now_s`, in seconds since the Unix epoch. To be called every
    /// [`period_s`](Self::period_s) with a time that does not fall; what it answers is taken as
    /// done.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let wanted = match self {
            Self::Fixed(it) => it.decide(now_s, seen),
            Self::Hpa(it) => it.decide(now_s, seen),
            Self::Keda(it) => it.decide(now_s, seen),
            Self::Knative(it) => it.decide(now_s, seen),
            Self::TargetTracking(it) => it.decide(now_s, seen),
            Self::AwsScheduled(it) => it.decide(now_s, seen),
            Self::AwsPredictive(it) => it.decide(now_s, seen),
            Self::Hybrid(it) => it.decide(now_s, seen),
        };
        wanted.min(INSTANCES_MAX)
    }

    /// Window and age, in seconds, of the metrics that the controller sees in a system whose metrics
    /// have `window_s` and `lag_s`. Knative collects its own, every second, and averages them itself.
    #[must_use]
    pub fn metrics(&self, window_s: f64, lag_s: f64) -> (f64, f64) {
        match self {
            Self::Knative(_) => (knative::TICK_S, 0.0),
            Self::Hybrid(it) => it.reactive.metrics(window_s, lag_s),
            _ => (window_s, lag_s),
        }
    }

    /// Seconds between two decisions.
    #[must_use]
    pub fn period_s(&self) -> f64 {
        match self {
            Self::Fixed(_)
            | Self::TargetTracking(_)
            | Self::AwsScheduled(_)
            | Self::AwsPredictive(_) => 60.0,
            Self::Hpa(_) | Self::Keda(_) => hpa::SYNC_PERIOD_S,
            Self::Knative(_) => knative::TICK_S,
            Self::Hybrid(it) => it.reactive.period_s(),
        }
    }
}

/// ⌈value⌉ as a number of instances: not a number and less than none are none, to an end.
/// A billionth above a whole number is taken for a rounding error.
fn instances(value: f64) -> u32 {
    let rounded = value.round();
    let whole =
        if (value - rounded).abs() <= 1e-9 * rounded.abs() { rounded } else { value.ceil() };
    whole.clamp(0.0, f64::from(INSTANCES_MAX)) as u32
}
