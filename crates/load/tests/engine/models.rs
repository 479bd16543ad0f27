//! Closed, open, burst and replayed load; stopping and steering it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use load::data::{DataSource, Per, Pick};
use load::params::{Burst, Model, Stop};
use load::replay::ReplayBuilder;
use load::scenario::Scenario;
use load::template::Symbols;
use load::verdict::{BoundBy, SloVerdict};
use policy::{Curve, Stage, Wait};
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};
use traffic::Hit;

use crate::build::{closed, get, one, open, run, scenario};

fn slow(delay_ms: u64) -> Origin {
    let delay = Duration::from_millis(delay_ms);
    let response = Response { delay, ..Response::default() };
    Origin::start(OriginConfig::new(Behaviour::Respond(response))).unwrap()
}

#[test]
fn exactly_as_many_requests_as_asked_for() {
    let origin = slow(0);
    for requests in [1, 7, 1_000] {
        let before = origin.count();
        let result = run(closed(&origin.url(), one("/"), 20, requests));
        assert_eq!((result.totals.requests, origin.count() - before), (requests, requests));
    }
}

#[test]
fn whoever_comes_to_wait_after_the_end_leaves() {
    // The answers come when the run is over; it ends with them, and not when the waits do.
    let origin = slow(300);
    let mut params = closed(&origin.url(), one("/"), 5, 1_000);
    params.stop = Stop { run_time: Some(Duration::from_millis(100)), requests: None };
    Arc::get_mut(&mut params.scenario).unwrap().wait = Wait::Constant(Duration::from_secs(86_400));
    params.drain = Duration::from_secs(86_400);
    assert_eq!(run(params).totals.requests, 5);
}

#[test]
fn an_open_model_sends_every_arrival_or_says_that_it_did_not() {
    // Two users at 100 ms each can serve 20 a second of the 200 that are due.
    let origin = slow(100);
    // Short of the two seconds from which on the generator is judged.
    let mut params = open(&origin.url(), 200.0, 2, Duration::from_millis(1_500));
    params.http.timeouts.total = Duration::from_millis(500);
    params.drain = Duration::from_millis(200);
    let result = run(params);
    let totals = &result.totals;
    assert_eq!(totals.requests + totals.unsent, 300);
    assert!(totals.unsent > 200, "{}", totals.unsent);
    assert_eq!(totals.response.count(), 300);
    assert_eq!(origin.in_flight_max(), 2);
    assert_eq!(result.verdict.bound_by, BoundBy::Target);
    assert!(result.verdict.valid);
}

#[test]
fn a_number_of_requests_ends_open_and_burst_runs_too() {
    let origin = slow(5);
    let mut params = open(&origin.url(), 500.0, 20, Duration::from_secs(60));
    params.stop.requests = Some(100);
    assert_eq!(run(params).totals.requests, 100);
    assert_eq!(origin.count(), 100);
    let mut params = closed(&origin.url(), one("/"), 1, 33);
    let pause = (Duration::from_millis(10), Duration::from_millis(20));
    params.model = Model::Burst(Burst { size: 10, cycles: 1_000, pause });
    assert_eq!(run(params).totals.requests, 33);
}

#[test]
fn arrivals_without_data_are_unsent_and_end_the_run() {
    let origin = slow(0);
    let symbols =
        Symbols { data: vec![("d".to_owned(), vec!["x".to_owned()])], ..Symbols::default() };
    let with_data = || {
        let mut scenario = scenario(vec![(1, vec![get(0, "/{{d.x}}", &symbols)])]);
        let rows = (0..5).map(|row| vec![row.to_string()]).collect();
        let columns = vec!["x".to_owned()];
        let source = DataSource::from_rows("d", columns, rows, Pick::EachOnce, Per::Iteration);
        scenario.data = Arc::new([source]);
        Arc::new(scenario)
    };
    let mut params = open(&origin.url(), 200.0, 4, Duration::from_secs(60));
    params.scenario = with_data();
    let totals = run(params.clone()).totals;
    assert_eq!(totals.requests, 5);
    assert!(totals.unsent >= 1, "{}", totals.unsent);
    let pause = (Duration::from_millis(10), Duration::from_millis(20));
    params.model = Model::Burst(Burst { size: 4, cycles: 100, pause });
    params.stop = Stop::default();
    assert_eq!(run(params).totals.requests, 5);
}

#[test]
fn stages_move_users_up_and_down() {
    let origin = slow(5);
    let mut scenario = one("/");
    scenario.wait = Wait::Constant(Duration::from_millis(20));
    let mut params = closed(&origin.url(), scenario, 1, 0);
    let stage = |target: f64, millis| Stage { target, duration: Duration::from_millis(millis) };
    let stages = [stage(10.0, 1_000), stage(10.0, 1_000), stage(2.0, 1_000), stage(2.0, 1_100)];
    params.model = Model::Closed { users: Curve::staged(0.0, &stages).unwrap() };
    params.stop.requests = None;
    params.stop.run_time = Some(Duration::from_millis(4_100));
    let users: Vec<u64> = run(params).series.iter().map(|point| point.users).collect();
    assert!(users[1] == 10, "{users:?}");
    assert!(users[3] == 2, "{users:?}");
}

#[test]
fn bursts_start_together_and_are_reported_one_by_one() {
    let origin = slow(50);
    let mut params = closed(&origin.url(), one("/"), 1, 0);
    let pause = (Duration::from_millis(50), Duration::from_millis(100));
    params.model = Model::Burst(Burst { size: 30, cycles: 3, pause });
    params.stop = Stop::default();
    let result = run(params);
    assert_eq!(origin.count(), 90);
    assert_eq!(origin.in_flight_max(), 30);
    let requests: Vec<(u64, u64)> =
        result.bursts.iter().map(|burst| (burst.requests, burst.successes)).collect();
    assert_eq!(requests, [(30, 30); 3]);
    assert_eq!(result.users_max, 30);
    for pair in result.bursts.windows(2) {
        assert!(pair[1].at >= pair[0].at + pair[0].duration + pause.0);
    }
}

#[test]
fn a_recording_is_replayed_with_its_timing_and_agents() {
    let origin = slow(0);
    let mut builder = ReplayBuilder::new(false);
    for (at_ms, target, agent) in
        [(0, "/a?x=1", "one"), (500, "/b", "two"), (1_000, "/a?x=1", "one")]
    {
        let hit = Hit {
            start_us: at_ms * 1_000,
            method: b"GET",
            target: target.as_bytes(),
            agent: Some(agent.as_bytes()),
            ..Hit::default()
        };
        builder.hit(&hit).unwrap();
    }
    let replay = Arc::new(builder.finish().unwrap());
    let empty = Scenario { endpoints: replay.endpoints.clone(), ..scenario(vec![]) };
    let mut params = closed(&origin.url(), empty, 1, 0);
    params.model = Model::Replay { replay, speed: 2.0, repeat: false, users_max: 10 };
    params.stop = Stop::default();
    let result = run(params);
    assert_eq!(result.totals.requests, 3);
    let seen = origin.requests();
    let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/a?x=1", "/b", "/a?x=1"]);
    assert_eq!(seen[1].header("user-agent"), Some("two"));
    let gap = (seen[2].at - seen[0].at).as_secs_f64();
    assert!((gap - 0.5).abs() < 0.1, "{gap}");
}

#[test]
fn a_run_can_be_paused_resumed_rescaled_and_stopped() {
    let origin = slow(1);
    let mut scenario = one("/");
    scenario.wait = Wait::Constant(Duration::from_millis(10));
    let mut params = closed(&origin.url(), scenario, 4, 0);
    params.stop = Stop { run_time: Some(Duration::from_secs(60)), requests: None };
    let run = load::Run::start(params).unwrap();
    let control = run.control();
    let mut seen = Vec::new();
    let result = run
        .finish(&mut |tick| {
            seen.push((tick.point.users, tick.point.requests_per_s));
            match seen.len() {
                1 => control.set_users(9),
                2 => control.pause(),
                4 => control.resume(),
                5 => control.stop(),
                _ => {}
            }
        })
        .unwrap();
    assert!(result.interrupted);
    assert_eq!((seen[0].0, seen[1].0), (4, 9), "{seen:?}");
    // The third and fourth second lie in the pause, but for what was under way.
    assert!(seen[3].1 == 0.0, "{seen:?}");
    assert!(seen[4].1 > 0.0, "{seen:?}");
}

#[test]
fn a_missed_objective_can_stop_the_run() {
    let origin = slow(50);
    let mut params = closed(&origin.url(), one("/"), 5, 0);
    params.stop = Stop { run_time: Some(Duration::from_secs(60)), requests: None };
    params.slo = load::slo::parse_slo("p95<10ms").unwrap();
    params.slo[0].abort = true;
    let result = run(params);
    assert_eq!(result.verdict.slo, SloVerdict::Missed);
    assert!(result.duration < Duration::from_secs(30));
}

#[test]
fn start_and_stop_steps_run_once_per_user() {
    let origin = slow(0);
    let mut scenario = scenario(vec![(1, vec![get(0, "/task", &Symbols::default())])]);
    scenario.on_start = vec![get(0, "/start", &Symbols::default())];
    scenario.on_stop = vec![get(0, "/stop", &Symbols::default())];
    let mut params = closed(&origin.url(), scenario, 6, 0);
    params.stop = Stop { run_time: Some(Duration::from_millis(500)), requests: None };
    run(params);
    let counts = origin.counts_by_target();
    assert_eq!((counts["/start"], counts["/stop"]), (6, 6));
    assert!(counts["/task"] > 6);
    assert!(origin.requests().iter().all(|request| request.method == Method::GET.as_str()));
}
