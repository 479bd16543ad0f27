//! Which arrival comes next in an open model, as seen by one worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use policy::{Arrivals, Curve};

use crate::replay::Replay;
use crate::rng::UserRng;

/// Most requests of a burst that wait in one worker; as many as there are users at most.
pub(crate) const BURST_MAX: usize = 1_000_000;

/// When the next arrival is due, on the schedule's own clock (which stands still in a pause).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    At(Duration),
    /// Not known yet.
    Later,
    Never,
}

/// The arrivals of one worker.
pub(crate) enum Schedule {
    /// By a rate; they end at `end`.
    Arrivals { arrivals: Arrivals, rng: UserRng, workers: usize, end: Option<Duration> },
    /// When someone asks for them.
    Queue { due: VecDeque<Duration>, closed: bool },
    /// Every `step`-th entry of a recording, from `next` on.
    Replay {
        replay: Arc<Replay>,
        next: usize,
        step: usize,
        speed: f64,
        lap: Option<u32>,
        end: Option<Duration>,
    },
}

impl Schedule {
    pub(crate) fn due(&self) -> Due {
        let (due, end) = match self {
            Schedule::Arrivals { arrivals, end, .. } => (arrivals.due(), end),
            Schedule::Queue { due, closed } => {
                return match due.front() {
                    Some(&due) => Due::At(due),
                    None if *closed => Due::Never,
                    None => Due::Later,
                };
            }
            Schedule::Replay { replay, next, speed, lap, end, .. } => {
                let due = replay.entries.get(*next).map(|entry| {
                    // A lap lasts one gap longer than from the first to the last request.
                    let lap_us = replay.length().as_micros() as u64 + 1_000_000;
                    let offset_us = entry.offset_us + lap_us * u64::from(lap.unwrap_or(0));
                    Duration::from_micros(offset_us).div_f64(*speed)
                });
                (due, end)
            }
        };
        match due {
            Some(due) if end.is_none_or(|end| due < end) => Due::At(due),
            Some(_) | None => Due::Never,
        }
    }

    /// Takes the next arrival; for a recording, which request it is.
    pub(crate) fn take(&mut self) -> Option<u32> {
        match self {
            Schedule::Arrivals { arrivals, rng, .. } => {
                arrivals.advance(rng);
                None
            }
            Schedule::Queue { due, .. } => {
                due.pop_front();
                None
            }
            Schedule::Replay { replay, next, step, lap, .. } => {
                let request = replay.entries.get(*next).map(|entry| entry.request);
                *next += *step;
                if let Some(lap) = lap
                    && *next >= replay.entries.len()
                {
                    *next %= *step;
                    *lap += 1;
                }
                request
            }
        }
    }

    /// From `now` on, arrivals come at a new rate (all workers together).
    pub(crate) fn set_rate(&mut self, now: Duration, rate: &Curve) {
        if let Schedule::Arrivals { arrivals, rng, workers, .. } = self {
            arrivals.replace(now, rate, *workers, rng);
        }
    }

    /// Asks for `n` requests at once.
    pub(crate) fn burst(&mut self, at: Duration, n: usize) {
        if let Schedule::Queue { due, .. } = self {
            due.extend(std::iter::repeat_n(at, n.min(BURST_MAX - due.len().min(BURST_MAX))));
        }
    }

    /// No further bursts will come.
    pub(crate) fn close(&mut self) {
        if let Schedule::Queue { closed, .. } = self {
            *closed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::ReplayEntry;

    #[test]
    fn workers_share_a_recording_and_repeat_it() {
        let entries = [0, 1_000_000, 2_000_000]
            .into_iter()
            .zip(0..)
            .map(|(offset_us, request)| ReplayEntry { offset_us, request })
            .collect();
        let replay = Arc::new(Replay { entries, ..Replay::default() });
        let mut taken = Vec::new();
        for worker in 0..2 {
            let mut schedule = Schedule::Replay {
                replay: Arc::clone(&replay),
                next: worker,
                step: 2,
                speed: 10.0,
                lap: Some(0),
                end: Some(Duration::from_millis(550)),
            };
            while let Due::At(due) = schedule.due() {
                taken.push((due.as_millis(), schedule.take().unwrap()));
            }
            assert_eq!(schedule.due(), Due::Never);
        }
        taken.sort_unstable();
        assert_eq!(taken, [(0, 0), (100, 1), (200, 2), (300, 0), (400, 1), (500, 2)]);
    }

    #[test]
    fn a_burst_is_due_at_once_and_then_nothing() {
        let mut schedule = Schedule::Queue { due: VecDeque::new(), closed: false };
        assert_eq!(schedule.due(), Due::Later);
        let at = Duration::from_secs(3);
        schedule.burst(at, 2);
        assert_eq!(schedule.due(), Due::At(at));
        schedule.take();
        schedule.take();
        schedule.close();
        assert_eq!(schedule.due(), Due::Never);
    }
}
