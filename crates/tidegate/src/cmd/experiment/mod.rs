//! `tidegate experiment`: create, look at, decide, ship and stop experiments.

mod client;
mod import;
mod power;
mod reach;
mod traffic_of_log;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use config::{Look, read_joining_experiments};
use experiment::analysis::Standing;
use experiment::automation::{Answer, Command, Shown};
use experiment::model::{Share, Status};
use report::experiment::{audit_text, decision_text, list_text, status_text};
use serde_json::json;
use traffic::Ratio;

pub(crate) use self::client::{ask, post_json};
use self::reach::Reach;
use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout};

/// Schema of what the verbs print that do something.
const ACTION_SCHEMA: &str = "tidegate.experiment-action/1";

/// Compare versions of a site: who sees which, what they do, which is better
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    tidegate experiment power --base 5% --lift 10% --per-day 4000\n  \
    tidegate experiment list\n  tidegate experiment status checkout\n\n\
    A running tidegate is asked over HTTP; when none runs, the data folder is opened.")]
pub(crate) struct ExperimentArgs {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    verb: ExperimentVerb,
}

#[derive(Debug, Subcommand)]
enum ExperimentVerb {
    /// Take over the experiments of a file
    #[command(after_help = "Example:\n  tidegate experiment create --from experiments.toml")]
    Create {
        /// The file: [experiment.*], [metric.*], [layer.*], [holdout.*]
        #[arg(long = "from", value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        say: Say,
    },
    /// Show all experiments
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what an experiment says: the verdict, its health, the metrics
    #[command(after_help = "Example:\n  tidegate experiment status checkout\n\n\
        Exits with 4 when the experiment is not sound, 1 when a variant does harm or none has won \
        though the planned units are there, else 0.")]
    Status {
        /// The experiment
        name: String,
        /// As JSON (tidegate.experiment/1)
        #[arg(long)]
        json: bool,
    },
    /// Plan: how many units and days an experiment needs
    Power(Box<power::PowerArgs>),
    /// Do now what automation would do, even if the policy only notifies
    #[command(
        after_help = "Example:\n  tidegate experiment decide checkout --reason 'friday review'\n\n\
        Exits with 0 when a variant has won, 4 when the experiment is not sound, else 1."
    )]
    Decide {
        /// The experiment
        name: String,
        #[command(flatten)]
        say: Say,
    },
    /// Roll out the winner, step by step
    #[command(after_help = "Example:\n  tidegate experiment ship checkout --hold-back 5%")]
    Ship {
        /// The experiment
        name: String,
        /// The variant; the winner unless given
        variant: Option<String>,
        /// Units that stay with the control; those of the policy unless given
        #[arg(long, value_name = "SHARE")]
        hold_back: Option<Ratio>,
        /// Ship a variant that has not won
        #[arg(long, requires = "variant")]
        force: bool,
        #[command(flatten)]
        say: Say,
    },
    /// Take a variant back: its units get the control
    RollBack {
        /// The experiment
        name: String,
        /// The variant
        variant: String,
        #[command(flatten)]
        say: Say,
    },
    /// Take the last change of shares back: a roll-out, a roll-back or one of their steps
    Revert {
        /// The experiment
        name: String,
        #[command(flatten)]
        say: Say,
    },
    /// Start a draft, or go on after a pause
    Start {
        /// The experiment
        name: String,
        #[command(flatten)]
        say: Say,
    },
    /// Stop for good, or pause: everybody gets the site as it is
    Stop {
        /// The experiment
        name: String,
        /// It can be started again
        #[arg(long)]
        pause: bool,
        #[command(flatten)]
        say: Say,
    },
    /// Take over experiments of GrowthBook, Unleash or flagd, with everybody's variant
    Import(import::ImportArgs),
}

/// Why something is done, and how it is said.
#[derive(Debug, Args)]
struct Say {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExperimentArgs) -> Result<Exit, Failed> {
    let ask = |command: Command| args.reach.ask(&command);
    let experiment = |name: &str| name.to_owned();
    let reason = |say: &Say| say.reason.clone();
    match &args.verb {
        ExperimentVerb::Power(power) => power::run(power),
        ExperimentVerb::Import(import) => import::run(import, &args.reach),
        ExperimentVerb::Create { file, say } => {
            // The gateway's upstreams answer, whatever the file says of its own.
            let read = read_joining_experiments(file, args.reach.upstreams().as_deref());
            let read = read.map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))?;
            let none = || Failed::usage(format!("{} has no experiments", file.display()));
            let declared = Box::new(read.ok_or_else(none)?.1);
            done(ask(Command::Create { declared, reason: reason(say) })?, say.json)
        }
        ExperimentVerb::List { json } => {
            let Answer::Experiments(all) = ask(Command::List)? else { return Err(odd()) };
            match json {
                true => print_all(&format!("{:#}\n", json!(all))),
                false => print_all(&list_text(&all, style_of_stdout())),
            }
            Ok(Exit::Ok)
        }
        ExperimentVerb::Status { name, json } => {
            let answer = ask(Command::Status { experiment: experiment(name) })?;
            let shown = show(answer, *json)?;
            Ok(match shown.analysis.verdict.standing {
                Standing::Invalid => Exit::Doubtful,
                Standing::Harmful | Standing::Inconclusive => Exit::No,
                Standing::Winner | Standing::RolledOut | Standing::Waiting | Standing::Idle => {
                    Exit::Ok
                }
            })
        }
        ExperimentVerb::Decide { name, say } => {
            let command = Command::Decide { experiment: experiment(name), reason: reason(say) };
            let shown = show(ask(command)?, say.json)?;
            if shown.action.changes() {
                eprintln!("{} {}", shown.action.name(), shown.action.reason());
            }
            Ok(match shown.analysis.verdict.standing {
                Standing::Invalid => Exit::Doubtful,
                Standing::Winner | Standing::RolledOut => Exit::Ok,
                _ => Exit::No,
            })
        }
        ExperimentVerb::Ship { name, variant, hold_back, force, say } => {
            let share = |ratio: &Ratio| Share::try_from(ratio.get()).ok();
            let command = Command::Ship {
                experiment: experiment(name),
                variant: variant.clone(),
                hold_back: hold_back.as_ref().and_then(share),
                force: *force,
                reason: reason(say),
            };
            done(ask(command)?, say.json)
        }
        ExperimentVerb::RollBack { name, variant, say } => {
            let (experiment, variant) = (experiment(name), variant.clone());
            done(ask(Command::RollBack { experiment, variant, reason: reason(say) })?, say.json)
        }
        ExperimentVerb::Revert { name, say } => {
            let command = Command::Revert { experiment: experiment(name), reason: reason(say) };
            done(ask(command)?, say.json)
        }
        ExperimentVerb::Start { name, say } => {
            let (experiment, status) = (experiment(name), Status::Running);
            done(ask(Command::Set { experiment, status, reason: reason(say) })?, say.json)
        }
        ExperimentVerb::Stop { name, pause, say } => {
            let status = if *pause { Status::Paused } else { Status::Stopped };
            let command =
                Command::Set { experiment: experiment(name), status, reason: reason(say) };
            done(ask(command)?, say.json)
        }
    }
}

fn done(answer: Answer, json: bool) -> Result<Exit, Failed> {
    let Answer::Done(what) = answer else { return Err(odd()) };
    print_all(&match json {
        true => format!("{:#}\n", json!({ "schema": ACTION_SCHEMA, "done": what })),
        false => format!("{what}\n"),
    });
    Ok(Exit::Ok)
}

fn show(answer: Answer, json: bool) -> Result<Shown, Failed> {
    let Answer::Shown(shown) = answer else { return Err(odd()) };
    if json {
        let mut value = json!(shown.analysis);
        value["action"] = json!(shown.action);
        value["stage"] = json!(shown.state.stage);
        value["decision"] = json!(shown.decision);
        value["audit"] = json!(shown.audit);
        print_all(&format!("{value:#}\n"));
    } else {
        let style = style_of_stdout();
        print_all(&status_text(&shown.analysis, style));
        if let Some(decision) = &shown.decision {
            print_all(&decision_text(decision, style));
        }
        print_all(&audit_text(&shown.audit, style));
    }
    Ok(*shown)
}

/// An answer to another question.
fn odd() -> Failed {
    Failed {
        exit: Exit::Environment,
        message: "error: the other tidegate answered something else: is it of another version?"
            .to_owned(),
    }
}
