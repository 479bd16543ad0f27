//! `tidegate capacity`: how much the target holds.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use config::{Look, resolve};
use load::capacity::{
    CapacityError, CapacityResult, Progress, SearchBy, SearchParams, TrialLengths, find,
};
use load::params::{LoadParams, USERS_MAX};
use load::verdict::BoundBy;
use traffic::units::parse_duration;

use crate::cmd::flags::Flags;
use crate::cmd::load::{SloList, slo_list, start_failed};
use crate::exit::{Exit, Failed};
use crate::output::{style_of_stdout, write_file};
use crate::signals;

/// Highest arrival rate that is tried, unless --max says otherwise.
const RATE_MAX: f64 = 1e6;

/// Find how many users, or requests per second, a target holds
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidegate capacity http://127.0.0.1:8080/ --slo 'p95<100ms,failures<1%'\n  \
    tidegate capacity shop.toml --by users --slo 'p95<1s' --json capacity.json")]
pub(crate) struct CapacityArgs {
    /// A URL, or a scenario file (TOML)
    #[arg(value_name = "URL|SCENARIO")]
    target: String,
    /// What must hold, such as 'p95<1s,failures<1%'; by default the scenario's, or p95<1s,failures<1%
    #[arg(long, value_name = "LIST", value_parser = slo_list)]
    slo: Option<SloList>,
    /// What to vary; by default users for a scenario and the rate for a URL
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// First load to try
    #[arg(long, value_name = "N")]
    start: Option<f64>,
    /// Highest load to try
    #[arg(long, value_name = "N")]
    max: Option<f64>,
    /// Relative precision of the answer, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    precision: f64,
    /// Length of a short trial; the others follow from it
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    trial: Option<Duration>,
    /// Trials of one to three seconds: a rough answer soon
    #[arg(long, conflicts_with = "trial")]
    quick: bool,
    /// Most trials
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    /// Write the result as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say nothing on the way
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    flags: Flags,
}

/// What a search varies.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// Users who wait for answers
    Users,
    /// Arrivals per second
    Rate,
}

pub(crate) fn run(args: &CapacityArgs) -> Result<Exit, Failed> {
    let rendered = |errors: config::Errors| Failed::rendered(errors.render(Look::of_stderr()));
    let file = args.flags.scenario(&args.target).map_err(rendered)?;
    let mut params =
        resolve(file.scenario, args.flags.settings().or(file.settings)).map_err(rendered)?;
    if let Some(list) = &args.slo {
        params.slo.clone_from(&list.0);
    }
    if params.slo.is_empty() {
        params.slo =
            load::slo::parse_slo("p95<1s,failures<1%").map_err(|error| Failed::bug(&error))?;
    }
    let is_url = args.target.contains("://");
    let by = match args.by {
        Some(By::Users) => SearchBy::Users,
        Some(By::Rate) => SearchBy::Rate,
        None if is_url => SearchBy::Rate,
        None => SearchBy::Users,
    };
    let search = search_params(args, by, &params);
    let result = search_for(&params, search, args.quiet)?;
    if let Some(path) = &args.json {
        write_file(path, &format!("{:#}\n", report::json::capacity_json(&result)))?;
    }
    if args.json.as_deref() != Some(std::path::Path::new("-")) {
        print!("{}", report::terminal::capacity_text(&result, style_of_stdout()));
    }
    Ok(exit_of(&result))
}

fn search_params(args: &CapacityArgs, by: SearchBy, params: &LoadParams) -> SearchParams {
    let load_max = args.max.unwrap_or(match by {
        SearchBy::Users => f64::from(USERS_MAX.min(20_000)),
        SearchBy::Rate => RATE_MAX,
    });
    let mut search = SearchParams::new(by, params.slo.clone(), load_max);
    if let Some(start) = args.start {
        search.start = start;
    }
    search.precision = args.precision / 100.0;
    search.seed = params.seed;
    if let Some(trials) = args.trials {
        search.trials_max = trials;
    }
    search.lengths = match args.trial {
        _ if args.quick => TrialLengths::QUICK,
        Some(short) => TrialLengths {
            short,
            long: short.mul_f64(2.5),
            confirm: short * 5,
            warm_up: (short / 5).min(TrialLengths::default().warm_up),
        },
        None => TrialLengths::default(),
    };
    if by == SearchBy::Users && args.trial.is_none() && !args.quick {
        let wait = Duration::from_secs_f64(params.scenario.wait.mean_s());
        search.lengths = search.lengths.for_cycle(wait);
    }
    search
}

/// Searches, and tells on stderr how it goes. A signal ends it with the answer so far.
pub(crate) fn search_for(
    params: &LoadParams,
    search: SearchParams,
    quiet: bool,
) -> Result<CapacityResult, Failed> {
    load::raise_descriptor_limit();
    let unit = search.by.unit();
    let steer = &mut |control: Option<load::Control>| {
        match control {
            Some(control) => signals::end_with(control),
            None => signals::release(),
        }
        !signals::interrupted()
    };
    let progress = &mut |progress: Progress<'_>| match progress {
        _ if quiet => {}
        Progress::Begin { load, duration, purpose } => {
            eprint!("{:>8}  {load:>10.1} {unit} for {duration:.1?} … ", purpose.name());
        }
        Progress::End(trial) => {
            let failed = trial.failed.as_deref().unwrap_or("met");
            eprintln!(
                "{:.1} requests/s, p95 {:.1} ms, failures {:.2} %: {failed}",
                trial.requests_per_s,
                trial.p95_ms,
                trial.failures * 100.0
            );
        }
    };
    let found = find(params, search, steer, progress);
    signals::release();
    found.map_err(|error| match error {
        CapacityError::Start(error) => start_failed(&error),
        CapacityError::Lost(error) => Failed::bug(&error),
    })
}

fn exit_of(result: &CapacityResult) -> Exit {
    match result.bound_by {
        BoundBy::Generator => Exit::Doubtful,
        _ if result.load > 0.0 => Exit::Ok,
        _ => Exit::No,
    }
}
