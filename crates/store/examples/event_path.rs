//! Measures what the event path could be built on, and what it is: durable events per second and
//! per second of CPU, bytes on the disk, memory per unit, time to start again.
//!
//! ```text
//! cargo run --release -p store --example event_path -- [EVENTS] [FOLDER]
//! ```
//!
//! The folder must be on the disk that is to be measured, not in memory. Every group is flushed
//! before the next one; CPU is that of the whole process, background threads included.

use experiment::event::{Attributes, BatchId, Encoded, Entry, Event, Exposure, Record, encode};
use experiment::ledger::{
    Checkpoint, DAY_US, Definition, Journal, Ledger, Metric, MetricKind, Outcome, Results,
    Settings, Term,
};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Events, Options};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Events of one batch, as a gateway or an application sends them.
const BATCH: usize = 100;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let events: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(folder)?;
    println!("{events} events, {} bytes each as they are sent\n", bytes_per_event()?);

    println!("what could be written to                 events/s   events/CPU-s   bytes/event");
    for group in [100, 1_000, 10_000] {
        // Small groups are all flush; fewer of them tell as much.
        let events = events.min(group * 300);
        let engines: [(&str, Engine); 5] = [
            ("log, fdatasync", log),
            ("SQLite, a row per batch", sqlite_batches),
            ("SQLite, a row per event", sqlite_events),
            ("fjall, a key per batch", fjall_batches),
            ("fjall, a key per event", fjall_events),
        ];
        for (name, engine) in engines {
            let path = folder.path().join(name.replace([' ', ','], "-"));
            fs::create_dir(&path)?;
            let groups = groups(events, group)?;
            let clock = Stopwatch::start()?;
            engine(&path, &groups)?;
            let (wall, cpu) = clock.stop()?;
            let bytes = size(&path)? as f64 / events as f64;
            line(&format!("{name}, {group} per flush"), events, wall, cpu, Some(bytes));
            fs::remove_dir_all(&path)?;
        }
    }

    println!("\nthe event path: queue, log, ledger with five metrics and a million units");
    for clients in [1, 4, 16, 64] {
        let path = folder.path().join(format!("events-{clients}"));
        whole(&path, events, clients)?;
        if clients == 64 {
            restart(&path)?;
        }
        fs::remove_dir_all(&path)?;
    }
    memory(1_000_000)
}

/// Wall clock and CPU time.
struct Stopwatch(Instant, Duration);

impl Stopwatch {
    fn start() -> Result<Stopwatch> {
        Ok(Stopwatch(Instant::now(), cpu()?))
    }

    fn stop(&self) -> Result<(Duration, Duration)> {
        Ok((self.0.elapsed(), cpu()? - self.1))
    }
}

fn cpu() -> Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

fn line(name: &str, events: usize, wall: Duration, cpu: Duration, bytes: Option<f64>) {
    let per = |time: Duration| events as f64 / time.as_secs_f64();
    let bytes = bytes.map_or(String::new(), |bytes| format!("{bytes:.0}"));
    println!("{name:<38} {:>10.0} {:>14.0} {bytes:>13}", per(wall), per(cpu));
}

fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// The batch of a number: one exposure in ten, then purchases and page views, over a million units.
fn batch(client: usize, sequence: u64, time_us: i64) -> Result<Encoded> {
    let producer = &format!("client-{client}");
    let first = ((client as u64) << 40) + sequence * BATCH as u64;
    // Units in no order, as they come.
    let mixed = |at: u64| (first + at).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let unit = |at: u64| format!("{:016x}", mixed(at) % 1_000_000);
    let units: Vec<String> = (0..BATCH as u64).map(unit).collect();
    let attributes = Attributes { browser: "firefox", country: "DE", route: "shop", cache: "miss" };
    let records = units.iter().enumerate().map(|(at, unit)| {
        let (experiment, phase) = ("checkout", 0);
        let variant = u16::from(unit.ends_with(['0', '2', '4', '6', '8', 'a', 'c', 'e']));
        if at % 10 == 0 {
            let exposure = Exposure { experiment, unit, variant, phase, time_us, attributes };
            return Record::Exposure(exposure);
        }
        let (name, value) = if at % 10 == 1 { ("purchase", 19_990_000) } else { ("view", 120_000) };
        Record::Event(Event { unit, name, value, time_us, event_id: None })
    });
    let id = Some(BatchId { producer, epoch: 1, sequence });
    Ok(encode(&Entry::Batch { id, records: records.collect() })?)
}

fn bytes_per_event() -> Result<usize> {
    Ok(batch(0, 1_000, now()?)?.as_bytes().len() / BATCH)
}

/// Batches, in groups that are flushed together.
fn groups(events: usize, group: usize) -> Result<Vec<Vec<Encoded>>> {
    let time = now()?;
    let mut batches = (0..).map(|sequence| batch(0, sequence, time));
    let mut group = || batches.by_ref().take(group.div_ceil(BATCH)).collect::<Result<Vec<_>>>();
    let size = group()?.len() * BATCH;
    (0..events / size).map(|_| group()).collect()
}

type Engine = fn(&Path, &[Vec<Encoded>]) -> Result<()>;

/// What the event path does: a checksum, one write, one flush.
fn log(folder: &Path, groups: &[Vec<Encoded>]) -> Result<()> {
    let mut file = File::create(folder.join("log"))?;
    for group in groups {
        let mut frame = vec![0; 32];
        for entry in group {
            frame.extend_from_slice(&(entry.as_bytes().len() as u32).to_le_bytes());
            frame.extend_from_slice(entry.as_bytes());
        }
        let crc = crc32fast::hash(&frame);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
        file.write_all(&frame)?;
        file.sync_data()?;
    }
    Ok(())
}

fn sqlite_batches(folder: &Path, groups: &[Vec<Encoded>]) -> Result<()> {
    sqlite(folder, groups, false)
}

fn sqlite_events(folder: &Path, groups: &[Vec<Encoded>]) -> Result<()> {
    sqlite(folder, groups, true)
}

fn sqlite(folder: &Path, groups: &[Vec<Encoded>], each: bool) -> Result<()> {
    let mut database = rusqlite::Connection::open(folder.join("events.sqlite"))?;
    let pragma = |name, value: &str| {
        database.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|error| {
            // Some pragmas answer with nothing.
            if matches!(error, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(error) }
        })
    };
    pragma("journal_mode", "WAL")?;
    pragma("synchronous", "FULL")?;
    database.execute("CREATE TABLE event (position INTEGER PRIMARY KEY, bytes BLOB)", [])?;
    for group in groups {
        let transaction = database.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO event (bytes) VALUES (?)")?;
            for bytes in rows(group, each) {
                insert.execute([bytes])?;
            }
        }
        transaction.commit()?;
    }
    Ok(())
}

fn fjall_batches(folder: &Path, groups: &[Vec<Encoded>]) -> Result<()> {
    fjall(folder, groups, false)
}

fn fjall_events(folder: &Path, groups: &[Vec<Encoded>]) -> Result<()> {
    fjall(folder, groups, true)
}

fn fjall(folder: &Path, groups: &[Vec<Encoded>], each: bool) -> Result<()> {
    let database = fjall::Database::builder(folder.join("events.fjall")).open()?;
    let keyspace = database.keyspace("events", fjall::KeyspaceCreateOptions::default)?;
    let mut position = 0_u64;
    for group in groups {
        let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncData));
        for bytes in rows(group, each) {
            batch.insert(&keyspace, position.to_be_bytes(), bytes);
            position += 1;
        }
        batch.commit()?;
    }
    Ok(())
}

/// The rows of a group: its batches, or as many pieces of them as there are events.
fn rows(group: &[Encoded], each: bool) -> impl Iterator<Item = &[u8]> {
    group.iter().flat_map(move |entry| {
        let bytes = entry.as_bytes();
        bytes.chunks(if each { bytes.len().div_ceil(BATCH) } else { bytes.len() })
    })
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// A metric of each common kind.
fn definition() -> Result<String> {
    let metric = |name: &str, kind, lookback_us| Metric {
        name: name.into(),
        kind,
        delay_us: 0,
        window_us: 7 * DAY_US,
        lookback_us,
    };
    let event = || "purchase".to_owned();
    let view = || "view".to_owned();
    let ratio = MetricKind::Ratio {
        numerator: Term::Total { event: event() },
        denominator: Term::Count { event: view() },
    };
    let metrics = vec![
        metric("purchase-rate", MetricKind::Conversion { event: event() }, 0),
        metric(
            "revenue",
            MetricKind::Revenue { event: event(), cap: 500_000_000, percentile: None },
            DAY_US,
        ),
        metric("views", MetricKind::Count { event: view() }, DAY_US),
        metric("time", MetricKind::Mean { event: view() }, 0),
        metric("revenue-per-view", ratio, 0),
    ];
    let deals = vec![0];
    let definition = Definition { experiment: "checkout".into(), variants: 2, deals, metrics };
    Ok(serde_json::to_string(&definition)?)
}

fn open(folder: &Path) -> Result<Events> {
    Ok(Events::open(folder, Options { checkpoint_bytes: u64::MAX, ..Options::default() })?)
}

/// Clients that wait for the acknowledgement of each batch before they send the next.
fn whole(folder: &Path, events: usize, clients: usize) -> Result<()> {
    let journal = open(folder)?;
    journal.append(encode(&Entry::Define(&definition()?))?)?;
    let each = events / BATCH / clients;
    let time = now()?;
    // Made before, so that the figure is the store's.
    let client = |client: usize| -> Result<Vec<Encoded>> {
        (0..each as u64).map(|sequence| batch(client, sequence, time)).collect()
    };
    let batches = (0..clients).map(client).collect::<Result<Vec<_>>>()?;
    let clock = Stopwatch::start()?;
    std::thread::scope(|scope| {
        let send = |batches: Vec<Encoded>| {
            let journal = &journal;
            scope.spawn(move || -> Result<()> {
                for batch in batches {
                    let outcome = journal.append(batch)?;
                    if !matches!(outcome, Outcome::Applied(_)) {
                        return Err(format!("a batch was not applied: {outcome:?}").into());
                    }
                }
                Ok(())
            })
        };
        let threads: Vec<_> = batches.into_iter().map(send).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err("a client panicked".into()),
        })
    })?;
    let (wall, cpu) = clock.stop()?;
    line(&format!("{clients} clients"), each * BATCH * clients, wall, cpu, None);
    Ok(())
}

/// How long it takes to start from the log, and from a checkpoint.
fn restart(folder: &Path) -> Result<()> {
    let clock = Stopwatch::start()?;
    let journal = open(folder)?;
    let (wall, _) = clock.stop()?;
    let replayed = journal.recovery().replayed * BATCH as u64;
    println!("start again, {replayed} events from the log: {wall:.2?}");
    let clock = Stopwatch::start()?;
    journal.checkpoint()?;
    while journal.status().checkpoints == 0 {
        std::thread::yield_now();
    }
    println!("a checkpoint of {} units: {:.2?}", journal.read(Ledger::units), clock.stop()?.0);
    drop(journal);
    let clock = Stopwatch::start()?;
    let units = open(folder)?.read(Ledger::units);
    println!("start again, {units} units from a checkpoint: {:.2?}", clock.stop()?.0);
    Ok(())
}

/// Memory of units that take part in one experiment with five metrics, and without events that are
/// kept for late exposures.
fn memory(units: usize) -> Result<()> {
    let mut ledger = Ledger::new(Settings::default());
    let define = definition()?;
    ledger.apply(0, 0, &Entry::Define(&define));
    for unit in 0..units {
        let unit = unit.to_string();
        let (experiment, attributes) = ("checkout", Attributes::default());
        let (variant, phase, time_us) = (0, 0, 0);
        let exposure = Exposure { experiment, unit: &unit, variant, phase, time_us, attributes };
        let entry = Entry::Batch { id: None, records: vec![Record::Exposure(exposure)] };
        ledger.apply(ledger.position(), 0, &entry);
    }
    let bytes = ledger.memory_bytes() as f64 / units as f64;
    println!("memory of a unit in one experiment with five metrics: {bytes:.0} bytes");
    let clock = Stopwatch::start()?;
    let arms = ledger.summary("checkout").map_or(0, |summary| summary.arms.len());
    println!("sums of {units} units, {arms} arms: {:.2?}", clock.stop()?.0);
    let clock = Stopwatch::start()?;
    let days = ledger.segments("checkout", experiment::ledger::Dimension::Day, 0..i64::MAX);
    let days = days.map_or(0, |days| days.len());
    println!("segments of {units} units, {days} of them: {:.2?}", clock.stop()?.0);
    Ok(())
}
