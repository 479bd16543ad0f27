//! A run made ready: what all workers share and never change.

use std::sync::Arc;
use std::time::Duration;

use crate::params::{HttpParams, LoadParams};
use crate::request::Prepared;

/// Everything that is the same for all workers of a run.
pub(crate) struct Plan {
    pub(crate) params: LoadParams,
    pub(crate) http: Arc<HttpParams>,
    pub(crate) prepared: PreparedScenario,
    /// Give up an arrival that could not be sent for this long: its sender would have timed out.
    pub(crate) give_up: Duration,
    /// How often counters are handed over.
    pub(crate) tick: Duration,
}

/// The prepared form of every step, in the shape of the scenario.
pub(crate) struct PreparedScenario {
    pub(crate) tasks: Vec<Vec<Prepared>>,
    pub(crate) start: Vec<Prepared>,
    pub(crate) stop: Vec<Prepared>,
    /// Running sums of the task weights.
    pub(crate) weights: Vec<u64>,
    /// Data sources that each task draws from.
    pub(crate) sources: Vec<Vec<usize>>,
}

/// Where a step stands in the scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StepRef {
    Start(usize),
    Stop(usize),
    Task(usize, usize),
}

impl StepRef {
    pub(crate) fn start_steps(plan: &Plan) -> impl Iterator<Item = StepRef> + use<> {
        (0..plan.prepared.start.len()).map(StepRef::Start)
    }

    pub(crate) fn stop_steps(plan: &Plan) -> impl Iterator<Item = StepRef> + use<> {
        (0..plan.prepared.stop.len()).map(StepRef::Stop)
    }

    pub(crate) fn task_steps(plan: &Plan, task: usize) -> impl Iterator<Item = StepRef> + use<> {
        (0..plan.prepared.tasks[task].len()).map(move |step| StepRef::Task(task, step))
    }
}

/// An arrival that a user is to serve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// When it was due, as an offset since the start of the run.
    pub(crate) intended: Duration,
    /// Which request of a recording it is.
    pub(crate) request: Option<u32>,
}
