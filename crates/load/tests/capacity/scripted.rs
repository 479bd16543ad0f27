//! Searches whose trials answer by a script.

use std::time::Duration;

use load::capacity::{
    CapacityResult, GeneratorFacts, Search, SearchBy, SearchParams, Signal, Step, TrialInterval,
    TrialMeasurement, TrialPurpose,
};
use load::slo::parse_slo;
use load::verdict::BoundBy;
use proptest::prelude::*;

fn params(by: SearchBy, load_max: f64) -> SearchParams {
    SearchParams::new(by, parse_slo("p95<1s,failures<1%").unwrap(), load_max)
}

/// A trial in which every response takes as long.
fn measured(response: Duration) -> TrialMeasurement {
    let mut interval = TrialInterval {
        length: Duration::from_millis(100),
        in_flight: 10,
        offered: Some(50),
        ..TrialInterval::default()
    };
    interval.totals.requests = 50;
    interval.totals.response.record_n(response.as_micros() as u64, 50);
    TrialMeasurement { intervals: vec![interval; 30], generator: GeneratorFacts::default() }
}

fn met_or_missed(met: bool) -> TrialMeasurement {
    measured(Duration::from_millis(if met { 100 } else { 5_000 }))
}

/// Runs a search; the script gets a load and how often it was tried before.
fn search(
    params: SearchParams,
    mut script: impl FnMut(f64, usize) -> TrialMeasurement,
) -> CapacityResult {
    let mut search = Search::new(params);
    loop {
        match search.next() {
            Step::Run { load, .. } => {
                let before = search.trials().filter(|trial| trial.load == load).count();
                search.observe(&script(load, before));
            }
            Step::Done(result) => return *result,
        }
    }
}

#[test]
fn sharp_limit_is_found_to_the_precision() {
    for limit in [1.0, 2.0, 7.0, 100.0, 777.0, 54_321.0] {
        let result = search(params(SearchBy::Users, 1e6), |load, _| met_or_missed(load <= limit));
        let failed = result.failed_load.unwrap();
        assert!(result.load <= limit && limit < failed, "{limit}: {} {failed}", result.load);
        assert!(failed - result.load <= 1.0 || failed / result.load < 1.034, "{limit}");
        assert_eq!(result.bound_by, BoundBy::Target);
        assert_eq!(result.failed_first.as_deref(), Some("p95<1s"));
        assert_eq!(result.doubts, Vec::<String>::new());
        assert!(result.ci.0 <= result.load && failed <= result.ci.1);
        for load in [result.load, failed] {
            let confirms =
                |t: &&load::capacity::Trial| t.load == load && t.purpose == TrialPurpose::Confirm;
            assert_eq!(result.trials.iter().filter(confirms).count(), 1, "{limit} at {load}");
        }
    }
}

#[test]
fn trials_grow_longer_as_the_bracket_narrows() {
    let mut search = Search::new(params(SearchBy::Rate, 1e6));
    let mut lengths = Vec::new();
    while let Step::Run { load, duration, .. } = search.next() {
        lengths.push(duration.as_secs());
        search.observe(&met_or_missed(load < 1000.0));
    }
    assert!(lengths.is_sorted(), "{lengths:?}");
    assert!(lengths.starts_with(&[3, 3]) && lengths.contains(&8) && lengths.ends_with(&[15, 15]));
}

#[test]
fn target_that_never_holds_has_no_capacity() {
    for by in [SearchBy::Users, SearchBy::Rate] {
        let result = search(params(by, 1e6), |_, _| met_or_missed(false));
        assert_eq!((result.load, result.requests_per_s), (0.0, 0.0));
        assert_eq!(result.failed_load, Some(1.0));
        assert_eq!(result.failed_first.as_deref(), Some("p95<1s"));
        assert_eq!(result.bound_by, BoundBy::Target);
    }
}

#[test]
fn target_that_always_holds_is_not_the_limit() {
    for by in [SearchBy::Users, SearchBy::Rate] {
        let result = search(params(by, 700.0), |_, _| met_or_missed(true));
        assert_eq!((result.load, result.bound_by), (700.0, BoundBy::Nothing));
        assert_eq!((result.failed_load, result.failed_first, result.signal), (None, None, None));
        assert_eq!(result.trials.last().unwrap().purpose, TrialPurpose::Confirm);
    }
}

#[test]
fn limit_of_the_generator_is_not_the_targets() {
    let result = search(params(SearchBy::Rate, 1e6), |load, _| {
        let mut trial = met_or_missed(load < 300.0);
        trial.generator.cpu = if load < 290.0 { 0.5 } else { 0.97 };
        trial
    });
    assert!((result.load / 300.0 - 1.0).abs() < 0.05);
    assert_eq!((result.bound_by, result.signal), (BoundBy::Generator, None));
    assert!(result.doubts.iter().any(|doubt| doubt.contains("97 % of its CPU")));

    // A busy generator far above the limit changes nothing.
    let result = search(params(SearchBy::Rate, 1e6), |load, _| {
        let mut trial = met_or_missed(load < 300.0);
        trial.generator.cpu = if load < 500.0 { 0.5 } else { 0.97 };
        trial
    });
    assert_eq!(result.bound_by, BoundBy::Target);
}

#[test]
fn failures_count_even_without_an_objective() {
    let mut params = params(SearchBy::Users, 1e6);
    params.slo = parse_slo("p95<1s").unwrap();
    let result = search(params, |load, _| {
        let mut trial = met_or_missed(true);
        if load > 50.0 {
            trial.intervals.iter_mut().for_each(|interval| interval.totals.failures = 5);
        }
        trial
    });
    assert!((49.0..=50.0).contains(&result.load));
    assert_eq!(result.failed_first.as_deref(), Some("failures<2%"));
    assert_eq!(result.signal, Some(Signal::Errors));
}

#[test]
fn throughput_is_checked_at_the_answer() {
    for (slo, held) in [("p95<1s,throughput>100/s", true), ("p95<1s,throughput>900/s", false)] {
        let mut params = params(SearchBy::Users, 1e6);
        params.slo = parse_slo(slo).unwrap();
        let result = search(params, |load, _| met_or_missed(load <= 50.0));
        assert!((49.0..=50.0).contains(&result.load));
        let doubted = result.doubts.iter().any(|doubt| doubt.contains("throughput>900/s"));
        assert_eq!(doubted, !held, "{:?}", result.doubts);
    }
}

#[test]
fn growing_queue_is_missed_while_answers_are_still_fast() {
    let result = search(params(SearchBy::Rate, 1e6), |load, _| {
        let mut trial = met_or_missed(true);
        for (index, interval) in trial.intervals.iter_mut().enumerate() {
            let surplus = (load - 200.0).max(0.0) * 5.0;
            interval.in_flight = 10 + (surplus * index as f64) as u64;
        }
        trial
    });
    assert!((190.0..=205.0).contains(&result.load), "{}", result.load);
    assert_eq!(result.failed_first.as_deref(), Some("in-flight growth"));
    assert_eq!(result.signal, Some(Signal::QueueGrowth));
}

#[test]
fn short_trials_that_were_wrong_are_overruled() {
    // The first trial at 80 fails, or that at 160 holds, for no reason.
    for (liar, lie) in [(80.0, false), (160.0, true)] {
        let result = search(params(SearchBy::Users, 1e6), |load, before| {
            let honest = load <= 100.0;
            met_or_missed(if load == liar && before == 0 { lie } else { honest })
        });
        assert!((97.0..=100.0).contains(&result.load), "{liar}: {}", result.load);
        assert_eq!(result.bound_by, BoundBy::Target);
    }
}

#[test]
fn close_call_is_measured_once_more() {
    // The second trial at every load near the limit contradicts the first.
    let result = search(params(SearchBy::Users, 1e6), |load, before| {
        met_or_missed(load <= 100.0 && !(load > 90.0 && before == 1))
    });
    assert!((97.0..=100.0).contains(&result.load), "{}", result.load);
    let at_answer: Vec<_> =
        result.trials.iter().filter(|trial| trial.load == result.load).collect();
    assert_eq!(at_answer.last().unwrap().purpose, TrialPurpose::Recheck);
    assert!(result.doubts.iter().any(|doubt| doubt.contains("2 of 3 met")), "{:?}", result.doubts);
}

#[test]
fn trial_without_answers_is_missed() {
    let result = search(params(SearchBy::Users, 100.0), |_, _| TrialMeasurement::default());
    assert_eq!((result.load, result.failed_first.as_deref()), (0.0, Some("no answers")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn search_ends_in_time_and_within_range(
        rate in any::<bool>(),
        start in 0.01..2e4_f64,
        load_min in 0.01..100.0_f64,
        load_max in 0.01..1e4_f64,
        precision in 0.0..1.0_f64,
        trials_max in 0_usize..40,
        outcomes in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let by = if rate { SearchBy::Rate } else { SearchBy::Users };
        let base = params(by, load_max);
        let mut search =
            Search::new(SearchParams { start, load_min, precision, trials_max, ..base });
        let mut outcomes = outcomes.iter().cycle();
        let most = load_max.max(if rate { 0.0 } else { 1.0 });
        let mut trials = 0;
        let result = loop {
            match search.next() {
                Step::Run { load, .. } => {
                    prop_assert!(load > 0.0 && load <= most, "{load} of {most}");
                    prop_assert!(rate || load.fract() == 0.0);
                    trials += 1;
                    prop_assert!(trials <= trials_max.max(1));
                    search.observe(&met_or_missed(*outcomes.next().unwrap()));
                }
                Step::Done(result) => break result,
            }
        };
        prop_assert_eq!(result.trials.len(), trials);
        prop_assert!(result.load <= most);
        prop_assert!(result.ci.0 <= result.load && result.load <= result.ci.1);
        let met = |trial: &load::capacity::Trial| trial.load == result.load && trial.met;
        prop_assert!(result.load == 0.0 || result.trials.iter().any(met));
        prop_assert!(result.failed_load.is_none_or(|failed| failed > result.load));
    }

    #[test]
    fn any_parameters_will_do(
        rate in any::<bool>(),
        numbers in proptest::array::uniform4(any::<f64>()),
        met in any::<bool>(),
    ) {
        let by = if rate { SearchBy::Rate } else { SearchBy::Users };
        let [start, load_min, load_max, precision] = numbers;
        let base = params(by, load_max);
        let mut search = Search::new(SearchParams { start, load_min, precision, ..base });
        while let Step::Run { load, .. } = search.next() {
            prop_assert!(load > 0.0 && load.is_finite());
            search.observe(&met_or_missed(met));
        }
        prop_assert!(search.trials().count() <= 25);
    }
}
