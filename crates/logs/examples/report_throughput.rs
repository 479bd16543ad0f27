//! How fast the pass over records is without reading and parsing: the records of a file are kept in memory
//! and counted again and again.
//!
//! `cargo run --release -p logs --example report_throughput -- FILE [ROUNDS]`; with `DURATIONS=1` in the
//! environment, bytes stand for µs.

use std::path::Path;
use std::time::Instant;

use logs::report::{Aggregate, Options, Setup};
use logs::{Record, Sink};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which file?")?;
    let rounds: usize = args.next().map_or(Ok(100), |rounds| rounds.parse())?;
    let mut lines = Vec::new();
    logs::open(Path::new(&path))?.for_each(|line| {
        if let Ok(hit) = line {
            let text = |text: Option<&[u8]>| text.map(<[u8]>::to_vec);
            lines.push((
                hit.start_us,
                hit.client.to_vec(),
                hit.method.to_vec(),
                hit.target.to_vec(),
                text(hit.protocol),
                hit.status,
                hit.bytes,
                text(hit.referrer),
                text(hit.agent),
            ));
        }
    })?;
    let mut aggregate = Aggregate::new(&Setup::default());
    let has_durations = std::env::var_os("DURATIONS").is_some();
    let begin = Instant::now();
    for round in 0..rounds {
        for (time_us, client, method, target, protocol, status, bytes, referrer, agent) in &lines {
            aggregate.record(&Record {
                // As if the log went on and on.
                time_us: time_us + round as i64 * 300_000_000_000,
                client,
                method: Some(method),
                target: Some(target),
                protocol: protocol.as_deref(),
                status: Some(*status),
                bytes: *bytes,
                referrer: referrer.as_deref(),
                agent: agent.as_deref(),
                duration_us: bytes.filter(|_| has_durations),
                weight: 1,
                ..Record::default()
            });
        }
    }
    let took = begin.elapsed();
    let count = lines.len() * rounds;
    println!("{count} records in {took:?}: {:.0}/s", count as f64 / took.as_secs_f64());
    let begin = Instant::now();
    let report = aggregate.finish(&Options::default());
    println!("finished in {:?}, {} visitors", begin.elapsed(), report.totals.unique_visitors);
    Ok(())
}
