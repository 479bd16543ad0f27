//! What changed from one report of logs to another, for people.

use logs::report::{Change, ChangeKind, LogReport};

use crate::format;
use crate::table::{Style, Table};

/// The totals of both, and every change that is more than chance, strongest first.
#[must_use]
pub fn changes_text(
    before: &LogReport,
    after: &LogReport,
    changes: &[Change],
    style: Style,
) -> String {
    let mut table = Table::new(&[""], &["before", "after"]);
    let (was, is) = (&before.totals, &after.totals);
    for (name, was, is) in [
        ("requests", was.requests, is.requests),
        ("unique visitors", was.unique_visitors, is.unique_visitors),
        ("not found", was.not_found, is.not_found),
        ("server errors", was.server_errors, is.server_errors),
    ] {
        table.row([name.to_owned(), format::count(was), format::count(is)]);
    }
    table.row(["sent".to_owned(), format::bytes(was.bytes as f64), format::bytes(is.bytes as f64)]);
    let mut text = format!("{}\n{}", style.bold("Before and after"), table.render());
    if was.requests == 0 || is.requests == 0 {
        text.push_str("\nOne of the two has no requests: there is nothing to compare.\n");
        return text;
    }
    if changes.is_empty() {
        text.push_str("\nNothing changed by more than chance.\n");
        return text;
    }
    let mut table = Table::new(&["what", "of"], &["before", "after", "factor"]);
    for change in changes {
        let what = match change.kind {
            ChangeKind::Hits if change.panel.is_none() => "requests per second",
            ChangeKind::Hits => "share of requests",
            ChangeKind::Errors => "share of 5xx",
            ChangeKind::Latency => "p95",
            ChangeKind::New => "new",
            ChangeKind::Vanished => "vanished",
        };
        let of = match change.panel {
            Some(panel) => format!("{} {}", panel.key(), change.key),
            None => "everything".to_owned(),
        };
        let value = |value: f64| match (change.kind, change.panel) {
            (ChangeKind::Hits, None) => format::amount(value),
            (ChangeKind::Latency, _) => format::time(value),
            _ => format::percent(value),
        };
        let ratio = change.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        table.row([what.to_owned(), of, value(change.before), value(change.after), ratio]);
    }
    text.push_str(&format!("\n{}\n{}", style.bold("More than chance"), table.render()));
    text
}
