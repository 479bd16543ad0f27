//! Documents, the audit log and kept results.

use super::limits::{
    ANSWER_MAX, BODY_BYTES_MAX, DOCUMENTS_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX, RESULTS_MAX,
    VERSIONS_MAX,
};
use super::{Trouble, integer, natural, within};
use experiment::ledger::{AuditEntry, Change, ControlError, Document, StoredResult};
use rusqlite::{Connection, OptionalExtension, Row, params};

const COLUMNS: &str = "kind, key, version, time_ms, body";

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        kind: row.get(0)?,
        key: row.get(1)?,
        version: natural(row.get(2)?),
        time_ms: natural(row.get(3)?),
        body: row.get(4)?,
    })
}

/// How many lines to answer with.
fn lines(limit: usize) -> i64 {
    limit.min(ANSWER_MAX) as i64
}

fn newest(from: &Connection, kind: &str, key: &str) -> rusqlite::Result<Option<Document>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM document WHERE kind = ? AND key = ? ORDER BY version DESC LIMIT 1"
    );
    from.prepare_cached(&sql)?.query_row(params![kind, key], document).optional()
}

pub(super) fn put(
    to: &Connection,
    kind: &str,
    key: &str,
    body: Option<&str>,
    expected: Option<u64>,
    change: &Change<'_>,
) -> Result<u64, Trouble> {
    within("kind", kind, NAME_BYTES_MAX)?;
    within("key", key, NAME_BYTES_MAX)?;
    if let Some(body) = body {
        within("document", body, BODY_BYTES_MAX)?;
    }
    let before = newest(to, kind, key)?;
    let exists = before.as_ref().is_some_and(|document| document.body.is_some());
    // A document that was deleted counts as none to whoever makes a new one.
    let current = before.as_ref().map_or(0, |document| document.version);
    if let Some(expected) = expected
        && expected != if exists { current } else { 0 }
    {
        let what = format!("{kind}/{key}");
        let current = if exists { current } else { 0 };
        return Err(ControlError::Conflict { what, expected, current }.into());
    }
    if body.is_none() && !exists {
        return Err(ControlError::Limit(format!("there is no {kind} \"{key}\"")).into());
    }
    if before.is_none() {
        let count = "SELECT count(DISTINCT key) FROM document WHERE kind = ?";
        let count = to.query_row(count, [kind], |row| row.get(0))?;
        if natural(count) >= DOCUMENTS_MAX {
            let what = format!("there are {DOCUMENTS_MAX} documents \"{kind}\" already");
            return Err(ControlError::Limit(what).into());
        }
    }
    let version = current + 1;
    to.execute(
        "INSERT INTO document (kind, key, version, time_ms, body) VALUES (?, ?, ?, ?, ?)",
        params![kind, key, integer(version), integer(change.time_ms), body],
    )?;
    to.execute(
        "DELETE FROM document WHERE kind = ? AND key = ? AND version <= ?",
        params![kind, key, integer(version.saturating_sub(VERSIONS_MAX))],
    )?;
    let action = if body.is_some() { "put" } else { "delete" };
    note(to, action, &format!("{kind}/{key}"), Some(version), change)?;
    Ok(version)
}

pub(super) fn get(from: &Connection, kind: &str, key: &str) -> Result<Option<Document>, Trouble> {
    Ok(newest(from, kind, key)?.filter(|document| document.body.is_some()))
}

pub(super) fn list(from: &Connection, kind: &str) -> Result<Vec<Document>, Trouble> {
    // With max(), the other columns are those of the row that has it.
    let sql = "SELECT kind, key, max(version), time_ms, body FROM document WHERE kind = ? \
               GROUP BY key HAVING body IS NOT NULL ORDER BY key";
    let mut statement = from.prepare_cached(sql)?;
    let rows = statement.query_map([kind], document)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn history(
    from: &Connection,
    kind: &str,
    key: &str,
    limit: usize,
) -> Result<Vec<Document>, Trouble> {
    let sql = format!(
        "SELECT {COLUMNS} FROM document WHERE kind = ? AND key = ? ORDER BY version DESC LIMIT ?"
    );
    let mut statement = from.prepare_cached(&sql)?;
    let rows = statement.query_map(params![kind, key, lines(limit)], document)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn note(
    to: &Connection,
    action: &str,
    subject: &str,
    version: Option<u64>,
    change: &Change<'_>,
) -> Result<(), Trouble> {
    within("action", action, NAME_BYTES_MAX)?;
    within("subject", subject, 2 * NAME_BYTES_MAX)?;
    within("who", change.who, NAME_BYTES_MAX)?;
    within("reason", change.reason, REASON_BYTES_MAX)?;
    to.execute(
        "INSERT INTO audit (time_ms, who, action, subject, reason, version) \
         VALUES (?, ?, ?, ?, ?, ?)",
        params![
            integer(change.time_ms),
            change.who,
            action,
            subject,
            change.reason,
            version.map(integer)
        ],
    )?;
    Ok(())
}

pub(super) fn audit(
    from: &Connection,
    subject: Option<&str>,
    limit: usize,
) -> Result<Vec<AuditEntry>, Trouble> {
    let only = if subject.is_some() { "subject = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT number, time_ms, who, action, subject, reason, version FROM audit \
         WHERE {only} ORDER BY number DESC LIMIT ?2"
    );
    let mut statement = from.prepare_cached(&sql)?;
    let rows = statement.query_map(params![subject, lines(limit)], |row| {
        Ok(AuditEntry {
            number: natural(row.get(0)?),
            time_ms: natural(row.get(1)?),
            who: row.get(2)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            reason: row.get(5)?,
            version: row.get::<_, Option<i64>>(6)?.map(natural),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn save_result(
    to: &Connection,
    experiment: &str,
    time_ms: u64,
    body: &str,
) -> Result<(), Trouble> {
    within("experiment", experiment, NAME_BYTES_MAX)?;
    within("result", body, BODY_BYTES_MAX)?;
    to.execute(
        "INSERT INTO result (experiment, time_ms, body) VALUES (?, ?, ?)",
        params![experiment, integer(time_ms), body],
    )?;
    to.execute(
        "DELETE FROM result WHERE experiment = ?1 AND number <= (SELECT number FROM result \
         WHERE experiment = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        params![experiment, integer(RESULTS_MAX)],
    )?;
    Ok(())
}

pub(super) fn results(
    from: &Connection,
    experiment: &str,
    limit: usize,
) -> Result<Vec<StoredResult>, Trouble> {
    let sql = "SELECT time_ms, body FROM result WHERE experiment = ? ORDER BY number DESC LIMIT ?";
    let mut statement = from.prepare_cached(sql)?;
    let rows = statement.query_map(params![experiment, lines(limit)], |row| {
        Ok(StoredResult { time_ms: natural(row.get(0)?), body: row.get(1)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
