//! What was acknowledged is there after a restart, once.

use super::*;
use experiment::ledger::Checkpoint;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;

#[test]
fn everything_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..100);
    assert_eq!(events.read(counted), after(100));
    drop(events);
    assert!(segments(folder.path()).len() > 3, "several files");

    let events = open(folder.path()).unwrap();
    assert_eq!(events.recovery(), crate::Recovery { replayed: 101, cut_bytes: 0, clean: true });
    assert_eq!(events.read(counted), after(100));
    // A batch that is sent again is acknowledged and not counted.
    assert_eq!(send(&events, 99), Ok(Outcome::Duplicate));
    assert_eq!(send(&events, 101), Ok(Outcome::Gap { expected: 100 }));
    send_all(&events, 100..110);
    assert_eq!(events.read(counted), after(110));
}

#[test]
fn a_checkpoint_replaces_the_log_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..100);
    assert_eq!(checkpoint(&events).checkpoints, 1);
    assert_eq!(segments(folder.path()).len(), 1);
    send_all(&events, 100..120);
    drop(events);

    let events = open(folder.path()).unwrap();
    assert_eq!(events.recovery().replayed, 20);
    assert_eq!(events.read(counted), after(120));
    assert_eq!(send(&events, 50), Ok(Outcome::Duplicate));
    // And so on from a checkpoint that was made of one.
    assert_eq!(checkpoint(&events).checkpoints, 1);
    drop(events);
    let events = open(folder.path()).unwrap();
    assert_eq!((events.recovery().replayed, events.read(counted)), (0, after(120)));
}

#[test]
fn checkpoints_are_written_while_events_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoint_bytes: 3_000, ..options() };
    let events = open_on(Arc::new(Disk), folder.path(), options).unwrap();
    define(&events);
    let mut sent = 0;
    while events.status().checkpoints < 5 {
        send_all(&events, sent..sent + 10);
        sent += 10;
    }
    drop(events);
    let events = open(folder.path()).unwrap();
    assert_eq!(events.read(counted), after(sent));
}

/// Between writing a checkpoint and deleting old files, and before it has its name.
#[test]
fn an_end_within_a_checkpoint_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..50);
    let old: Vec<_> = segments(folder.path())
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    checkpoint(&events);
    drop(events);
    for (bytes, path) in &old {
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    std::fs::write(folder.path().join("checkpoint.new"), b"half").unwrap();
    let events = open(folder.path()).unwrap();
    assert_eq!((events.recovery().replayed, events.read(counted)), (0, after(50)));
    assert_eq!(segments(folder.path()).len(), 1, "old files are deleted after all");
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Locked { .. })));
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn whatever_waits_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    let (sender, receiver) = mpsc::channel();
    for number in 0..200 {
        let unit = number.to_string();
        let event = Event { unit: &unit, name: "buy", value: 1, time_us: NOW, event_id: None };
        let entry = Entry::Batch { id: None, records: vec![Record::Event(event)] };
        let sender = sender.clone();
        let done = Box::new(move |result| sender.send(result).unwrap());
        events.submit(encode(&entry).unwrap(), done).unwrap();
    }
    events.checkpoint().unwrap();
    drop((events, sender));
    let answers: Vec<_> = receiver.iter().collect();
    assert_eq!(answers.len(), 200);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Outcome::Applied(_)))));
}

/// The clock of the machine is put back by two days: time stands still until it has caught up, and
/// nothing that is recorded meanwhile is lost.
#[test]
fn time_does_not_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(NOW));
    let open = || {
        let clock = Arc::clone(&clock);
        let now = Box::new(move || clock.load(Ordering::Relaxed));
        Events::open_with(Arc::new(Disk), folder.path(), options(), now).unwrap()
    };
    let events = open();
    define(&events);
    send_all(&events, 0..5);
    let back = 2 * 86_400_000_000;
    clock.store(NOW - back, Ordering::Relaxed);
    send_all(&events, 5..10);
    assert_eq!(events.status().clock_behind_us, back);
    assert_eq!(events.read(Ledger::received_us), Some(NOW));
    drop(events);

    let events = open();
    send_all(&events, 10..15);
    assert_eq!(events.status().clock_behind_us, back);
    assert_eq!(events.read(Ledger::received_us), Some(NOW));
    clock.store(NOW + 7, Ordering::Relaxed);
    send_all(&events, 15..20);
    assert_eq!(events.status().clock_behind_us, 0);
    assert_eq!(events.read(Ledger::received_us), Some(NOW + 7));
    assert_eq!(events.read(counted), after(20));
}
