//! `tidegate load`: send load to a target and measure it.

use clap::Args;
use config::{Look, resolve};
use load::params::LoadParams;
use load::results::RunResult;
use load::slo::{Objective, SloError, parse_slo};
use load::verdict::SloVerdict;
use load::{Control, Run, StartError};

use crate::cmd::flags::Flags;
use crate::cmd::replay::{ReplayFlags, replayed};
use crate::exit::{Exit, Failed};
use crate::keys::Keys;
use crate::output::{Output, OutputFlags};
use crate::signals;

/// Send load to a target and measure it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidegate load http://127.0.0.1:8080/ -u 50 -t 30s --slo 'p95<200ms,failures<1%'\n  \
    tidegate load shop.toml -H https://staging.example --json run.json\n  \
    tidegate load http://127.0.0.1:8080/ --rate 2000/s --users 500 -t 1m\n  \
    tidegate load --from-log access.log -H http://127.0.0.1:8080 --speed 10\n\n\
    Keys while it runs: w W one or ten users more · s S fewer · p pause · q stop.")]
pub(crate) struct LoadArgs {
    /// A URL, or a scenario file (TOML)
    #[arg(value_name = "URL|SCENARIO", required_unless_present = "from_log")]
    target: Option<String>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    replay: ReplayFlags,
    /// What must hold, such as 'p95<1s,failures<1%'; exit code 1 if it does not
    #[arg(long, value_name = "LIST", value_parser = slo_list)]
    slo: Option<SloList>,
    /// Stop as soon as an objective is missed
    #[arg(long)]
    abort_on_slo: bool,
    #[command(flatten)]
    output: OutputFlags,
    /// Check the scenario and its settings, and send nothing
    #[arg(long)]
    check: bool,
}

/// A list of objectives, as one value of the command line.
#[derive(Debug, Clone)]
pub(crate) struct SloList(pub(crate) Vec<Objective>);

/// Reads `p95<1s,failures<1%`.
pub(crate) fn slo_list(text: &str) -> Result<SloList, SloError> {
    parse_slo(text).map(SloList)
}

pub(crate) fn run(args: &LoadArgs) -> Result<Exit, Failed> {
    let mut settings = args.flags.settings();
    settings.slo = args.slo.clone().map(|list| list.0).unwrap_or_default();
    for objective in &mut settings.slo {
        objective.abort = args.abort_on_slo;
    }
    let rendered = |errors: config::Errors| Failed::rendered(errors.render(Look::of_stderr()));
    let params = match (&args.replay.from_log, &args.target) {
        (Some(log), _) => replayed(log, &args.replay, args.target.as_deref(), settings)?,
        (None, Some(target)) => {
            let file = args.flags.scenario(target).map_err(rendered)?;
            resolve(file.scenario, settings.or(file.settings)).map_err(rendered)?
        }
        (None, None) => return Err(Failed::usage("give a URL or a scenario file")),
    };
    if args.check {
        eprintln!("the scenario is fine: {} endpoints", params.scenario.endpoints.len());
        return Ok(Exit::Ok);
    }
    let mut output = Output::open(&args.output, &params)?;
    let result = execute(params, &mut output)?;
    output.finish(&result)?;
    Ok(exit_of(&result))
}

/// Runs the engine under the eyes of `output`, steered by keys and signals.
pub(crate) fn execute(params: LoadParams, output: &mut Output) -> Result<RunResult, Failed> {
    execute_with(params, output, |_| {})
}

/// The same; `started` is given what steers the run.
pub(crate) fn execute_with(
    params: LoadParams,
    output: &mut Output,
    started: impl FnOnce(Control),
) -> Result<RunResult, Failed> {
    load::raise_descriptor_limit();
    let model = params.model.clone();
    let run = Run::start(params).map_err(|error| start_failed(&error))?;
    signals::end_with(run.control());
    started(run.control());
    let keys = output.is_live().then(|| Keys::listen(run.control(), &model)).flatten();
    let result = run.finish(&mut |tick| output.tick(tick));
    drop(keys);
    signals::release();
    result.map_err(|error| Failed::bug(&error))
}

pub(crate) fn start_failed(error: &StartError) -> Failed {
    match error {
        StartError::NoTask => Failed::usage(error.to_string()),
        StartError::Tls(_) | StartError::Worker(_) => Failed::environment(error),
    }
}

/// What a run says to scripts. A doubtful result outweighs what it says.
pub(crate) fn exit_of(result: &RunResult) -> Exit {
    let totals = &result.totals;
    let nothing_worked = totals.requests > 0 && totals.failures == totals.requests;
    if !result.verdict.valid {
        Exit::Doubtful
    } else if result.verdict.slo == SloVerdict::Missed || nothing_worked {
        Exit::No
    } else {
        Exit::Ok
    }
}
