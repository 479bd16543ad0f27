//! `--state DIR`: what was read is kept, and only what is new is read the next time.
//!
//! The folder holds archives of records and a list: which archives count, how far each log was read
//! (logs are known by their first bytes, so rotation and compression change nothing), and what was
//! rejected. The list is replaced in one step when a reading is over; an archive that it does not name
//! is what an interrupted reading left, and is removed.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use logs::report::anonymise;
use logs::{
    ArchiveWriter, Options, Position, Record, Reject, Sink, Source, encode_record, read_archive,
    scan,
};
use serde::{Deserialize, Serialize};

use super::scanning::{Unread, watched};
use super::sinks::{Rejected, cannot_write};
use crate::exit::{Exit, Failed};

const SCHEMA: &str = "tidegate.logs-state/1";
const LIST: &str = "state.json";
/// Most logs that are remembered.
const POSITIONS_MAX: usize = 100_000;
/// Encoded bytes that a thread gathers before it hands them over.
const HAND_OVER: usize = 1 << 20;

/// What is known from earlier readings.
pub(crate) struct State {
    folder: PathBuf,
    list: List,
    positions: Vec<Position>,
    /// Number of the last archive that the list names.
    archived: u64,
    /// Held while this process works on the folder.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    schema: String,
    archives: Vec<String>,
    positions: Vec<String>,
    rejected: BTreeMap<String, u64>,
    /// How everything was read: see [`reading`].
    #[serde(default)]
    reading: String,
}

/// What tells whether logs are read as they were: formats and zone.
fn reading(options: &Options) -> String {
    format!(
        "{:08x}",
        crc32fast::hash(format!("{} {:?}", options.zone_min, options.layouts).as_bytes())
    )
}

impl State {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// When it cannot be used, another process works on it, or its list is not one.
    pub(crate) fn open(folder: &Path) -> Result<State, Failed> {
        let cannot = |error: std::io::Error| cannot_write(folder, &error);
        fs::create_dir_all(folder).map_err(cannot)?;
        let lock = File::create(folder.join("lock")).map_err(cannot)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                failed(folder, "another tidegate works on it; wait until it is done")
            }
            TryLockError::Error(error) => cannot(error),
        })?;
        let list = match fs::read(folder.join(LIST)) {
            Ok(bytes) => serde_json::from_slice::<List>(&bytes)
                .ok()
                .filter(|list| list.schema == SCHEMA)
                .ok_or_else(|| failed(folder, "state.json cannot be read; use another folder"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => List {
                schema: SCHEMA.to_owned(),
                archives: Vec::new(),
                positions: Vec::new(),
                rejected: BTreeMap::new(),
                reading: String::new(),
            },
            Err(error) => return Err(cannot(error)),
        };
        let positions = list.positions.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let positions =
            positions.map_err(|error| failed(folder, &format!("state.json: {error}")))?;
        let number = |name: &String| name.strip_suffix(".records")?.parse::<u64>().ok();
        let archived = list.archives.iter().filter_map(number).max().unwrap_or(0);
        Ok(State { folder: folder.to_owned(), list, positions, archived, _lock: lock })
    }

    /// How far each log was read.
    pub(crate) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Whether what is kept was read with other formats or in another zone.
    pub(crate) fn is_read_otherwise(&self, options: &Options) -> bool {
        // Earlier versions did not keep how.
        let known = Some(&self.list.reading).filter(|known| !known.is_empty()).cloned();
        let known = known.unwrap_or_else(|| reading(&Options::default()));
        !self.positions.is_empty() && known != reading(options)
    }

    /// Whether every log that was read is among those found, so that all can be read anew.
    pub(crate) fn has_all(&self, found: &[Source]) -> bool {
        self.positions.iter().all(|position| found.iter().any(|one| one.may_have(position)))
    }

    /// Forgets everything, from the end of the next reading on.
    pub(crate) fn forget(&mut self) {
        self.list.archives.clear();
        self.list.rejected.clear();
        self.positions.clear();
    }

    /// Reads what is new in the sources and keeps it; says what could not be read.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub(crate) fn take(
        &mut self,
        found: Vec<Source>,
        quiet: bool,
        options: &Options,
        anonymise: bool,
        rejected: Option<&Rejected>,
    ) -> Result<Unread, Failed> {
        let found = without_copies(found);
        let name = format!("{:06}.records", self.archived + 1);
        let path = self.folder.join(&name);
        let cannot = |error: std::io::Error| cannot_write(&path, &error);
        let out = BufWriter::new(File::create(&path).map_err(cannot)?);
        let archive = Archive { writer: ArchiveWriter::new(out).map_err(cannot)?, failed: None };
        let shared = Arc::new(Mutex::new(archive));
        let options = Options { leaves_unfinished: true, ..options.clone() };
        let (mut scanned, unread) = watched(quiet, &options, || {
            scan(&found, &options, || Keeper {
                shared: Arc::clone(&shared),
                encoded: Vec::new(),
                anonymise,
                rejected: rejected.cloned(),
            })
        });
        scanned.sinks.clear();
        let archive = Arc::into_inner(shared)
            .map(|shared| shared.into_inner().unwrap_or_else(PoisonError::into_inner));
        let Some(Archive { writer, failed: problem }) = archive else {
            return Err(Failed { exit: Exit::Bug, message: "a reader did not end".to_owned() });
        };
        if let Some(error) = problem {
            return Err(cannot(error));
        }
        let mut out = writer.finish().map_err(cannot)?;
        out.flush().map_err(cannot)?;
        out.get_ref().sync_all().map_err(cannot)?;

        for (source, outcome) in found.iter().zip(&scanned.outcomes) {
            let Some(position) = &outcome.position else { continue };
            if outcome.is_shorter {
                eprintln!(
                    "warning: {} begins as a log of which more was read than {0} has: taken for an \
                     unfinished copy of it, nothing of it counts",
                    source.name()
                );
            }
            self.positions
                .retain(|known| Some(known) != outcome.continued.as_ref() && known != position);
            self.positions.push(position.clone());
        }
        if self.positions.len() > POSITIONS_MAX {
            let problem = format!("it knows more than {POSITIONS_MAX} logs; use another folder");
            return Err(failed(&self.folder, &problem));
        }
        self.list.positions = self.positions.iter().map(ToString::to_string).collect();
        self.list.reading = reading(&options);
        for (reason, count) in scanned.counts.reasons() {
            *self.list.rejected.entry(reason.to_string()).or_default() += count;
        }
        if scanned.counts.parsed > 0 {
            self.list.archives.push(name);
        }
        self.commit()?;
        Ok(unread)
    }

    /// Replaces the list in one step, and removes what it does not name.
    fn commit(&self) -> Result<(), Failed> {
        let path = self.folder.join(LIST);
        let cannot = |error: std::io::Error| cannot_write(&path, &error);
        let new = self.folder.join("state.json.new");
        let bytes = serde_json::to_vec_pretty(&self.list).map_err(|error| Failed::bug(&error))?;
        let mut file = File::create(&new).map_err(cannot)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(cannot)?;
        fs::rename(&new, &path).map_err(cannot)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
        for entry in fs::read_dir(&self.folder).map_err(cannot)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".records") && !self.list.archives.contains(&name) {
                fs::remove_file(entry.path()).map_err(cannot)?;
            }
        }
        Ok(())
    }

    /// Gives every record that was ever kept to sinks, one for each thread.
    ///
    /// # Errors
    /// When an archive cannot be read.
    pub(crate) fn replay<S: Sink>(
        &self,
        jobs: usize,
        make: impl Fn() -> S,
    ) -> Result<Vec<S>, Failed> {
        let next = Mutex::new(self.list.archives.iter());
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        let run = |mut sink: S| -> Result<S, Failed> {
            while let Some(name) = take() {
                let path = self.folder.join(name);
                let file = File::open(&path).map_err(|error| Failed::environment(&error))?;
                read_archive(BufReader::new(file), |record| sink.record(record))
                    .map_err(|error| failed(&self.folder, &format!("{name}: {error}")))?;
            }
            Ok(sink)
        };
        let sinks: Vec<S> = (0..jobs.max(1)).map(|_| make()).collect();
        std::thread::scope(|scope| {
            let threads: Vec<_> = sinks.into_iter().map(|sink| scope.spawn(|| run(sink))).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|done| done.unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
                .collect()
        })
    }

    /// The lines that were rejected in all readings, by reason.
    pub(crate) fn rejected(&self) -> &BTreeMap<String, u64> {
        &self.list.rejected
    }
}

/// Leaves only the longest of several copies of a log, such as one that is being compressed beside the
/// original.
fn without_copies(found: Vec<Source>) -> Vec<Source> {
    let mut kept: Vec<Source> = Vec::new();
    for source in found {
        match kept.iter_mut().find(|other| other.is_copy_of(&source)) {
            Some(other) if other.stored_bytes < source.stored_bytes => *other = source,
            Some(_) => {}
            None => kept.push(source),
        }
    }
    kept
}

fn failed(folder: &Path, problem: &str) -> Failed {
    let message = format!("error: the state in {}: {problem}", folder.display());
    Failed { exit: Exit::Environment, message }
}

struct Archive {
    writer: ArchiveWriter<BufWriter<File>>,
    /// The first thing that went wrong; nothing is written after it.
    failed: Option<std::io::Error>,
}

/// The sink of one thread: writes records to the archive.
pub(crate) struct Keeper {
    shared: Arc<Mutex<Archive>>,
    encoded: Vec<u8>,
    anonymise: bool,
    rejected: Option<Rejected>,
}

impl Keeper {
    fn hand_over(&mut self) {
        let mut archive = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if archive.failed.is_none()
            && let Err(error) = archive.writer.append(&self.encoded)
        {
            archive.failed = Some(error);
        }
        self.encoded.clear();
    }
}

impl Sink for Keeper {
    fn record(&mut self, record: &Record<'_>) {
        if self.anonymise {
            let client = anonymise(record.client);
            let forwarded = record.forwarded_for.map(anonymise);
            let forwarded_for = forwarded.as_deref();
            let record = Record { client: &client, forwarded_for, ..*record };
            encode_record(&record, &mut self.encoded);
        } else {
            encode_record(record, &mut self.encoded);
        }
        if self.encoded.len() >= HAND_OVER {
            self.hand_over();
        }
    }

    /// The scan counts it.
    fn reject(&mut self, reject: &Reject<'_>) {
        if let Some(rejected) = &self.rejected {
            rejected.write(reject);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.hand_over();
    }
}
