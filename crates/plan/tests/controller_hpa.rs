//! The horizontal pod autoscaler, step by step against its documentation and the test cases of the
//! controller itself.

use plan::controller::hpa::{
    Hpa, HpaParams, Metric, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy,
};
use plan::controller::{Controller, Keda, Observation, keda::KedaParams};
use proptest::prelude::*;

fn seen(current: u32, rate: f64) -> Observation {
    Observation { current, ready: current, rate, ..Observation::default() }
}

fn utilised(current: u32, ready: u32, missing: u32, utilisation: f64) -> Observation {
    Observation { current, ready, missing, utilisation, ..Observation::default() }
}

fn policy(kind: PolicyType, value: u32, period_seconds: u32) -> ScalingPolicy {
    ScalingPolicy { kind, value, period_seconds }
}

/// Nothing that limits the speed or waits.
fn free(metric: Metric) -> HpaParams {
    let rules = ScalingRules {
        stabilization_window_seconds: 0,
        policies: vec![policy(PolicyType::Percent, 100_000, 15)],
        ..ScalingRules::default_scale_up()
    };
    let down =
        ScalingRules { policies: vec![policy(PolicyType::Percent, 100, 15)], ..rules.clone() };
    HpaParams { scale_up: rules, scale_down: down, ..HpaParams::new(metric, 1, 1000) }
}

/// Algorithm details of the documentation: 200m for a desired 100m doubles, 50m halves; nothing
/// happens within 0.1 of a ratio of 1.
#[test]
fn the_ratio_of_the_documentation() {
    let decide = |current, value: f64| {
        Hpa::new(free(Metric::AverageUtilization(1.0)))
            .decide(0.0, &utilised(current, current, 0, value))
    };
    assert_eq!(decide(3, 2.0), 6);
    assert_eq!(decide(4, 0.5), 2);
    assert_eq!(decide(10, 1.1), 10);
    assert_eq!(decide(10, 0.9), 10);
    assert_eq!(decide(10, 1.11), 12);
    assert_eq!(decide(10, 0.89), 9);
}

/// Cases of `replica_calculator_test.go`: resource metrics.
#[test]
fn unready_and_missing_pods() {
    let decide = |target, observation| {
        Hpa::new(free(Metric::AverageUtilization(target))).decide(0.0, &observation)
    };
    // ScaleUp: 3 pods at 300m, 500m, 700m of 1000m, target 30 %.
    assert_eq!(decide(0.3, utilised(3, 3, 0, 0.5)), 5);
    // ScaleUpUnreadyLessScale: one of three unready; 500m and 700m of 1000m, target 30 %.
    assert_eq!(decide(0.3, utilised(3, 2, 0, 0.6)), 4);
    // One of three ready, at 60 %: over all three that is 20 %, which would turn the direction.
    assert_eq!(decide(0.3, utilised(3, 1, 0, 0.6)), 3);
    // ScaleDown: 5 pods at 100m, 300m, 500m, 250m, 250m, target 50 %.
    assert_eq!(decide(0.5, utilised(5, 5, 0, 0.28)), 3);
    // ScaleDownIgnoresUnreadyPods: the last two of them are not ready.
    assert_eq!(decide(0.5, utilised(5, 3, 0, 0.3)), 2);
    // MissingMetricsNoChangeGt, …Lt: one of two reports; the other counts as idle, as busy.
    assert_eq!(decide(1.0, utilised(2, 2, 1, 1.9)), 2);
    assert_eq!(decide(1.0, utilised(2, 2, 1, 0.6)), 2);
    // MissingMetricsUnreadyChange: one not ready, one at 450m, one missing, target 50 %.
    assert_eq!(decide(0.5, utilised(3, 2, 1, 0.45)), 3);
    // MissingMetricsUnreadyScaleDown: one not ready, two at 100m, one missing.
    assert_eq!(decide(0.5, utilised(4, 3, 1, 0.1)), 3);
    // Nothing reports.
    assert_eq!(decide(0.5, utilised(3, 0, 0, 0.0)), 3);
}

/// Utilisation is compared in whole per cents, cut off: `int32((metricsTotal * 100) / requestsTotal)`.
#[test]
fn whole_per_cents() {
    let decide = |target, observation| {
        Hpa::new(free(Metric::AverageUtilization(target))).decide(0.0, &observation)
    };
    // 84/70 × 30 = 36; 84.9/70 × 30 would be 37.
    assert_eq!(decide(0.7, utilised(30, 30, 0, 0.849)), 36);
    // 82/75 is within tolerance, 82.9/75 would not be.
    assert_eq!(decide(0.75, utilised(10, 10, 0, 0.829)), 10);
    assert_eq!(decide(0.5, utilised(10, 10, 0, 0.58)), 12);
}

/// `math.Ceil(start * (1 + value/100))` in binary: 10 % more than 50 or 100 is one more than by hand.
#[test]
fn per_cents_are_rounded_up_as_they_are() {
    for (start, most) in [(50, 56), (90, 100), (100, 111), (40, 44)] {
        let mut params = free(Metric::AverageValue(1.0));
        params.scale_up.policies = vec![policy(PolicyType::Percent, 10, 60)];
        assert_eq!(Hpa::new(params).decide(0.0, &seen(start, 900.0)), most);
    }
}

/// An external metric: by value in proportion to ready pods, by average value of the total.
#[test]
fn external_metrics() {
    let decide = |metric, observation| Hpa::new(free(metric)).decide(0.0, &observation);
    // ScaleUpCMExternal and ScaleUpPerPodCMExternal of the controller's tests.
    assert_eq!(decide(Metric::Value(4.4), seen(3, 8.6)), 6);
    assert_eq!(decide(Metric::AverageValue(2.15), seen(3, 8.6)), 4);
    // ScaleDown per pod: 8.6 in all, 8.6/3 wanted of each.
    assert_eq!(decide(Metric::AverageValue(3.44), seen(5, 8.6)), 3);
    // Within tolerance.
    assert_eq!(decide(Metric::AverageValue(10.0), seen(10, 109.0)), 10);
    // Zero instances, which need a minimum of zero: no tolerance.
    let zero = HpaParams { min_replicas: 0, ..free(Metric::Value(100.0)) };
    assert_eq!(Hpa::new(zero.clone()).decide(0.0, &seen(3, 0.0)), 0);
    let zero = HpaParams { scale_up: ScalingRules::default_scale_up(), ..zero };
    assert_eq!(Hpa::new(zero).decide(0.0, &seen(0, 101.0)), 2);
    // With a minimum, what others scaled to zero stays there.
    assert_eq!(decide(Metric::Value(100.0), seen(0, 500.0)), 0);
}

#[test]
fn several_metrics_take_the_largest() {
    let params = HpaParams {
        metrics: vec![Metric::AverageValue(100.0), Metric::AverageUtilization(0.5)],
        ..free(Metric::Value(1.0))
    };
    let observation = Observation { rate: 700.0, ..utilised(4, 4, 0, 0.6) };
    assert_eq!(Hpa::new(params).decide(0.0, &observation), 7);
}

/// Default behaviour: the larger of doubling and four more, every 15 s.
#[test]
fn the_default_doubles_every_15_seconds() {
    let mut hpa = Hpa::new(HpaParams::new(Metric::AverageValue(1.0), 1, 1000));
    let mut current = 1;
    let mut path = Vec::new();
    for tick in 0..8 {
        current = hpa.decide(f64::from(tick) * 15.0, &seen(current, 300.0));
        path.push(current);
    }
    assert_eq!(path, [5, 10, 20, 40, 80, 160, 300, 300]);
}

/// The documentation's example: 4 pods and 10 % a minute, the larger counts; from 80, 8 go first,
/// then 8 again (7.2 rounded up), and below 40 it is 4 at a time.
#[test]
fn the_ten_per_cent_policy_of_the_documentation() {
    let mut params = free(Metric::AverageValue(1.0));
    params.scale_down.policies =
        vec![policy(PolicyType::Pods, 4, 60), policy(PolicyType::Percent, 10, 60)];
    let mut hpa = Hpa::new(params.clone());
    let (mut current, mut path) = (80, Vec::new());
    for tick in 0..48 {
        let next = hpa.decide(f64::from(tick) * 15.0, &seen(current, 10.0));
        if next != current {
            assert_eq!(tick % 4, 0, "a period is a minute");
            path.push(next);
        }
        current = next;
    }
    assert_eq!(path, [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16]);
    // The smaller one, and none.
    params.scale_down.select_policy = SelectPolicy::Min;
    assert_eq!(Hpa::new(params.clone()).decide(0.0, &seen(80, 10.0)), 76);
    params.scale_down.select_policy = SelectPolicy::Disabled;
    assert_eq!(Hpa::new(params).decide(0.0, &seen(80, 10.0)), 80);
}

/// Limits look at what changed within the period, up and down together.
#[test]
fn policies_count_recent_changes() {
    let mut params = free(Metric::AverageValue(1.0));
    params.scale_up.policies = vec![policy(PolicyType::Pods, 5, 60)];
    let mut hpa = Hpa::new(params);
    assert_eq!(hpa.decide(0.0, &seen(10, 100.0)), 15);
    assert_eq!(hpa.decide(15.0, &seen(15, 100.0)), 15);
    // Down by 5 makes room for as many again.
    assert_eq!(hpa.decide(30.0, &seen(15, 10.0)), 10);
    assert_eq!(hpa.decide(45.0, &seen(10, 100.0)), 15);
    assert_eq!(hpa.decide(59.0, &seen(15, 100.0)), 15);
    // The first five are a minute old, the rest cancels out.
    assert_eq!(hpa.decide(60.0, &seen(15, 100.0)), 20);
}

/// "Stabilization window" of the documentation: the highest recommendation of the last five minutes
/// counts on the way down.
#[test]
fn five_minutes_of_waiting_before_scaling_down() {
    let mut hpa = Hpa::new(HpaParams::new(Metric::AverageValue(1.0), 1, 100));
    assert_eq!(hpa.decide(0.0, &seen(10, 10.0)), 10);
    for tick in 1..20 {
        assert_eq!(hpa.decide(f64::from(tick) * 15.0, &seen(10, 4.0)), 10, "tick {tick}");
    }
    assert_eq!(hpa.decide(300.0, &seen(10, 4.0)), 4);
}

#[test]
fn a_window_on_the_way_up_takes_the_lowest() {
    let mut params = free(Metric::AverageValue(1.0));
    params.scale_up.stabilization_window_seconds = 60;
    let mut hpa = Hpa::new(params);
    assert_eq!(hpa.decide(0.0, &seen(2, 20.0)), 2);
    assert_eq!(hpa.decide(30.0, &seen(2, 12.0)), 2);
    assert_eq!(hpa.decide(60.0, &seen(2, 20.0)), 12);
}

#[test]
fn bounds_come_first() {
    let params = HpaParams { min_replicas: 3, max_replicas: 8, ..free(Metric::AverageValue(1.0)) };
    let decide = |current, rate| Hpa::new(params.clone()).decide(0.0, &seen(current, rate));
    assert_eq!(decide(5, 100.0), 8);
    assert_eq!(decide(5, 0.1), 3);
    assert_eq!(decide(1, 100.0), 3);
    assert_eq!(decide(20, 100.0), 8);
}

/// A tolerance for each direction (KEP-4951).
#[test]
fn tolerances_differ_by_direction() {
    let mut params = free(Metric::AverageValue(1.0));
    (params.scale_up.tolerance, params.scale_down.tolerance) = (0.0, 0.5);
    let decide = |rate| Hpa::new(params.clone()).decide(0.0, &seen(10, rate));
    assert_eq!(decide(10.1), 11);
    assert_eq!(decide(5.0), 10);
    assert_eq!(decide(4.9), 5);
}

proptest! {
    /// KEDA without cron triggers, above zero, is the autoscaler that it feeds.
    #[test]
    fn keda_without_cron_is_hpa(rates in prop::collection::vec(1.0_f64..5000.0, 1..120)) {
        let mut params = KedaParams::new(85.0);
        params.min_replica_count = 1;
        let mut keda = Controller::Keda(Box::new(Keda::new(params, None)));
        let hpa = HpaParams::new(Metric::AverageValue(85.0), 1, 100);
        let mut hpa = Controller::Hpa(Box::new(Hpa::new(hpa)));
        let mut current = 1;
        for (tick, &rate) in rates.iter().enumerate() {
            let now = tick as f64 * 15.0;
            let wanted = hpa.decide(now, &seen(current, rate));
            prop_assert_eq!(keda.decide(now, &seen(current, rate)), wanted);
            current = wanted;
        }
    }

    /// Bounds hold, and a load that does not change is answered once and for all, within tolerance.
    #[test]
    fn settles_at_the_load(rate in 0.0_f64..9000.0, start in 1_u32..200) {
        let mut hpa = Hpa::new(HpaParams::new(Metric::AverageValue(85.0), 2, 150));
        let mut current = start;
        for tick in 0..200 {
            current = hpa.decide(f64::from(tick) * 15.0, &seen(current, rate));
        }
        let exact = rate / 85.0;
        let within = (f64::from(current) * 0.9..=f64::from(current) * 1.1).contains(&exact);
        let wanted = (exact.ceil() as u32).clamp(2, 150);
        prop_assert!(within || current == wanted, "{} for {}", current, exact);
        prop_assert!((2..=150).contains(&current));
    }
}
