//! Reading a run file. Nothing in it is trusted: every size has a limit, and no content panics.

use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use stats::LatencyHistogram;
use traffic::units::DURATION_MAX;

use super::{
    BUCKETS_MAX, ENDPOINTS_MAX, EndpointLine, EndpointTick, Header, LINE_BYTES_MAX, RECORDS_MAX,
    RunFile, RunFileError, RunTick, SCHEMA, TICKS_MAX, TickLine,
};
use crate::json::RUN_SCHEMA;

/// Reads a run file. When its end is missing or its last bytes are damaged, as after a killed run,
/// what stands before is returned, with [`RunFile::truncated`] set.
///
/// # Errors
/// [`RunFileError`] when it is no run file, is damaged in the middle, or exceeds a limit.
pub fn read(input: impl Read) -> Result<RunFile, RunFileError> {
    let mut lines = Lines { input: BufReader::new(MultiGzDecoder::new(input)), number: 0 };
    let header = match lines.next()? {
        Next::Line(line) => parse_header(&line)?,
        Next::End | Next::Damaged => {
            return Err(RunFileError::Header { problem: "it has no complete line".to_owned() });
        }
    };
    let mut reader = Reader { endpoints: header.endpoints.len(), records: 0, buckets: 0 };
    let mut file = RunFile { header, ticks: Vec::new(), result: None, truncated: true };
    loop {
        let line = match lines.next()? {
            Next::Line(line) => line,
            Next::End => {
                file.truncated = file.result.is_none();
                return Ok(file);
            }
            Next::Damaged => return Ok(file),
        };
        let damaged = |problem: String| RunFileError::Line { line: lines.number, problem };
        if file.result.is_some() {
            return Err(damaged("it stands after the result, which is the last line".to_owned()));
        }
        match serde_json::from_slice::<TickLine>(&line) {
            Ok(_) if file.ticks.len() == TICKS_MAX => {
                return Err(RunFileError::TooLarge {
                    line: lines.number,
                    what: "ticks",
                    limit: TICKS_MAX,
                });
            }
            Ok(tick) => file.ticks.push(reader.tick(tick, lines.number)?),
            Err(error) => match serde_json::from_slice::<Value>(&line) {
                Ok(value) if value["schema"] == RUN_SCHEMA => file.result = Some(value),
                _ => return Err(damaged(error.to_string())),
            },
        }
    }
}

fn parse_header(line: &[u8]) -> Result<Header, RunFileError> {
    let fail = |problem: String| RunFileError::Header { problem };
    let header: Header = serde_json::from_slice(line).map_err(|error| fail(error.to_string()))?;
    if header.schema != SCHEMA {
        return Err(fail(format!("its schema is `{}`, not `{SCHEMA}`", header.schema)));
    }
    if header.endpoints.len() > ENDPOINTS_MAX {
        return Err(RunFileError::TooLarge { line: 1, what: "endpoints", limit: ENDPOINTS_MAX });
    }
    Ok(header)
}

/// Checks ticks, and counts what they hold against the limits.
struct Reader {
    endpoints: usize,
    records: usize,
    buckets: usize,
}

impl Reader {
    fn tick(&mut self, line: TickLine, number: usize) -> Result<RunTick, RunFileError> {
        let duration = |ms: u64| {
            let duration = Duration::from_millis(ms);
            let problem = || format!("a time of {ms} ms is no time of a run");
            (duration <= DURATION_MAX)
                .then_some(duration)
                .ok_or_else(|| RunFileError::Line { line: number, problem: problem() })
        };
        Ok(RunTick {
            at: duration(line.t_ms)?,
            interval: duration(line.interval_ms)?,
            users: line.users,
            paused: line.paused,
            endpoints: line
                .endpoints
                .into_iter()
                .map(|endpoint| self.endpoint(&endpoint, number))
                .collect::<Result<_, _>>()?,
        })
    }

    fn endpoint(
        &mut self,
        line: &EndpointLine,
        number: usize,
    ) -> Result<EndpointTick, RunFileError> {
        let damaged = |problem: String| RunFileError::Line { line: number, problem };
        if line.endpoint >= self.endpoints {
            let problem = format!(
                "it has no endpoint {}, the header names {}",
                line.endpoint, self.endpoints
            );
            return Err(damaged(problem));
        }
        let histogram = LatencyHistogram::decode(&line.response_us)
            .map_err(|error| damaged(format!("endpoint {}: {error}", line.endpoint)))?;
        // Bounds: 1 h is less than 2^32 µs; more than 2^32 answers per second there are not.
        let bucket = |(us, count): (u64, u64)| {
            (u32::try_from(us).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(u32::MAX))
        };
        let response: Vec<(u32, u32)> = histogram.iter_buckets().map(bucket).collect();
        self.records += 1;
        self.buckets += response.len();
        for (count, what, limit) in [
            (self.records, "records of endpoints", RECORDS_MAX),
            (self.buckets, "histogram buckets", BUCKETS_MAX),
        ] {
            if count > limit {
                return Err(RunFileError::TooLarge { line: number, what, limit });
            }
        }
        Ok(EndpointTick {
            endpoint: line.endpoint,
            requests: line.requests,
            failures: line.failures,
            unsent: line.unsent,
            bytes_received: line.bytes_received,
            response_sum_us: u64::try_from(histogram.sum_us()).unwrap_or(u64::MAX),
            response,
        })
    }
}

/// What comes next in a file.
enum Next {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// The end, where it should be.
    End,
    /// The end, where it should not be: within a line or within the gzip data.
    Damaged,
}

struct Lines<R: Read> {
    input: BufReader<R>,
    number: usize,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Next, RunFileError> {
        let mut line = Vec::new();
        self.number += 1;
        let limit = LINE_BYTES_MAX as u64 + 1;
        match self.input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => Ok(Next::End),
            Ok(_) if line.pop_if(|byte| *byte == b'\n').is_some() => Ok(Next::Line(line)),
            Ok(read) if read > LINE_BYTES_MAX => Err(RunFileError::TooLarge {
                line: self.number,
                what: "bytes",
                limit: LINE_BYTES_MAX,
            }),
            Ok(_) => Ok(Next::Damaged),
            // The kinds that the gzip reader gives for data that is cut short or damaged.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(Next::Damaged)
            }
            Err(error) => Err(RunFileError::Io(error)),
        }
    }
}
