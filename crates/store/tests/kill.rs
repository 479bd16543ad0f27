//! A process that is killed a hundred times while batches come in: what it acknowledged is there at
//! the end, and nothing is counted twice.
//!
//! The test runs itself again as the process that is killed. That one reads a batch's producer and
//! number from each line of its standard input and answers on standard output when the batch is
//! durable. This one sends, kills at random moments, starts it again, and sends whatever was not
//! acknowledged.

use experiment::event::{Attributes, BatchId, Entry, Event, Exposure, Record, encode};
use experiment::ledger::{
    Definition, Journal, Metric, MetricKind, MetricSums, Outcome, Results, Settings,
};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Events, Options};

const FOLDER: &str = "TIDEGATE_KILL_TEST_FOLDER";
const KILLS: u64 = 100;
const PRODUCERS: usize = 4;
/// Batches that a producer sends ahead of the acknowledgement.
const AHEAD: u64 = 4;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

/// Does nothing unless it is the process that is to be killed.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    // Small, so that new files and checkpoints are among what is interrupted.
    let options = Options {
        ledger: Settings { shards: 4, ..Settings::default() },
        segment_bytes: 8 << 10,
        checkpoint_bytes: 32 << 10,
    };
    let events = Events::open(Path::new(&folder), options).unwrap();
    let metric = |name: &str, kind| Metric {
        name: name.into(),
        kind,
        delay_us: 0,
        window_us: 3_600_000_000,
        lookback_us: 0,
    };
    let definition = Definition {
        experiment: "checkout".into(),
        variants: 2,
        deals: vec![0],
        metrics: vec![
            metric("spent", MetricKind::Mean { event: "buy".into() }),
            metric("bought", MetricKind::Count { event: "buy".into() }),
        ],
    };
    if events.summary("checkout").is_none() {
        let text = serde_json::to_string(&definition).unwrap();
        events.append(encode(&Entry::Define(&text)).unwrap()).unwrap();
    }
    // Written past the test harness, which captures `println!`.
    let say = |text: String| std::io::stdout().write_all(text.as_bytes()).unwrap();
    say("ready\n".into());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let Some((producer, sequence)) = line.split_once(' ') else { break };
        let sequence: u64 = sequence.parse().unwrap();
        let id = BatchId { producer, epoch: 1, sequence };
        let unit = format!("{producer}-{}", sequence % 500);
        let exposure = Exposure {
            experiment: "checkout",
            unit: &unit,
            variant: 0,
            phase: 0,
            time_us: now() - 1_000_000,
            attributes: Attributes::default(),
        };
        let value = sequence as i64;
        let event = Event { unit: &unit, name: "buy", value, time_us: now(), event_id: None };
        let records = vec![Record::Exposure(exposure), Record::Event(event)];
        let answer = line.clone();
        let done = Box::new(move |result| {
            if matches!(result, Ok(Outcome::Applied(_) | Outcome::Duplicate)) {
                std::io::stdout().write_all(format!("ack {answer}\n").as_bytes()).unwrap();
            }
        });
        events.submit(encode(&Entry::Batch { id: Some(id), records }).unwrap(), done).unwrap();
    }
    let summary = events.summary("checkout").unwrap();
    let sum = |metric: usize| match &summary.arms[0].metrics[metric] {
        MetricSums::Single(sums) => sums.sums[0],
        other => panic!("{other:?}"),
    };
    let (units, quarantined) = (summary.arms[0].units, summary.quarantined);
    say(format!("total {units} {} {} {quarantined}\n", sum(1), sum(0)));
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

fn start(folder: &Path) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    // Ends with the process.
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let process = Process { child, stdin, lines };
    let ready = process.lines.iter().find(|line| line.ends_with("ready"));
    assert!(ready.is_some(), "it did not come up again");
    process
}

/// Notes an acknowledgement: those of a producer come in order.
fn note(line: &str, acknowledged: &mut [u64; PRODUCERS]) {
    let mut words = line.split(' ');
    if words.next() == Some("ack")
        && let (Some(producer), Some(sequence)) = (words.next(), words.next())
        && let (Ok(producer), Ok(sequence)) = (producer.parse::<usize>(), sequence.parse::<u64>())
    {
        acknowledged[producer] = acknowledged[producer].max(sequence + 1);
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_counts_twice() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; PRODUCERS];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..KILLS {
        let mut process = start(folder.path());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let until = Instant::now() + Duration::from_micros(random % 60_000);
        // A new process knows nothing of what was on its way: all of that is sent again.
        let mut sent = acknowledged;
        while Instant::now() < until {
            for (producer, sent) in sent.iter_mut().enumerate() {
                while *sent < acknowledged[producer] + AHEAD {
                    writeln!(process.stdin, "{producer} {sent}").unwrap();
                    *sent += 1;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(line) = process.lines.recv_timeout(left) {
                note(&line, &mut acknowledged);
            }
        }
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        // What it said before it died counts as said.
        process.lines.iter().for_each(|line| note(&line, &mut acknowledged));
    }

    let mut process = start(folder.path());
    for (producer, acknowledged) in acknowledged.iter().enumerate() {
        // Everything once more from the beginning of what may be unknown, and one batch more.
        for sequence in acknowledged.saturating_sub(20)..=*acknowledged + AHEAD {
            writeln!(process.stdin, "{producer} {sequence}").unwrap();
        }
    }
    let all = acknowledged.map(|acknowledged| acknowledged + AHEAD + 1);
    while acknowledged != all {
        let line = process.lines.recv().expect("it answers everything");
        note(&line, &mut acknowledged);
    }
    writeln!(process.stdin).unwrap();
    let total = process.lines.iter().find(|line| line.starts_with("total")).unwrap();
    let batches: u64 = all.iter().sum();
    let units: u64 = all.iter().map(|count| count.min(&500)).sum();
    let value: u64 = all.iter().map(|count| count * (count - 1) / 2).sum();
    assert_eq!(total, format!("total {units} {batches} {value} 0"));
    assert!(process.child.wait().unwrap().success());
    assert!(batches > 10 * KILLS, "only {batches} batches were sent: kills were too fast to tell");
    println!("{KILLS} kills, {batches} batches, all counted once");
}
