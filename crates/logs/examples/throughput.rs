//! Lines per second of reading and parsing, and what became of the lines of each file:
//! `cargo run --release -p logs --example throughput -- JOBS FILE…`.

use logs::{Options, Record, Reject, Sink, scan, sources};
use std::{env, error::Error, path::PathBuf, time::Instant};

/// Looks at the fields that most reports need.
#[derive(Default)]
struct Look {
    bytes: u64,
    texts: usize,
    errors: u64,
}

impl Sink for Look {
    fn record(&mut self, record: &Record<'_>) {
        self.bytes += record.bytes.unwrap_or(0);
        self.errors += u64::from(record.status.is_some_and(|status| status >= 400));
        let texts = [record.target, record.referrer, record.agent];
        self.texts += texts.iter().flatten().map(|text| text.len()).sum::<usize>();
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.texts += reject.line.len();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let jobs = arguments.next().ok_or("give the number of threads")?.parse()?;
    let paths: Vec<_> = arguments.map(PathBuf::from).collect();
    let options = Options { jobs, ..Options::default() };
    let sources = sources(&paths, &options, &[])?;

    let started = Instant::now();
    let done = scan(&sources, &options, Look::default);
    let seconds = started.elapsed().as_secs_f64();
    for (source, outcome) in sources.iter().zip(&done.outcomes) {
        let counts = &outcome.counts;
        let (read, parsed, directives) = (counts.read, counts.parsed, counts.directives);
        let formats: Vec<_> =
            counts.formats().map(|(format, count)| format!("{} {count}", format.name())).collect();
        let reasons: Vec<_> =
            counts.reasons().map(|(reason, count)| format!("{reason} {count}")).collect();
        println!(
            "{}: {read} read, {parsed} parsed, {directives} directives; {}; {}",
            source.name(),
            formats.join(", "),
            reasons.join(", ")
        );
    }
    let bytes: u64 = done.sinks.iter().map(|sink| sink.bytes).sum();
    println!(
        "{} lines in {seconds:.3} s: {:.0} lines/s ({bytes} bytes sent)",
        done.counts.read,
        done.counts.read as f64 / seconds
    );
    Ok(())
}
