//! The log as a whole.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use traffic::Hit;

use super::*;

fn params(path: &Path) -> AccessLog {
    AccessLog {
        path: path.to_owned(),
        format: LogFormat::Template("{target}".to_owned()),
        buffer: 1 << 20,
        rotate: None,
        keep: 0,
    }
}

fn hit(target: &str) -> Hit<'_> {
    Hit { method: b"GET", target: target.as_bytes(), ..Hit::default() }
}

/// A core whose writer does nothing but receive.
fn core(max: usize, chunks: usize) -> (CoreLog, Receiver<Message>, Arc<LogCounters>) {
    let counters = Arc::new(LogCounters::default());
    let (sender, receiver) = sync_channel(chunks);
    let core = CoreLog::new(max, Format::Combined, sender, Arc::clone(&counters));
    (core, receiver, counters)
}

#[test]
fn every_line_arrives_also_after_the_file_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let logger = AccessLogger::open(&params(&path), 2).unwrap();
    let mut core = logger.core();
    core.write(&hit("/one"));
    core.flush();
    fs::rename(&path, folder.path().join("moved.log")).unwrap();
    logger.reopen();
    core.write(&hit("/two"));
    drop(core);
    let counters = logger.counters();
    logger.close();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("moved.log").as_str(), read("access.log").as_str()), ("/one\n", "/two\n"));
    assert_eq!((counters.written(), counters.dropped(), counters.errors()), (2, 0, 0));
}

#[test]
fn all_cores_lines_are_whole_and_in_their_order_across_rotations() {
    const LINES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let params = AccessLog { buffer: 64 << 20, rotate: Some(50_000), keep: 100, ..params(&path) };
    let logger = AccessLogger::open(&params, 2).unwrap();
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let mut core = logger.core();
            scope.spawn(move || {
                for number in 0..LINES {
                    core.write(&hit(&format!("/{name}/{number}/{}", "x".repeat(20))));
                    if number % 100 == 0 {
                        core.flush();
                    }
                }
            });
        }
    });
    let counters = logger.counters();
    logger.close();
    assert_eq!((counters.written(), counters.dropped()), (2 * LINES as u64, 0));
    let mut files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 1, "{files:?}");
    let age =
        |path: &Path| path.extension().and_then(|end| end.to_str()?.parse().ok()).unwrap_or(0);
    files.sort_by_key(|path| std::cmp::Reverse(age(path)));
    let mut next = [0, 0];
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            let parts: Vec<&str> = line.split('/').collect();
            let core = usize::from(parts[1] == "b");
            assert_eq!((parts[2].parse(), parts[3].len()), (Ok(next[core]), 20), "{line}");
            next[core] += 1;
        }
    }
    assert_eq!(next, [LINES, LINES]);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let logger = AccessLogger::open(&params(Path::new("/dev/full")), 1).unwrap();
    let mut core = logger.core();
    for _ in 0..10 {
        core.write(&hit("/lost"));
    }
    drop(core);
    let counters = logger.counters();
    logger.close();
    assert_eq!((counters.written(), counters.dropped(), counters.errors()), (0, 10, 1));
}

#[test]
fn a_writer_that_is_behind_costs_lines_and_no_time() {
    for (max, chunks) in [(100_000, 1), (100_000, 1_000), (10_000, 1_000)] {
        let (mut core, receiver, counters) = core(max, chunks);
        let long = "x".repeat(1_000);
        for number in 0..1_000 {
            core.write(&hit(&long));
            if number % 3 == 0 {
                core.flush();
            }
            assert!(core.bytes() <= max);
        }
        let line = core.bytes() as u64 / (1_000 - counters.dropped());
        // No line is dropped for which there is room.
        assert!(core.bytes() as u64 + line > max as u64);
        // Once the writer goes on, there is room again.
        let obey = |message| {
            if let Message::Lines { text, count, waiting } = message {
                waiting.fetch_sub(text.len(), Ordering::Relaxed);
                return count;
            }
            0
        };
        let mut handed: u64 = receiver.try_iter().map(obey).sum();
        let dropped = counters.dropped();
        core.write(&hit(&long));
        assert_eq!(counters.dropped(), dropped);
        core.flush();
        handed += receiver.try_iter().map(obey).sum::<u64>();
        assert_eq!(handed + dropped, 1_001);
        assert_eq!(core.bytes(), 0);
    }
}

#[test]
fn lines_for_a_writer_that_is_gone_are_counted() {
    let (mut core, receiver, counters) = core(100_000, 1);
    drop(receiver);
    core.write(&hit("/a"));
    core.write(&hit("/b"));
    core.flush();
    assert_eq!((counters.dropped(), core.bytes()), (2, 0));
    core.write(&hit("/c"));
    drop(core);
    assert_eq!(counters.dropped(), 3);
}

#[test]
fn reopening_does_not_wait_for_a_writer_that_is_behind() {
    let (sender, receiver) = sync_channel(1);
    sender.send(Message::Reopen).unwrap();
    let logger = AccessLogger {
        sender,
        thread: None,
        counters: Arc::default(),
        reopen: Arc::default(),
        format: Format::Combined,
        buffer: 0,
    };
    logger.reopen();
    assert!(logger.reopen.load(Ordering::Relaxed));
    drop(receiver);
}

#[test]
fn a_log_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(AccessLogger::open(&params(&folder.path().join("no/such/folder")), 1).is_err());
    let format = LogFormat::Template("{no-such-field}".to_owned());
    let params = AccessLog { format, ..params(&folder.path().join("log")) };
    assert!(AccessLogger::open(&params, 1).is_err());
}
