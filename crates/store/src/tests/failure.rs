//! A disk that is full or fails: a clear error, nothing half, and on again when it can.

use super::*;
use crate::volume::Output;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A disk with so much room, whose flushes and cuts can be made to fail.
#[derive(Default)]
struct Small {
    room: AtomicU64,
    no_sync: AtomicBool,
    no_cut: AtomicBool,
}

struct SmallFile(Arc<Small>, Box<dyn Output>, u64);

impl Volume for Arc<Small> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(SmallFile(Arc::clone(self), Disk.create(path)?, 0)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let length = std::fs::metadata(path)?.len();
        Ok(Box::new(SmallFile(Arc::clone(self), Disk.open(path)?, length)))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)
    }
}

impl Output for SmallFile {
    /// Writes what there is room for, as a disk does.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.0.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(room as usize);
        self.0.room.fetch_sub(fits as u64, Ordering::Relaxed);
        self.1.append(&bytes[..fits])?;
        self.2 += fits as u64;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.0.no_sync.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.1.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.0.no_cut.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.1.truncate(length)?;
        self.0.room.fetch_add(self.2 - length, Ordering::Relaxed);
        self.2 = length;
        Ok(())
    }
}

fn small(room: u64) -> Arc<Small> {
    Arc::new(Small { room: AtomicU64::new(room), ..Small::default() })
}

#[test]
fn a_full_disk_refuses_goes_on_reading_and_takes_again_when_there_is_room() {
    for room in [600, 601, 640, 700, 750] {
        let folder = tempfile::tempdir().unwrap();
        let disk = small(room);
        let open = || open_on(Arc::new(Arc::clone(&disk)), folder.path(), options()).unwrap();
        let events = open();
        define(&events);
        let mut taken = 0;
        let error = loop {
            match send(&events, taken) {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, JournalError::Full { place, .. } if place.contains("events-")));
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(events.status().refusing, Some(error));
        assert_eq!(events.read(counted), after(taken));
        assert!(send(&events, taken).is_err());

        disk.room.store(1_000, Ordering::Relaxed);
        send_all(&events, taken..taken + 3);
        assert_eq!(events.status().refusing, None);
        drop(events);
        let events = open();
        assert_eq!(events.read(counted), after(taken + 3));
        assert!(events.recovery().clean);
    }
}

/// The group may be on the disk or not: it was not acknowledged, and sending it again counts once.
#[test]
fn a_flush_that_fails_acknowledges_nothing() {
    for no_cut in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let disk = small(1 << 20);
        let events = open_on(Arc::new(Arc::clone(&disk)), folder.path(), options()).unwrap();
        define(&events);
        send_all(&events, 0..3);
        disk.no_sync.store(true, Ordering::Relaxed);
        disk.no_cut.store(no_cut, Ordering::Relaxed);
        assert!(matches!(send(&events, 3), Err(JournalError::Failed { .. })));
        assert!(matches!(send(&events, 3), Err(JournalError::Failed { .. })));
        assert_eq!(events.read(counted), after(3));
        if no_cut {
            // The process ends before the disk is well again, with the group behind the end.
            drop(events);
            disk.no_sync.store(false, Ordering::Relaxed);
            disk.no_cut.store(false, Ordering::Relaxed);
            let events = open(folder.path()).unwrap();
            assert_eq!(send(&events, 3), Ok(Outcome::Duplicate));
            assert_eq!(events.read(counted), after(4));
        } else {
            disk.no_sync.store(false, Ordering::Relaxed);
            send_all(&events, 3..5);
            drop(events);
            assert_eq!(open(folder.path()).unwrap().read(counted), after(5));
        }
    }
}

#[test]
fn a_checkpoint_without_room_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let disk = small(1 << 20);
    let events = open_on(Arc::new(Arc::clone(&disk)), folder.path(), options()).unwrap();
    define(&events);
    send_all(&events, 0..10);
    assert_eq!(checkpoint(&events).checkpoint_failed, None);
    send_all(&events, 10..50);
    // Room for a new file of the log, not for the state.
    disk.room.store(100, Ordering::Relaxed);
    assert!(checkpoint(&events).checkpoint_failed.is_some());
    assert!(!folder.path().join("checkpoint.new").exists());
    disk.room.store(1 << 20, Ordering::Relaxed);
    send_all(&events, 50..60);
    drop(events);
    let events = open(folder.path()).unwrap();
    assert_eq!(events.read(counted), after(60));
}

#[test]
fn what_waits_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    // While somebody reads, nothing is applied, so the queue fills.
    let long = "x".repeat(1_000);
    let event = Event { unit: &long, name: "buy", value: 1, time_us: NOW, event_id: None };
    let entry = Entry::Batch { id: None, records: vec![Record::Event(event); 3_000] };
    let entry = encode(&entry).unwrap();
    let accepted = events.read(|_| {
        let accept = |_| events.submit(entry.clone(), Box::new(|_| ())).is_ok();
        (0..100).filter(|_| accept(())).count()
    });
    let fits = crate::QUEUE_BYTES_MAX / entry.as_bytes().len();
    assert!((fits..=fits + 3).contains(&accepted), "{accepted} of {fits}");
    assert!(matches!(send(&events, 0), Ok(_) | Err(JournalError::Busy)));
}
