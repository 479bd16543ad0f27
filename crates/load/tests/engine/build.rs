//! Short ways to build a run.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use load::params::{HttpParams, LoadParams, Model, Stop, Watch};
use load::results::RunResult;
use load::scenario::{Body, Endpoint, Origin as Place, Scenario, Step, Task};
use load::template::{Symbols, Template};
use policy::{Curve, Wait};

/// A step that gets `target`, counted under endpoint `endpoint`.
pub(crate) fn get(endpoint: usize, target: &str, symbols: &Symbols) -> Step {
    Step {
        endpoint,
        method: Method::GET,
        origin: None,
        target: Template::parse_target(target, symbols).unwrap(),
        headers: Vec::new(),
        body: Body::None,
        checks: Vec::new(),
        saves: Vec::new(),
        timeout: None,
    }
}

/// A scenario of tasks (weight, steps); endpoints are named after the indices that steps use.
pub(crate) fn scenario(tasks: Vec<(u32, Vec<Step>)>) -> Scenario {
    let last =
        tasks.iter().flat_map(|(_, steps)| steps).map(|step| step.endpoint).max().unwrap_or(0);
    let name = |index: usize| Endpoint { name: format!("e{index}"), method: Method::GET };
    Scenario {
        tasks: tasks
            .into_iter()
            .enumerate()
            .map(|(index, (weight, steps))| Task { name: format!("task {index}"), weight, steps })
            .collect(),
        on_start: Vec::new(),
        on_stop: Vec::new(),
        wait: Wait::None,
        data: Arc::new([]),
        saved_names: Vec::new(),
        endpoints: (0..=last).map(name).collect(),
    }
}

/// The scenario of one GET.
pub(crate) fn one(target: &str) -> Scenario {
    scenario(vec![(1, vec![get(0, target, &Symbols::default())])])
}

pub(crate) fn place(url: &str) -> Place {
    Place::of_url(&url::Url::parse(url).unwrap()).unwrap()
}

/// `users` users against `url`, until `requests` requests are made.
pub(crate) fn closed(url: &str, scenario: Scenario, users: u32, requests: u64) -> LoadParams {
    LoadParams {
        scenario: Arc::new(scenario),
        model: Model::Closed { users: Curve::constant(f64::from(users)).unwrap() },
        stop: Stop { run_time: None, requests: Some(requests) },
        http: HttpParams::new(place(url)),
        slo: Vec::new(),
        workers: 2,
        seed: 42,
        drain: Duration::from_secs(5),
        watch: Watch::default(),
    }
}

/// `per_s` arrivals per second for `run_time`.
pub(crate) fn open(url: &str, per_s: f64, users_max: u32, run_time: Duration) -> LoadParams {
    LoadParams {
        model: Model::Open {
            rate: Curve::constant(per_s).unwrap(),
            arrivals: policy::ArrivalKind::Deterministic,
            users_max,
        },
        stop: Stop { run_time: Some(run_time), requests: None },
        ..closed(url, one("/"), 1, 0)
    }
}

/// Runs to the end.
pub(crate) fn run(params: LoadParams) -> RunResult {
    load::Run::start(params).unwrap().finish(&mut |_| {}).unwrap()
}
