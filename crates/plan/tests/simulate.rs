//! The simulators, against closed forms, theorems and each other.

use jiff::tz::TimeZone;
use plan::Series;
use plan::choose::foresight::lower_bound_s;
use plan::controller::aws_target_tracking::{TargetTracking, TargetTrackingParams, TrackedMetric};
use plan::controller::hpa::{Hpa, HpaParams, Metric};
use plan::controller::keda::{Keda, KedaParams};
use plan::controller::knative::{Knative, KnativeMetric, KnativeParams};
use plan::controller::schedule::{Schedule, WEEK_MINUTES};
use plan::controller::{Controller, Fixed, Hybrid};
use plan::simulate::arrivals::Poisson;
use plan::simulate::queue::{self, QueueOutcome, Supply};
use plan::simulate::{Distribution, Lifecycle, Outcome, Plant, fluid};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use stats::Mmc;

fn series(step_s: u32, counts: Vec<f64>) -> Series {
    Series { start_s: 1_772_409_600, step_s, counts, zone: TimeZone::UTC }
}

fn plant(boot_s: f64) -> Plant {
    Plant {
        capacity_per_s: 10.0,
        slots: 1,
        service: Distribution::Exponential { mean: 0.1 },
        late_after_s: 1.0,
        timeout_s: 1e9,
        lifecycle: Lifecycle {
            boot: Distribution::Constant(boot_s),
            drain_s: 0.0,
            billing_min_s: 0.0,
            billing_unit_s: 0.0,
        },
        metric_window_s: 60.0,
        metric_lag_s: 15.0,
    }
}

fn fixed(replicas: u32) -> Controller {
    Controller::Fixed(Fixed { replicas })
}

fn hpa(min: u32, max: u32) -> Controller {
    Controller::Hpa(Box::new(Hpa::new(HpaParams::new(Metric::AverageValue(7.0), min, max))))
}

fn cpu(min: u32, max: u32) -> Controller {
    Controller::Hpa(Box::new(Hpa::new(HpaParams::new(Metric::AverageUtilization(0.7), min, max))))
}

fn keda(min: u32) -> Controller {
    let params = KedaParams { min_replica_count: min, ..KedaParams::new(7.0) };
    Controller::Keda(Box::new(Keda::new(params, None)))
}

fn knative(min_scale: u32) -> Controller {
    let params = KnativeParams { min_scale, ..KnativeParams::new(KnativeMetric::Rps, 10.0) };
    Controller::Knative(Box::new(Knative::new(params)))
}

fn tracking(min: u32) -> Controller {
    let metric = TrackedMetric::AlbRequestCountPerTarget;
    let params = TargetTrackingParams::new(metric, 420.0, min, 100);
    Controller::TargetTracking(Box::new(TargetTracking::new(params)))
}

fn run(series: &Series, plant: &Plant, mut controller: Controller) -> Outcome {
    fluid::run(series, plant, &mut controller, 1, |_| ())
}

#[test]
fn fluid_by_hand() {
    // A minute at 20/s for two instances of 10/s, one at 30/s, one at 0/s.
    let demand = series(60, vec![1200.0, 1800.0, 0.0]);
    let outcome = run(&demand, &plant(60.0), fixed(2));
    // First tick: initial three of 0.7 load become two at once. 0.9 s of patience hold 18 requests.
    assert_eq!((outcome.requests, outcome.instance_s), (3000.0, 360.0));
    assert!((outcome.late - (600.0 - 18.0)).abs() < 1e-9);
    assert_eq!((outcome.launches, outcome.stops, outcome.peak), (0, 1, 3));
    // Unknown steps are lived through, but not counted.
    let gap = series(60, vec![1200.0, f64::NAN, 1200.0]);
    let outcome = run(&gap, &plant(60.0), fixed(2));
    assert_eq!((outcome.requests, outcome.late, outcome.instance_s), (2400.0, 0.0, 240.0));
}

#[test]
fn fluid_waits_for_boots() {
    // From 7/s to 70/s: HPA sees it after 15 s of lag, averaged over a minute.
    let mut counts = vec![420.0; 5];
    counts.extend([4200.0; 10]);
    let demand = series(60, counts);
    let quick = run(&demand, &plant(0.0), hpa(1, 100));
    let slow = run(&demand, &plant(120.0), hpa(1, 100));
    assert!(quick.late > 0.0 && slow.late > quick.late + 60.0 * 60.0);
    assert_eq!(quick.peak, 10);
}

/// An instance that is due when a decision is made is ready in it: stopped, it drains and is paid for.
#[test]
fn what_is_due_is_ready_before_it_is_decided_upon() {
    let mut plant = plant(60.0);
    plant.lifecycle.drain_s = 100.0;
    let floors = (0..WEEK_MINUTES).map(|minute| if minute % 10 == 1 { 5 } else { 1 }).collect();
    let schedule = Schedule::of_minutes(floors, &TimeZone::UTC);
    let hybrid = Controller::Hybrid(Box::new(Hybrid::new(fixed(1), schedule, 100)));
    let mut most = 0;
    let demand = series(60, vec![60.0; 10]);
    let mut hybrid = hybrid;
    let outcome = fluid::run(&demand, &plant, &mut hybrid, 1, |ready| most = most.max(ready));
    // Ten minutes of one, and four for a minute each and their drain.
    assert_eq!((outcome.instance_s, outcome.launches, outcome.stops), (1240.0, 4, 4));
    assert_eq!(most, 1);
}

/// Knative looks every two seconds at what it counts itself: four times the load, within seconds.
#[test]
fn knative_has_its_own_metrics() {
    let mut counts = vec![70.0; 300];
    counts.extend([280.0; 120]);
    let mut ready = Vec::new();
    fluid::run(&series(1, counts), &plant(5.0), &mut knative(1), 1, |n| ready.push(n));
    assert_eq!(ready[299], 10);
    let full = ready.iter().position(|&n| n >= 40).unwrap();
    assert!((305..=316).contains(&full), "{full}");
}

/// Steps of any length of the same demand come to the same.
#[test]
fn ticks_divide_steps() {
    for (step_s, tick_s) in [(1, 1), (10, 10), (15, 15), (60, 15), (50, 10), (61, 1), (3600, 15)] {
        assert_eq!(fluid::tick_s(step_s), tick_s);
    }
    let minutes = run(&series(60, vec![3000.0; 120]), &plant(30.0), hpa(1, 100));
    let quarters = run(&series(15, vec![750.0; 480]), &plant(30.0), hpa(1, 100));
    assert_eq!(minutes, quarters);
}

/// About so many `requests` through `servers`, of which more than a mean service time is late.
fn served(rate: f64, requests: f64, slots: u32, service: Distribution) -> QueueOutcome {
    let plant = Plant { slots, service, late_after_s: 0.1, ..plant(0.0) };
    let minutes = (requests / rate / 60.0) as usize;
    let demand = series(60, vec![rate * 60.0; minutes]);
    let arrivals = Poisson::new(&demand, Xoshiro256PlusPlus::seed_from_u64(11));
    let span = (demand.start_s as f64, minutes as f64 * 60.0);
    queue::run(arrivals, span, &plant, Supply::Controlled(&mut fixed(1), 1), 12)
}

/// M/M/c within 1 % of Erlang's formulas: who waits, how long, and the tail.
#[test]
fn queue_agrees_with_mmc() {
    for (servers, load, requests) in [(1, 0.5, 4e6), (4, 0.7, 6e6), (16, 0.8, 8e6)] {
        let rate = load * f64::from(servers) / 0.1;
        let outcome = served(rate, requests, servers, Distribution::Exponential { mean: 0.1 });
        let exact = Mmc::new(servers, rate, 10.0).unwrap();
        let near = |what: &str, found: f64, wanted: f64| {
            assert!((found / wanted - 1.0).abs() < 0.01, "M/M/{servers} {what}: {found}, {wanted}");
        };
        near("share that waits", outcome.waited_share, exact.wait_probability());
        near("mean wait", outcome.mean_wait_s, exact.mean_wait());
        let p95 = outcome.responses.quantile_us(0.95).unwrap() as f64 / 1e6;
        near("95th percentile", p95, exact.response_quantile(0.95).unwrap());
        near("late", outcome.outcome.late_ratio(), exact.response_survival(0.1));
        near("requests", outcome.outcome.requests, requests);
    }
}

/// Allen and Cunneen: waits grow with the variation of service times, as (1 + cv²)/2.
#[test]
fn queue_waits_grow_with_variation() {
    let wait =
        |cv: f64| served(32.0, 5e5, 4, Distribution::Lognormal { mean: 0.1, cv }).mean_wait_s;
    let [steady, even, wild] = [wait(0.0), wait(1.0), wait(2.0)];
    assert!(1.5 * steady < even && 1.5 * even < wild, "{steady} {even} {wild}");
}

/// Fewer servers than requests: the queue grows until requests give up.
#[test]
fn queue_gives_up_after_the_time_out() {
    let plant = Plant { timeout_s: 2.0, service: Distribution::Constant(0.1), ..plant(0.0) };
    let arrivals = (0..20_000).map(|k| f64::from(k) / 20.0);
    let outcome =
        queue::run(arrivals, (0.0, 1000.0), &plant, Supply::Controlled(&mut fixed(1), 1), 1);
    // 10/s are served of 20/s; after a while, all wait for two seconds or give up.
    assert!((outcome.lost as f64 - 10_000.0).abs() < 50.0, "{}", outcome.lost);
    assert_eq!(outcome.waits.count() + outcome.lost, 20_000);
    assert!(outcome.waits.max_us().unwrap() <= 2_002_000);
    assert_eq!(outcome.outcome.instance_hours(), 1000.0 / 3600.0);
}

/// Recorded instances, of which there are none for a while.
#[test]
fn queue_follows_recorded_instances() {
    let plant = Plant { service: Distribution::Constant(0.1), ..plant(0.0) };
    let ready = [1, 0, 1];
    let arrivals = (0..90).map(f64::from);
    let outcome = queue::run(arrivals, (0.0, 90.0), &plant, Supply::Recorded(&ready, 30.0), 1);
    // Those of the middle half minute wait for its end; serving them takes 3 s.
    assert_eq!(outcome.outcome.requests, 90.0);
    assert_eq!(outcome.lost, 0);
    // Those of 30 s to 58 s are late at 60 s and later, the one of 59 s waits behind 29 others.
    assert!((30.0..=34.0).contains(&outcome.outcome.late), "{}", outcome.outcome.late);
    assert_eq!(outcome.outcome.instance_s, 60.0);
}

/// The same controller on both models: about the same instances, while queues are short.
#[test]
fn queue_and_fluid_agree() {
    let wave = |minute: usize| 60.0 * (60.0 + 40.0 * (minute as f64 / 60.0).sin());
    let demand = series(60, (0..600).map(wave).collect());
    let plant = Plant { slots: 2, ..plant(45.0) };
    let expected = run(&demand, &plant, hpa(1, 100));
    let arrivals = Poisson::new(&demand, Xoshiro256PlusPlus::seed_from_u64(3));
    let mut controller = hpa(1, 100);
    let supply = Supply::Controlled(&mut controller, fluid::initial(&demand, &plant));
    let found = queue::run(arrivals, (demand.start_s as f64, 36_000.0), &plant, supply, 1);
    let ratio = found.outcome.instance_s / expected.instance_s;
    assert!((0.95..1.1).contains(&ratio), "{ratio}");
    assert!(found.outcome.late_ratio() < 0.02);
}

/// A load that does not change: all reactive controllers end at ⌈load/target⌉, within tolerance.
#[test]
fn reactive_controllers_settle_alike() {
    for rate in [3.0, 21.0, 68.0, 350.0, 610.0] {
        let demand = series(60, vec![rate * 60.0; 240]);
        let wanted = (rate / 7.0_f64).ceil();
        for (name, mut controller) in [
            ("hpa", hpa(1, 100)),
            ("cpu", cpu(1, 100)),
            ("keda", keda(1)),
            ("knative", knative(1)),
            ("target tracking", tracking(1)),
        ] {
            let mut last = 0;
            fluid::run(&demand, &plant(60.0), &mut controller, 1, |ready| last = ready);
            let found = f64::from(last);
            // Tolerance 0.1, or one more through rounding.
            assert!((found - wanted).abs() <= (0.12 * wanted).max(1.0), "{name}: {found} {wanted}");
        }
    }
}

#[test]
fn seeds_decide() {
    let demand = series(60, (0..500).map(|m| f64::from(m / 45 % 2 + 1) * 4000.0).collect());
    let mut plant = plant(60.0);
    plant.lifecycle.boot = Distribution::Lognormal { mean: 60.0, cv: 0.5 };
    let at = |seed| fluid::run(&demand, &plant, &mut hpa(1, 100), seed, |_| ());
    assert_eq!(at(7), at(7));
    assert_ne!(at(7).late, at(8).late);
}

fn demand() -> impl Strategy<Value = Series> {
    prop::collection::vec(
        prop_oneof![8 => 0.0_f64..6000.0, 1 => Just(0.0), 1 => Just(f64::NAN)],
        5..150,
    )
    .prop_map(|counts| series(60, counts))
}

fn any_controller() -> impl Strategy<Value = Controller> {
    let kinds =
        [fixed(3), fixed(8), hpa(1, 100), hpa(2, 6), cpu(1, 100), keda(0), knative(0), tracking(1)];
    prop::sample::select(kinds.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No controller is cheaper than the bound for as many late requests as it has.
    #[test]
    fn foresight_is_a_lower_bound(
        demand in demand(), controller in any_controller(), boot_s in 0_u32..300,
    ) {
        let plant = plant(f64::from(boot_s));
        let outcome = run(&demand, &plant, controller);
        let bound = lower_bound_s(&demand, &plant, (0, 1000), outcome.late);
        prop_assert!(bound <= outcome.instance_s * (1.0 + 1e-9) + 1e-6, "{} {}", bound, outcome.instance_s);
    }

    /// The bound is reached where a fixed fleet is ideal.
    #[test]
    fn foresight_is_tight_for_steady_load(instances in 1_u32..20) {
        let plant = Plant { late_after_s: 0.1, ..plant(60.0) };
        let demand = series(60, vec![f64::from(instances) * 600.0; 60]);
        let cost = f64::from(instances) * 3600.0;
        let bound = lower_bound_s(&demand, &plant, (0, 1000), 0.0);
        prop_assert!((bound / cost - 1.0).abs() < 0.01, "{} {}", bound, cost);
    }

    /// A floor below a controller that does not look at what is ready never makes more requests late.
    #[test]
    fn a_floor_never_hurts(
        demand in demand(), floor in prop::collection::vec(0_u32..20, 24), boot_s in 0_u32..300,
        by_keda in any::<bool>(),
    ) {
        let plant = plant(f64::from(boot_s));
        let reactive = || if by_keda { keda(1) } else { hpa(1, 100) };
        let floors = (0..WEEK_MINUTES).map(|minute| floor[minute / 5 % 24]).collect();
        let schedule = Schedule::of_minutes(floors, &TimeZone::UTC);
        let hybrid = Controller::Hybrid(Box::new(Hybrid::new(reactive(), schedule, 100)));
        let (with, without) = (run(&demand, &plant, hybrid), run(&demand, &plant, reactive()));
        prop_assert!(with.late <= without.late + 1e-6, "{} > {}", with.late, without.late);
    }

    /// More capacity of a fixed fleet, or more instances, never makes more requests late.
    #[test]
    fn more_capacity_is_never_worse(demand in demand(), n in 1_u32..10, factor in 1.0_f64..3.0) {
        let plant = plant(60.0);
        let large = Plant { capacity_per_s: factor * plant.capacity_per_s, ..plant.clone() };
        let late = |plant: &Plant, n| run(&demand, plant, fixed(n)).late;
        prop_assert!(late(&plant, n + 1) <= late(&plant, n) + 1e-6);
        prop_assert!(late(&large, n) <= late(&plant, n) + 1e-6);
    }
}
