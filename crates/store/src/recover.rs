//! The way back after a restart: checkpoint, then the entries since.

use crate::checkpoint;
use crate::error::OpenError;
use crate::log::{Frame, Log, SEGMENT_HEAD, any_frame, segment_path, segment_position};
use crate::volume::Volume;
use experiment::event::decode;
use experiment::ledger::{Ledger, Settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a restart found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Entries that were applied again.
    pub replayed: u64,
    /// Bytes of a group that was not finished, and not acknowledged, when the process ended; they
    /// were cut off.
    pub cut_bytes: u64,
    /// Whether the log was closed.
    pub clean: bool,
}

pub(crate) struct Recovered {
    pub(crate) ledger: Ledger,
    pub(crate) log: Log,
    pub(crate) recovery: Recovery,
    /// Bytes of the log that were read.
    pub(crate) log_bytes: u64,
}

pub(crate) fn recover(
    volume: &Arc<dyn Volume>,
    folder: &Path,
    settings: Settings,
) -> Result<Recovered, OpenError> {
    let mut ledger = checkpoint::read(folder, settings)?.unwrap_or_else(|| Ledger::new(settings));
    let mut segments = segments(folder)?;
    drop_old(&mut segments, ledger.position());
    let mut recovery = Recovery::default();
    let Some(last) = segments.len().checked_sub(1) else {
        let position = ledger.position();
        let log = Log::create(Arc::clone(volume), folder, position)
            .map_err(OpenError::io(&segment_path(folder, position)))?;
        recovery.clean = true;
        return Ok(Recovered { ledger, log, recovery, log_bytes: 0 });
    };
    let mut expected = None;
    let mut whole = 0;
    let mut log_bytes = 0;
    for (index, (position, path)) in segments.iter().enumerate() {
        let wanted = expected.unwrap_or(ledger.position());
        if *position > wanted || (expected.is_some() && *position != wanted) {
            let missing =
                OpenError::Missing { path: path.clone(), expected: wanted, found: *position };
            return Err(missing);
        }
        let bytes = fs::read(path).map_err(OpenError::io(path))?;
        let end = replay(&mut ledger, path, &bytes, *position, &mut recovery)?;
        expected = Some(end.position);
        whole = end.offset;
        log_bytes += bytes.len() as u64;
        if let Some(what) = end.problem {
            let behind = bytes.get(end.offset + 1..).unwrap_or_default();
            // A head is written before all else; one that is whole and another is no torn end.
            let head = bytes.get(..SEGMENT_HEAD.len()).filter(|_| end.offset == 0);
            let other = head.is_some_and(|head| head.iter().any(|&byte| byte != 0));
            if index < last || other || any_frame(behind) {
                let (path, offset) = (path.clone(), end.offset as u64);
                return Err(OpenError::Damaged { path, offset, what: what.to_owned() });
            }
            recovery.cut_bytes = (bytes.len() - end.offset) as u64;
        }
    }
    let end = expected.unwrap_or(0);
    if end < ledger.replay_through() {
        // The log ends before the checkpoint does: entries that were acknowledged are gone.
        let path = folder.to_owned();
        return Err(OpenError::Missing { path, expected: ledger.replay_through(), found: end });
    }
    let (position, path) = segments.swap_remove(last);
    let log = if whole < SEGMENT_HEAD.len() {
        // It was being made when the process ended.
        Log::create(Arc::clone(volume), folder, position)
    } else {
        Log::open(Arc::clone(volume), path.clone(), whole as u64)
    };
    let log = log.map_err(OpenError::io(&path))?;
    volume.sync_folder(folder).map_err(OpenError::io(folder))?;
    Ok(Recovered { ledger, log, recovery, log_bytes })
}

/// The segments, in order.
fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(OpenError::io(folder))? {
        let path = entry.map_err(OpenError::io(folder))?.path();
        if let Some(position) = segment_position(&path) {
            found.push((position, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Forgets the segments whose entries are all in the checkpoint. The process may have ended before
/// it could delete them; if they cannot be deleted now, the next checkpoint does.
fn drop_old(segments: &mut Vec<(u64, PathBuf)>, position: u64) {
    let old = segments.iter().skip(1).take_while(|(first, _)| *first <= position).count();
    for (_, path) in segments.drain(..old) {
        let _ = fs::remove_file(path);
    }
}

/// Where the whole frames of a segment end.
struct End {
    position: u64,
    offset: usize,
    problem: Option<&'static str>,
}

fn replay(
    ledger: &mut Ledger,
    path: &Path,
    bytes: &[u8],
    first: u64,
    recovery: &mut Recovery,
) -> Result<End, OpenError> {
    let mut end = End { position: first, offset: 0, problem: None };
    if !bytes.starts_with(&SEGMENT_HEAD) {
        end.problem = Some("this is no file of events, or one of another version");
        return Ok(end);
    }
    end.offset = SEGMENT_HEAD.len();
    while let Some(rest) = bytes.get(end.offset..).filter(|rest| !rest.is_empty()) {
        let (frame, length) = match Frame::read(rest) {
            Ok(read) => read,
            Err(what) => {
                end.problem = Some(what);
                break;
            }
        };
        let damaged = |what: String| OpenError::Damaged {
            path: path.to_owned(),
            offset: end.offset as u64,
            what,
        };
        if frame.position != end.position {
            let what = format!("entry {} where {} is due", frame.position, end.position);
            return Err(damaged(what));
        }
        let mut entries = 0;
        for bytes in frame.entries() {
            let entry = decode(bytes).map_err(|error| damaged(error.to_string()))?;
            if end.position >= ledger.position() {
                ledger.apply(end.position, frame.received_us, &entry);
                recovery.replayed += 1;
            }
            end.position += 1;
            entries += 1;
        }
        if entries != frame.entries {
            return Err(damaged("the number of entries is wrong".to_owned()));
        }
        recovery.clean = frame.entries == 0;
        end.offset += length;
    }
    Ok(end)
}
