//! What a plan asks for at this moment: a state machine without clock or IO.

use jiff::tz::TimeZone;
use plan::choose::{Answer, Kind, Policy};
use plan::controller::{Controller, Observation, Schedule};
use serde::Serialize;

/// Age of a measurement, in seconds, beyond which the reactive part holds what it wanted last.
pub(super) const LOAD_AGE_S_MAX: f64 = 300.0;

/// What to hold now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Advice {
    /// When it was decided, in seconds since the Unix epoch.
    #[serde(skip)]
    pub(super) time_s: f64,
    /// Requests per second that were seen; `None` before the first measurement and when it is too
    /// old.
    pub(super) seen: Option<f64>,
    /// Instances that the load asks for; `None` before the first measurement.
    pub(super) reactive: Option<u32>,
    /// Instances that the schedule asks for, at least the fewest of the plan.
    pub(super) floor: u32,
    /// The larger of both, at most the most of the plan.
    pub(super) wanted: u32,
}

/// The reactive controller of a plan and its schedule, side by side.
pub(super) struct Live {
    policy: Policy,
    kind: Kind,
    reactive: Controller,
    schedule: Schedule,
    /// When a measurement came, in seconds since the Unix epoch, and what it was.
    load: Option<(f64, f64)>,
    /// What the reactive part wanted last.
    own: Option<u32>,
}

impl Live {
    /// The recommended policy of `answer`.
    ///
    /// # Errors
    /// When its schedule is in a zone that is not known here.
    pub(super) fn new(answer: &Answer) -> Result<Live, String> {
        let policy = answer.recommended.policy();
        let zone = match policy.zone.as_str() {
            "" if policy.windows.is_empty() => TimeZone::UTC,
            "" => {
                return Err(
                    "the plan has a schedule but no named zone: plan with --timezone".to_owned()
                );
            }
            name => TimeZone::get(name).map_err(|error| error.to_string())?,
        };
        let alone = Policy { windows: Vec::new(), ..policy.clone() };
        Ok(Live {
            reactive: alone.build(&zone),
            schedule: Schedule::new(&policy.windows, &zone),
            kind: answer.recommended.controller,
            policy,
            load: None,
            own: None,
        })
    }

    /// The controller that is emulated.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Seconds between two decisions.
    pub(super) fn period_s(&self) -> f64 {
        self.reactive.period_s()
    }

    /// Takes a measurement of the requests per second, of all instances together.
    pub(super) fn measured(&mut self, now_s: f64, rate: f64) {
        self.load = Some((now_s, rate));
    }

    /// Decides at `now_s`, which must not fall.
    pub(super) fn decide(&mut self, now_s: f64) -> Advice {
        let Policy { min, max, target_rate_per_instance, target_utilisation, concurrency, .. } =
            self.policy;
        let floor = self.schedule.floor(now_s).max(min).min(max);
        let fresh = self.load.filter(|(at_s, _)| now_s - at_s <= LOAD_AGE_S_MAX);
        let seen = fresh.map(|(_, rate)| rate);
        if let Some(rate) = seen {
            // What it wanted is taken as done: nobody tells how many there really are.
            let current = self.own.unwrap_or(floor).max(1);
            let capacity = target_rate_per_instance / target_utilisation;
            let utilisation = rate / (f64::from(current) * capacity);
            let observation = Observation {
                current,
                ready: current,
                rate,
                utilisation,
                // Requests in flight as long as a request takes, by Little's law.
                concurrency: rate / capacity * f64::from(concurrency.unwrap_or(0)),
                ..Observation::default()
            };
            self.own = Some(self.reactive.decide(now_s, &observation));
        }
        let wanted = self.own.unwrap_or(0).max(floor).min(max);
        Advice { time_s: now_s, seen, reactive: self.own, floor, wanted }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use plan::choose::{Evidence, Params, choose};
    use plan::{Series, simulate::Distribution};

    use super::*;

    /// An answer for nights of 100/s and days of 2000/s at 50/s for each instance, whose policy is
    /// then set: two to sixty instances, eight from 06:30 to 20:00 on working days.
    pub(in super::super) fn answer() -> Answer {
        let counts = (0..9 * 1440)
            .map(|minute| if (480..1080).contains(&(minute % 1440)) { 120_000.0 } else { 6000.0 })
            .collect();
        let series = Series { start_s: 1_772_409_600, step_s: 60, counts, zone: TimeZone::UTC };
        let params = Params {
            boot: Distribution::Constant(120.0),
            kinds: vec![Kind::Keda],
            ..Params::new(50.0)
        };
        let mut answer = choose(&series, &params, &Evidence::default()).unwrap();
        let policy = &mut answer.recommended.parameters;
        answer.recommended.controller = Kind::Keda;
        (policy.min, policy.max, policy.scale_down_s) = (2, 60, 300);
        (policy.target_utilisation, policy.target_rate_per_instance) = (0.7, 35.0);
        policy.zone = "Europe/Paris".to_owned();
        policy.windows = serde_json::from_value(serde_json::json!([
            { "days": 31, "start-minute": 390, "end-minute": 1200, "replicas": 8 },
        ]))
        .unwrap();
        answer
    }

    fn second(text: &str) -> f64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second() as f64
    }

    #[test]
    fn the_floor_follows_the_clock_of_its_zone() {
        let mut live = Live::new(&answer()).unwrap();
        // Paris is an hour ahead in winter and two in summer.
        for (time, floor) in [
            ("2026-03-02T05:29:59Z", 2),
            ("2026-03-02T05:30:00Z", 8),
            ("2026-03-02T19:00:00Z", 2),
            ("2026-03-07T10:00:00Z", 2),
            ("2026-06-01T04:30:00Z", 8),
        ] {
            let advice = live.decide(second(time));
            assert_eq!(
                (advice.floor, advice.wanted, advice.reactive),
                (floor, floor, None),
                "{time}"
            );
        }
    }

    #[test]
    fn load_is_answered_as_the_controller_would() {
        let mut live = Live::new(&answer()).unwrap();
        assert_eq!(live.period_s(), 15.0);
        let night = second("2026-03-02T01:00:00Z");
        live.measured(night, 700.0);
        // 700/35 are 20 instances; HPA doubles, or adds four, in 15 s.
        let steps: Vec<u32> =
            (0..4).map(|step| live.decide(night + 15.0 * f64::from(step)).wanted).collect();
        assert_eq!(steps, [6, 12, 20, 20]);
        // Less load: 300 s of waiting, then down.
        live.measured(night + 60.0, 35.0);
        assert_eq!(live.decide(night + 60.0).wanted, 20);
        live.measured(night + 400.0, 35.0);
        assert_eq!(live.decide(night + 400.0).wanted, 2);
    }

    #[test]
    fn the_larger_of_load_and_floor_holds_and_silence_changes_nothing() {
        let mut live = Live::new(&answer()).unwrap();
        let morning = second("2026-03-02T08:00:00Z");
        live.measured(morning, 35.0);
        let advice = live.decide(morning);
        assert_eq!((advice.floor, advice.wanted), (8, 8));
        live.measured(morning + 15.0, 1e9);
        let busy = live.decide(morning + 15.0);
        assert!(busy.wanted > 8 && busy.wanted <= 60);
        let silent = live.decide(morning + 15.0 + LOAD_AGE_S_MAX + 1.0);
        assert_eq!((silent.seen, silent.reactive), (None, busy.reactive));
        assert_eq!(silent.wanted, busy.wanted);
    }

    #[test]
    fn a_schedule_without_a_zone_is_refused() {
        let mut answer = answer();
        answer.recommended.parameters.zone.clear();
        assert!(Live::new(&answer).is_err());
        answer.recommended.parameters.windows.clear();
        assert!(Live::new(&answer).is_ok());
    }
}
