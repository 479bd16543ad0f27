//! AWS Application Auto Scaling, `PutScheduledAction`: bounds that move at set times of the week,
//! with or without target tracking between them.
//!
//! <https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-additional-cron-expressions.html>

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::schedule::{WEEK_MINUTES, WeekClock, Window};
use super::{Observation, TargetTracking};

/// Most actions of a schedule; AWS allows 200 for each scalable target.
pub const ACTIONS_MAX: usize = 200;

/// One action of the week: from this minute on, other bounds hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScheduledAction {
    /// Days on which it happens, as bits: 1 is Monday, 64 Sunday.
    pub days: u8,
    /// Minutes since midnight, below 1440.
    pub minute: u16,
    /// `MinCapacity`; `None` leaves it as it is.
    pub min_capacity: Option<u32>,
    /// `MaxCapacity`; `None` leaves it as it is.
    pub max_capacity: Option<u32>,
}

impl ScheduledAction {
    /// The actions that raise `MinCapacity` at the begin of each window and bring it back to what
    /// else holds then (`base`, or another window) at its end. Windows on the same days must not
    /// overlap.
    #[must_use]
    pub fn from_windows(windows: &[Window], base: u32) -> Vec<Self> {
        let at = |days: u8, minute: u16, min: u32| {
            let (days, minute) =
                if minute >= 1440 { ((days << 1 | days >> 6) & 0x7f, 0) } else { (days, minute) };
            Self { days, minute, min_capacity: Some(min), max_capacity: None }
        };
        let begins = windows.iter().map(|w| at(w.days, w.start_minute, w.replicas.max(base)));
        let begins: Vec<Self> = begins.collect();
        // An end at which another window begins needs no action of its own on those days.
        let ends = windows.iter().filter_map(|w| {
            let mut end = at(w.days, w.end_minute, base);
            for begin in begins.iter().filter(|begin| begin.minute == end.minute) {
                end.days &= !begin.days;
            }
            (end.days != 0).then_some(end)
        });
        let mut actions: Vec<Self> = ends.collect();
        actions.extend(begins.iter().cloned());
        actions.truncate(ACTIONS_MAX);
        actions
    }
}

/// Scheduled actions around an optional policy.
#[derive(Debug, Clone)]
pub struct AwsScheduled {
    clock: WeekClock,
    /// Bounds that hold in each minute of the week.
    bounds: Vec<(u32, u32)>,
    tracking: Option<TargetTracking>,
}

impl AwsScheduled {
    /// The first [`ACTIONS_MAX`] of `actions` in the time of `zone`; `min` and `max` hold until an
    /// action of the week has said otherwise.
    #[must_use]
    pub fn new(
        actions: &[ScheduledAction],
        zone: TimeZone,
        (min, max): (u32, u32),
        tracking: Option<TargetTracking>,
    ) -> Self {
        let mut at: Vec<Vec<&ScheduledAction>> = vec![Vec::new(); WEEK_MINUTES];
        for action in actions.iter().take(ACTIONS_MAX) {
            for day in (0..7).filter(|day| action.days >> day & 1 == 1) {
                at[day * 1440 + usize::from(action.minute.min(1439))].push(action);
            }
        }
        let mut bounds = vec![(min, max); WEEK_MINUTES];
        let mut now = (min, max);
        // Twice round: what the week ends with is what it begins with.
        for minute in (0..WEEK_MINUTES).chain(0..WEEK_MINUTES) {
            for action in &at[minute] {
                now = (action.min_capacity.unwrap_or(now.0), action.max_capacity.unwrap_or(now.1));
            }
            bounds[minute] = now;
        }
        Self { clock: WeekClock::new(zone), bounds, tracking }
    }

    /// Instances wanted now.
    pub fn decide(&mut self, now_s: f64, seen: &Observation) -> u32 {
        let (min, max) = self.bounds[self.clock.minute_of_week(now_s)];
        let wanted = match &mut self.tracking {
            Some(tracking) => {
                tracking.set_bounds(min, max);
                tracking.decide(now_s, seen)
            }
            None => seen.current,
        };
        wanted.max(min).min(max)
    }
}
