//! What a virtual user does: weighted tasks of one or several steps.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use policy::Wait;

use crate::data::DataSource;
use crate::template::Template;

/// Most distinct endpoint names that one run reports; what comes later counts as [`OTHER_NAME`].
pub const ENDPOINTS_MAX: usize = 2_000;

/// The endpoint that collects what exceeds [`ENDPOINTS_MAX`].
pub const OTHER_NAME: &str = "(other)";

/// A scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether the scheme is https.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// The `Host` field value (RFC 9110 §7.2): the port only when it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default_port = if self.tls { 443 } else { 80 };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }

    /// The origin of an http or https URL; `None` for any other.
    pub fn of_url(url: &url::Url) -> Option<Origin> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Origin { tls, host, port: url.port_or_known_default()? })
    }
}

/// Everything a virtual user may do.
#[derive(Debug)]
pub struct Scenario {
    /// Tasks to choose from by weight; at least one with a weight above zero.
    pub tasks: Vec<Task>,
    /// Steps that each user runs once before its first task.
    pub on_start: Vec<Step>,
    /// Steps that each user runs once after its last task.
    pub on_stop: Vec<Step>,
    /// The wait between tasks.
    pub wait: Wait,
    /// Data sources of the templates.
    pub data: Arc<[DataSource]>,
    /// Names of saved values, by slot.
    pub saved_names: Vec<String>,
    /// Rows of the report; steps refer to them by index.
    pub endpoints: Vec<Endpoint>,
}

impl Scenario {
    /// Mean number of requests in one run of a task, by the weights of the tasks; at least one.
    pub fn requests_per_run(&self) -> f64 {
        let weight: f64 = self.tasks.iter().map(|task| f64::from(task.weight)).sum();
        let steps: f64 =
            self.tasks.iter().map(|task| f64::from(task.weight) * task.steps.len() as f64).sum();
        if weight > 0.0 { (steps / weight).max(1.0) } else { 1.0 }
    }

    /// The endpoints that a name stands for: those of all steps of the task of that name, and
    /// those of that name themselves.
    pub fn endpoints_of(&self, name: &str) -> Vec<usize> {
        let of_task = self
            .tasks
            .iter()
            .filter(|task| task.name == name)
            .flat_map(|task| task.steps.iter().map(|step| step.endpoint));
        let of_name = (0..self.endpoints.len()).filter(|&index| self.endpoints[index].name == name);
        let mut endpoints: Vec<usize> = of_task.chain(of_name).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }
}

/// A row of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name, as the report shows it.
    pub name: String,
    /// Request method.
    pub method: Method,
}

/// One thing that a user does, as a sequence of steps. A step that fails ends the task run.
#[derive(Debug)]
pub struct Task {
    /// Name.
    pub name: String,
    /// How often this task is chosen, relative to the others.
    pub weight: u32,
    /// Its requests, in order.
    pub steps: Vec<Step>,
}

/// One request and what is expected of its response.
#[derive(Debug)]
pub struct Step {
    /// Index into [`Scenario::endpoints`].
    pub endpoint: usize,
    /// Request method.
    pub method: Method,
    /// Where to send it, when not to the host of the run.
    pub origin: Option<Origin>,
    /// Path and query.
    pub target: Template,
    /// Header fields, in order, beyond those that every request has.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: Body,
    /// Checks on the response, in order.
    pub checks: Vec<Check>,
    /// Values saved from the response.
    pub saves: Vec<Save>,
    /// Total timeout of this step, when not that of the run.
    pub timeout: Option<Duration>,
}

impl Step {
    /// Whether a check or a saved value needs the body, so that it must be kept and decoded.
    pub fn needs_body(&self) -> bool {
        self.checks.iter().any(Check::needs_body)
            || self.saves.iter().any(|save| save.from.needs_body())
    }

    /// Every template of the step.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let body = match &self.body {
            Body::Template(template) => Some(template),
            Body::None | Body::Bytes(_) => None,
        };
        std::iter::once(&self.target).chain(self.headers.iter().map(|(_, value)| value)).chain(body)
    }
}

/// A request body.
#[derive(Debug, Clone)]
pub enum Body {
    /// No body.
    None,
    /// Text with placeholders; also JSON and forms, whose values are escaped as they need it.
    Template(Template),
    /// Bytes, such as those of a file.
    Bytes(bytes::Bytes),
}

/// What must hold for a response to count as a success. Without a status check, every status
/// below 400 is a success.
#[derive(Debug, Clone)]
pub enum Check {
    /// The status is one of these.
    Status(Vec<StatusRange>),
    /// A header field is present and, if a value is given, has exactly that value.
    Header {
        /// Field name.
        name: HeaderName,
        /// Expected value; `None`: any.
        value: Option<String>,
    },
    /// The decoded body holds this text.
    BodyContains(String),
    /// The decoded body matches this expression.
    BodyMatches(regex::bytes::Regex),
    /// The value at a JSON pointer (RFC 6901) equals this.
    Json {
        /// The pointer.
        pointer: String,
        /// The expected value.
        equals: serde_json::Value,
    },
    /// The service time is at most this.
    MaxTime(Duration),
}

impl Check {
    fn needs_body(&self) -> bool {
        matches!(self, Check::BodyContains(_) | Check::BodyMatches(_) | Check::Json { .. })
    }
}

/// A range of statuses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// Lowest.
    pub low: u16,
    /// Highest.
    pub high: u16,
}

impl StatusRange {
    /// Whether `status` is within.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.low..=self.high).contains(&status.as_u16())
    }
}

/// A value to keep from a response.
#[derive(Debug, Clone)]
pub struct Save {
    /// Slot in [`Scenario::saved_names`].
    pub slot: usize,
    /// Where it stands.
    pub from: SaveFrom,
}

/// Where a value stands in a response.
#[derive(Debug, Clone)]
pub enum SaveFrom {
    /// At a JSON pointer (RFC 6901); a string without its quotes, anything else as JSON.
    Json(String),
    /// In a header field.
    Header(HeaderName),
    /// In a cookie that the response sets.
    Cookie(String),
    /// The first group of a match in the body, or the whole match when there is no group.
    Regex(regex::bytes::Regex),
}

impl SaveFrom {
    fn needs_body(&self) -> bool {
        matches!(self, SaveFrom::Json(_) | SaveFrom::Regex(_))
    }
}
