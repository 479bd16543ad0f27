//! `tidegate demo`: the whole product on one screen, without any configuration.
//!
//! A sample shop of three servers opens on loopback, with a gateway in front. A compressed day of
//! users visits it; one server is slowed, one is killed. Then the same evening without the
//! gateway's help, a short search for how many visits per second the shop holds, what the access
//! log tells about the day, a scaling policy for such days, and an experiment: which of three carts
//! sells most?

mod cart;
mod day;
mod front;
mod history;
mod keep;
mod lesson;
mod shop;
mod till;
mod trial;
mod words;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use load::capacity::{CapacityResult, SearchBy, SearchParams, TrialLengths};
use load::results::RunResult;
use load::verdict::BoundBy;

use crate::cmd::search_for;
use crate::demo::day::{ALL_DAY, EVENING, HOUR, PROMISE, USERS_MAX, visit};
use crate::demo::front::Folder;
use crate::demo::history::History;
use crate::demo::shop::Shop;
use crate::demo::trial::Trial;
use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout};
use crate::signals;

/// First rate that the search tries, per second.
const SEARCH_START: f64 = 500.0;
/// Highest rate that it tries.
const SEARCH_MAX: f64 = 20_000.0;
/// Most trials of the search, so that the demo ends in time.
const TRIALS_MAX: usize = 14;
/// How long trials take: long enough that those who came to look have come to buy.
const LENGTHS: TrialLengths = TrialLengths {
    short: Duration::from_millis(1_500),
    long: Duration::from_millis(2_500),
    confirm: Duration::from_secs(4),
    warm_up: Duration::from_millis(700),
};

/// See it work: a sample shop, a compressed day of users, how many it holds, an experiment
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate demo")]
pub(crate) struct DemoArgs {
    /// Leave the shop and its gateway open afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failed> {
    let failed = |error: std::io::Error| Failed::environment(&error);
    let shop = Shop::open().map_err(failed)?;
    let folder = Folder::make().map_err(failed)?;
    let params = front::params(&shop, &folder)?;
    let (gateway, address) = front::start(params.clone(), None)?;
    eprintln!(
        "the sample shop is open at http://{address}: {} servers of {} clerks behind a gateway",
        shop::SERVERS,
        shop::CLERKS
    );

    eprintln!("\n1. a day of up to {USERS_MAX} users, an hour in {HOUR:?}\n");
    let day = visit(ALL_DAY, address, (&gateway, &shop), args.quiet)?;
    if day.result.interrupted {
        return Ok(Exit::Ok);
    }
    eprintln!("\n2. the evening once more, without the gateway's help\n");
    let (helpless, its_address) = front::start(front::without(params), None)?;
    let without = visit(EVENING, its_address, (&helpless, &shop), args.quiet)?;
    drop(helpless);
    if without.result.interrupted {
        return Ok(Exit::Ok);
    }
    // Now it holds the day and nothing else.
    let history = History::read(&folder.path().join(front::LOG_NAME))?;
    let alone = shop.capacity_per_s();
    print_all(&format!(
        "\n{}\n{}\n{}",
        words::course(&day.result),
        words::felt(&day, &without),
        words::deeds(&day)
    ));

    eprintln!("\n3. how many requests per second does it hold with {PROMISE}?\n");
    let capacity = search(address, args.quiet)?;
    let text = report::terminal::capacity_text(&capacity, style_of_stdout());
    // The answer; the trials behind it have been told already.
    print_all(&format!("\n{}\n", text.split("\n\n").next().unwrap_or_default().trim_end()));
    print_all(&conclusion(&day.result, &capacity, alone));
    eprintln!("\n4. what the gateway's access log tells, as `tidegate logs access.log` would\n");
    print_all(&history.text());
    eprintln!("\n5. how many servers would such days need?\n");
    if capacity.bound_by != BoundBy::Generator {
        let each = capacity.load / shop::SERVERS as f64;
        print_all(&match history.plan(each) {
            Ok((factor, answer)) => history::plan_text(factor, each, &answer),
            Err(why) => format!("\nNo plan can be made of this day: {why}\n"),
        });
    }

    if signals::interrupted() {
        return Ok(Exit::Ok);
    }

    eprintln!("\n6. which cart sells most? An experiment, as `tidegate experiment` runs it\n");
    let trial = Trial::open(&shop, &folder)?;
    let outcome = trial.run(&shop, args.quiet)?;
    if signals::interrupted() {
        return Ok(Exit::Ok);
    }
    print_all(&format!("\n{}{}", lesson::text(&outcome), lesson::farewell()));

    if args.keep {
        keep::keep(gateway, address, &shop, (folder.path(), &trial))?;
    }
    Ok(Exit::Ok)
}

fn search(address: SocketAddr, quiet: bool) -> Result<CapacityResult, Failed> {
    let params = day::params(address)?;
    let mut search = SearchParams::new(SearchBy::Rate, params.slo.clone(), SEARCH_MAX);
    search.start = SEARCH_START;
    search.lengths = LENGTHS;
    search.trials_max = TRIALS_MAX;
    search_for(&params, search, quiet)
}

/// What the parts say together.
fn conclusion(day: &RunResult, capacity: &CapacityResult, alone: f64) -> String {
    if capacity.bound_by == BoundBy::Generator {
        return "\nThis machine is too busy to tell how much the shop holds.\n".to_owned();
    }
    let busiest = day.series.iter().map(|point| point.requests_per_s).fold(0.0, f64::max);
    let holds = capacity.load;
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
         per second, {share:.0} %: {advice}.\nIts clerks alone could do {alone:.0}; the rest comes \
         from the cache.\n"
    )
}
