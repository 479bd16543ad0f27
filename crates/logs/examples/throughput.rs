//! Lines per second of reading and parsing on one core:
//! `cargo run --release -p logs --example throughput -- FILE [TIMES]`.

use std::{env, error::Error, path::PathBuf, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("give a log file")?);
    let times: u32 = arguments.next().map_or(Ok(100), |times| times.parse())?;

    let (mut lines, mut bytes, started) = (0, 0_u64, Instant::now());
    for _ in 0..times {
        let mut reader = logs::open(&file)?;
        reader.for_each(|line| bytes += line.ok().and_then(|hit| hit.bytes).unwrap_or(0))?;
        lines += reader.counts().read;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{lines} lines in {seconds:.2} s: {:.0} lines/s ({bytes} bytes sent)",
        lines as f64 / seconds
    );
    Ok(())
}
