//! What must hold for any bytes given as a scenario, a gateway or experiments; shared by the tests and the fuzz target.

use std::path::Path;

use config::{Errors, Look, parse_experiments, parse_gateway, parse_scenario, resolve};
use gateway::params::{Action, UpstreamKind};

/// Reads `data` as a scenario file, and goes on to the parameters of a run if it is one.
///
/// # Panics
/// If an error has no place in the text, or a report does not hold its codes.
#[allow(dead_code, reason = "each fuzz target uses one of them")]
pub(crate) fn any_scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A folder that does not exist: no other file is read.
    match parse_scenario("s.toml", text, Path::new("/nonexistent")) {
        Ok(file) => {
            assert!(file.scenario.tasks.iter().any(|task| task.weight > 0));
            let endpoints = file.scenario.endpoints.len();
            let steps = file.scenario.tasks.iter().flat_map(|task| &task.steps);
            for step in steps.chain(&file.scenario.on_start).chain(&file.scenario.on_stop) {
                assert!(step.endpoint < endpoints);
                for slot in step.templates().flat_map(load::template::Template::saved_slots) {
                    assert!(slot < file.scenario.saved_names.len());
                }
            }
            if let Err(errors) = resolve(file.scenario, file.settings) {
                check_errors(&errors, text);
            }
        }
        Err(errors) => {
            check_errors(&errors, text);
            check_places(&errors);
        }
    }
}

/// Reads `data` as a gateway file beside the files of `folder`.
///
/// # Panics
/// If an error has no place in the text, or an index of an upstream is none.
#[allow(dead_code, reason = "each fuzz target uses one of them")]
pub(crate) fn any_gateway(data: &[u8], folder: &str) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_gateway("g.toml", text, Path::new(folder)) {
        Ok(params) => {
            assert!(!params.listeners.is_empty() && params.workers > 0);
            for route in &params.routes {
                if let Action::Forward(split) = &route.action {
                    assert!(split.iter().all(|(index, _)| *index < params.upstreams.len()));
                    assert!(split.iter().any(|(_, weight)| *weight > 0));
                }
                if let Some(mirror) = &route.mirror {
                    let kind = &params.upstreams[mirror.upstream].kind;
                    assert!(matches!(kind, UpstreamKind::Servers(_)));
                }
                if let Some(cache) = &route.cache {
                    assert!(cache.max_object <= cache.max_bytes);
                }
                assert!(route.rate_limits.iter().all(|limit| limit.rate.as_per_s() > 0.0));
            }
        }
        Err(errors) => {
            check_errors(&errors, text);
            check_places(&errors);
        }
    }
}

/// Reads `data` as what a gateway file beside the files of `folder` says about experiments.
///
/// # Panics
/// If an error has no place in the text.
#[allow(dead_code, reason = "each fuzz target uses one of them")]
pub(crate) fn any_experiments(data: &[u8], folder: &str) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(errors) = parse_experiments("e.toml", text, Path::new(folder)) {
        check_errors(&errors, text);
        check_places(&errors);
    }
}

fn check_places(errors: &Errors) {
    for problem in errors.iter() {
        assert!(problem.position().is_some(), "{problem} has no place");
    }
}

fn check_errors(errors: &Errors, text: &str) {
    let lines = text.split('\n').count();
    for problem in errors.iter() {
        assert!(!problem.to_string().is_empty());
        if let Some((_, line, column)) = problem.position() {
            assert!((1..=lines).contains(&line) && column >= 1);
        }
    }
    let report = errors.render(Look::Plain);
    for problem in errors.iter().take(config::ERRORS_SHOWN_MAX) {
        assert!(report.contains(&problem.full_code()));
    }
}
