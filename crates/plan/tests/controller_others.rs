//! KEDA, Knative, AWS and the hybrid, step by step against their documentation and code.

use jiff::tz::TimeZone;
use plan::controller::aws_predictive::{
    AwsPredictive, MaxCapacityBreachBehavior, Mode, PredictiveParams,
};
use plan::controller::aws_scheduled::{AwsScheduled, ScheduledAction};
use plan::controller::aws_target_tracking::{TargetTracking, TargetTrackingParams, TrackedMetric};
use plan::controller::hpa::{Hpa, HpaParams, Metric};
use plan::controller::keda::{Keda, KedaParams};
use plan::controller::knative::{Knative, KnativeMetric, KnativeParams};
use plan::controller::schedule::{EVERY_DAY, Schedule, WEEKDAYS, Window};
use plan::controller::{Controller, Fixed, Hybrid, Observation, lambda_pc};

/// Monday 2 March 2026, 00:00 UTC.
const MONDAY: f64 = 1_772_409_600.0;

fn seen(current: u32, rate: f64) -> Observation {
    Observation { current, ready: current, rate, ..Observation::default() }
}

fn window(days: u8, from_hour: u16, to_hour: u16, replicas: u32) -> Window {
    Window { days, start_minute: from_hour * 60, end_minute: to_hour * 60, replicas }
}

#[test]
fn fixed_stays() {
    assert_eq!(Fixed { replicas: 7 }.decide(0.0, &seen(2, 1e9)), 7);
}

/// `cooldownPeriod`: five minutes after the last active trigger, to zero; woken at the next poll.
#[test]
fn keda_sleeps_and_wakes() {
    let mut keda = Keda::new(KedaParams::new(85.0), None);
    let mut at = |now: f64, current, rate| keda.decide(now, &seen(current, rate));
    assert_eq!(at(0.0, 1, 10.0), 1);
    for tick in 1..=19 {
        assert_eq!(at(f64::from(tick) * 15.0, 1, 0.0), 1, "tick {tick}");
    }
    assert_eq!(at(300.0, 1, 0.0), 0);
    // Seen by the poll at 330 s, not before; the autoscaler is off at zero.
    assert_eq!(at(315.0, 0, 200.0), 0);
    assert_eq!(at(330.0, 0, 200.0), 1);
    assert_eq!(at(345.0, 1, 200.0), 3);
}

/// What was never active has nothing to cool down from.
#[test]
fn keda_sleeps_at_once_what_was_never_active() {
    let mut keda = Keda::new(KedaParams::new(85.0), None);
    assert_eq!(keda.decide(0.0, &seen(1, 0.0)), 0);
}

/// `activationThreshold`: below it a trigger is not active.
#[test]
fn keda_activation_threshold() {
    let params = KedaParams { activation_threshold: 5.0, ..KedaParams::new(85.0) };
    let mut keda = Keda::new(params, None);
    assert_eq!(keda.decide(0.0, &seen(0, 5.0)), 0);
    assert_eq!(keda.decide(30.0, &seen(0, 5.1)), 1);
}

/// Cron triggers only raise: 8 from 6 to 20 o'clock of Paris on working days.
#[test]
fn keda_cron_is_a_floor() {
    for scaling_modifiers in [false, true] {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let cron = Schedule::new(&[window(WEEKDAYS, 6, 20, 8)], &zone);
        let params =
            KedaParams { min_replica_count: 2, scaling_modifiers, ..KedaParams::new(85.0) };
        let mut keda = Keda::new(params, Some(cron));
        // 05:59:45 and 06:00 in Paris.
        assert_eq!(keda.decide(MONDAY + 5.0 * 3600.0 - 15.0, &seen(2, 10.0)), 2);
        assert_eq!(keda.decide(MONDAY + 5.0 * 3600.0, &seen(2, 10.0)), 6);
        assert_eq!(keda.decide(MONDAY + 5.0 * 3600.0 + 15.0, &seen(6, 10.0)), 8);
        // More load than the floor is for: ceil(1000/85).
        assert_eq!(keda.decide(MONDAY + 5.0 * 3600.0 + 30.0, &seen(8, 1000.0)), 12);
        // At 20 o'clock the floor ends, and five minutes later it shows.
        let end = MONDAY + 19.0 * 3600.0;
        assert_eq!(keda.decide(end - 15.0, &seen(8, 10.0)), 8);
        assert_eq!(keda.decide(end, &seen(8, 10.0)), 8);
        assert_eq!(keda.decide(end + 299.0, &seen(8, 10.0)), 2);
    }
}

fn knative(target: f64) -> KnativeParams {
    KnativeParams {
        target_utilization_percentage: 100.0,
        ..KnativeParams::new(KnativeMetric::Concurrency, target)
    }
}

/// After the cases of `autoscaler_test.go`: stable and panic values, ready pods, wanted pods.
#[test]
fn knative_scale() {
    let scale = |params: KnativeParams, stable, panic, ready| {
        Knative::new(params).scale(0.0, stable, panic, ready)
    };
    // No change, and an increase.
    assert_eq!(scale(knative(10.0), 50.0, 50.0, 5), 5);
    assert_eq!(scale(knative(10.0), 50.0, 50.0, 1), 5);
    // A rate limit: at most ten times as many.
    let slow = KnativeParams { max_scale_up_rate: 10.0, ..knative(1.0) };
    assert_eq!(scale(slow, 1000.0, 1000.0, 1), 10);
    // The limit of 1.1 × 1 is rounded up, so that growth never stops.
    let slower = KnativeParams { max_scale_up_rate: 1.1, ..knative(1.0) };
    assert_eq!(scale(slower, 3.0, 3.0, 1), 2);
    // Panic at twice the ready pods.
    assert_eq!(scale(knative(10.0), 50.0, 100.0, 5), 10);
    // Activation scale.
    let wide = KnativeParams { activation_scale: 3, ..knative(10.0) };
    assert_eq!(scale(wide.clone(), 1.0, 1.0, 0), 3);
    assert_eq!(scale(wide, 0.0, 0.0, 0), 0);
}

#[test]
fn knative_panics_for_a_stable_window() {
    let mut knative = Knative::new(knative(10.0));
    assert_eq!(knative.scale(0.0, 10.0, 10.0, 1), 1);
    // Twice as many as are ready: panic, and no way down until 60 s after its last cause.
    assert_eq!(knative.scale(2.0, 15.0, 40.0, 1), 4);
    assert_eq!(knative.scale(4.0, 15.0, 20.0, 4), 4);
    assert_eq!(knative.scale(60.0, 10.0, 10.0, 4), 4);
    assert_eq!(knative.scale(62.0, 10.0, 10.0, 4), 4);
    assert_eq!(knative.scale(63.0, 10.0, 10.0, 4), 2);
    assert_eq!(knative.scale(64.0, 10.0, 10.0, 2), 1);
}

/// It starts in panic mode, so that it does not scale down with an empty memory.
#[test]
fn knative_starts_without_scaling_down() {
    let mut knative = Knative::new(knative(10.0));
    assert_eq!(knative.scale(0.0, 10.0, 10.0, 8), 8);
    assert_eq!(knative.scale(61.0, 10.0, 10.0, 8), 4);
}

/// 70 % of 100 in flight: 280 need 4. Windows of 60 s and 6 s: what was 2 s ago is in both.
#[test]
fn knative_windows_and_target() {
    let params = KnativeParams::new(KnativeMetric::Concurrency, 100.0);
    let mut knative = Knative::new(params);
    let mut decide = |now: u32, concurrency, current| {
        let observation = Observation { concurrency, ..seen(current, 0.0) };
        knative.decide(f64::from(now), &observation)
    };
    for tick in 0..30 {
        assert_eq!(decide(tick * 2, 70.0, 1), 1);
    }
    // Panic mean of the last three (70, 70, 280): 140, twice what is ready.
    assert_eq!(decide(60, 280.0, 1), 2);
    assert_eq!(decide(62, 280.0, 2), 3);
    assert_eq!(decide(64, 280.0, 3), 4);
}

#[test]
fn knative_scales_to_zero_after_its_grace() {
    let mut knative = Knative::new(knative(10.0));
    let mut path = Vec::new();
    let mut current = 1;
    for tick in 0..40 {
        current = knative.decide(f64::from(tick) * 2.0, &seen(current, 0.0));
        path.push(current);
    }
    assert_eq!(path.iter().position(|&n| n == 0), Some(15));
}

#[test]
fn knative_delays_scaling_down() {
    let params = KnativeParams { scale_down_delay_s: 20.0, ..knative(10.0) };
    let mut knative = Knative::new(params);
    assert_eq!(knative.scale(0.0, 10.0, 10.0, 1), 1);
    assert_eq!(knative.scale(2.0, 18.0, 18.0, 2), 2);
    assert_eq!(knative.scale(20.0, 10.0, 10.0, 2), 2);
    assert_eq!(knative.scale(22.0, 10.0, 10.0, 2), 1);
}

/// Three minutes above 1000 requests per target and minute scale out in proportion; fifteen below
/// 900 scale in.
#[test]
fn target_tracking_alarms() {
    let params = TargetTrackingParams::new(TrackedMetric::AlbRequestCountPerTarget, 1000.0, 1, 50);
    let mut policy = TargetTracking::new(params);
    let mut minute = 0;
    let mut at = |current: u32, per_target: f64| {
        minute += 1;
        let rate = per_target * f64::from(current) / 60.0;
        policy.decide(f64::from(minute) * 60.0, &seen(current, rate))
    };
    assert_eq!([at(4, 1600.0), at(4, 1600.0), at(4, 900.0)], [4, 4, 4]);
    assert_eq!([at(4, 1600.0), at(4, 1600.0), at(4, 1600.0)], [4, 4, 7]);
    // In the cooldown only a larger scale-out is made, and the three that were added count as a part of
    // it: four at 1.75 are seven, at 1.76 eight.
    assert_eq!([at(7, 1001.0), at(7, 1750.0), at(7, 1760.0)], [7, 7, 8]);
    assert_eq!(at(8, 990.0), 8);
    // Between 900 and 1000 nothing happens; below, the fifteenth minute does it.
    for _ in 0..20 {
        assert_eq!(at(8, 905.0), 8);
    }
    for _ in 0..14 {
        assert_eq!(at(8, 500.0), 8);
    }
    assert_eq!(at(8, 500.0), 4);
}

/// The load of ten doubles, and instances start within the cooldown: twenty, not twice as many every
/// minute.
#[test]
fn target_tracking_waits_for_what_it_asked_for() {
    let params = TargetTrackingParams::new(TrackedMetric::AlbRequestCountPerTarget, 1000.0, 1, 999);
    let mut policy = TargetTracking::new(params);
    let mut current = 10;
    for minute in 0..20 {
        let ready = if minute < 7 { 10 } else { current };
        let observation = Observation { ready, ..seen(current, 20_000.0 / 60.0) };
        current = policy.decide(f64::from(minute) * 60.0, &observation);
        assert_eq!(current, if minute < 2 { 10 } else { 20 }, "{minute}");
    }
}

/// Requests of a minute are divided by the targets of that minute, not by those of now.
#[test]
fn requests_per_target_are_of_one_window() {
    let params = TargetTrackingParams::new(TrackedMetric::AlbRequestCountPerTarget, 1000.0, 1, 999);
    let mut policy = TargetTracking::new(params);
    let observation = Observation { mean_ready: Some(10.0), ..seen(20, 10_000.0 / 60.0) };
    for minute in 0..20 {
        // 1000 for each of ten, as aimed at; not 500 for each of twenty.
        assert_eq!(policy.decide(f64::from(minute) * 60.0, &observation), 20);
    }
}

#[test]
fn target_tracking_can_leave_scaling_in_alone() {
    let metric = TrackedMetric::AverageCpuUtilization;
    let params = TargetTrackingParams {
        disable_scale_in: true,
        ..TargetTrackingParams::new(metric, 0.5, 1, 50)
    };
    let mut policy = TargetTracking::new(params);
    for minute in 0..40 {
        let observation = Observation { utilisation: 0.1, ..seen(9, 1.0) };
        assert_eq!(policy.decide(f64::from(minute) * 60.0, &observation), 9);
    }
}

/// Bursts shorter than three minutes never scale provisioned concurrency, and full use grows it by
/// 1/0.7 a minute.
#[test]
fn lambda_provisioned_concurrency() {
    let mut policy = lambda_pc::policy(0.7, 10, 1000);
    let mut path = Vec::new();
    let mut current = 10;
    for minute in 0..6 {
        let observation = Observation { concurrency: 500.0, ..seen(current, 0.0) };
        current = policy.decide(f64::from(minute) * 60.0, &observation);
        path.push(current);
    }
    assert_eq!(path, [10, 10, 15, 22, 32, 46]);
    assert_eq!(lambda_pc::params(0.99, 1, 2).target_value, 0.9);
    // An idle function has no data points, so nothing is done.
    for minute in 6..60 {
        assert_eq!(policy.decide(f64::from(minute) * 60.0, &seen(46, 0.0)), 46);
    }
}

/// An action moves the bounds; the capacity follows only where it is outside of them.
#[test]
fn scheduled_actions_move_bounds() {
    let actions = [
        ScheduledAction {
            days: WEEKDAYS,
            minute: 480,
            min_capacity: Some(6),
            max_capacity: Some(20),
        },
        ScheduledAction {
            days: WEEKDAYS,
            minute: 1080,
            min_capacity: Some(1),
            max_capacity: Some(4),
        },
    ];
    let mut policy = AwsScheduled::new(&actions, TimeZone::UTC, (0, 9), None);
    let mut at = |hour: f64, current| policy.decide(MONDAY + hour * 3600.0, &seen(current, 0.0));
    // What Friday evening said holds until Monday morning.
    assert_eq!(at(7.9, 3), 3);
    assert_eq!(at(7.9, 9), 4);
    assert_eq!(at(8.0, 3), 6);
    assert_eq!(at(12.0, 8), 8);
    assert_eq!(at(18.0, 8), 4);
    assert_eq!(at(24.0 * 5.0 + 10.0, 3), 3);
}

#[test]
fn windows_become_actions() {
    let windows = [window(EVERY_DAY, 6, 12, 5), window(EVERY_DAY, 12, 24, 9)];
    let actions = ScheduledAction::from_windows(&windows, 2);
    let mut policy = AwsScheduled::new(&actions, TimeZone::UTC, (2, 50), None);
    let mut schedule = Schedule::new(&windows, &TimeZone::UTC);
    for minute in 0..7 * 1440 {
        let now = MONDAY + f64::from(minute) * 60.0;
        assert_eq!(policy.decide(now, &seen(0, 0.0)), schedule.floor(now).max(2), "{minute}");
    }
    // Six o'clock, noon, and midnight at which the base comes back.
    assert_eq!(actions.len(), 3);
}

/// The forecast acts `SchedulingBufferTime` before its hour, and never scales in.
#[test]
fn predictive_scaling() {
    let params = PredictiveParams {
        min_capacity: 1,
        max_capacity: 10,
        mode: Mode::ForecastAndScale,
        scheduling_buffer_time: 300,
        max_capacity_breach_behavior: MaxCapacityBreachBehavior::HonorMaxCapacity,
    };
    let metric = TrackedMetric::AlbRequestCountPerTarget;
    let tracking = || TargetTracking::new(TargetTrackingParams::new(metric, 1000.0, 1, 10));
    let run = |params: &PredictiveParams, minute: f64, current| {
        let mut policy = AwsPredictive::new(params.clone(), 0.0, vec![3, 12, 2], tracking());
        policy.decide(minute * 60.0, &seen(current, 0.0))
    };
    assert_eq!(run(&params, 0.0, 1), 3);
    assert_eq!(run(&params, 54.0, 3), 3);
    assert_eq!(run(&params, 55.0, 3), 10);
    assert_eq!(run(&params, 130.0, 10), 10);
    assert_eq!(run(&params, 999.0, 4), 4);
    let raise = PredictiveParams {
        max_capacity_breach_behavior: MaxCapacityBreachBehavior::IncreaseMaxCapacity(10),
        ..params.clone()
    };
    assert_eq!(run(&raise, 60.0, 3), 12);
    let only = PredictiveParams { mode: Mode::ForecastOnly, ..params };
    assert_eq!(run(&only, 60.0, 3), 3);
}

#[test]
fn the_hybrid_is_the_larger() {
    let hpa = Hpa::new(HpaParams::new(Metric::AverageValue(10.0), 1, 100));
    let floor = Schedule::new(&[window(EVERY_DAY, 0, 1, 5)], &TimeZone::UTC);
    let mut hybrid = Hybrid::new(Controller::Hpa(Box::new(hpa)), floor, 100);
    assert_eq!(hybrid.decide(MONDAY, &seen(1, 10.0)), 5);
    assert_eq!(hybrid.decide(MONDAY + 15.0, &seen(5, 10.0)), 5);
    // Its own answer doubles from 1, as if there were no floor: four more are allowed.
    assert_eq!(hybrid.decide(MONDAY + 30.0, &seen(5, 100.0)), 5);
    assert_eq!(hybrid.decide(MONDAY + 45.0, &seen(5, 100.0)), 10);
}
