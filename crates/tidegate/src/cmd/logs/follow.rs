//! `--follow`: the report of a log that is being written.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use logs::report::{LogReport, Setup};
use logs::{Follower, Options};
use report::logs::log_text;

use super::sinks::{Files, Sinks, cannot_write};
use super::{LogsArgs, outputs, show, text_options};
use crate::exit::{Exit, Failed};
use crate::output::print_all;
use crate::signals;

/// Between two looks at the file.
const POLL: Duration = Duration::from_millis(250);
/// Between two reports, at least.
const REFRESH: Duration = Duration::from_secs(1);
/// A report is made when it takes no more than one part of so many of the time since the last one: of a
/// log with millions of distinct texts it takes seconds.
const SHARE: u32 = 5;
/// Rows of a terminal that does not tell how many it has.
const ROWS: usize = 24;

/// Reads what is there and what is appended, until Ctrl-C. As the report changes it is shown on a
/// terminal and written to the files that were asked for; at the end, everywhere.
pub(crate) fn run(args: &LogsArgs, options: &Options, setup: &Setup) -> Result<Exit, Failed> {
    let [path] = args.files.as_slice() else {
        return Err(Failed::usage("--follow reads one file"));
    };
    if path.to_string_lossy().contains(['*', '?', '[']) && !path.exists() {
        return Err(Failed::usage(
            "--follow reads one file, not those that a pattern matches: name it",
        ));
    }
    let files = Files::create(None, args.rejected.as_deref())?;
    let mut sinks = files.sinks(setup);
    let mut follower = Follower::whole(path, options)
        .map_err(|error| Failed { exit: Exit::Environment, message: format!("error: {error}") })?;
    let signal = signals::watch();
    let is_live = std::io::stdout().is_terminal();
    let mut view = View { args, is_live, next: Instant::now(), seen: None, problem: None };
    loop {
        let polled = follower.poll(&mut sinks);
        let more = *polled.as_ref().unwrap_or(&false);
        // A file that rotation has just made may not be readable yet.
        let problem = match polled {
            Err(error) => Some(format!("cannot read {}: {error}", path.display())),
            Ok(false) if !path.exists() => Some(format!("waiting for {}", path.display())),
            Ok(_) => None,
        };
        view.tell(problem);
        let counts = follower.counts();
        view.refresh(counts.read + counts.directives, &mut sinks, &files)?;
        let pause = if more { Duration::ZERO } else { POLL };
        if signal.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    // What was written since the last look.
    while matches!(follower.poll(&mut sinks), Ok(true)) {}
    if is_live {
        print_all("\x1b[H\x1b[J");
    }
    let report = super::sinks::report(vec![sinks]);
    files.finish()?;
    show(args, &report)?;
    Ok(Exit::Ok)
}

/// What a person or a program sees while the log grows.
struct View<'a> {
    args: &'a LogsArgs,
    is_live: bool,
    /// When the next report may be made.
    next: Instant,
    /// Lines in the last report.
    seen: Option<u64>,
    /// Why nothing is read at the moment.
    problem: Option<String>,
}

impl View<'_> {
    fn tell(&mut self, problem: Option<String>) {
        if self.problem == problem {
            return;
        }
        if let Some(problem) = problem.as_ref().filter(|_| !self.is_live) {
            eprintln!("{problem}");
        }
        self.problem = problem;
        self.seen = None;
    }

    fn refresh(&mut self, lines: u64, sinks: &mut Sinks, files: &Files) -> Result<(), Failed> {
        let started = Instant::now();
        if self.seen == Some(lines) || started < self.next {
            return Ok(());
        }
        files.flush()?;
        let report = sinks.so_far();
        for (path, text) in outputs(self.args, &report)? {
            if path.as_os_str() != "-" {
                replace(path, &text)?;
            }
        }
        if self.is_live {
            self.draw(&report);
        }
        self.seen = Some(lines);
        self.next = started + REFRESH.max(started.elapsed() * SHARE);
        Ok(())
    }

    /// The beginning of the report, as much of it as fits.
    fn draw(&self, report: &LogReport) {
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        let rows = size.map_or(ROWS, |size| usize::from(size.ws_row));
        let options = text_options(self.args);
        let text = log_text(report, &options);
        let below = self.problem.clone().unwrap_or_else(|| "Ctrl-C ends it".to_owned());
        // Home, clear what is below, and no wrapping of long lines while it is drawn.
        let mut picture = "\x1b[?7l\x1b[H\x1b[J".to_owned();
        for line in text.lines().take(rows.saturating_sub(1)) {
            picture.push_str(line);
            picture.push('\n');
        }
        picture.push_str(&format!("\x1b[0m{below}\x1b[?7h"));
        print_all(&picture);
        // Its last line has no end. A terminal that is gone is nobody's loss.
        let _ = std::io::stdout().flush();
    }
}

/// Writes a file in one step: who reads it sees a whole report, the old one or the new one.
fn replace(path: &Path, text: &str) -> Result<(), Failed> {
    // Devices and pipes cannot be replaced.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, text).map_err(|error| cannot_write(path, &error));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| cannot_write(path, &error))
}
