//! Writing a run file while the run goes on.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use load::results::Tick;
use serde_json::{Value, json};

use super::{EndpointLine, Header, TickLine};

/// Writes a run file, a line per tick. Needs the same memory however long the run is.
#[derive(Debug)]
pub struct RunFileWriter<W: Write> {
    gzip: GzEncoder<W>,
}

impl<W: Write> RunFileWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn new(out: W, header: &Header) -> io::Result<RunFileWriter<W>> {
        // Histograms are deflated already: more effort would gain little.
        let mut writer = RunFileWriter { gzip: GzEncoder::new(out, Compression::fast()) };
        writer.line(header)?;
        Ok(writer)
    }

    /// Appends a tick and flushes it.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn tick(&mut self, tick: &Tick<'_>) -> io::Result<()> {
        let endpoints = tick
            .interval
            .iter()
            .enumerate()
            .filter(|(_, stats)| !stats.is_empty())
            .map(|(endpoint, stats)| EndpointLine {
                endpoint,
                requests: stats.requests,
                failures: stats.failures,
                rate_limited: stats.rate_limited,
                timeouts: stats.timeouts,
                unsent: stats.unsent,
                bytes_received: stats.bytes_received,
                response_us: stats.response.encode(),
            })
            .collect();
        let watched = tick.watched.iter().zip(&tick.point.watched);
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.line(&TickLine {
            t_ms: millis(tick.at),
            interval_ms: millis(tick.point.interval),
            users: tick.point.users,
            in_flight: tick.point.in_flight,
            paused: tick.paused,
            watched: watched.map(|(series, value)| (series.name.clone(), json!(value))).collect(),
            endpoints,
        })
    }

    /// Appends the run's JSON, ends the file and gives the writer back.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn finish(mut self, result: &Value) -> io::Result<W> {
        self.line(result)?;
        let mut out = self.gzip.finish()?;
        out.flush()?;
        Ok(out)
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.gzip.write_all(&line)?;
        self.gzip.flush()
    }
}
