//! Control data in SQLite: written ahead (WAL) and flushed with every transaction
//! (`synchronous=FULL`), so that what was answered is there after a crash.

mod documents;
pub mod limits;
mod schema;

use crate::error::OpenError;
use experiment::ledger::{AuditEntry, Change, Control, ControlError, Document, StoredResult};
use experiment::model::UnixMillis;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Control data of one process or of several on one machine.
#[derive(Debug)]
pub struct SqliteControl {
    path: PathBuf,
    /// One writer at a time is what SQLite has; reads are short.
    connection: Mutex<Connection>,
}

/// An error of SQLite, or a reason to refuse.
#[derive(Debug)]
enum Trouble {
    Sqlite(rusqlite::Error),
    Refused(ControlError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        Trouble::Sqlite(error)
    }
}

impl From<ControlError> for Trouble {
    fn from(error: ControlError) -> Trouble {
        Trouble::Refused(error)
    }
}

impl SqliteControl {
    /// Opens a database, which is made if need be, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError::Control`] when it cannot be opened, is no database of tidegate, or is of a newer
    /// version.
    pub fn open(path: &Path) -> Result<SqliteControl, OpenError> {
        let fail = |what: String| OpenError::Control { path: path.to_owned(), what };
        let mut connection = Connection::open(path).map_err(|error| fail(error.to_string()))?;
        schema::prepare(&mut connection).map_err(fail)?;
        Ok(SqliteControl { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    fn failed(&self, trouble: Trouble) -> ControlError {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Sqlite(error) => {
                let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                let hint = if full { ": free some space, then try again" } else { "" };
                ControlError::Failed {
                    place: self.path.display().to_string(),
                    cause: format!("{error}{hint}"),
                }
            }
        }
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, ControlError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        look(&connection).map_err(|trouble| self.failed(trouble))
    }

    /// All of it, or nothing.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, ControlError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let act = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        act().map_err(|trouble| self.failed(trouble))
    }
}

impl Control for SqliteControl {
    fn put(
        &self,
        kind: &str,
        key: &str,
        body: Option<&str>,
        expected: Option<u64>,
        change: &Change<'_>,
    ) -> Result<u64, ControlError> {
        self.write(|to| documents::put(to, kind, key, body, expected, change))
    }

    fn get(&self, kind: &str, key: &str) -> Result<Option<Document>, ControlError> {
        self.read(|from| documents::get(from, kind, key))
    }

    fn list(&self, kind: &str) -> Result<Vec<Document>, ControlError> {
        self.read(|from| documents::list(from, kind))
    }

    fn history(&self, kind: &str, key: &str, limit: usize) -> Result<Vec<Document>, ControlError> {
        self.read(|from| documents::history(from, kind, key, limit))
    }

    fn note(&self, action: &str, subject: &str, change: &Change<'_>) -> Result<(), ControlError> {
        self.write(|to| documents::note(to, action, subject, None, change))
    }

    fn audit(&self, subject: Option<&str>, limit: usize) -> Result<Vec<AuditEntry>, ControlError> {
        self.read(|from| documents::audit(from, subject, limit))
    }

    fn save_result(
        &self,
        experiment: &str,
        time_ms: UnixMillis,
        body: &str,
    ) -> Result<(), ControlError> {
        self.write(|to| documents::save_result(to, experiment, time_ms, body))
    }

    fn results(&self, experiment: &str, limit: usize) -> Result<Vec<StoredResult>, ControlError> {
        self.read(|from| documents::results(from, experiment, limit))
    }
}

/// `text`, if it is not empty and not too long.
fn within<'a>(what: &str, text: &'a str, max: usize) -> Result<&'a str, ControlError> {
    if (1..=max).contains(&text.len()) {
        Ok(text)
    } else {
        Err(ControlError::Limit(format!("{what}: {} bytes, 1 to {max} are allowed", text.len())))
    }
}

/// A number as SQLite has it; what is beyond is the greatest.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests;
