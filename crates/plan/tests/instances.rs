//! Instances as a log tells them: by hand, and out of a known law.

use plan::instances::{Instance, Instances, NoFit, SILENCE, Window};

const WINDOW_S: u32 = 10;

/// `key` with the same number of requests and the same latency in each window of `windows`.
fn instance(key: &str, windows: std::ops::Range<i64>, ended: f64, latency_s: f64) -> Instance {
    let window = |at: i64| Window {
        start_s: at * i64::from(WINDOW_S),
        ended,
        busy_s: Some(ended * latency_s),
    };
    let first_s = (windows.start * i64::from(WINDOW_S)) as f64;
    let windows = windows.map(window).collect();
    Instance { key: key.to_owned(), first_s, first_served_s: Some(first_s), windows }
}

#[test]
fn instances_come_and_go() {
    let found = Instances::new(
        &[
            instance("a", 0..100, 50.0, 0.1),
            instance("b", 20..60, 50.0, 0.1),
            instance("c", 50..100, 50.0, 0.1),
        ],
        WINDOW_S,
    )
    .unwrap();
    assert_eq!((found.live.least, found.live.most), (1, 3));
    assert!((found.live.mean - 1.9).abs() < 1e-12);
    let counts: Vec<u32> = found.live.over_time.iter().map(|point| point.instances).collect();
    assert_eq!(counts, [vec![1; 20], vec![2; 30], vec![3; 10], vec![2; 40]].concat());
    assert_eq!(found.live.over_time[20].start_s, 200);
    let new: Vec<(&str, f64)> =
        found.new.iter().map(|new| (new.key.as_str(), new.first_s)).collect();
    assert_eq!(new, [("b", 200.0), ("c", 500.0)]);
    assert_eq!(found.begins_s(), Some(0.0));
    assert_eq!(Instances::new(&[], WINDOW_S), None);
}

/// At night nobody asks, which ends no instance; being passed over does.
#[test]
fn silence_counts_in_requests() {
    let night = |key: &str, ended: f64| {
        let mut one = instance(key, 0..100, ended, 0.1);
        one.windows.retain(|window| !(300..700).contains(&window.start_s));
        one
    };
    let both = Instances::new(&[night("a", 10.0), night("b", 10.0)], WINDOW_S).unwrap();
    assert_eq!((both.live.least, both.live.most), (2, 2));
    assert_eq!(both.new, []);
    for (ended, least) in [(1.0, 2), (SILENCE * 2.0 / 40.0 + 0.1, 1)] {
        let pair = [instance("a", 0..100, ended, 0.1), night("b", 10.0)];
        let one = Instances::new(&pair, WINDOW_S).unwrap();
        assert_eq!((one.live.least, one.live.most), (least, 2), "{ended}");
    }
}

#[test]
fn new_instances_fail_and_warm_up_first() {
    let mut new = instance("new", 30..100, 50.0, 0.1);
    new.first_s = 303.0;
    new.first_served_s = Some(308.5);
    for window in new.windows.iter_mut().take(4) {
        window.busy_s = Some(50.0 * 0.4);
    }
    let found = Instances::new(&[instance("old", 0..100, 50.0, 0.1), new], WINDOW_S).unwrap();
    let [newcomer] = found.new.as_slice() else { panic!("{:?}", found.new) };
    assert_eq!((newcomer.failing_s, newcomer.warm_up_s), (Some(5.5), Some(37.0)));
    assert_eq!(found.begins_s(), Some(37.0));
    // What it took while it was cold is not what its load makes it take.
    assert!(found.curve.iter().all(|point| (point.latency_s - 0.1).abs() < 1e-9));
}

/// A law of 20/s per request in flight, at most 59/s at 9.7: every window is of it.
#[test]
fn the_curve_is_the_law_it_was_made_of() {
    let law = |n: f64| 20.0 * n / (1.0 + 0.15 * (n - 1.0) + 0.009 * n * (n - 1.0));
    let windows = |shift: i64| {
        let window = move |at: i64| {
            let n = 1.0 + ((at + shift) * 7 % 240) as f64 / 16.0;
            let length_s = f64::from(WINDOW_S);
            Window { start_s: at * 10, ended: law(n) * length_s, busy_s: Some(n * length_s) }
        };
        (0..2000).map(window).collect()
    };
    let one = |key: &str, shift: i64| Instance {
        key: key.to_owned(),
        first_s: 0.0,
        first_served_s: Some(0.0),
        windows: windows(shift),
    };
    let found = Instances::new(&[one("a", 0), one("b", 31)], WINDOW_S).unwrap();
    assert_eq!(found.no_fit, None);
    let fit = stats::usl::fit(&found.points()).unwrap();
    let peak = ((1.0_f64 - 0.15) / 0.009).sqrt();
    assert!((fit.n_star().unwrap() / peak - 1.0).abs() < 0.02, "{fit:?} {peak}");
    assert!((fit.gamma - 20.0).abs() < 0.5, "{fit:?}");
    for point in &found.curve {
        assert!((point.latency_s - point.in_flight / point.per_s).abs() < 1e-12);
    }
    assert!(found.curve.is_sorted_by(|a, b| a.in_flight < b.in_flight));
}

#[test]
fn too_little_is_no_curve() {
    let why = |instances: &[Instance]| {
        let found = Instances::new(instances, WINDOW_S).unwrap();
        assert_eq!(found.points(), []);
        found.no_fit
    };
    let steady = instance("a", 0..1000, 50.0, 0.1);
    assert_eq!(why(std::slice::from_ref(&steady)), Some(NoFit::TooFew));
    assert_eq!(why(&[instance("short", 0..5, 50.0, 0.1)]), Some(NoFit::TooFew));
    let mut silent = steady.clone();
    silent.windows.iter_mut().for_each(|window| window.busy_s = None);
    assert_eq!(why(&[silent]), Some(NoFit::NoDurations));
    // Four times the load, and as fast as ever; or half as much again.
    let ramp = |most: f64, slowest: f64| {
        let mut ramp = steady.clone();
        for (at, window) in ramp.windows.iter_mut().enumerate() {
            let part = at as f64 / 1000.0;
            window.ended = 50.0 * (1.0 + part * (most - 1.0));
            window.busy_s = Some(window.ended * 0.1 * (1.0 + part * (slowest - 1.0)));
        }
        ramp
    };
    assert_eq!(why(&[ramp(4.0, 1.0)]), Some(NoFit::NoRise));
    assert_eq!(why(&[ramp(1.7, 1.0)]), Some(NoFit::SameLoad));
}
