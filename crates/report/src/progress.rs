//! The live view of a run: a block that redraws itself on a terminal, a line now and then in a
//! pipe.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use load::results::{RequestStats, Tick};

use crate::figures::{micros, quantile};
use crate::format;
use crate::table::{Style, Table, shortened};

/// Ticks in the lines over time.
const HISTORY: usize = 60;
/// Endpoints shown, those with the most requests.
const TOP_ENDPOINTS: usize = 5;
/// Narrowest terminal that is drawn for.
const WIDTH_MIN: usize = 20;

/// Where the view goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveMode {
    /// A terminal of so many columns, redrawn with every tick.
    Terminal {
        /// Columns.
        width: usize,
        /// What keys do, such as `p pause  q quit`; may be empty.
        keys: String,
    },
    /// A pipe or a file: one line so often.
    Pipe {
        /// Time between two lines.
        every: Duration,
    },
}

/// Shows a run while it goes on. Give it to nothing else that writes to the same terminal, or call
/// [`Live::clear`] before.
#[derive(Debug)]
pub struct Live<W: Write> {
    out: W,
    mode: LiveMode,
    style: Style,
    /// Lines on the terminal that are ours.
    drawn: usize,
    /// When the last line was written.
    last_line: Option<Duration>,
    rates: VecDeque<Option<f64>>,
    p95s: VecDeque<Option<f64>>,
}

impl<W: Write> Live<W> {
    /// A view that writes to `out`.
    pub fn new(out: W, mode: LiveMode, style: Style) -> Live<W> {
        let (rates, p95s) = (VecDeque::new(), VecDeque::new());
        Live { out, mode, style, drawn: 0, last_line: None, rates, p95s }
    }

    /// Tells that the terminal has so many columns now.
    pub fn resize(&mut self, columns: usize) {
        if let LiveMode::Terminal { width, .. } = &mut self.mode {
            *width = columns;
        }
    }

    /// Shows a tick.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn tick(&mut self, tick: &Tick<'_>) -> io::Result<()> {
        match &self.mode {
            LiveMode::Terminal { width, keys } => {
                remember(&mut self.rates, Some(tick.point.requests_per_s));
                remember(&mut self.p95s, tick.point.p95.map(|p95| p95.as_secs_f64()));
                let block = self.block(tick, keys, (*width).max(WIDTH_MIN));
                self.redraw(&block)
            }
            LiveMode::Pipe { every } => {
                if self.last_line.is_some_and(|last| tick.at < last + *every) {
                    return Ok(());
                }
                self.last_line = Some(tick.at);
                writeln!(self.out, "{}", status(tick).join("  "))?;
                self.out.flush()
            }
        }
    }

    /// Takes the block off the terminal; the next tick draws it again.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            // CSI A: up so many lines. CSI J: erase to the end of the screen (ECMA-48).
            write!(self.out, "\r\x1b[{}A\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        self.out.flush()
    }

    fn redraw(&mut self, block: &[String]) -> io::Result<()> {
        // One write per frame, or the terminal would show it half erased.
        let mut frame = String::new();
        if self.drawn > 0 {
            frame.push_str(&format!("\r\x1b[{}A\x1b[J", self.drawn));
        }
        for line in block {
            frame.push_str(line);
            frame.push('\n');
        }
        self.drawn = block.len();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    /// Lines that fit the width, as a line that wraps would not be erased.
    fn block(&self, tick: &Tick<'_>, keys: &str, width: usize) -> Vec<String> {
        let fit = |line: &str| shortened(line, width - 1);
        let [progress, load, figures, times] = status(tick);
        let mut lines = vec![
            self.style.bold(&fit(&format!("{progress}  {load}"))),
            fit(&format!("{figures}  {times}")),
            self.history("requests/s", &self.rates, width, format::rate),
            self.history("p95       ", &self.p95s, width, |s| format::time(s * 1e6)),
        ];
        lines.extend(top_endpoints(tick).lines().map(fit));
        if !keys.is_empty() {
            lines.push(self.style.dim(&fit(keys)));
        }
        lines
    }

    fn history(
        &self,
        name: &str,
        values: &VecDeque<Option<f64>>,
        width: usize,
        unit: impl Fn(f64) -> String,
    ) -> String {
        let values: Vec<Option<f64>> = values.iter().copied().collect();
        let highest = values.iter().flatten().copied().fold(0.0, f64::max);
        let line = format!("{name} {}  up to {}", format::sparkline(&values), unit(highest));
        shortened(&line, width - 1)
    }
}

fn remember(values: &mut VecDeque<Option<f64>>, value: Option<f64>) {
    if values.len() == HISTORY {
        values.pop_front();
    }
    values.push_back(value);
}

/// Progress, load, counts, and the response times of the last interval.
fn status(tick: &Tick<'_>) -> [String; 4] {
    let elapsed = format::length(tick.at.as_secs_f64());
    let totals = tick.totals;
    let mut progress = match (tick.planned, tick.planned_requests) {
        (Some(planned), _) => format!("{elapsed} of {}", format::length(planned.as_secs_f64())),
        (None, Some(planned)) => {
            let done = format::count(totals.requests);
            format!("{elapsed}, {done} of {}", format::plural(planned, "request"))
        }
        (None, None) => elapsed,
    };
    if tick.paused {
        progress.push_str(" PAUSED");
    }
    let point = tick.point;
    let load = format!(
        "users {}  in flight {}",
        format::count(point.users),
        format::count(point.in_flight)
    );
    let mut figures = format!(
        "{}  requests {}  failures {} ({})",
        format::rate(point.requests_per_s),
        format::count(totals.requests),
        format::count(totals.failures),
        format::percent(format::share(totals.failures, totals.requests)),
    );
    if totals.unsent > 0 {
        figures.push_str(&format!("  unsent {}", format::count(totals.unsent)));
    }
    let time = |time: Option<Duration>| format::time_or_dash(time.map(micros));
    let times =
        format!("p50 {}  p95 {}  p99 {}", time(point.p50), time(point.p95), time(point.p99));
    [progress, load, figures, times]
}

fn top_endpoints(tick: &Tick<'_>) -> String {
    let mut endpoints: Vec<(usize, &RequestStats)> =
        tick.so_far.iter().enumerate().filter(|(_, stats)| !stats.is_empty()).collect();
    endpoints.sort_by_key(|(index, stats)| (std::cmp::Reverse(stats.requests), *index));
    let mut table =
        Table::new(&["endpoint"], &["requests", "rate", "failures", "p50 now", "p95 now"]);
    for (index, stats) in endpoints.iter().take(TOP_ENDPOINTS) {
        let Some(endpoint) = tick.endpoints.get(*index) else { continue };
        let now = tick.interval.get(*index);
        let seconds = tick.point.interval;
        let rate = now.map_or(0.0, |now| load::results::per_second(now.requests, seconds));
        let time = |q| format::time_or_dash(now.and_then(|now| quantile(&now.response, q)));
        table.row([
            format!("{} {}", endpoint.method, endpoint.name),
            format::count(stats.requests),
            format::rate(rate),
            format::count(stats.failures),
            time(0.5),
            time(0.95),
        ]);
    }
    let more = endpoints.len().saturating_sub(TOP_ENDPOINTS);
    let rest = if more > 0 { format!("  … and {more} more\n") } else { String::new() };
    if table.is_empty() { String::new() } else { table.render() + &rest }
}
