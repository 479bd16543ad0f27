//! Where the results of a run go: terminal, files, a metrics endpoint.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use load::params::LoadParams;
use load::results::{RunResult, Tick};
use report::Style;
use report::csv::{HistoryCsv, write_failures, write_stats};
use report::progress::{Live, LiveMode};
use report::runfile::{Header, RunFileWriter};

use crate::exit::{Exit, Failed};
use crate::metrics::Metrics;

/// What the live view says about keys.
const KEYS: &str = "w W more  s S fewer  p pause  q stop";
/// How often progress is printed in a pipe.
const PIPE_INTERVAL: Duration = Duration::from_secs(5);

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputFlags {
    /// Write the result as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write PREFIX_stats.csv, PREFIX_stats_history.csv and PREFIX_failures.csv, as Locust does
    #[arg(long, value_name = "PREFIX")]
    pub(crate) csv: Option<String>,
    /// Save the whole run, with a histogram per second, for `tidegate compare`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Serve live metrics at this address, such as 127.0.0.1:9646
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) prometheus: Option<SocketAddr>,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Everything that watches a run and is told its result.
pub(crate) struct Output {
    json: Option<PathBuf>,
    csv: Option<CsvFiles>,
    save: Option<(PathBuf, RunFileWriter<File>)>,
    metrics: Option<Metrics>,
    live: Option<Live<std::io::Stderr>>,
    redraws: bool,
    /// The first thing that could not be written; a full disk must not end a run.
    problem: Option<String>,
}

struct CsvFiles {
    prefix: String,
    history: HistoryCsv<BufWriter<File>>,
}

impl Output {
    /// Opens every file before the first request is sent.
    ///
    /// # Errors
    /// When a file cannot be made or the metrics address cannot be bound.
    pub(crate) fn open(flags: &OutputFlags, params: &LoadParams) -> Result<Output, Failed> {
        let csv = match &flags.csv {
            None => None,
            Some(prefix) => {
                let started = unix_ms_now();
                let file =
                    BufWriter::new(create(Path::new(&format!("{prefix}_stats_history.csv")))?);
                let history =
                    HistoryCsv::new(file, started).map_err(|error| Failed::environment(&error))?;
                Some(CsvFiles { prefix: prefix.clone(), history })
            }
        };
        let save = match &flags.save {
            None => None,
            Some(path) => {
                let writer = RunFileWriter::new(create(path)?, &header(params))
                    .map_err(|error| Failed::environment(&error))?;
                Some((path.clone(), writer))
            }
        };
        if let Some(path) = flags.json.as_deref().filter(|path| *path != Path::new("-")) {
            // Found out now rather than after an hour of load.
            create(path)?;
        }
        let metrics = flags
            .prometheus
            .map(Metrics::serve)
            .transpose()
            .map_err(|error| Failed::environment(&error))?;
        let redraws = !flags.quiet && std::io::stderr().is_terminal();
        let live = (!flags.quiet).then(|| live(redraws));
        Ok(Output { json: flags.json.clone(), csv, save, metrics, live, redraws, problem: None })
    }

    /// Nothing but progress on stderr.
    pub(crate) fn progress_only() -> Output {
        let redraws = std::io::stderr().is_terminal();
        let live = Some(live(redraws));
        Output { json: None, csv: None, save: None, metrics: None, live, redraws, problem: None }
    }

    /// Nothing at all until the result.
    pub(crate) fn silent() -> Output {
        Output { live: None, redraws: false, ..Output::progress_only() }
    }

    /// Whether a person watches on a terminal.
    pub(crate) fn is_live(&self) -> bool {
        self.redraws
    }

    /// Shows and stores one tick.
    pub(crate) fn tick(&mut self, tick: &Tick<'_>) {
        let mut note = |what: &str, result: Result<(), String>| {
            if let Err(error) = result {
                self.problem.get_or_insert_with(|| format!("cannot write {what}: {error}"));
            }
        };
        if let Some(csv) = &mut self.csv {
            note("the CSV history", csv.history.tick(tick).map_err(|error| error.to_string()));
        }
        if let Some((_, writer)) = &mut self.save {
            note("the run file", writer.tick(tick).map_err(|error| error.to_string()));
        }
        if let Some(live) = &mut self.live {
            // A closed stderr is nobody's loss.
            let _ = live.tick(tick);
        }
        if let Some(metrics) = &self.metrics {
            metrics.publish(report::prometheus::exposition(tick, &[]));
        }
    }

    /// Writes the result everywhere.
    ///
    /// # Errors
    /// When something could not be written; everything else has been.
    pub(crate) fn finish(mut self, result: &RunResult) -> Result<(), Failed> {
        if let Some(live) = &mut self.live {
            let _ = live.clear();
        }
        let mut problems: Vec<String> = self.problem.into_iter().collect();
        if let Some((path, writer)) = self.save
            && let Err(error) = writer.finish(&report::json::run_json(result))
        {
            problems.push(format!("cannot write {}: {error}", path.display()));
        }
        if let Some(csv) = self.csv {
            let mut write = |suffix: &str, fill: &dyn Fn(&mut Vec<u8>) -> Result<(), String>| {
                let path = PathBuf::from(format!("{}{suffix}", csv.prefix));
                let mut bytes = Vec::new();
                let written = fill(&mut bytes).and_then(|()| {
                    std::fs::write(&path, &bytes).map_err(|error| error.to_string())
                });
                if let Err(error) = written {
                    problems.push(format!("cannot write {}: {error}", path.display()));
                }
            };
            write("_stats.csv", &|out| write_stats(out, result).map_err(|error| error.to_string()));
            write("_failures.csv", &|out| {
                write_failures(out, result).map_err(|error| error.to_string())
            });
        }
        let mut text_to_stdout = true;
        if let Some(path) = &self.json {
            let json = format!("{:#}\n", report::json::run_json(result));
            if let Err(failed) = write_file(path, &json) {
                problems.push(failed.message);
            }
            text_to_stdout = path != Path::new("-");
        }
        if text_to_stdout {
            print_all(&report::terminal::run_text(result, style_of_stdout()));
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Failed { exit: Exit::Environment, message: problems.join("\n") }),
        }
    }
}

/// Progress on stderr: redrawn on a terminal, lines in a pipe.
fn live(redraws: bool) -> Live<std::io::Stderr> {
    let stderr = std::io::stderr();
    let mode = if redraws {
        let width =
            rustix::termios::tcgetwinsize(&stderr).map_or(80, |size| usize::from(size.ws_col));
        let keys = if std::io::stdin().is_terminal() { KEYS } else { "" };
        LiveMode::Terminal { width, keys: keys.to_owned() }
    } else {
        LiveMode::Pipe { every: PIPE_INTERVAL }
    };
    Live::new(stderr, mode, style(redraws))
}

/// What a run file says about the run before it begins.
fn header(params: &LoadParams) -> Header {
    let origin = &params.http.origin;
    let scheme = if origin.tls { "https" } else { "http" };
    let host = format!("{scheme}://{}{}", origin.authority(), params.http.base_path);
    let configuration = serde_json::json!({
        "model": params.model.name(),
        "workers": params.workers,
        "seed": params.seed,
        "run-time-s": params.stop.run_time.map(|time| time.as_secs_f64()),
        "requests": params.stop.requests,
        "slo": params.slo.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Header::new(host, params.model.name(), unix_ms_now(), &params.scenario.endpoints, configuration)
}

/// Prints to stdout; a reader that went away is no error.
pub(crate) fn print_all(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a whole file; `-` is stdout.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), Failed> {
    if path == Path::new("-") {
        print_all(text);
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| cannot(path, &error))
}

fn create(path: &Path) -> Result<File, Failed> {
    File::create(path).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failed {
    Failed {
        exit: Exit::Environment,
        message: format!("error: cannot write {}: {error}", path.display()),
    }
}

/// Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn style_of_stdout() -> Style {
    style(std::io::stdout().is_terminal())
}

/// The same for stderr.
pub(crate) fn style_of_stderr() -> Style {
    style(std::io::stderr().is_terminal())
}

fn style(is_terminal: bool) -> Style {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style { color: is_terminal && !no_color }
}

fn unix_ms_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
