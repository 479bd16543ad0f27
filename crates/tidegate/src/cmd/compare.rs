//! `tidegate compare`: did the second run get worse?

use std::path::{Path, PathBuf};

use clap::Args;
use report::compare::{CompareOptions, Judgement, compare};
use report::runfile::{self, RunFile};
use traffic::Ratio;
use traffic::units::parse_duration;

use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout, write_file};

/// Compare two runs saved with `load --save`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    tidegate load URL -t 60s --save before.tdg\n  \
    tidegate load URL -t 60s --save after.tdg\n  \
    tidegate compare before.tdg after.tdg")]
pub(crate) struct CompareArgs {
    /// The run to compare with
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The run that may be better or worse
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Relative change that matters
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    threshold: Ratio,
    /// Change of a response time that matters
    #[arg(long, value_name = "TIME", default_value = "2ms", value_parser = parse_duration)]
    threshold_time: std::time::Duration,
    /// Leave out this much of the start of each run
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    warm_up: std::time::Duration,
    /// Write the comparison as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &CompareArgs) -> Result<Exit, Failed> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let options = CompareOptions {
        threshold_ratio: args.threshold.get(),
        threshold_abs: args.threshold_time,
        warm_up: args.warm_up,
        ..CompareOptions::default()
    };
    let comparison =
        compare(&before, &after, &options).map_err(|error| Failed::usage(error.to_string()))?;
    if let Some(path) = &args.json {
        write_file(path, &format!("{:#}\n", comparison.to_json()))?;
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        print_all(&comparison.to_text(style_of_stdout()));
    }
    Ok(match comparison.verdict {
        Judgement::Regression => Exit::No,
        Judgement::Improvement | Judgement::NoDifference => Exit::Ok,
    })
}

fn read(path: &Path) -> Result<RunFile, Failed> {
    let file = std::fs::File::open(path).map_err(|error| Failed {
        exit: Exit::Environment,
        message: format!("error: cannot read {}: {error}", path.display()),
    })?;
    let run = runfile::read(file)
        .map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
    if run.truncated {
        eprintln!("warning: {} ends early; what is there is compared", path.display());
    }
    Ok(run)
}
