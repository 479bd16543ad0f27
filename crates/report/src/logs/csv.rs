//! Every panel as one CSV table: `panel,key,hits,visitors,bytes,…`.

use std::io::Write;

use logs::report::LogReport;

/// Writes the rows of all panels, in the order of the report. Latencies are in milliseconds and
/// empty where none was logged.
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
                &row.key,
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
