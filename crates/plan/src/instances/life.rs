//! From when to when instances were there, and how they began.

use serde::Serialize;

use super::{Instance, Window};

/// How often an instance must have been passed over to be gone: of requests that are dealt out evenly,
/// one gets none of so many times its share once in e²⁰ times.
pub const SILENCE: f64 = 20.0;
/// Most points of [`Live::over_time`].
pub const LIVE_POINTS_MAX: usize = 168;
/// Fewest windows of an instance, and fewest requests in one of them, that tell whether it is warm.
const WARM_WINDOWS_MIN: usize = 10;
const WARM_REQUESTS_MIN: f64 = 5.0;
/// An instance is warm when it takes no longer than so many times what it takes in most windows.
const WARM: f64 = 1.5;

/// How many instances were there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Live {
    /// Fewest at a time.
    pub least: u32,
    /// On average over time.
    pub mean: f64,
    /// Most at a time.
    pub most: u32,
    /// Most at a time in each of equal stretches from the first request to the last.
    pub over_time: Vec<LivePoint>,
}

/// Instances in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LivePoint {
    /// Its begin, in seconds since the Unix epoch.
    pub start_s: i64,
    /// Most instances at a time.
    pub instances: u32,
}

/// An instance that began after the log did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Newcomer {
    /// Its name or address.
    pub key: String,
    /// Its first request, in seconds since the Unix epoch.
    pub first_s: f64,
    /// From its first request until the first that it did not answer with an error of its own, in
    /// seconds; `None` where it answered none.
    pub failing_s: Option<f64>,
    /// From its first request until it took no longer than it did later, in seconds, to the length of
    /// a window; `None` where it was not seen for long enough, or without durations.
    pub warm_up_s: Option<f64>,
}

impl Newcomer {
    /// From its first request until it answered as it did later, in seconds. What came before its
    /// first request is in no log.
    #[must_use]
    pub fn begins_s(&self) -> Option<f64> {
        match (self.failing_s, self.warm_up_s) {
            (Some(failing_s), Some(warm_up_s)) => Some(failing_s.max(warm_up_s)),
            (one, other) => one.or(other),
        }
    }
}

/// A stretch of time in which an instance was there, in whole windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Life {
    begin_s: i64,
    end_s: i64,
}

/// When each instance was there. One that is passed over for long is gone until its next request.
pub(super) fn lives(instances: &[Instance], window_s: u32) -> Vec<Vec<Life>> {
    let pool = Pool::new(instances);
    let patience = SILENCE * instances.len() as f64;
    let window_s = i64::from(window_s);
    let of_one = |instance: &Instance| {
        let mut lives: Vec<Life> = Vec::new();
        for Window { start_s, .. } in &instance.windows {
            let end_s = start_s + window_s;
            match lives.last_mut() {
                Some(life) if pool.between(life.end_s, *start_s) <= patience => life.end_s = end_s,
                Some(_) => lives.push(Life { begin_s: *start_s, end_s }),
                // What is silent at the begin or the end of the log may have been there all the same.
                None if pool.between(i64::MIN, *start_s) <= patience => {
                    let begin_s = pool.first_s().unwrap_or(*start_s);
                    lives.push(Life { begin_s, end_s });
                }
                None => lives.push(Life { begin_s: *start_s, end_s }),
            }
        }
        if let (Some(life), Some(last_s)) = (lives.last_mut(), pool.last_s())
            && pool.between(life.end_s, i64::MAX) <= patience
        {
            life.end_s = life.end_s.max(last_s + window_s);
        }
        lives
    };
    instances.iter().map(of_one).collect()
}

/// Requests of all instances by window, added up.
struct Pool {
    /// Begin of a window, and requests before its end; rising.
    sums: Vec<(i64, f64)>,
}

impl Pool {
    fn new(instances: &[Instance]) -> Self {
        let windows = instances.iter().flat_map(|instance| &instance.windows);
        let mut sums: Vec<(i64, f64)> =
            windows.map(|window| (window.start_s, window.ended)).collect();
        sums.sort_by_key(|(start_s, _)| *start_s);
        let mut sum = 0.0;
        for (_, ended) in &mut sums {
            sum += *ended;
            *ended = sum;
        }
        Self { sums }
    }

    fn first_s(&self) -> Option<i64> {
        self.sums.first().map(|(start_s, _)| *start_s)
    }

    fn last_s(&self) -> Option<i64> {
        self.sums.last().map(|(start_s, _)| *start_s)
    }

    /// Requests of the windows that begin at `from_s` or later and before `to_s`.
    fn between(&self, from_s: i64, to_s: i64) -> f64 {
        let before = |time_s: i64| {
            let index = self.sums.partition_point(|(start_s, _)| *start_s < time_s);
            index.checked_sub(1).and_then(|last| self.sums.get(last)).map_or(0.0, |(_, sum)| *sum)
        };
        before(to_s) - before(from_s)
    }
}

/// How many instances there were; `None` without any.
pub(super) fn live(lives: &[Vec<Life>], window_s: u32) -> Option<Live> {
    let all = || lives.iter().flatten();
    let begin_s = all().map(|life| life.begin_s).min()?;
    let end_s = all().map(|life| life.end_s).max()?;
    // Begins and ends; at the same moment ends come first.
    let begins = all().map(|life| (life.begin_s, 1_i32));
    let mut changes: Vec<(i64, i32)> = begins.chain(all().map(|life| (life.end_s, -1))).collect();
    changes.sort_unstable();
    // So many from each moment until the next.
    let mut count = 0;
    let mut levels: Vec<(i64, i64, u32)> = Vec::with_capacity(changes.len());
    for pair in changes.windows(2) {
        count += pair[0].1;
        if pair[1].0 > pair[0].0 {
            levels.push((pair[0].0, pair[1].0, count.max(0) as u32));
        }
    }
    let instance_s: f64 = all().map(|life| (life.end_s - life.begin_s) as f64).sum();
    let window_s = i64::from(window_s);
    let windows = (end_s - begin_s).div_euclid(window_s).max(1);
    let step_s =
        window_s * (windows + LIVE_POINTS_MAX as i64 - 1).div_euclid(LIVE_POINTS_MAX as i64);
    let mut over_time: Vec<LivePoint> = (begin_s..end_s)
        .step_by(step_s as usize)
        .map(|start_s| LivePoint { start_s, instances: 0 })
        .collect();
    for &(from_s, to_s, count) in &levels {
        let first = ((from_s - begin_s) / step_s) as usize;
        let last = ((to_s - 1 - begin_s) / step_s) as usize;
        for point in over_time.iter_mut().take(last + 1).skip(first) {
            point.instances = point.instances.max(count);
        }
    }
    let counts = || levels.iter().map(|(_, _, count)| *count);
    Some(Live {
        least: counts().min()?,
        mean: instance_s / (end_s - begin_s) as f64,
        most: counts().max()?,
        over_time,
    })
}

/// The instances that began after the log did.
pub(super) fn newcomers(
    instances: &[Instance],
    lives: &[Vec<Life>],
    window_s: u32,
) -> Vec<Newcomer> {
    let log_s = lives.iter().flatten().map(|life| life.begin_s).min().unwrap_or(0);
    let window_s = i64::from(window_s);
    let begun_later = |(instance, lives): &(&Instance, &Vec<Life>)| {
        lives.first().is_some_and(|life| life.begin_s > log_s)
            && instance.first_s >= (log_s + window_s) as f64
    };
    let newcomer = |(instance, _): (&Instance, &Vec<Life>)| Newcomer {
        key: instance.key.clone(),
        first_s: instance.first_s,
        failing_s: instance.first_served_s.map(|served_s| (served_s - instance.first_s).max(0.0)),
        warm_up_s: warm_up_s(instance),
    };
    let mut new: Vec<Newcomer> =
        instances.iter().zip(lives).filter(begun_later).map(newcomer).collect();
    new.sort_by(|a, b| a.first_s.total_cmp(&b.first_s));
    new
}

/// From the first request of `instance` until the first window in which it took about as long as in
/// most others.
fn warm_up_s(instance: &Instance) -> Option<f64> {
    let enough = instance.windows.iter().filter(|window| window.ended >= WARM_REQUESTS_MIN);
    let known: Vec<(i64, f64)> =
        enough.filter_map(|window| Some((window.start_s, window.latency_s()?))).collect();
    if known.len() < WARM_WINDOWS_MIN {
        return None;
    }
    let mut latencies: Vec<f64> = known.iter().map(|(_, latency_s)| *latency_s).collect();
    latencies.sort_by(f64::total_cmp);
    let usual_s = stats::quantile::type7(&latencies, 0.5)?;
    let (start_s, _) = known.iter().find(|(_, latency_s)| *latency_s <= WARM * usual_s)?;
    Some((*start_s as f64 - instance.first_s).max(0.0))
}
