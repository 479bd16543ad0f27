//! What a log that names the server of each request tells about the servers: how many there were,
//! how their latency rises with what they have to do at once, and how new ones begin.

mod curve;
mod life;

use serde::Serialize;

pub use curve::{CURVE_POINTS_MAX, CurvePoint, NoFit, STRETCHES_MIN};
pub use life::{LIVE_POINTS_MAX, Live, LivePoint, Newcomer, SILENCE};

/// What one instance did, as a log tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name or address.
    pub key: String,
    /// Its first request, in seconds since the Unix epoch.
    pub first_s: f64,
    /// Its first request that it did not answer with an error of its own.
    pub first_served_s: Option<f64>,
    /// Windows in which it worked on anything, in order of time.
    pub windows: Vec<Window>,
}

/// What an instance did in one window of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Begin, in seconds since the Unix epoch; a multiple of the length of windows.
    pub start_s: i64,
    /// Requests that ended.
    pub ended: f64,
    /// Seconds that requests were under way, all added; `None` where the log has no durations.
    pub busy_s: Option<f64>,
}

impl Window {
    /// Mean time that a request took, by Little's law, in seconds.
    fn latency_s(&self) -> Option<f64> {
        self.busy_s
            .filter(|busy_s| *busy_s > 0.0 && self.ended > 0.0)
            .map(|busy_s| busy_s / self.ended)
    }
}

/// What is known about the instances.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Instances {
    /// Length of the windows that they were looked at in, in seconds.
    pub window_s: u32,
    /// How many there were.
    pub live: Live,
    /// Latency and throughput of one instance by its requests in flight, rising; empty where the
    /// log has no durations.
    pub curve: Vec<CurvePoint>,
    /// Why the curve does not support a concurrency limit; `None` where it does.
    pub no_fit: Option<NoFit>,
    /// Instances that began after the log did, in order of time.
    pub new: Vec<Newcomer>,
}

impl Instances {
    /// Looks at `instances`, in windows of `window_s`. `None` without any.
    #[must_use]
    pub fn new(instances: &[Instance], window_s: u32) -> Option<Self> {
        let window_s = window_s.max(1);
        let lives = life::lives(instances, window_s);
        let live = life::live(&lives, window_s)?;
        let new = life::newcomers(instances, &lives, window_s);
        let curve = curve::curve(instances, &new, window_s);
        let no_fit = curve::no_fit(&curve, instances);
        Some(Self { window_s, live, curve, no_fit, new })
    }

    /// Requests in flight and per second of one instance, for a concurrency limit; empty where they
    /// say too little.
    #[must_use]
    pub fn points(&self) -> Vec<(f64, f64)> {
        if self.no_fit.is_some() {
            return Vec::new();
        }
        self.curve.iter().map(|point| (point.in_flight, point.per_s)).collect()
    }

    /// Median time from the first request of a new instance until it answered as it did later, in
    /// seconds; `None` where no new instance was seen well enough.
    #[must_use]
    pub fn begins_s(&self) -> Option<f64> {
        let mut times: Vec<f64> = self.new.iter().filter_map(Newcomer::begins_s).collect();
        times.sort_by(f64::total_cmp);
        stats::quantile::type7(&times, 0.5)
    }
}
