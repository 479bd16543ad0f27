//! Where records go: the report, a Parquet file, a file of rejected lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use logs::report::{Aggregate, Filter, LogReport, Options, Setup, anonymise};
use logs::{Record, Reject, Sink};
use report::logs::{ParquetFile, ParquetSink};

use crate::exit::{Exit, Failed};

/// The sink of one thread.
pub(crate) struct Sinks {
    aggregate: Aggregate,
    parquet: Option<Rows>,
    rejected: Option<Rejected>,
}

/// Records on their way to a Parquet file: the same that the report counts.
struct Rows {
    filter: Filter,
    anonymise: bool,
    forwarded: bool,
    rows: ParquetSink,
}

impl Rows {
    fn record(&mut self, record: &Record<'_>) {
        let client = record.forwarded_for.filter(|_| self.forwarded).unwrap_or(record.client);
        if !self.filter.accepts(&Record { client, ..*record }) {
            return;
        }
        if self.anonymise {
            let client = anonymise(record.client);
            let forwarded = record.forwarded_for.map(anonymise);
            let forwarded_for = forwarded.as_deref();
            self.rows.record(&Record { client: &client, forwarded_for, ..*record });
        } else {
            self.rows.record(record);
        }
    }
}

impl Sinks {
    /// Counts lines that an earlier reading rejected.
    pub(crate) fn add_rejected(&mut self, rejected: &BTreeMap<String, u64>) {
        for (reason, count) in rejected {
            self.aggregate.add_rejected(reason, *count);
        }
    }

    /// The report so far.
    pub(crate) fn so_far(&mut self) -> LogReport {
        self.aggregate.finish(&Options::default())
    }
}

impl Sink for Sinks {
    fn record(&mut self, record: &Record<'_>) {
        self.aggregate.record(record);
        if let Some(rows) = &mut self.parquet {
            rows.record(record);
        }
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.aggregate.reject(reject);
        if let Some(rejected) = &self.rejected {
            rejected.write(reject);
        }
    }
}

/// One sink for the time before a moment and one for the time after it.
pub(crate) struct Both {
    pub(crate) before: Sinks,
    pub(crate) after: Sinks,
}

impl Both {
    /// The reports of all threads.
    pub(crate) fn reports(sinks: Vec<Both>) -> (LogReport, LogReport) {
        let (before, after) = sinks.into_iter().map(|both| (both.before, both.after)).unzip();
        (report(before), report(after))
    }
}

impl Sink for Both {
    fn record(&mut self, record: &Record<'_>) {
        self.before.record(record);
        self.after.record(record);
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.before.reject(reject);
        self.after.reject(reject);
    }
}

/// Files that records and rejected lines are written to.
pub(crate) struct Files {
    parquet: Option<ParquetFile>,
    rejected: Option<Rejected>,
}

impl Files {
    /// # Errors
    /// When one of them cannot be made.
    pub(crate) fn create(parquet: Option<&Path>, rejected: Option<&Path>) -> Result<Files, Failed> {
        let parquet = parquet.map(ParquetFile::create).transpose();
        let parquet = parquet.map_err(|error| Failed::environment(&error))?;
        let rejected = rejected.map(Rejected::create).transpose()?;
        Ok(Files { parquet, rejected })
    }

    /// A sink for one thread.
    pub(crate) fn sinks(&self, setup: &Setup) -> Sinks {
        Sinks { rejected: self.rejected.clone(), ..self.unrejecting(setup) }
    }

    /// A sink for one thread that leaves rejected lines to another one.
    pub(crate) fn unrejecting(&self, setup: &Setup) -> Sinks {
        let parquet = self.parquet.as_ref().map(|file| Rows {
            filter: setup.filter.clone(),
            anonymise: setup.anonymise,
            forwarded: setup.forwarded,
            rows: file.sink(),
        });
        Sinks { aggregate: Aggregate::new(setup), parquet, rejected: None }
    }

    /// Where rejected lines go.
    pub(crate) fn rejected(&self) -> Option<&Rejected> {
        self.rejected.as_ref()
    }

    /// Writes out the rejected lines so far.
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub(crate) fn flush(&self) -> Result<(), Failed> {
        self.rejected.as_ref().map_or(Ok(()), Rejected::flush)
    }

    /// Writes everything out, once there are no sinks any more.
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub(crate) fn finish(self) -> Result<(), Failed> {
        self.flush()?;
        let finished = self.parquet.map_or(Ok(()), ParquetFile::finish);
        finished.map_err(|error| Failed::environment(&error))
    }
}

/// The report of all threads.
pub(crate) fn report(sinks: Vec<Sinks>) -> LogReport {
    let aggregates = sinks.into_iter().map(|sinks| sinks.aggregate);
    let all = aggregates.reduce(Aggregate::merge);
    let mut all = all.unwrap_or_else(|| Aggregate::new(&Setup::default()));
    all.finish(&Options::default())
}

/// A file of rejected lines, which all threads write to: reason, tab, line.
#[derive(Clone)]
pub(crate) struct Rejected {
    path: PathBuf,
    file: Arc<Mutex<(BufWriter<File>, Option<std::io::Error>)>>,
}

impl Rejected {
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Rejected, Failed> {
        let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
        let file = Arc::new(Mutex::new((BufWriter::new(file), None)));
        Ok(Rejected { path: path.to_owned(), file })
    }

    pub(crate) fn write(&self, reject: &Reject<'_>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, failed) = &mut *file;
        let written = write!(out, "{}\t", reject.reason)
            .and_then(|()| out.write_all(reject.line))
            .and_then(|()| out.write_all(b"\n"));
        if let Err(error) = written {
            failed.get_or_insert(error);
        }
    }

    fn flush(&self) -> Result<(), Failed> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = file.0.flush();
        match file.1.take().map_or(flushed, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(cannot_write(&self.path, &error)),
        }
    }
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Failed {
    let message = format!("error: cannot write {}: {error}", path.display());
    Failed { exit: Exit::Environment, message }
}
