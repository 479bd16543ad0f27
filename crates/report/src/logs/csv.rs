//! Every panel as one CSV table: `panel,key,hits,visitors,bytes,…`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;

use logs::report::LogReport;

use crate::table::is_hidden;

/// Writes the rows of all panels, in the order of the report. Latencies are in milliseconds and
/// empty where none was logged. Keys are made harmless for terminals and spreadsheets.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(out: impl Write, report: &LogReport) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "panel",
        "key",
        "hits",
        "visitors",
        "bytes",
        "client-errors",
        "server-errors",
        "p50-ms",
        "p95-ms",
        "p99-ms",
    ])?;
    for (panel, rows) in report.panels.iter() {
        for row in rows {
            let latency = |of: fn(&logs::report::Quantiles) -> u64| {
                let us = row.latency.as_ref().map(of);
                us.map_or_else(String::new, |us| (us as f64 / 1e3).to_string())
            };
            writer.write_record([
                panel.key(),
                &cell(&row.key),
                &row.hits.to_string(),
                &row.visitors.to_string(),
                &row.bytes.to_string(),
                &row.client_errors.to_string(),
                &row.server_errors.to_string(),
                &latency(|quantiles| quantiles.p50_us),
                &latency(|quantiles| quantiles.p95_us),
                &latency(|quantiles| quantiles.p99_us),
            ])?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// A text that clients chose, so that neither a terminal nor a spreadsheet obeys it: characters that nobody
/// sees become `\u{…}`, and one that would make it a formula has a `'` before it.
///
/// Source: OWASP, "CSV Injection".
fn cell(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    if !is_formula && !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut cell = String::with_capacity(text.len() + 8);
    if is_formula {
        cell.push('\'');
    }
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(cell, "{}", character.escape_unicode());
        } else {
            cell.push(character);
        }
    }
    Cow::Owned(cell)
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_harmless() {
        for (text, expected) in [
            ("/a?b=1", "/a?b=1"),
            ("/größe", "/größe"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1+2", "'-1+2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\\u{9}=1"),
            ("a\x1b[31m\0", "a\\u{1b}[31m\\u{0}"),
            ("\u{202e}x\u{9b}", "\\u{202e}x\\u{9b}"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
