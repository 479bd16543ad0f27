//! Tables, and how older ones become newer ones.

use rusqlite::Connection;
use std::time::Duration;

/// Marks the file as tidegate's: "tide".
const APPLICATION_ID: i32 = 0x7469_6465;

/// How long a transaction of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Each brings the tables from the version of its index to the next. What was published is never
/// changed; new ones are added.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE document (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        body TEXT,
        PRIMARY KEY (kind, key, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        reason TEXT NOT NULL,
        version INTEGER
    ) STRICT;
    CREATE INDEX audit_subject ON audit (subject, number);
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
    CREATE TABLE result (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        experiment TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX result_experiment ON result (experiment, number);
"];

/// Makes a connection durable and its tables those of this version.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), String> {
    migrate(connection, MIGRATIONS)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), String> {
    let text = |error: rusqlite::Error| error.to_string();
    connection.busy_timeout(BUSY).map_err(text)?;
    let number = |connection: &Connection, pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(text)
    };
    let id = number(connection, "application_id")?;
    let version = number(connection, "user_version")?;
    if id != i64::from(APPLICATION_ID) && (id != 0 || version != 0) {
        return Err("this is a database of another program: choose another file".to_owned());
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > migrations.len() {
        return Err(format!(
            "its tables are of version {version}, this tidegate knows {}: use a newer one",
            migrations.len()
        ));
    }
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        .map_err(text)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(text)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(text)?;
    for (index, migration) in migrations.iter().enumerate().skip(version) {
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(text)?;
        // Another process may have done it meanwhile.
        let done = number(&transaction, "user_version")? > index as i64;
        if !done {
            transaction.execute_batch(migration).map_err(text)?;
            transaction.pragma_update(None, "user_version", index as i64 + 1).map_err(text)?;
        }
        transaction.commit().map_err(text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_migrated_once_and_newer_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sqlite");
        let open = || Connection::open(&path).unwrap();
        migrate(&mut open(), &["CREATE TABLE a (x)"]).unwrap();
        migrate(&mut open(), &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"]).unwrap();
        migrate(&mut open(), &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"]).unwrap();
        open().execute("INSERT INTO a (x, y) VALUES (1, 2)", []).unwrap();
        let error = migrate(&mut open(), &["CREATE TABLE a (x)"]).unwrap_err();
        assert!(error.contains("newer"), "{error}");
        // A migration that fails leaves everything as it was.
        migrate(&mut open(), &["", "", "CREATE TABLE b (x); nonsense"]).unwrap_err();
        assert!(open().prepare("SELECT x FROM b").is_err());
    }

    #[test]
    fn databases_of_others_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.sqlite");
        let mut connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        assert!(prepare(&mut connection).unwrap_err().contains("another program"));
        let path = folder.path().join("text");
        std::fs::write(&path, "this is no database, and long enough to be seen as none").unwrap();
        assert!(prepare(&mut Connection::open(&path).unwrap()).is_err());
    }
}
