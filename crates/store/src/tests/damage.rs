//! Cut and changed bytes: an unfinished end is cut off, everything else is refused.

use super::*;
use crate::log::segment_path;
use std::fs;

/// Writes a file anew: cutting one that there is makes some file systems flush.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap_or_default();
    fs::write(path, bytes).unwrap();
}

/// One file with some batches, not closed: where each frame ends.
fn crashed(folder: &Path, batches: u64) -> (PathBuf, Vec<usize>) {
    let options = Options { segment_bytes: u64::MAX, ..options() };
    let events = open_on(Arc::new(Unflushed), folder, options).unwrap();
    let path = segment_path(folder, 0);
    let length = || fs::metadata(&path).unwrap().len() as usize;
    define(&events);
    let mut ends = vec![length()];
    for number in 0..batches {
        send_all(&events, number..number + 1);
        ends.push(length());
    }
    drop(events);
    let bytes = fs::read(&path).unwrap();
    put(&path, &bytes[..ends[batches as usize]]);
    (path, ends)
}

#[test]
fn every_cut_of_the_last_group_leaves_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ends) = crashed(folder.path(), 3);
    let bytes = fs::read(&path).unwrap();
    for cut in ends[2]..ends[3] {
        put(&path, &bytes[..cut]);
        let events = open(folder.path()).unwrap();
        assert_eq!(events.recovery().cut_bytes as usize, cut - ends[2], "cut at {cut}");
        assert_eq!(events.read(counted), after(2));
        // It goes on where the whole groups end.
        send_all(&events, 2..4);
        drop(events);
        let events = open(folder.path()).unwrap();
        assert_eq!(events.read(counted), after(4));
        drop(events);
        for path in segments(folder.path()) {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_file_that_was_just_being_made_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ends) = crashed(folder.path(), 3);
    assert_eq!(ends.len(), 4);
    for length in 0..16 {
        let path = segment_path(folder.path(), 4);
        put(&path, &crate::log::SEGMENT_HEAD[..length]);
        let events = open(folder.path()).unwrap();
        assert_eq!(events.read(counted), after(3));
    }
}

#[test]
fn every_changed_bit_of_the_last_group_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ends) = crashed(folder.path(), 3);
    let bytes = fs::read(&path).unwrap();
    for at in ends[2]..ends[3] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1_u8 << (at % 8);
        put(&path, &wrong);
        // Nothing whole is behind it, so it cannot be told from a group that was not finished.
        let events = open(folder.path()).unwrap();
        assert_eq!(events.read(counted), after(2), "byte {at}");
        assert_eq!(events.recovery().cut_bytes as usize, ends[3] - ends[2]);
    }
}

#[test]
fn zeros_behind_the_end_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = crashed(folder.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes.resize(bytes.len() + 4_096, 0);
    put(&path, &bytes);
    let events = open(folder.path()).unwrap();
    assert_eq!((events.recovery().cut_bytes, events.read(counted)), (4_096, after(3)));
}

#[test]
fn damage_in_the_middle_is_refused_with_file_place_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ends) = crashed(folder.path(), 3);
    let bytes = fs::read(&path).unwrap();
    for at in 0..ends[2] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x10;
        put(&path, &wrong);
        let Err(OpenError::Damaged { path: told, offset, .. }) = open(folder.path()) else {
            panic!("byte {at} was not seen");
        };
        let whole = ends.iter().rfind(|end| **end <= at).copied();
        let begin = if at < 16 { 0 } else { 16 };
        assert_eq!((told, offset as usize), (path.clone(), whole.unwrap_or(begin)), "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), wrong, "nothing is changed");
    }
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("truncate") && error.contains("backup"), "{error}");
}

/// A newer tidegate wrote it, and nothing in it looks familiar: that is no unfinished end.
#[test]
fn a_file_of_another_version_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = crashed(folder.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes[15] += 1;
    for at in 0..bytes.len() - 4 {
        if bytes[at..].starts_with(b"TGf\x01") {
            bytes[at + 3] = 2;
        }
    }
    put(&path, &bytes);
    let Err(OpenError::Damaged { offset: 0, what, .. }) = open(folder.path()) else {
        panic!("it was taken");
    };
    assert!(what.contains("another version"), "{what}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is changed");
}

#[test]
fn a_log_that_was_closed_has_no_unfinished_end() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..3);
    drop(events);
    let path = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    put(&path, &bytes);
    assert!(matches!(open(folder.path()), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_missing_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..100);
    drop(events);
    let all = segments(folder.path());
    for missing in [0, all.len() / 2] {
        let bytes = fs::read(&all[missing]).unwrap();
        fs::remove_file(&all[missing]).unwrap();
        assert!(matches!(open(folder.path()), Err(OpenError::Missing { .. })), "{missing}");
        fs::write(&all[missing], bytes).unwrap();
    }
    let events = open(folder.path()).unwrap();
    checkpoint(&events);
    send_all(&events, 100..101);
    drop(events);
    fs::remove_file(folder.path().join("checkpoint")).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Missing { expected: 0, .. })));
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let events = open(folder.path()).unwrap();
    define(&events);
    send_all(&events, 0..3);
    checkpoint(&events);
    drop(events);
    let path = folder.path().join("checkpoint");
    let bytes = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        put(&path, bytes);
        matches!(open(folder.path()), Err(OpenError::Checkpoint { .. }))
    };
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 4;
        assert!(refused(&wrong), "byte {at}");
        assert!(refused(&bytes[..at]), "cut at {at}");
    }
    assert!(refused(&[&bytes[..], b"x"].concat()));
    put(&path, &bytes);
    assert_eq!(open(folder.path()).unwrap().read(counted), after(3));
}
