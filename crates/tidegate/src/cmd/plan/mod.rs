//! `tidegate plan`: how far to scale, and when, tried on the recorded past.

mod input;
mod names;
mod serve;
mod system;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use plan::choose::{Answer, ChooseError, Evidence, choose};
use plan::demand::{DemandParams, Holidays, Treatment, describe};
use plan::forecast::{Forecast, forecast};
use plan::{Series, demand};
use report::plan::{Format, Sizing, emit, plan_json, plan_text};

use crate::cmd::logs::ReadingFlags;
use crate::cmd::plan::names::NameFlags;
use crate::cmd::plan::system::SystemFlags;
use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout, write_file};

/// Quantiles of the forecast.
const QUANTILES: [f64; 4] = [0.1, 0.5, 0.9, 0.99];
/// Hours that are forecast, and the fewest days of history for all of them.
const WEEK_HOURS: usize = 168;
const WEEK_DAYS_MIN: i64 = 14;
/// Hours that are forecast from less.
const DAY_HOURS: usize = 24;
/// Share of the time that must be known to believe an answer.
const KNOWN_MIN: f64 = 0.5;

/// Find a scaling policy for recorded traffic: tried on held-out days, with cost and risk
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    tidegate plan /var/log/nginx/access.log* --capacity 85/s --timezone Europe/Paris\n  \
    tidegate plan counts.csv --capacity capacity.json --slo 'late<0.1%' --json plan.json\n  \
    tidegate plan access.log --capacity 85/s --emit keda --name shop > scaledobject.yaml\n  \
    tidegate plan serve --plan plan.json --shadow\n\n\
    Exit codes: 0 there is a plan, also when it is plain HPA · 1 the objective is missed · 2 usage · \
    4 too little to plan from, or a capacity that must not be believed")]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    verb: Option<PlanVerb>,
    /// Access logs in any format, or one CSV of counts (timestamp,requests); - is a log on stdin
    #[arg(value_name = "LOG|COUNTS.csv", required = true)]
    files: Vec<PathBuf>,
    /// The file is a CSV of counts, whatever it looks like
    #[arg(long)]
    counts: bool,
    /// Zone whose days and weeks the traffic follows, such as Europe/Paris; also that of counts
    /// without zone. By default that of the log, else UTC
    #[arg(long, value_name = "NAME", value_parser = timezone)]
    timezone: Option<TimeZone>,
    /// Days that are no ordinary days, one date per line: no rhythm, forecast or floor is made of them
    #[arg(long, value_name = "FILE")]
    holidays: Option<PathBuf>,
    #[command(flatten)]
    system: SystemFlags,
    /// Write the plan as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write manifests to stdout, and the plan to stderr: keda, hpa, knative, aws,
    /// lambda, cron, or gateway for the concurrency limit of tidegate itself
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    emit: Option<Format>,
    #[command(flatten)]
    names: NameFlags,
    #[command(flatten)]
    reading: ReadingFlags,
}

/// What else there is to do with a plan.
#[derive(Debug, Subcommand)]
enum PlanVerb {
    /// Tell a plan's instances of the moment to KEDA: an external scaler (gRPC) and JSON over HTTP
    Serve(serve::ServeArgs),
}

pub(crate) fn run(args: &PlanArgs) -> Result<Exit, Failed> {
    if let Some(PlanVerb::Serve(serve)) = &args.verb {
        return serve::run(serve);
    }
    if args.emit.is_some() && args.json.as_deref() == Some(Path::new("-")) {
        return Err(Failed::usage("--emit and --json - both want stdout: give --json a file"));
    }
    let holidays = holidays(args.holidays.as_deref())?;
    let mut system = args.system.read(args.emit)?;
    let input = input::read(args)?;
    let params = system.params(&input);
    let boot_s = args.system.boot_s();
    let evidence = Evidence { points: system.points(&input), holidays };
    let holidays = evidence.holidays.clone();
    let demand =
        describe(&input.series, &DemandParams { boot_s, holidays, seed: args.system.seed });
    let mut findings = input.findings;
    findings.append(&mut system.findings);
    let foretold = foretell(&demand, &evidence.holidays);
    let (outcome, mut exit) = match &params {
        None => (Err(system::NO_CAPACITY.to_owned()), Exit::Usage),
        Some(params) => decide(choose(&demand.masked, params, &evidence))?,
    };
    if outcome.is_ok() && (!system.is_believable || demand.known_ratio < KNOWN_MIN) {
        if demand.known_ratio < KNOWN_MIN {
            findings
                .push("more than half of the time is unknown: do not believe this plan".to_owned());
        }
        exit = Exit::Doubtful;
    }
    let sizing = Sizing {
        series: input.series,
        demand,
        forecast: foretold,
        routes: input.routes,
        upstreams: input.upstreams,
        instances: input.instances,
        findings,
        params,
        outcome,
    };
    show(args, &sizing)?;
    Ok(exit)
}

/// The answer, or the reason why there is none, and how the program ends.
fn decide(chosen: Result<Answer, ChooseError>) -> Result<(Result<Answer, String>, Exit), Failed> {
    match chosen {
        Ok(answer) if answer.held_out.meets_objective => Ok((Ok(answer), Exit::Ok)),
        Ok(answer) => Ok((Ok(answer), Exit::No)),
        Err(
            error @ (ChooseError::TooShort { .. }
            | ChooseError::TooCoarse { .. }
            | ChooseError::NoDemand),
        ) => Ok((Err(error.to_string()), Exit::Doubtful)),
        Err(error) => Err(Failed::usage(error.to_string())),
    }
}

/// The week to come, or the day where there is less history.
fn foretell(demand: &demand::Demand, holidays: &Holidays) -> Option<Forecast> {
    let masked = &demand.masked;
    let hourly = hourly(&holidays.left_out(masked));
    let days = (masked.end_s() - masked.start_s) / plan::series::DAY_S;
    let hours = if days >= WEEK_DAYS_MIN { WEEK_HOURS } else { DAY_HOURS };
    let steps = hours * 3600 / hourly.step_s.max(1) as usize;
    forecast(&hourly, steps.max(1), &QUANTILES).ok()
}

fn hourly(series: &Series) -> Series {
    let step_s = series.step_s.max(1);
    if step_s < 3600 && 3600_u32.is_multiple_of(step_s) {
        return series.coarser((3600 / step_s) as usize);
    }
    series.clone()
}

fn show(args: &PlanArgs, sizing: &Sizing) -> Result<(), Failed> {
    if let Some(path) = &args.json {
        let json = plan_json(sizing).map_err(|error| Failed::bug(&error))?;
        write_file(path, &format!("{json:#}\n"))?;
    }
    let text = |style| plan_text(sizing, style);
    match (args.emit, &sizing.outcome) {
        (Some(format), Ok(answer)) => {
            eprint!("{}", text(report::Style::default()));
            let manifest = emit(format, answer, &args.names.names());
            print_all(&manifest.map_err(|error| Failed::usage(error.to_string()))?);
        }
        (Some(_), Err(_)) => eprint!("{}", text(report::Style::default())),
        (None, _) if args.json.as_deref() == Some(Path::new("-")) => {}
        (None, _) => print_all(&text(style_of_stdout())),
    }
    Ok(())
}

fn holidays(path: Option<&Path>) -> Result<Holidays, Failed> {
    let Some(path) = path else { return Ok(Holidays::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?;
    Holidays::parse(&text, Treatment::Mask)
        .map_err(|error| Failed::usage(format!("{}: {error}", path.display())))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failed {
    Failed {
        exit: Exit::Environment,
        message: format!("error: cannot read {}: {error}", path.display()),
    }
}

fn timezone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .map_err(|_| format!("`{text}` is no time zone; name one such as Europe/Paris or UTC"))
}

fn format(text: &str) -> Result<Format, String> {
    Format::ALL
        .into_iter()
        .find(|format| format.name() == text)
        .ok_or_else(|| format!("there are {}", Format::ALL.map(Format::name).join(", ")))
}
