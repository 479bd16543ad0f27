//! Laws of the description of demand, on series whose truth is known.

use jiff::tz::TimeZone;
use plan::Series;
use plan::demand::{DemandParams, Holidays, Silence, Treatment, describe};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// 2024-01-01 00:00 UTC, a Monday.
const START_S: i64 = 1_704_067_200;

fn series(step_s: u32, n: usize, rate: impl FnMut(usize) -> f64) -> Series {
    let counts = (0..n).map(rate).collect();
    Series { start_s: START_S, step_s, counts, zone: TimeZone::UTC }
}

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A wave of the day on a level, with noise.
fn wave(at: usize, per_day: usize) -> f64 {
    1.0 + 0.6 * (at as f64 / per_day as f64 * std::f64::consts::TAU).sin()
}

#[test]
fn rhythms_are_found_and_chance_is_not() {
    let params = DemandParams::default();
    let mut rng = rng(1);
    let demand = series(3600, 6 * 7 * 24, |hour| {
        let weekend = if hour / 24 % 7 >= 5 { 0.5 } else { 1.0 };
        1000.0 * wave(hour, 24) * weekend * rng.random_range(0.9..1.1)
    });
    let found = describe(&demand, &params);
    let (daily, weekly) = (found.daily.unwrap(), found.weekly.unwrap());
    assert!(daily.is_significant() && daily.strength > 0.7, "{daily:?}");
    assert!(weekly.is_significant() && weekly.strength > 0.9, "{weekly:?}");
    assert!(weekly.autocorrelation > 0.5);
    assert!(found.changes.is_empty(), "{:?}", found.changes);

    // A random walk is alike from hour to hour, and has no rhythm. Of 40 walks some 5 % may seem to.
    let mut seem = [0, 0];
    for _ in 0..40 {
        let mut level = 1000.0;
        let walk = series(3600, 28 * 24, |_| {
            level += rng.random_range(-20.0..20.0);
            level
        });
        let found = describe(&walk, &params);
        seem[0] += usize::from(found.daily.unwrap().is_significant());
        seem[1] += usize::from(found.weekly.unwrap().is_significant());
    }
    assert!(seem[0] <= 6 && seem[1] <= 6, "{seem:?}");
    // Nor has growth.
    let growth = describe(&series(3600, 28 * 24, |hour| 100.0 + hour as f64), &params);
    assert!(growth.daily.is_none_or(|daily| !daily.is_significant() || daily.strength < 0.05));
    assert!(growth.trend.unwrap().is_significant());
}

#[test]
fn bursts_of_known_processes() {
    let mut rng = rng(2);
    // Poisson counts: both Fano factors are 1.
    let mut poisson = |mean: f64| {
        let (limit, mut product, mut n) = ((-mean).exp(), rng.random_range(0.0..1.0), 0.0);
        while product > limit {
            product *= rng.random_range(0.0..1.0);
            n += 1.0;
        }
        n
    };
    let counts = series(1, 200_000, |_| poisson(20.0));
    let burst = describe(&counts, &DemandParams::default()).burst.unwrap();
    assert!((burst.fano - 1.0).abs() < 0.03, "{burst:?}");
    assert!((burst.fano_local - 1.0).abs() < 0.03, "{burst:?}");
    assert!(burst.peak_second.unwrap() > burst.peak_minute.unwrap());
    assert!(burst.peak_minute.unwrap() > burst.peak_hour.unwrap());

    // A jump of 90/s at once, from 10/s, seen over a boot of five minutes.
    let jump = series(60, 1000, |minute| if minute < 500 { 600.0 } else { 6000.0 });
    let params = DemandParams { boot_s: 300.0, ..DemandParams::default() };
    let burst = describe(&jump, &params).burst.unwrap();
    assert_eq!((burst.rise_per_s, burst.rise_within_s), (90.0, 300.0));
    assert_eq!(burst.peak_second, None);
    assert!((burst.rise_ratio - 90.0 / 55.0).abs() < 1e-9);
    assert!((burst.peak_hour.unwrap() - 100.0 / 55.0).abs() < 1e-9);
}

#[test]
fn outages_are_found_and_masked_and_quiet_nights_are_not() {
    let day = 1440;
    let mut counts: Vec<f64> = (0..14 * day)
        .map(|minute| if minute % day < 360 { 0.0 } else { 30.0 + (minute % 7) as f64 })
        .collect();
    counts[3 * day + 600..3 * day + 700].fill(0.0);
    counts[8 * day + 900..8 * day + 905].fill(f64::NAN);
    // One minute of unknown.
    counts[9 * day + 900] = f64::NAN;
    let series = Series { start_s: START_S, step_s: 60, counts, zone: TimeZone::UTC };
    let demand = describe(&series, &DemandParams::default());
    let outages: Vec<(usize, usize, Silence)> =
        demand.outages.iter().map(|outage| (outage.first, outage.steps, outage.silence)).collect();
    assert_eq!(
        outages,
        [
            (3 * day + 600, 100, Silence::Zero),
            (8 * day + 900, 5, Silence::Unknown),
            (9 * day + 900, 1, Silence::Unknown),
        ]
    );
    assert_eq!(demand.outages[0].start_s, START_S + 60 * (3 * 1440 + 600));
    assert!((demand.outages[0].missed - 3300.0).abs() < 50.0);
    assert_eq!(demand.masked.known(), 14 * day - 106);
    assert_eq!(demand.masked.counts[0], 0.0);
}

#[test]
fn changes_of_the_level_are_dated() {
    let mut rng = rng(3);
    let level = |day: usize| match day {
        0..40 => 100.0,
        40..90 => 160.0,
        _ => 120.0,
    };
    let demand = series(3600, 120 * 24, |hour| {
        level(hour / 24) * wave(hour, 24) * rng.random_range(0.8..1.2)
    });
    let changes = describe(&demand, &DemandParams::default()).changes;
    let first = START_S / 86_400;
    let days: Vec<i64> = changes.iter().map(|change| change.day - first).collect();
    assert_eq!(days, [40, 90]);
    assert!((changes[0].after / changes[0].before - 1.6).abs() < 0.05);
    let level = describe(&series(3600, 60 * 24, |_| 5.0), &DemandParams::default());
    assert!(level.changes.is_empty() && level.daily.is_none());
}

#[test]
fn holidays_are_not_changes_of_the_week() {
    let holiday = 16;
    let demand = series(3600, 35 * 24, |hour| {
        let quiet = hour / 24 == holiday;
        if quiet { 1.0 } else { 100.0 * wave(hour, 24) }
    });
    let date = jiff::civil::date(2024, 1, 17);
    let holidays = Holidays::new([date], Treatment::Mask);
    let params = DemandParams { holidays, ..DemandParams::default() };
    let masked = describe(&demand, &params).daily.unwrap();
    assert!(masked.strength > 0.98, "{masked:?}");
    let whole = describe(&demand, &DemandParams::default()).daily.unwrap();
    assert!(whole.strength < masked.strength - 0.02, "{whole:?}");
}

#[test]
fn hours_are_those_of_the_zone() {
    let mut demand = series(600, 10 * 144, |step| if step % 144 / 6 == 15 { 600.0 } else { 0.0 });
    demand.zone = TimeZone::posix("EST5").unwrap();
    let hours = describe(&demand, &DemandParams::default()).hours_per_s;
    assert_eq!(hours.iter().position(|rate| *rate == 1.0), Some(10));
}

#[test]
fn same_seed_same_answer() {
    let mut rng = rng(4);
    let demand = series(3600, 500, |_| rng.random_range(0.0..9.0));
    let p = |seed| {
        let params = DemandParams { seed, ..DemandParams::default() };
        describe(&demand, &params).daily.unwrap().p_value
    };
    assert_eq!(p(1), p(1));
    assert!((1..20).any(|seed| p(seed) != p(1)));
}

/// Nothing that is wrong with a series may panic.
#[test]
fn any_series_is_described() {
    let nan = f64::NAN;
    for counts in [
        vec![],
        vec![nan; 50],
        vec![0.0; 3000],
        vec![1.0],
        vec![f64::MAX; 3],
        (0..5000).map(|at| if at % 3 == 0 { nan } else { (at % 5) as f64 }).collect(),
    ] {
        for step_s in [1, 7, 60, 3600, 86_400] {
            let series = Series { start_s: 0, step_s, counts: counts.clone(), zone: TimeZone::UTC };
            let demand = describe(&series, &DemandParams::default());
            assert!(demand.total >= 0.0);
        }
    }
}

/// What is not known is not told as nothing.
#[test]
fn an_hour_that_is_not_known_has_no_peak() {
    let counts = (0..120).map(|minute| if minute % 60 < 20 { 6.0 } else { f64::NAN }).collect();
    let series = Series { start_s: 0, step_s: 60, counts, zone: TimeZone::UTC };
    let burst = plan::demand::burst::burst(&series, 60.0).unwrap();
    assert_eq!((burst.peak_minute, burst.peak_hour), (Some(1.0), None));
}
