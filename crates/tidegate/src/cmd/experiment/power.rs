//! `tidegate experiment power`: how many units and days.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use experiment::analysis::{LOOKS_MAX, Method, SizeQuestion, Spending, size};
use report::experiment::size_text;
use serde_json::json;
use stats::experiment::power::Baseline;
use traffic::Ratio;

use super::traffic_of_log::{Conversion, UnitOfLog, read};
use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Looking {
    /// At any time
    Sequence,
    /// Once, at the end
    Fixed,
    /// At planned looks
    GroupSequential,
}

/// Plan: how many units and days an experiment needs
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    tidegate experiment power --base 5% --lift 10% --per-day 4000\n  \
    tidegate experiment power --from-log access.log --convert 'path~^/thanks' --lift 10%\n\n\
    Exits with 1 when the units will never come.")]
pub(crate) struct PowerArgs {
    /// Share of units that convert today
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["mean", "from_log"])]
    base: Option<Ratio>,
    /// Mean per unit today, with --deviation
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "deviation",
        conflicts_with = "from_log",
        allow_hyphen_values = true
    )]
    mean: Option<f64>,
    /// Standard deviation of one unit
    #[arg(long, value_name = "NUMBER", requires = "mean")]
    deviation: Option<f64>,
    /// Take units, their conversions and how many come a day from this access log; - is stdin
    #[arg(long, value_name = "FILE", requires = "convert")]
    from_log: Option<PathBuf>,
    /// Who is a unit of the log
    #[arg(long, value_enum, default_value = "client", requires = "from_log")]
    unit: UnitOfLog,
    /// Which requests convert: path~REGEX, path=TEXT, status=201 …; all must hold
    #[arg(long, value_name = "FIELD~REGEX", requires = "from_log")]
    convert: Vec<Conversion>,
    /// Relative lift to be found, either way
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = lift, allow_hyphen_values = true)]
    lift: f64,
    /// Probability to find it
    #[arg(long, value_name = "SHARE", default_value = "80%")]
    power: Ratio,
    /// Error rate
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    alpha: Ratio,
    /// How one will look at it
    #[arg(long, value_enum, default_value = "sequence")]
    method: Looking,
    /// Looks of a group-sequential test
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(LOOKS_MAX)))]
    looks: u32,
    /// Variants, the control included
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..=64))]
    variants: u64,
    /// Share of the units that take part
    #[arg(long, value_name = "SHARE", default_value = "100%")]
    coverage: Ratio,
    /// New units of each day, the last number for all days after: 4000 or 5000,3000,2500
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    per_day: Vec<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A share of the value today, with a sign.
fn lift(text: &str) -> Result<f64, String> {
    let (sign, share) = match text.strip_prefix('-') {
        Some(share) => (-1.0, share),
        None => (1.0, text),
    };
    let share: Ratio = share.parse().map_err(|error| format!("{error}"))?;
    Ok(sign * share.get())
}

pub(super) fn run(args: &PowerArgs) -> Result<Exit, Failed> {
    let (baseline, from_log) = baseline(args)?;
    let per_day = if args.per_day.is_empty() { from_log } else { args.per_day.clone() };
    let question = SizeQuestion {
        baseline,
        lift: args.lift,
        power: args.power.get(),
        alpha: args.alpha.get(),
        method: match args.method {
            Looking::Sequence => Method::Sequence,
            Looking::Fixed => Method::Fixed,
            Looking::GroupSequential => {
                Method::GroupSequential { looks: args.looks, spending: Spending::default() }
            }
        },
        variants: args.variants,
        coverage: args.coverage.get(),
        new_units_per_day: per_day,
    };
    let size = size(&question).map_err(|error| Failed::usage(error.to_string()))?;
    if args.json {
        let mut value = json!(size);
        value["schema"] = json!("tidegate.experiment-size/1");
        value["new-units-per-day"] = json!(question.new_units_per_day);
        match question.baseline {
            Baseline::Proportion { rate } => value["base"] = json!(rate),
            Baseline::Mean { mean, variance } => {
                value["mean"] = json!(mean);
                value["deviation"] = json!(variance.sqrt());
            }
        }
        print_all(&format!("{value:#}\n"));
    } else {
        print_all(&size_text(&question, &size, style_of_stdout()));
    }
    let never = !question.new_units_per_day.is_empty() && size.days.is_none();
    Ok(if never { Exit::No } else { Exit::Ok })
}

/// What the control looks like and, from a log, how many units come.
fn baseline(args: &PowerArgs) -> Result<(Baseline, Vec<u64>), Failed> {
    if let Some(path) = &args.from_log {
        let traffic = read(path, args.unit, &args.convert)?;
        let share =
            if traffic.units == 0 { 0.0 } else { traffic.converted as f64 / traffic.units as f64 };
        eprintln!(
            "{}: {} units, {} converted ({:.3} %), {} requests of bots and {} lines left out",
            path.display(),
            traffic.units,
            traffic.converted,
            share * 100.0,
            traffic.bots,
            traffic.rejected
        );
        if traffic.units == 0 {
            let what = match (traffic.lines, traffic.bots) {
                (0, 0) => "no line of it was understood: is it an access log?",
                (0, _) => "only bots are in it",
                _ => "no line of it names a unit: choose another --unit",
            };
            return Err(Failed::usage(format!("{}: {what}", path.display())));
        }
        if traffic.converted == 0 || traffic.converted == traffic.units {
            let what = "nobody or everybody of the log converts: choose another --convert";
            return Err(Failed::usage(what));
        }
        return Ok((Baseline::Proportion { rate: share }, traffic.new_per_day));
    }
    let baseline = match (args.base, args.mean, args.deviation) {
        (Some(rate), None, None) => Baseline::Proportion { rate: rate.get() },
        (None, Some(mean), Some(deviation)) => {
            Baseline::Mean { mean, variance: deviation * deviation }
        }
        _ => {
            let what = "say how it is today: --base 5%, --mean with --deviation, or --from-log";
            return Err(Failed::usage(what));
        }
    };
    Ok((baseline, Vec::new()))
}
