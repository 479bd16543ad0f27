//! `tidegate logs`: what access logs tell.

mod follow;
mod reading;
mod scanning;
mod sinks;
mod state;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use logs::report::{LogReport, Panel, Setup, compare};
use logs::{Options, Position, Source, sources};
use report::logs::{TextOptions, changes_text, log_text, write_csv};

use self::scanning::{Unread, read, scan_watched};
use self::sinks::{Both, Files};
use self::state::State;
use crate::exit::{Exit, Failed};
use crate::output::{print_all, style_of_stdout, write_file};

pub(crate) use self::reading::ReadingFlags;

/// Read access logs: who came, what was slow, who abuses us
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidegate logs /var/log/nginx/access.log*\n  \
    tidegate logs access.log --where status=5xx --where 'path~^/api/' --since 2026-01-31\n  \
    tidegate logs access.log --log-format /etc/nginx/nginx.conf --json report.json\n  \
    tidegate logs --follow access.log\n\n\
    Formats are detected: common, combined, nginx, Apache, JSON lines, CSV, W3C/IIS/CloudFront, \
    AWS, Google Cloud Storage, HAProxy, Squid, Envoy and others; docs/reference/log-formats.md.\n\
    Conditions: docs/reference/logs.md.")]
pub(crate) struct LogsArgs {
    /// Files, globs, directories; - is stdin; .gz .zst .bz2 .xz are told by their content
    #[arg(value_name = "FILE", required_unless_present = "state")]
    files: Vec<PathBuf>,
    /// Rows of each panel on the terminal
    #[arg(long, value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Show only this panel; may be given several times
    #[arg(long, value_name = "NAME", value_parser = panel)]
    panel: Vec<Panel>,
    /// Compare with these files: what changed from them to FILE
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// Compare the time before this with the time from then on
    #[arg(long, value_name = "TIME", conflicts_with = "against")]
    split: Option<String>,
    /// Write the report as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write all panels as one CSV table; - is stdout
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "split"])]
    csv: Option<PathBuf>,
    /// Write every record as Parquet, for DuckDB, DataFusion, Spark or ClickHouse
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "split"])]
    parquet: Option<PathBuf>,
    /// Write the lines that do not parse as they are, each after its reason and a tab
    #[arg(long, value_name = "FILE", conflicts_with = "anonymise")]
    rejected: Option<PathBuf>,
    /// Go on reading what is appended, and show the report as it changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["against", "split", "state", "parquet"])]
    follow: bool,
    /// Keep what was read in this folder, and read only what is new since the last time
    #[arg(long, value_name = "DIR", conflicts_with_all = ["against", "split"])]
    state: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    // Last, since its heading holds for what follows.
    #[command(flatten)]
    reading: ReadingFlags,
}

pub(crate) fn run(args: &LogsArgs) -> Result<Exit, Failed> {
    let options = args.reading.options()?;
    let setup = args.reading.setup()?;
    check(args)?;
    if args.follow {
        return follow::run(args, &options, &setup);
    }
    if let Some(folder) = &args.state {
        return with_state(args, folder, &options, &setup);
    }
    let found = find(&args.files, &options, &[])?;
    warn_of_copies(&found);
    let files = Files::create(args.parquet.as_deref(), args.rejected.as_deref())?;
    if let Some(time) = &args.split {
        let before = args.reading.setup_with(Some(format!("until={time}")))?;
        let after = args.reading.setup_with(Some(format!("since={time}")))?;
        let (sinks, unread) = scan_watched(&found, args.quiet, &options, || Both {
            before: files.sinks(&before),
            after: files.unrejecting(&after),
        });
        let (before, after) = Both::reports(sinks);
        files.finish()?;
        return show_changes(args, &before, &after, &unread);
    }
    if !args.against.is_empty() {
        let other = find(&args.against, &options, &[])?;
        let (before, mut unread) = read(&other, args.quiet, &options, &files, &setup);
        let (after, more) = read(&found, args.quiet, &options, &files, &setup);
        unread.extend(more);
        files.finish()?;
        return show_changes(args, &before, &after, &unread);
    }
    let (report, unread) = read(&found, args.quiet, &options, &files, &setup);
    files.finish()?;
    show(args, &report)?;
    Ok(unread.exit())
}

/// What clap cannot tell.
fn check(args: &LogsArgs) -> Result<(), Failed> {
    let is_dash = |path: &&PathBuf| path.as_os_str() == "-";
    let outputs = [&args.json, &args.csv].into_iter().flatten();
    if outputs.filter(is_dash).count() > 1 {
        return Err(Failed::usage("only one of --json and --csv can go to standard output"));
    }
    let inputs = args.files.iter().chain(&args.against).filter(is_dash).count();
    if inputs > 1 {
        return Err(Failed::usage("standard input can be read only once"));
    }
    if inputs > 0 && (args.follow || args.state.is_some()) {
        return Err(Failed::usage("--follow and --state need files: standard input has no name"));
    }
    Ok(())
}

fn with_state(
    args: &LogsArgs,
    folder: &Path,
    options: &Options,
    setup: &Setup,
) -> Result<Exit, Failed> {
    let mut state = State::open(folder)?;
    let files = Files::create(args.parquet.as_deref(), args.rejected.as_deref())?;
    let mut unread = Unread::default();
    if !args.files.is_empty() {
        let mut found = find(&args.files, options, state.positions())?;
        if state.is_read_otherwise(options) {
            if state.has_all(&found) {
                state.forget();
                found = find(&args.files, options, &[])?;
            } else {
                eprintln!(
                    "warning: the state in {} was read with another --log-format or --zone, and not all of its logs \
                     are there to be read anew: what it has stays as it is; use another folder for the rest",
                    folder.display()
                );
            }
        }
        let rejected = files.rejected();
        unread = state.take(found, args.quiet, options, args.reading.anonymise, rejected)?;
    }
    let mut sinks = state.replay(options.jobs, || files.sinks(setup))?;
    if let Some(first) = sinks.first_mut() {
        first.add_rejected(state.rejected());
    }
    let report = sinks::report(sinks);
    files.finish()?;
    show(args, &report)?;
    Ok(unread.exit())
}

fn find(files: &[PathBuf], options: &Options, known: &[Position]) -> Result<Vec<Source>, Failed> {
    // The error names its cause itself.
    sources(files, options, known)
        .map_err(|error| Failed { exit: Exit::Environment, message: format!("error: {error}") })
}

/// Warns of logs that may be there twice, such as one that is compressed at this moment. They are in the
/// order of their first records, so copies are neighbours.
fn warn_of_copies(found: &[Source]) {
    for pair in found.windows(2) {
        if let [one, other] = pair
            && one.begins_as(other)
        {
            eprintln!(
                "warning: {} begins as {} does: if one is a copy of the other, requests count twice; name only one",
                other.name(),
                one.name()
            );
        }
    }
}

/// Writes the report wherever it was asked for.
fn show(args: &LogsArgs, report: &LogReport) -> Result<(), Failed> {
    let mut is_stdout_taken = false;
    for (path, text) in outputs(args, report)? {
        write_file(path, &text)?;
        is_stdout_taken |= path.as_os_str() == "-";
    }
    if !is_stdout_taken {
        print_all(&log_text(report, &text_options(args)));
    }
    Ok(())
}

/// The files to write, with their content.
fn outputs<'a>(
    args: &'a LogsArgs,
    report: &LogReport,
) -> Result<Vec<(&'a PathBuf, String)>, Failed> {
    let mut files = Vec::new();
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(report).map_err(|error| Failed::bug(&error))?;
        files.push((path, harmless(json) + "\n"));
    }
    if let Some(path) = &args.csv {
        let mut csv = Vec::new();
        write_csv(&mut csv, report).map_err(|error| Failed::bug(&error))?;
        files.push((path, String::from_utf8_lossy(&csv).into_owned()));
    }
    Ok(files)
}

/// JSON with the control characters in its texts escaped that JSON leaves plain and terminals obey.
fn harmless(json: String) -> String {
    let is_plain_control = |character| matches!(character, '\u{7f}'..='\u{9f}');
    if !json.contains(is_plain_control) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_plain_control(character) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn show_changes(
    args: &LogsArgs,
    before: &LogReport,
    after: &LogReport,
    unread: &Unread,
) -> Result<Exit, Failed> {
    let changes = compare(before, after);
    if let Some(path) = &args.json {
        let json = serde_json::json!({
            "schema": "tidegate.logs-changes/1",
            "before": before.totals,
            "after": after.totals,
            "changes": changes,
        });
        write_file(path, &(harmless(format!("{json:#}")) + "\n"))?;
    }
    if args.json.as_ref().is_none_or(|path| path.as_os_str() != "-") {
        print_all(&changes_text(before, after, &changes, style_of_stdout()));
    }
    Ok(unread.exit())
}

fn text_options(args: &LogsArgs) -> TextOptions {
    let mut options =
        TextOptions { rows: args.rows, style: style_of_stdout(), ..TextOptions::default() };
    if !args.panel.is_empty() {
        options.panels.clone_from(&args.panel);
    }
    options
}

fn panel(text: &str) -> Result<Panel, String> {
    let known = Panel::ALL.into_iter().find(|panel| panel.key() == text);
    known.ok_or_else(|| {
        let names: Vec<&str> = Panel::ALL.into_iter().map(Panel::key).collect();
        format!("there are {}", names.join(", "))
    })
}
