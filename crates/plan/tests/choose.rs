//! Choosing, on made-up demand whose best answer is known, and on a recorded trace.

use std::path::Path;

use jiff::tz::TimeZone;
use plan::Series;
use plan::choose::{
    Answer, ChooseError, Evidence, Gain, Kind, Params, Policy, choose, concurrency, table,
};
use plan::demand::{Holidays, Treatment};
use plan::simulate::{Distribution, fluid};

/// Minutes of `days` from a Monday on.
fn minutes(days: usize, rate: impl Fn(usize) -> f64) -> Series {
    let counts = (0..days * 1440).map(|minute| rate(minute) * 60.0).collect();
    Series { start_s: 1_772_409_600, step_s: 60, counts, zone: TimeZone::UTC }
}

fn params() -> Params {
    Params { boot: Distribution::Constant(120.0), ..Params::new(50.0) }
}

/// Nights of 100/s, and from eight to six o'clock suddenly 2000/s, every day.
fn office(minute: usize) -> f64 {
    if (480..1080).contains(&(minute % 1440)) { 2000.0 } else { 100.0 }
}

/// Each day the load jumps at once: only who knows the hour is ready.
#[test]
fn a_schedule_pays_for_daily_jumps() {
    let series = minutes(28, office);
    let answer = choose(&series, &params(), &Evidence::default()).unwrap();
    let plain = &answer.baselines[1];
    assert_eq!((plain.name.as_str(), answer.gain), ("hpa-70", Gain::Significant));
    assert_eq!(answer.recommended.controller, Kind::Keda);
    assert!(!answer.recommended.parameters.windows.is_empty());
    assert!(plain.late_ratio > 0.001 && answer.held_out.late_ratio <= 0.001);
    assert!(answer.held_out.meets_objective, "{:?}", answer.findings);
    assert!(answer.held_out.regret >= 0.0 && answer.held_out.regret < 1.0);
    assert_eq!(answer.hours.len(), 168);
    assert!(answer.hours[12].instances > 10.0 * answer.hours[3].instances);
    for pair in answer.pareto.windows(2) {
        assert!(pair[0].instance_hours <= pair[1].instance_hours);
        assert!(pair[0].late_ratio > pair[1].late_ratio);
    }
    let stress = &answer.stress[1];
    assert_eq!(stress.name, "slow-boot-x2");
    assert!(stress.late_ratio < stress.hpa_late_ratio);
    assert!(answer.paragraph().contains("significantly better"));
}

/// Nothing to know in advance, and nothing for a floor to add: plain HPA, said plainly.
#[test]
fn constant_load_has_no_gain_from_more_punctuality() {
    let noise = |minute: usize| ((minute as u32).wrapping_mul(2_654_435_761) >> 16) % 1000;
    let series = minutes(14, |minute| 345.0 + f64::from(noise(minute)) / 100.0);
    let params = Params { kinds: vec![Kind::Keda], ..params() };
    let answer = choose(&series, &params, &Evidence::default()).unwrap();
    let held = &answer.held_out;
    assert_eq!(held.late_ratio, 0.0);
    if answer.gain != Gain::Significant {
        assert_eq!(answer.recommended.controller, Kind::Hpa);
        assert!((answer.recommended.parameters.target_utilisation - 0.7).abs() < 1e-9);
        assert!(answer.paragraph().contains("No gain"));
    } else {
        // A higher target is a gain that steady load really gives.
        assert!(answer.comparison.cost_difference_ci[1] < 0.0);
        assert!(answer.recommended.parameters.target_utilisation > 0.7);
    }
}

/// Whatever is recommended has a reactive part.
#[test]
fn events_that_nobody_foretells() {
    // A burst at a different hour of each day.
    let burst = |minute: usize| {
        let (day, at) = (minute / 1440, minute % 1440);
        let begin = 60 * (day * 7 % 23);
        if (begin..begin + 90).contains(&at) { 3000.0 } else { 300.0 }
    };
    let answer = choose(&minutes(21, burst), &params(), &Evidence::default()).unwrap();
    let by_name = |name: &str| answer.baselines.iter().find(|one| one.name == name).unwrap();
    let (schedule, plain) = (by_name("schedule-only"), by_name("hpa-70"));
    assert!(schedule.late_ratio > 5.0 * plain.late_ratio);
    assert!(answer.held_out.late_ratio <= plain.late_ratio + 1e-12);
    if answer.gain != Gain::Significant {
        assert_eq!(answer.recommended.controller, Kind::Hpa);
    }
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    let series = minutes(10, office);
    let first = choose(&series, &params(), &Evidence::default()).unwrap();
    assert_eq!(first, choose(&series, &params(), &Evidence::default()).unwrap());
}

#[test]
fn all_controllers_can_be_chosen_from() {
    let kinds =
        vec![Kind::Hpa, Kind::Keda, Kind::Knative, Kind::AwsTargetTracking, Kind::AwsScheduled];
    let params = Params { kinds: kinds.clone(), ..params() };
    let answer = choose(&minutes(8, office), &params, &Evidence::default()).unwrap();
    let mut found: Vec<Kind> = answer.by_controller.iter().map(|one| one.controller).collect();
    found.sort_unstable();
    assert_eq!(found, kinds);
}

/// The shape that other programs read.
#[test]
fn the_answer_is_written_as_documented() {
    let answer = choose(&minutes(9, office), &params(), &Evidence::default()).unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["schema"], "tidegate.plan/1");
    assert!(["significant", "none", "negative"].contains(&json["gain"].as_str().unwrap()));
    assert!(json["recommended"]["controller"].is_string());
    assert!(json["recommended"]["parameters"].is_object());
    for key in ["instance-hours", "late-ratio", "regret"] {
        assert!(json["held-out"][key].is_number(), "{key}");
    }
    assert_eq!(json["held-out"]["late-ratio-ci"].as_array().unwrap().len(), 2);
    assert_eq!(json["baselines"][1]["name"], "hpa-70");
    assert!(json["baselines"][1]["instance-hours"].is_number());
    assert_eq!(json["hours"][5]["hour"], 5);
    assert!(json["hours"][5]["instances"].is_number());
    let back: Answer = serde_json::from_value(json).unwrap();
    assert_eq!(back.recommended.policy().kind, Some(answer.recommended.controller));
}

#[test]
fn too_little_or_senseless_input_is_refused() {
    let day = minutes(1, office);
    assert!(matches!(
        choose(&day, &params(), &Evidence::default()),
        Err(ChooseError::TooShort { .. })
    ));
    let nothing = minutes(7, |_| 0.0);
    assert_eq!(choose(&nothing, &params(), &Evidence::default()), Err(ChooseError::NoDemand));
    let unknown = minutes(7, |_| f64::NAN);
    assert!(matches!(
        choose(&unknown, &params(), &Evidence::default()),
        Err(ChooseError::TooShort { .. })
    ));
    let months = Series { step_s: 86_400, counts: vec![1e6; 60], ..minutes(1, office) };
    assert_eq!(
        choose(&months, &params(), &Evidence::default()),
        Err(ChooseError::TooCoarse { step_s: 86_400 })
    );
    let week = minutes(7, office);
    let refused = |params: &Params| {
        matches!(choose(&week, params, &Evidence::default()), Err(ChooseError::Params(_)))
    };
    assert!(refused(&Params::new(0.0)));
    assert!(refused(&Params::new(f64::NAN)));
    assert!(refused(&Params { late_after_s: 0.05, ..params() }));
    assert!(refused(&Params { kinds: Vec::new(), ..params() }));
    let tiny = Params::new(1e-3);
    assert!(matches!(
        choose(&week, &tiny, &Evidence::default()),
        Err(ChooseError::TooLarge { .. })
    ));
}

/// An objective that no fleet can meet is said to be one.
#[test]
fn an_impossible_objective_is_found() {
    let params = Params { max: Some(20), ..params() };
    let answer = choose(&minutes(10, office), &params, &Evidence::default()).unwrap();
    assert!(!answer.held_out.meets_objective);
    assert!(answer.findings.iter().any(|finding| finding.contains("on the past")));
}

#[test]
fn concurrency_by_littles_law_and_usl() {
    let params = Params::new(85.0);
    let bare = concurrency::advise(&params, &[]);
    // 8.5 in flight, and √8.5 above.
    assert_eq!((bare.by_littles_law, bare.limit), (8.5, 12));
    assert_eq!(bare.gateway_queue, 76);
    // X(N) = 20N / (1 + 0.05(N−1) + 0.01N(N−1)) is highest at √95 = 9.7.
    let law = |n: f64| 20.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.01 * n * (n - 1.0));
    let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|n| (n, law(n))).into();
    let fitted = concurrency::advise(&params, &points);
    assert!((fitted.by_usl.unwrap() - 95.0_f64.sqrt()).abs() < 1e-3);
    let within = fitted.by_objective.unwrap();
    assert!((within / law(within) - 1.0).abs() < 1e-6);
    assert_eq!(fitted.limit, 9);
}

/// August of the NASA trace, from the fourth on (an outage before): directions that were measured
/// elsewhere on it. A fixed peak costs most and is late least; a schedule alone is cheap and late.
#[test]
fn nasa_august() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"))
        .join("traces/nasa/nasa_per_minute.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let august = text.lines().skip_while(|line| !line.starts_with("1995-08-04T00:00:00"));
    let counts: Vec<f64> =
        august.map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(counts.len() > 27 * 1440);
    // Scaled, so that ten instances of 50/s serve the mean.
    let mean = counts.iter().sum::<f64>() / counts.len() as f64 / 60.0;
    let counts = counts.iter().map(|count| count * 500.0 / mean).collect();
    let zone = TimeZone::get("America/New_York").unwrap();
    // 4 August 1995, 00:00 in New York.
    let series = Series { start_s: 807_508_800, step_s: 60, counts, zone };
    let params = Params { boot: Distribution::Constant(300.0), ..Params::new(50.0) };
    let (rows, answer) = table(&series, &params).unwrap();
    for row in &rows {
        println!(
            "{:14} {:8.1} h {:6.2} {:.4} %",
            row.name,
            row.instance_hours,
            row.relative_cost,
            row.late_ratio * 100.0
        );
    }
    println!("{}", answer.paragraph());
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    let (peak, plain) = (row("fixed-peak"), row("hpa-70"));
    let (schedule, searched) = (row("schedule-only"), row("searched"));
    assert!(peak.relative_cost > 1.5 && peak.late_ratio < 0.001);
    assert!(plain.late_ratio > 0.001 && plain.late_ratio < 0.05);
    assert!(schedule.late_ratio > searched.late_ratio);
    assert!(searched.late_ratio < plain.late_ratio / 2.0);
    assert!(searched.relative_cost < peak.relative_cost);
}

/// A sale of two days is no reason to hold three times as much on all other days.
#[test]
fn floors_are_not_made_from_holidays() {
    let sale = |minute: usize| matches!(minute / 1440, 3 | 9);
    let series = minutes(20, |minute| if sale(minute) { 3.0 } else { 1.0 } * office(minute));
    let dates = [jiff::civil::date(2026, 3, 5), jiff::civil::date(2026, 3, 11)];
    let holidays = Holidays::new(dates, Treatment::Mask);
    let hours = |holidays: Holidays| {
        let evidence = Evidence { holidays, ..Evidence::default() };
        let params = Params { kinds: vec![Kind::Hpa], ..params() };
        let answer = choose(&series, &params, &evidence).unwrap();
        let row = answer.baselines.iter().find(|row| row.name == "schedule-only").unwrap();
        row.instance_hours
    };
    let (with, without) = (hours(Holidays::default()), hours(holidays));
    assert!(with > 1.5 * without, "{with} {without}");
}

/// Knative counts requests in flight: 300/s of 0.1 s are 30, and 70 % of five at a time are 3.5.
#[test]
fn concurrency_is_what_an_instance_takes_at_a_time() {
    let plant = params().plant();
    let knative = Policy { kind: Some(Kind::Knative), ..Policy::hpa(0.7, 50.0, (1, 100)) };
    let five = knative.clone().by_concurrency(5, &plant);
    assert!((five.target_rate_per_instance - 35.0).abs() < 1e-9);
    assert_eq!((five.plant(&plant).slots, five.plant(&plant).capacity_per_s), (5, 50.0));
    let three = knative.by_concurrency(3, &plant);
    assert!((three.plant(&plant).capacity_per_s - 30.0).abs() < 1e-9);
    let series = minutes(1, |_| 300.0);
    for (policy, instances) in [(&five, 9), (&three, 15)] {
        let mut last = 0;
        let mut controller = policy.build(&TimeZone::UTC);
        fluid::run(&series, &policy.plant(&plant), &mut controller, 1, |ready| last = ready);
        assert_eq!(last, instances, "{}", policy.summary());
    }
    assert!(five.summary().contains("of 5 requests at a time per instance"));
}

#[test]
fn a_law_is_not_believed_far_beyond_what_was_measured() {
    // Highest at √((1−0.01)/0.0001) = 99.5; measured up to 32, then up to 80.
    let law = |n: f64| 20.0 * n / (1.0 + 0.01 * (n - 1.0) + 0.0001 * n * (n - 1.0));
    let advise = |loads: &[f64]| {
        let points: Vec<(f64, f64)> = loads.iter().map(|&n| (n, law(n))).collect();
        concurrency::advise(&Params::new(3000.0), &points)
    };
    let near = advise(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    assert_eq!((near.by_usl, near.by_objective, near.measured_to), (None, None, Some(32.0)));
    assert_eq!(near.limit, 318);
    let far = advise(&[1.0, 10.0, 20.0, 40.0, 80.0]);
    assert_eq!((far.by_usl.map(f64::round), far.limit), (Some(99.0), 99));
    assert!((far.usl_peak_per_s.unwrap() - law(99.5)).abs() < 1.0);
    // Flat at 50 ms up to ten at a time, then steep.
    let hockey: Vec<(f64, f64)> = [(1, 50), (2, 50), (5, 51), (10, 55), (12, 200), (14, 400)]
        .map(|(n, ms)| (f64::from(n), f64::from(n) * 1000.0 / f64::from(ms)))
        .into();
    assert_eq!(concurrency::advise(&Params::new(100.0), &hockey).knee, Some(10.0));
}

/// Three requests at a time of 0.1 s are 30/s, whatever capacity is given.
#[test]
fn slots_bound_the_capacity() {
    let given = Params { concurrency: Some(3), ..params() };
    assert!((given.plant().capacity_per_s - 30.0).abs() < 1e-9);
    let answer = choose(&minutes(8, |_| 200.0), &given, &Evidence::default()).unwrap();
    assert!(answer.held_out.queue.late_ratio < 0.001, "{:?}", answer.held_out);
    assert!(answer.findings.iter().any(|finding| finding.contains("30.0/s, not the 50.0/s")));
    let fitting = Params { concurrency: Some(5), ..params() };
    let answer = choose(&minutes(8, |_| 200.0), &fitting, &Evidence::default()).unwrap();
    assert!(!answer.findings.iter().any(|finding| finding.contains("that were given")));
}

/// Two per cent may be late, but four are by their service alone: missed, and said why.
#[test]
fn an_objective_counts_what_the_service_takes() {
    let params = Params { late_after_s: 0.2, late_share: 0.02, ..params() };
    let answer = choose(&minutes(6, |_| 200.0), &params, &Evidence::default()).unwrap();
    let held = &answer.held_out;
    assert!(held.queue.late_by_service > 0.04 && !held.meets_objective, "{held:?}");
    assert!(answer.paragraph().contains("misses the objective"));
    assert!(answer.paragraph().contains("% by their service time alone)"));
    assert!(answer.findings.iter().any(|finding| finding.contains("no number of instances")));
}

/// A history that begins and ends within an hour: means are over what is known of each hour.
#[test]
fn hours_are_divided_by_what_is_known_of_them() {
    let mut series = minutes(3, |_| 1000.0);
    series.start_s += 50 * 60;
    let answer = choose(&series, &params(), &Evidence::default()).unwrap();
    let instances = || answer.hours.iter().map(|hour| hour.instances);
    let (least, most) = (instances().fold(f64::MAX, f64::min), instances().fold(0.0, f64::max));
    assert!(most < 1.5 * least, "{least} {most}");
    assert_eq!(answer.hours.len(), 73);
}

/// A cooldown of AWS lasts until what was asked for shows: else it is asked for every minute.
#[test]
fn scale_outs_wait_for_boots() {
    let jump = |minute: usize| if (600..960).contains(&(minute % 1440)) { 2000.0 } else { 1000.0 };
    let params = Params {
        boot: Distribution::Constant(300.0),
        kinds: vec![Kind::AwsTargetTracking],
        max: Some(5000),
        ..params()
    };
    let answer = choose(&minutes(6, jump), &params, &Evidence::default()).unwrap();
    let policy = answer.best.policy.policy();
    // 300 s and 75 s of metrics, in whole minutes.
    assert_eq!(policy.scale_out_s, 420);
    let mut controller = policy.build(&TimeZone::UTC);
    let outcome = fluid::run(&minutes(2, jump), &params.plant(), &mut controller, 1, |_| ());
    let wanted = (2000.0 / policy.target_rate_per_instance).ceil() as u32;
    assert!(outcome.peak <= wanted + wanted / 5, "{} {wanted}", outcome.peak);
}
