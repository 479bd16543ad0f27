//! `tidegate load --from-log`: an access log becomes a recording that the engine replays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use config::{LoadSettings, Look, resolve};
use load::params::{LoadParams, Model, OPEN_USERS_DEFAULT, Stop};
use load::replay::{Replay, ReplayBuilder};
use load::scenario::{Body, Scenario, Step, Task};
use load::template::Template;
use policy::Wait;

use crate::exit::{Exit, Failed};

/// Replaying a log.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replay")]
pub(crate) struct ReplayFlags {
    /// Replay this access log (combined, common or JSON, also compressed; - is stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) from_log: Option<PathBuf>,
    /// How many times faster than recorded
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "from_log")]
    pub(crate) speed: f64,
    /// Start again at the end, until the run time is over
    #[arg(long = "loop", requires = "from_log")]
    pub(crate) repeat: bool,
    /// Send requests of every method, not only GET and HEAD
    #[arg(long, requires = "from_log")]
    pub(crate) unsafe_methods: bool,
}

/// The parameters of a replay.
pub(crate) fn replayed(
    log: &Path,
    flags: &ReplayFlags,
    target: Option<&str>,
    mut settings: LoadSettings,
) -> Result<LoadParams, Failed> {
    if !(flags.speed.is_finite() && flags.speed > 0.0) {
        return Err(Failed::usage(format!("--speed {} is not a number above zero", flags.speed)));
    }
    if let (None, Some(target)) = (&settings.host, target) {
        settings.host = Some(
            target.parse().map_err(|error: config::ValueError| Failed::usage(error.to_string()))?,
        );
    }
    if settings.host.is_none() {
        return Err(Failed::usage("a replay needs --host, the URL of the target"));
    }
    if flags.repeat && settings.run_time.is_none() && settings.requests.is_none() {
        return Err(Failed::usage("--loop needs an end: give --run-time or --requests"));
    }
    let replay = Arc::new(read(log, flags.unsafe_methods)?);
    let account = &replay.account;
    eprintln!(
        "{}: {} lines, {} requests, {} rejected, {} skipped by method, over {:.0?}",
        log.display(),
        account.lines,
        account.parsed,
        account.rejected_total(),
        account.skipped_total(),
        replay.length().div_f64(flags.speed),
    );
    for (reason, count) in &account.rejected {
        eprintln!("  rejected: {count} × {reason}");
    }
    let stop = Stop { run_time: settings.run_time, requests: settings.requests };
    let users_max = settings.users.unwrap_or(OPEN_USERS_DEFAULT);
    let scenario = scenario_of(&replay);
    let params = resolve(scenario, settings)
        .map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))?;
    let model = Model::Replay { replay, speed: flags.speed, repeat: flags.repeat, users_max };
    Ok(LoadParams { model, stop, ..params })
}

fn read(log: &Path, unsafe_methods: bool) -> Result<Replay, Failed> {
    let mut reader = logs::open(log).map_err(|error| Failed::environment(&error))?;
    let mut builder = ReplayBuilder::new(unsafe_methods);
    let mut too_long = None;
    let read = reader.for_each(|line| match line {
        Ok(hit) => {
            if let Err(error) = builder.hit(&hit) {
                too_long.get_or_insert(error);
            }
        }
        Err(reject) => builder.rejected(&reject.reason.to_string()),
    });
    if let Err(error) = read {
        // What came before the damage is good, and the account shows the cut.
        eprintln!("warning: {}", Failed::environment(&error).message);
    }
    if let Some(error) = too_long {
        return Err(Failed::usage(error.to_string()));
    }
    builder
        .finish()
        .map_err(|error| Failed { exit: Exit::Usage, message: format!("error: {error}") })
}

/// A scenario whose endpoints are those of the recording. Its only task is never chosen; it stands
/// for the rule that a scenario has one.
fn scenario_of(replay: &Replay) -> Scenario {
    let step = Step {
        endpoint: 0,
        method: http_method(replay),
        origin: None,
        target: Template::literal("/"),
        headers: Vec::new(),
        body: Body::None,
        checks: Vec::new(),
        saves: Vec::new(),
        timeout: None,
    };
    Scenario {
        tasks: vec![Task { name: "replay".to_owned(), weight: 1, steps: vec![step] }],
        on_start: Vec::new(),
        on_stop: Vec::new(),
        wait: Wait::None,
        data: Arc::new([]),
        saved_names: Vec::new(),
        endpoints: replay.endpoints.clone(),
    }
}

fn http_method(replay: &Replay) -> hyper::Method {
    replay.endpoints.first().map_or(hyper::Method::GET, |endpoint| endpoint.method.clone())
}
