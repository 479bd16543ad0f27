//! The last validation: settings that fit together, defaults for the rest, and the parameters
//! that the engine takes.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use load::params::{
    Burst, HttpParams, Limits, LoadParams, Model, OPEN_USERS_DEFAULT, Stop, Timeouts, TlsParams,
    USERS_MAX, WORKERS_MAX, Watch,
};
use load::scenario::{Origin, Scenario};
use policy::{ArrivalKind, Curve, Stage};
use traffic::Rate;
use traffic::units::DURATION_MAX;

use crate::errors::{Code, Errors, Kind, Problem, Sink};
use crate::host::Host;
use crate::settings::{Level, LoadSettings};

/// Users of a closed model, when nobody says how many.
pub const USERS_DEFAULT: u32 = 10;
/// How long a run lasts at its full load, when nobody says when it ends.
pub const RUN_TIME_DEFAULT: Duration = Duration::from_secs(10);
/// The pause between bursts, when nobody says how long.
pub const BURST_PAUSE_DEFAULT: (Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(15));
/// How long requests under way may go on after the end.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(5);
/// The seed, when nobody gives one: runs of the same scenario make the same choices.
pub const SEED_DEFAULT: u64 = 1;

/// Joins a scenario and its settings into the parameters of a run.
///
/// # Errors
/// Everything that does not fit together; each with its places when they stand in a file.
pub fn resolve(scenario: Scenario, settings: LoadSettings) -> Result<LoadParams, Errors> {
    let sink = Sink::new(Kind::Scenario, settings.places.file.clone());
    let model = read_model(&settings, &sink);
    let tls = read_tls(&settings, &sink);
    let host = find_host(&scenario, &settings, &sink);
    if !scenario.tasks.iter().any(|task| task.weight > 0) {
        sink.add(Problem::new(Code::NoTask, "no task has a weight above zero"));
    }
    for pid in settings.watch_pids.iter().filter(|pid| **pid == 0) {
        sink.add(Problem::new(Code::BadNumber, format!("{pid} is not a process to watch")));
    }
    let params = model.zip(host).zip(tls).map(|(((model, stop), host), tls)| {
        let users = match &model {
            Model::Closed { users } => users.max() as usize,
            Model::Open { users_max, .. } | Model::Replay { users_max, .. } => *users_max as usize,
            Model::Burst(burst) => burst.size as usize,
        };
        // More workers than users would leave some with nothing to do.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = settings.workers.unwrap_or(cores).min(users).clamp(1, WORKERS_MAX);
        let scenario = Scenario { wait: settings.wait.unwrap_or(scenario.wait), ..scenario };
        LoadParams {
            scenario: Arc::new(scenario),
            model,
            stop,
            slo: settings.slo.clone(),
            workers,
            seed: settings.seed.unwrap_or(SEED_DEFAULT),
            drain: settings.drain.unwrap_or(DRAIN_DEFAULT),
            watch: Watch {
                pids: settings.watch_pids.clone(),
                prometheus: settings.watch_prometheus.clone(),
            },
            http: http_params(settings, host, tls),
        }
    });
    sink.finish(params)
}

/// Reports what does not fit together within one file.
pub(crate) fn check_model(settings: &LoadSettings, sink: &Sink) {
    // Only what is reported matters here; flags may still change the model.
    let _ = (read_model(settings, sink), read_tls(settings, sink));
}

/// Which settings say how requests are started.
fn read_model(settings: &LoadSettings, sink: &Sink) -> Option<(Model, Stop)> {
    let check = Check { settings, sink };
    let stages_are_users =
        settings.stages.first().is_some_and(|stage| matches!(stage.target, Level::Users(_)));
    let kinds = [
        ("rate", settings.rate.is_some()),
        ("stages", !settings.stages.is_empty()),
        ("preset", settings.preset.is_some()),
        ("burst", settings.burst.is_some()),
    ];
    // A value that could not be read has a place, and says what was meant.
    let given =
        |(key, set): &(&'static str, bool)| (*set || check.place(key).is_some()).then_some(*key);
    let mut given = kinds.iter().filter_map(given);
    let kind = given.next();
    let mut fits = true;
    for other in given {
        fits &= check.conflict(kind?, other, "a run has one load model");
    }
    if let (Some(kind), true) = (kind, settings.spawn_rate.is_some()) {
        fits &= check.conflict(kind, "spawn-rate", "`spawn-rate` is for a fixed number of `users`");
    }
    if settings.users.is_some() && (kind == Some("burst") || stages_are_users) {
        fits &= check.conflict(kind?, "users", "it already says how many users there are");
    }
    let open = matches!(kind, Some("rate" | "preset" | "stages")) && !stages_are_users;
    if settings.arrivals.is_some() && !open {
        let problem = Problem::new(Code::Conflict, "`arrivals` is for a load model with a rate");
        sink.add(problem.at(check.place("arrivals"), "").help("give a `rate`, or leave it out"));
        fits = false;
    }
    if settings.users.is_some_and(|users| users == 0 || users > USERS_MAX) {
        fits &= check.bad_number("users", &format!("from 1 to {USERS_MAX}"));
    }
    if settings.requests == Some(0) {
        fits &= check.bad_number("requests", "above zero");
    }
    if settings.workers.is_some_and(|workers| workers == 0 || workers > WORKERS_MAX) {
        fits &= check.bad_number("workers", &format!("from 1 to {WORKERS_MAX}"));
    }
    let zero = |rate: Option<Rate>| rate.is_some_and(|rate| rate.as_per_s() <= 0.0);
    if zero(settings.rate) {
        fits &= check.bad_number("rate", "above zero");
    }
    if zero(settings.spawn_rate) {
        fits &= check.bad_number("spawn-rate", "above zero");
    }
    if settings.run_time == Some(Duration::ZERO) {
        fits &= check.bad_number("run-time", "above zero");
    }
    let (model, length) = check.build(stages_are_users)?;
    let run_time = match (settings.run_time, settings.requests) {
        (Some(run_time), _) => Some(run_time),
        (None, Some(_)) if kind.is_none() || kind == Some("rate") => None,
        (None, _) => length,
    };
    fits.then_some((model, Stop { run_time, requests: settings.requests }))
}

struct Check<'a> {
    settings: &'a LoadSettings,
    sink: &'a Sink,
}

impl Check<'_> {
    fn place(&self, key: &str) -> Option<miette::SourceSpan> {
        self.settings.places.spans.get(key).copied()
    }

    /// Always false, as what it reports does not fit.
    fn conflict(&self, first: &str, second: &str, help: &str) -> bool {
        let message = format!("`{first}` and `{second}` exclude each other");
        let problem = Problem::new(Code::Conflict, message)
            .at(self.place(second), "this")
            .at(self.place(first), "and this")
            .help(help);
        self.sink.add(problem);
        false
    }

    /// Always false, as what it reports does not fit.
    fn bad_number(&self, key: &str, expected: &str) -> bool {
        let message = format!("`{key}` must be {expected}");
        self.sink.add(Problem::new(Code::BadNumber, message).at(self.place(key), ""));
        false
    }

    /// The model, and how long it lasts by itself.
    fn build(&self, stages_are_users: bool) -> Option<(Model, Option<Duration>)> {
        let settings = self.settings;
        let arrivals = settings.arrivals.unwrap_or(ArrivalKind::Deterministic);
        let users_max = settings.users.unwrap_or(OPEN_USERS_DEFAULT);
        if let Some(burst) = settings.burst {
            let (size, cycles) = (burst.size, burst.cycles.unwrap_or(1));
            if size == 0 || size > USERS_MAX || cycles == 0 {
                self.bad_number(
                    "burst",
                    &format!("a size from 1 to {USERS_MAX}, in at least one cycle"),
                );
                return None;
            }
            let pause = burst.pause.unwrap_or(BURST_PAUSE_DEFAULT);
            return Some((Model::Burst(Burst { size, cycles, pause }), None));
        }
        if let Some(preset) = settings.preset {
            let (users, length, per_s) = preset.values();
            let users_max = settings.users.unwrap_or(users);
            let rate = Curve::constant(per_s).ok()?;
            return Some((Model::Open { rate, arrivals, users_max }, Some(length)));
        }
        if !settings.stages.is_empty() {
            let curve = self.staged(stages_are_users)?;
            let length = Some(curve.end());
            return Some(match stages_are_users {
                true => (Model::Closed { users: curve }, length),
                false => (Model::Open { rate: curve, arrivals, users_max }, length),
            });
        }
        if let Some(rate) = settings.rate {
            let rate = Curve::constant(rate.as_per_s()).ok()?;
            return Some((Model::Open { rate, arrivals, users_max }, Some(RUN_TIME_DEFAULT)));
        }
        let users = f64::from(settings.users.unwrap_or(USERS_DEFAULT));
        let users = match settings.spawn_rate {
            Some(per_s) if users / per_s.as_per_s() > DURATION_MAX.as_secs_f64() => {
                self.bad_number("spawn-rate", "high enough to start all users within ten years");
                return None;
            }
            Some(per_s) => Curve::ramp(users, per_s.as_per_s()).ok()?,
            None => Curve::constant(users).ok()?,
        };
        let length = users.end() + RUN_TIME_DEFAULT;
        Some((Model::Closed { users }, Some(length)))
    }

    fn staged(&self, stages_are_users: bool) -> Option<Curve> {
        let mut stages = Vec::new();
        for stage in &self.settings.stages {
            let target = match stage.target {
                Level::Users(users) if stages_are_users => f64::from(users),
                Level::Rate(rate) if !stages_are_users => rate.as_per_s(),
                _ => {
                    let message = "`stages` mix users and rates";
                    let problem =
                        Problem::new(Code::Conflict, message).at(self.place("stages"), "");
                    self.sink.add(
                        problem.help("write every target as a number, or every one as \"100/s\""),
                    );
                    return None;
                }
            };
            stages.push(Stage { target, duration: stage.duration });
        }
        let curve = Curve::staged(0.0, &stages).ok();
        if !curve
            .as_ref()
            .is_some_and(|curve| curve.max() > 0.0 && curve.max() <= self.most(stages_are_users))
        {
            self.bad_number("stages", &format!("at most {USERS_MAX} users, and not always zero"));
            return None;
        }
        if curve.as_ref().is_some_and(|curve| curve.end().is_zero())
            && self.settings.run_time.is_none()
        {
            self.bad_number("stages", "longer than no time, unless `run-time` is given");
            return None;
        }
        curve
    }

    fn most(&self, stages_are_users: bool) -> f64 {
        if stages_are_users { f64::from(USERS_MAX) } else { traffic::units::RATE_MAX_PER_S }
    }
}

/// The host of the settings, or that of the steps when each of them names its own.
fn find_host(scenario: &Scenario, settings: &LoadSettings, sink: &Sink) -> Option<Host> {
    if let Some(host) = &settings.host {
        return Some(host.clone());
    }
    let steps = scenario.tasks.iter().flat_map(|task| &task.steps);
    let mut origins =
        steps.chain(&scenario.on_start).chain(&scenario.on_stop).map(|step| &step.origin);
    let first = origins.next().cloned().flatten();
    match first {
        Some(origin) if origins.all(Option::is_some) => {
            Some(Host { origin: Origin::clone(&origin), base_path: String::new() })
        }
        _ => {
            let problem = Problem::new(Code::NoHost, "there is no host to send requests to");
            let help = "set `host = \"https://...\"` at the top of the file, or give `--host`";
            sink.add(problem.help(help));
            None
        }
    }
}

fn read_tls(settings: &LoadSettings, sink: &Sink) -> Option<TlsParams> {
    let client = match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        (cert, _) => {
            let (here, missing) = if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
            let at = settings.places.spans.get(here).copied();
            let message = format!("a client certificate needs `{missing}` beside `{here}`");
            sink.add(Problem::new(Code::MissingKey, message).at(at, ""));
            return None;
        }
    };
    Some(TlsParams {
        ca: settings.ca.clone(),
        client,
        server_name: settings.server_name.clone(),
        insecure: settings.insecure.unwrap_or(false),
    })
}

fn http_params(settings: LoadSettings, host: Host, tls: TlsParams) -> HttpParams {
    let defaults = HttpParams::new(host.origin);
    let timeouts = defaults.timeouts;
    let limits = defaults.limits;
    let bytes = |given: Option<u64>, default: usize| {
        given.map_or(default, |given| usize::try_from(given).unwrap_or(usize::MAX))
    };
    HttpParams {
        base_path: host.base_path,
        version: settings.http_version.unwrap_or(defaults.version),
        keep_alive: settings.keep_alive.unwrap_or(defaults.keep_alive),
        connection_requests: settings.requests_per_connection.or(defaults.connection_requests),
        connection_age: settings.connection_age.or(defaults.connection_age),
        redirects: settings.redirects.unwrap_or(defaults.redirects),
        cookies: settings.cookies.unwrap_or(defaults.cookies),
        compression: settings.compression.unwrap_or(defaults.compression),
        user_agent: settings.user_agent.unwrap_or(defaults.user_agent),
        timeouts: Timeouts {
            connect: settings.connect_timeout.unwrap_or(timeouts.connect),
            response: settings.response_timeout.unwrap_or(timeouts.response),
            total: settings.total_timeout.unwrap_or(timeouts.total),
        },
        limits: Limits {
            head_bytes: bytes(settings.head_limit, limits.head_bytes),
            body_bytes: settings.body_limit.unwrap_or(limits.body_bytes),
            kept_body_bytes: bytes(settings.kept_body_limit, limits.kept_body_bytes),
        },
        tls,
        connect_to: settings.connect_to,
        dns: settings.dns.unwrap_or(defaults.dns),
        origin: defaults.origin,
    }
}
