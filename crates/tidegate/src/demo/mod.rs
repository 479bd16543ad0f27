//! `tidegate demo`: the whole product on one screen, without any configuration.
//!
//! A sample shop opens on loopback; a compressed day of users visits it; then a short search tells
//! how many visits per second it holds, and whether the day came close.

mod shop;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use config::{Look, ScenarioFile, parse_scenario, resolve};
use load::capacity::{CapacityResult, SearchBy, SearchParams, TrialLengths};
use load::params::{LoadParams, Model};
use load::results::RunResult;
use load::slo::parse_slo;
use load::verdict::BoundBy;
use policy::{Curve, Stage};

use crate::cmd::{execute, search_for};
use crate::demo::shop::Shop;
use crate::exit::{Exit, Failed};
use crate::output::{Output, print_all, style_of_stdout};
use crate::signals;

const SCENARIO: &str = include_str!("shop.toml");
/// Users by hour of the day, as a share of the busiest hour: asleep at four, busiest at eight in
/// the evening.
const DAY: [u32; 24] =
    [22, 14, 9, 6, 5, 8, 16, 30, 46, 58, 66, 72, 78, 74, 70, 70, 74, 82, 90, 97, 100, 86, 60, 36];
/// Users in the busiest hour.
const USERS_MAX: f64 = 300.0;
/// How long an hour takes.
const HOUR: Duration = Duration::from_millis(1_500);
/// What the shop promises.
const PROMISE: &str = "p95<150ms,failures<1%";
/// First rate that the search tries, per second.
const SEARCH_START: f64 = 200.0;
/// Highest rate that it tries.
const SEARCH_MAX: f64 = 20_000.0;
/// Most trials of the search, so that the demo ends in time.
const TRIALS_MAX: usize = 14;

/// See it work: a sample shop, a compressed day of users, and how many it holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate demo")]
pub(crate) struct DemoArgs {
    /// Leave the shop open afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failed> {
    let shop = Shop::open().map_err(|error| Failed::environment(&error))?;
    eprintln!("the sample shop is open at {} ({} clerks)", shop.url(), shop::CLERKS);

    eprintln!("\n1. a day of up to {USERS_MAX} users, an hour in {HOUR:?}\n");
    let day = params_of_day(&shop)?;
    let mut output = if args.quiet { Output::silent() } else { Output::progress_only() };
    let result = execute(day, &mut output)?;
    output.finish(&result)?;
    if result.interrupted {
        return Ok(Exit::Ok);
    }

    eprintln!("\n2. how many requests per second does it hold with {PROMISE}?\n");
    let params = params_of_search(&shop)?;
    let mut search = SearchParams::new(SearchBy::Rate, params.slo.clone(), SEARCH_MAX);
    search.start = SEARCH_START;
    search.lengths = TrialLengths::QUICK;
    search.trials_max = TRIALS_MAX;
    let capacity = search_for(&params, search, args.quiet)?;
    print_all(&report::terminal::capacity_text(&capacity, style_of_stdout()));
    print_all(&conclusion(&result, &capacity));

    if args.keep && !signals::interrupted() {
        eprintln!("\nthe shop stays open at {} until Ctrl-C", shop.url());
        signals::wait();
    }
    Ok(Exit::Ok)
}

fn scenario() -> Result<ScenarioFile, Failed> {
    parse_scenario("shop.toml", SCENARIO, Path::new("."))
        .map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))
}

/// The parameters that every part of the demo has in common.
fn params(shop: &Shop) -> Result<LoadParams, Failed> {
    let file = scenario()?;
    let mut settings = file.settings;
    let host =
        shop.url().parse().map_err(|error: config::ValueError| Failed::usage(error.to_string()))?;
    settings.host = Some(host);
    settings.slo = parse_slo(PROMISE).map_err(|error| Failed::bug(&error))?;
    resolve(file.scenario, settings)
        .map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))
}

fn params_of_day(shop: &Shop) -> Result<LoadParams, Failed> {
    let mut params = params(shop)?;
    let stages: Vec<Stage> = DAY
        .iter()
        .map(|&share| Stage { target: f64::from(share) / 100.0 * USERS_MAX, duration: HOUR })
        .collect();
    let start = f64::from(DAY[DAY.len() - 1]) / 100.0 * USERS_MAX;
    // The table holds finite levels only.
    let users = Curve::staged(start, &stages).or_else(|_| Curve::constant(USERS_MAX));
    params.stop.run_time = Some(HOUR * DAY.len() as u32);
    if let Ok(users) = users {
        params.model = Model::Closed { users };
    }
    Ok(params)
}

fn params_of_search(shop: &Shop) -> Result<LoadParams, Failed> {
    params(shop)
}

/// What the two parts say together.
fn conclusion(day: &RunResult, capacity: &CapacityResult) -> String {
    if capacity.bound_by == BoundBy::Generator {
        return "\nThis machine is too busy to tell how much the shop holds.\n".to_owned();
    }
    let busiest = day.series.iter().map(|point| point.requests_per_s).fold(0.0, f64::max);
    let holds = capacity.requests_per_s;
    let share = busiest / holds.max(1.0) * 100.0;
    let advice = if share > 100.0 {
        "it needs more clerks for such a day"
    } else if share > 70.0 {
        "it got through, with little to spare"
    } else {
        "it could take more users"
    };
    format!(
        "\nThe busiest second of the day had {busiest:.0} requests; the shop holds {holds:.0} \
         per second, {share:.0} %: {advice}.\n"
    )
}
