//! `tidegate experiment import`: experiments of other systems.

use std::path::PathBuf;

use clap::Args;
use config::experiment::import::{ImportError, ImportOptions, System, import_file};
use experiment::automation::{Answer, Command};
use experiment::model::Source;
use policy::assign::HashVersion;
use serde_json::json;

use super::reach::Reach;
use crate::exit::{Exit, Failed};
use crate::output::print_all;

/// Take over experiments of GrowthBook, Unleash or flagd, with everybody's variant
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    curl -s https://cdn.growthbook.io/api/features/sdk-KEY > features.json\n  \
    tidegate experiment import growthbook features.json --unit cookie=uid\n  \
    tidegate experiment start checkout\n\n\
    They come as drafts. What cannot be taken over exactly is left out and told.")]
pub(crate) struct ImportArgs {
    /// Whose: growthbook, unleash or flagd
    #[arg(value_parser = system)]
    system: System,
    /// Its definitions: GrowthBook's features, Unleash's client features, or flagd's flags, as JSON
    file: PathBuf,
    /// Where the gateway finds the id that is hashed: cookie=, header=, query= or claim=NAME
    #[arg(long, value_name = "KIND=NAME", value_parser = source)]
    unit: Option<Source>,
    /// How flagd hashes: flagd-cbor since 2026, flagd-string before
    #[arg(long, value_name = "HASH", default_value = "flagd-cbor", value_parser = flagd_hash)]
    flagd_hash: HashVersion,
    /// Only print what would be taken, as JSON
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn system(text: &str) -> Result<System, String> {
    let found = System::ALL.into_iter().find(|(word, _)| *word == text);
    found.map(|(_, system)| system).ok_or_else(|| "it is growthbook, unleash or flagd".to_owned())
}

fn source(text: &str) -> Result<Source, String> {
    let help = || "write cookie=NAME, header=NAME, query=NAME or claim=NAME".to_owned();
    let (kind, name) = text.split_once('=').ok_or_else(help)?;
    let name = name.to_owned();
    match kind {
        _ if name.is_empty() => Err(help()),
        "cookie" => Ok(Source::Cookie(name)),
        "header" => Ok(Source::Header(name.to_ascii_lowercase())),
        "query" => Ok(Source::Query(name)),
        "claim" => Ok(Source::Claim(name)),
        _ => Err(help()),
    }
}

fn flagd_hash(text: &str) -> Result<HashVersion, String> {
    let known = [HashVersion::FlagdCbor, HashVersion::FlagdString];
    let found = known.into_iter().find(|hash| hash.name() == text);
    found.ok_or_else(|| "it is flagd-cbor or flagd-string".to_owned())
}

pub(super) fn run(args: &ImportArgs, reach: &Reach) -> Result<Exit, Failed> {
    let options = ImportOptions { unit: args.unit.clone(), flagd: args.flagd_hash };
    let imported = import_file(args.system, &args.file, &options).map_err(|error| match error {
        ImportError::Unreadable(_) => Failed::environment(&error),
        ImportError::Shape { .. } => Failed::usage(error.to_string()),
    })?;
    for note in &imported.notes {
        eprintln!("{note}");
    }
    let nothing = imported.declared.set.experiments.is_empty();
    if args.dry_run {
        print_all(&format!("{:#}\n", json!(imported.declared)));
        return Ok(if nothing { Exit::No } else { Exit::Ok });
    }
    let (taken, refused) = if nothing {
        (Vec::new(), Vec::new())
    } else {
        let reason = format!("imported from {}", args.file.display());
        let declared = Box::new(imported.declared.clone());
        match reach.ask(&Command::Import { declared, reason })? {
            Answer::Imported { taken, left_out } => (taken, left_out),
            _ => return Err(super::odd()),
        }
    };
    for note in &refused {
        eprintln!("{note}");
    }
    if args.json {
        let left_out: Vec<&String> = imported.notes.iter().chain(&refused).collect();
        let value = json!({
            "schema": super::ACTION_SCHEMA,
            "done": format!("taken: {}", taken.join(", ")), "taken": taken, "notes": left_out,
        });
        print_all(&format!("{value:#}\n"));
    } else if !taken.is_empty() {
        print_all(&format!("taken: {} (drafts: start them one by one)\n", taken.join(", ")));
    }
    if taken.is_empty() {
        eprintln!("{} has no experiment that can be taken over", args.file.display());
        return Ok(Exit::No);
    }
    Ok(Exit::Ok)
}
