//! What changed from one report to another.

use foldhash::HashMap;
use serde::Serialize;

use super::model::{LogReport, Row};
use super::panel::Panel;

/// Changes that are listed.
pub const CHANGES_MAX: usize = 200;
/// A change must have fewer than this chance of being none: one in ten thousand, since thousands of rows
/// are looked at. The normal quantile for it, both sides.
const Z: f64 = 3.89;
/// Fewest requests, in the two together, for a row to be looked at.
const HITS_MIN: u64 = 20;
/// How much the 95th percentile of latency must change to be listed, either way: sketches are within
/// 1.6 %, and traffic is never the same.
const LATENCY_RATIO_MIN: f64 = 1.25;
/// Fewest latencies on either side.
const LATENCY_COUNT_MIN: u64 = 200;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Its share of the requests; for `panel: None` the requests per second of the whole.
    Hits,
    /// The share of 5xx among its requests.
    Errors,
    /// The 95th percentile of its latency, in µs.
    Latency,
    /// It was not there before; `before` is 0.
    New,
    /// It is not there any more; `after` is 0.
    Vanished,
}

/// One change that is more than chance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// What changed.
    pub kind: ChangeKind,
    /// The panel of the row; `None` for the whole log.
    #[serde(serialize_with = "panel_key")]
    pub panel: Option<Panel>,
    /// The row; empty for the whole log.
    pub key: String,
    /// The value before, in the unit of the kind.
    pub before: f64,
    /// The value after.
    pub after: f64,
    /// `after / before`; `None` from nothing.
    pub ratio: Option<f64>,
    /// How many standard errors the change is; for latency the logarithm of the ratio × 10.
    pub strength: f64,
}

/// Panels whose rows are compared.
const PANELS: [Panel; 11] = [
    Panel::Status,
    Panel::Host,
    Panel::Path,
    Panel::Template,
    Panel::NotFound,
    Panel::Client,
    Panel::Browser,
    Panel::Crawler,
    Panel::ReferringSite,
    Panel::Upstream,
    Panel::Route,
];

/// Changes from `before` to `after`, strongest first, at most [`CHANGES_MAX`].
///
/// Requests of the whole are compared as Poisson rates over the time that each log spans, rows by their
/// share of all requests and errors by their share of the row's, as two proportions with a pooled
/// standard error; a row is new or vanished when its share cannot have been the same. Rows that the
/// reports do not list ([`Options::rows`](super::Options::rows)) are not compared.
#[must_use]
pub fn compare(before: &LogReport, after: &LogReport) -> Vec<Change> {
    let mut changes = Vec::new();
    whole(before, after, &mut changes);
    let all = (before.totals.requests, after.totals.requests);
    for panel in PANELS {
        rows(panel, &before.panels[panel], &after.panels[panel], all, before, after, &mut changes);
    }
    changes.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.key.cmp(&b.key)));
    changes.truncate(CHANGES_MAX);
    changes
}

fn whole(before: &LogReport, after: &LogReport, changes: &mut Vec<Change>) {
    let (was, is) = (&before.totals, &after.totals);
    if let (Some(t0), Some(t1)) = (span_s(before), span_s(after)) {
        let (n0, n1) = (was.requests as f64, is.requests as f64);
        // Given their sum, the second of two Poisson counts of one rate is binomial by the times.
        let share = t1 / (t0 + t1);
        let deviation = ((n0 + n1) * share * (1.0 - share)).sqrt();
        let strength = (n1 - (n0 + n1) * share).abs() / deviation;
        push(changes, ChangeKind::Hits, None, "", (n0 / t0, n1 / t1), strength);
    }
    let errors = ((was.server_errors, was.requests), (is.server_errors, is.requests));
    proportions(changes, ChangeKind::Errors, None, "", errors);
    if let (Some(a), Some(b)) = (before.latency, after.latency) {
        latency(changes, None, "", (a.count, a.p95_us), (b.count, b.p95_us));
    }
}

fn rows(
    panel: Panel,
    was: &[Row],
    is: &[Row],
    all: (u64, u64),
    before: &LogReport,
    after: &LogReport,
    changes: &mut Vec<Change>,
) {
    let empty = Row::default();
    let old: HashMap<&str, &Row> = was.iter().map(|row| (row.key.as_str(), row)).collect();
    let new: HashMap<&str, &Row> = is.iter().map(|row| (row.key.as_str(), row)).collect();
    let gone = was.iter().filter(|row| !new.contains_key(row.key.as_str()));
    for row in is.iter().chain(gone) {
        let key = row.key.as_str();
        let pair =
            (old.get(key).copied().unwrap_or(&empty), new.get(key).copied().unwrap_or(&empty));
        if pair.0.hits + pair.1.hits < HITS_MIN {
            continue;
        }
        // What is not listed may be there all the same when the list was cut.
        let is_cut =
            |report: &LogReport| report.panels.distinct(panel) > report.panels[panel].len() as u64;
        let kind = match (pair.0.hits, pair.1.hits) {
            (0, _) if is_cut(before) => continue,
            (_, 0) if is_cut(after) => continue,
            (0, _) => ChangeKind::New,
            (_, 0) => ChangeKind::Vanished,
            _ => ChangeKind::Hits,
        };
        let panel = Some(panel);
        proportions(changes, kind, panel, key, ((pair.0.hits, all.0), (pair.1.hits, all.1)));
        let errors = ((pair.0.server_errors, pair.0.hits), (pair.1.server_errors, pair.1.hits));
        proportions(changes, ChangeKind::Errors, panel, key, errors);
        if let (Some(a), Some(b)) = (pair.0.latency, pair.1.latency) {
            latency(changes, panel, key, (a.count, a.p95_us), (b.count, b.p95_us));
        }
    }
}

fn proportions(
    changes: &mut Vec<Change>,
    kind: ChangeKind,
    panel: Option<Panel>,
    key: &str,
    ((x0, n0), (x1, n1)): ((u64, u64), (u64, u64)),
) {
    if n0 == 0 || n1 == 0 {
        return;
    }
    let (x0, n0, x1, n1) = (x0 as f64, n0 as f64, x1 as f64, n1 as f64);
    let pooled = (x0 + x1) / (n0 + n1);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n0 + 1.0 / n1)).sqrt();
    push(changes, kind, panel, key, (x0 / n0, x1 / n1), (x1 / n1 - x0 / n0).abs() / deviation);
}

fn latency(
    changes: &mut Vec<Change>,
    panel: Option<Panel>,
    key: &str,
    (n0, before): (u64, u64),
    (n1, after): (u64, u64),
) {
    let ratio = (after.max(1) as f64 / before.max(1) as f64).ln().abs();
    if n0.min(n1) >= LATENCY_COUNT_MIN && ratio >= LATENCY_RATIO_MIN.ln() {
        // So that it stands among the others by how much it changed.
        let strength = (ratio * 10.0).max(Z);
        push(changes, ChangeKind::Latency, panel, key, (before as f64, after as f64), strength);
    }
}

fn push(
    changes: &mut Vec<Change>,
    kind: ChangeKind,
    panel: Option<Panel>,
    key: &str,
    (before, after): (f64, f64),
    strength: f64,
) {
    // Not a number where nothing varies.
    if strength.is_finite() && strength >= Z {
        let ratio = (before > 0.0).then(|| after / before);
        changes.push(Change { kind, panel, key: key.to_owned(), before, after, ratio, strength });
    }
}

/// The time that a log spans, at least a second.
fn span_s(report: &LogReport) -> Option<f64> {
    let span_us = report.totals.last?.checked_sub(report.totals.first?)?;
    Some((span_us as f64 / 1e6).max(1.0))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn panel_key<S: serde::Serializer>(
    panel: &Option<Panel>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match panel {
        Some(panel) => serializer.serialize_str(panel.key()),
        None => serializer.serialize_none(),
    }
}
