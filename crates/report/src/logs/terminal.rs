//! The report of access logs for people.

use logs::report::{FindingKind, LogReport, Panel, Peak, Row, Severity, TimePoint};

use crate::format;
use crate::table::{Style, Table, shortened};

/// Columns of a plot over time.
const PLOT_WIDTH: usize = 72;
/// Longest line of free text.
const TEXT_WIDTH_MAX: usize = 300;
/// Longest name of what a finding is about.
const SUBJECT_WIDTH_MAX: usize = 100;
/// Shades of the heat map, from few to many.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// What is shown.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// Rows of each panel.
    pub rows: usize,
    /// Panels; those without rows are left out.
    pub panels: Vec<Panel>,
    /// Colours.
    pub style: Style,
}

impl Default for TextOptions {
    /// Ten rows of the panels that most people look at.
    fn default() -> Self {
        let panels = Panel::ALL.into_iter().filter(|panel| {
            !matches!(panel, Panel::WeekdayHour | Panel::Hour | Panel::Day | Panel::Agent)
        });
        Self { rows: 10, panels: panels.collect(), style: Style::default() }
    }
}

/// The report: totals, plots over time, panels, the slowest requests, findings, notes.
#[must_use]
pub fn log_text(report: &LogReport, options: &TextOptions) -> String {
    let style = options.style;
    let mut text = totals(report, style);
    text.push_str(&over_time(report, style));
    text.push_str(&heat_map(report, style));
    for panel in &options.panels {
        text.push_str(&panel_text(report, *panel, options));
    }
    text.push_str(&slowest(report, options));
    text.push_str(&findings(report, style));
    for note in &report.notes {
        text.push_str(&format!("note: {}\n", shortened(note, TEXT_WIDTH_MAX)));
    }
    text
}

/// A time in µs since the Unix epoch, to the second.
fn when(us: i64) -> String {
    let time = jiff::Timestamp::from_second(us.div_euclid(1_000_000));
    time.map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

fn totals(report: &LogReport, style: Style) -> String {
    let totals = &report.totals;
    let mut text = format!(
        "{}: {} read, {} parsed, {} rejected",
        style.bold("Lines"),
        format::count(totals.read),
        format::count(totals.parsed),
        format::count(totals.rejected)
    );
    if totals.excluded > 0 {
        text.push_str(&format!(", {} left out by filters", format::count(totals.excluded)));
    }
    text.push('\n');
    for reject in &report.rejects {
        text.push_str(&format!(
            "  rejected: {} × {}\n",
            format::count(reject.count),
            reject.reason
        ));
    }
    if let (Some(first), Some(last)) = (totals.first, totals.last) {
        let span = (last - first) as f64 / 1e6;
        text.push_str(&format!(
            "{}: {} to {} ({})\n",
            style.bold("Time"),
            when(first),
            when(last),
            span_text(span)
        ));
    }
    let estimated = if totals.unique_visitors_estimated { " (estimated)" } else { "" };
    text.push_str(&format!(
        "{}: {}, {} unique visitors{estimated}, {} sent\n",
        style.bold("Requests"),
        format::count(totals.requests),
        format::count(totals.unique_visitors),
        format::bytes(totals.bytes as f64)
    ));
    let part = |n: u64| format::percent(format::share(n, totals.requests));
    text.push_str(&format!(
        "  static files {}, not found {}, server errors {}\n",
        part(totals.static_requests),
        part(totals.not_found),
        part(totals.server_errors)
    ));
    if let Some(latency) = &report.latency {
        text.push_str(&format!(
            "{}: p50 {}, p95 {}, p99 {}, max {} ({} requests with a duration)\n",
            style.bold("Latency"),
            format::time(latency.p50_us as f64),
            format::time(latency.p95_us as f64),
            format::time(latency.p99_us as f64),
            format::time(latency.max_us as f64),
            format::count(latency.count)
        ));
    }
    if let Some(concurrency) = &report.concurrency {
        text.push_str(&format!(
            "{}: {} on average, {} in the busiest {} ({})\n",
            style.bold("Requests under way at once"),
            format::amount(concurrency.mean),
            format::amount(concurrency.peak),
            span_text(concurrency.step_s as f64),
            when(concurrency.peak_time)
        ));
    }
    let busiest: Vec<String> = [
        ("second", &report.busiest.second),
        ("minute", &report.busiest.minute),
        ("hour", &report.busiest.hour),
    ]
    .into_iter()
    .filter_map(|(name, peak)| peak.as_ref().map(|peak| busiest_text(name, peak)))
    .collect();
    if !busiest.is_empty() {
        text.push_str(&format!("{}: {}\n", style.bold("Busiest"), busiest.join(", ")));
    }
    text
}

fn busiest_text(name: &str, peak: &Peak) -> String {
    format!("{name} {} ({})", format::count(peak.hits), when(peak.time))
}

/// `3 d 4 h`, or shorter spans as elsewhere.
fn span_text(seconds: f64) -> String {
    if seconds < 172_800.0 {
        return format::length(seconds);
    }
    let hours = (seconds / 3600.0).round() as u64;
    format!("{} d {} h", hours / 24, hours % 24)
}

fn over_time(report: &LogReport, style: Style) -> String {
    let points = &report.timeline.points;
    if points.len() < 2 {
        return String::new();
    }
    let plot = |name: &str, of: &dyn Fn(&TimePoint) -> u64| -> String {
        let values: Vec<Option<f64>> = points.iter().map(|point| Some(of(point) as f64)).collect();
        if values.iter().all(|value| *value == Some(0.0)) {
            return String::new();
        }
        let most = values.iter().flatten().fold(0.0_f64, |most, value| most.max(*value));
        let bars = format::sparkline(&format::thinned(&values, PLOT_WIDTH));
        format!("  {name:<9} {bars}  most {}\n", format::amount(most))
    };
    let mut text = format!(
        "\n{} (steps of {})\n",
        style.bold("Over time"),
        span_text(report.timeline.step_s as f64)
    );
    text.push_str(&plot("requests", &|point| point.hits));
    text.push_str(&plot("4xx", &|point| point.classes[3]));
    text.push_str(&plot("5xx", &|point| point.classes[4]));
    text
}

/// Hours by weekdays, each as a shade of its share of the busiest.
fn heat_map(report: &LogReport, style: Style) -> String {
    let rows = &report.panels[Panel::WeekdayHour];
    let most = rows.iter().map(|row| row.hits).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let mut text = format!("\n{}\n", style.bold("Hours by weekday (the log's own clock)"));
    text.push_str("       0     3     6     9     12    15    18    21\n");
    for day in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] {
        text.push_str(&format!("  {day}  "));
        for hour in 0..24 {
            let key = format!("{day} {hour:02}");
            let hits = rows.iter().find(|row| row.key == key).map_or(0, |row| row.hits);
            let shade = match hits.saturating_mul(SHADES.len() as u64).div_ceil(most) {
                0 => ' ',
                level => SHADES[(level as usize - 1).min(SHADES.len() - 1)],
            };
            text.extend([shade, shade]);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn panel_text(report: &LogReport, panel: Panel, options: &TextOptions) -> String {
    let rows = &report.panels[panel];
    if rows.is_empty() {
        return String::new();
    }
    let has_latency = rows.iter().any(|row| row.latency.is_some());
    let has_peak = rows.iter().any(|row| row.peak_concurrency.is_some());
    let mut right = vec!["hits", "%", "visitors", "sent", "4xx", "5xx"];
    if has_latency {
        right.extend(["p50", "p95", "p99"]);
    }
    if has_peak {
        right.push("at once");
    }
    let mut table = Table::new(&[panel.key()], &right);
    for row in rows.iter().take(options.rows) {
        table.row(cells(row, report.totals.requests, has_latency, has_peak));
    }
    let all = report.panels.distinct(panel).max(rows.len() as u64);
    let title = match all {
        all if all > options.rows.min(rows.len()) as u64 => {
            format!("{}, {} in all", panel.title(), format::count(all))
        }
        _ => panel.title().to_owned(),
    };
    format!("\n{}\n{}", options.style.bold(&title), table.render())
}

fn cells(row: &Row, requests: u64, has_latency: bool, has_peak: bool) -> Vec<String> {
    let key = match row.operator {
        Some(operator) if row.ai => format!("{} ({operator}, AI)", row.key),
        Some(operator) => format!("{} ({operator})", row.key),
        None => row.key.clone(),
    };
    let about = if row.visitors_estimated { "≈" } else { "" };
    let share = format::percent(format::share(row.hits, requests));
    let mut cells = vec![
        key,
        format::count(row.hits),
        share.trim_end_matches(" %").to_owned(),
        format!("{about}{}", format::count(row.visitors)),
        format::bytes(row.bytes as f64),
        format::count(row.client_errors),
        format::count(row.server_errors),
    ];
    if has_latency {
        let latency = row.latency.as_ref();
        let times = [
            latency.map(|latency| latency.p50_us),
            latency.map(|latency| latency.p95_us),
            latency.map(|latency| latency.p99_us),
        ];
        cells.extend(times.map(|us| format::time_or_dash(us.map(|us| us as f64))));
    }
    if has_peak {
        cells.push(row.peak_concurrency.map_or_else(|| "-".to_owned(), format::amount));
    }
    cells
}

fn slowest(report: &LogReport, options: &TextOptions) -> String {
    if report.slowest.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["slowest requests"], &["took", "status"])
        .text_column("when")
        .text_column("client");
    for slow in report.slowest.iter().take(options.rows) {
        table.row([
            format!("{} {}", slow.method, slow.target),
            format::time(slow.duration_us as f64),
            slow.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            when(slow.time),
            slow.client.clone(),
        ]);
    }
    format!("\n{}\n{}", options.style.bold("Slowest requests"), table.render())
}

/// What an operator should look at, each with its evidence and the rules to paste.
fn findings(report: &LogReport, style: Style) -> String {
    if report.findings.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", style.bold("Findings (nothing is applied by itself)"));
    for finding in &report.findings {
        let label = format!("{:?}", finding.severity).to_lowercase();
        let label = style.verdict(finding.severity == Severity::Low, &label);
        let subject = shortened(&finding.subject, SUBJECT_WIDTH_MAX);
        let evidence = shortened(&finding.evidence, TEXT_WIDTH_MAX);
        text.push_str(&format!("  {label} {}, {subject}: {evidence}\n", kind_text(finding.kind)));
        for (server, rule) in [("tidegate", &finding.rule), ("nginx", &finding.nginx)] {
            let mut before = server;
            for line in rule.lines() {
                let line = format!("{before:<9} {}", shortened(line, TEXT_WIDTH_MAX));
                text.push_str(&format!("      {}\n", style.dim(&line)));
                before = "";
            }
        }
    }
    text
}

fn kind_text(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Scanner => "scanner",
        FindingKind::BruteForce => "brute force",
        FindingKind::SpoofedCrawler => "crawler that may be spoofed",
        FindingKind::ClientRate => "client with an unusual rate",
        FindingKind::NetworkRate => "network with an unusual rate",
        FindingKind::AgentRate => "agent with an unusual rate",
        FindingKind::ErrorBurst => "burst of errors",
    }
}
