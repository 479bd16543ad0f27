//! Keys of the API. Only hashes are kept: keys are long and random, so one round of SHA-256 cannot
//! be undone by guessing, and an index over hashes tells nothing through its timing.

use super::limits::{KEY_BYTES_MAX, KEY_BYTES_MIN, KEYS_MAX, NAME_BYTES_MAX};
use super::{Trouble, documents, integer, natural, within};
use experiment::ledger::{ApiKey, Change, ControlError, Scope};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

fn name_of(scope: Scope) -> &'static str {
    match scope {
        Scope::Client => "client",
        Scope::Write => "write",
        Scope::Admin => "admin",
    }
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    let scope: String = row.get(1)?;
    // What is not known may do least.
    let scope = match scope.as_str() {
        "admin" => Scope::Admin,
        "write" => Scope::Write,
        _ => Scope::Client,
    };
    Ok(ApiKey { name: row.get(0)?, scope, time_ms: natural(row.get(2)?) })
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

pub(super) fn add(
    to: &Connection,
    name: &str,
    key: &str,
    scope: Scope,
    change: &Change<'_>,
) -> Result<(), Trouble> {
    within("name of the key", name, NAME_BYTES_MAX)?;
    let refused = |what: String| Trouble::from(ControlError::Limit(what));
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(refused(format!("a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes")));
    }
    let count = to.query_row("SELECT count(*) FROM api_key", [], |row| row.get(0))?;
    if natural(count) >= KEYS_MAX {
        return Err(refused(format!("there are {KEYS_MAX} keys: revoke one first")));
    }
    let added = to.execute(
        "INSERT INTO api_key (name, hash, scope, time_ms) VALUES (?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
        params![name, hash(key), name_of(scope), integer(change.time_ms)],
    )?;
    if added == 0 {
        return Err(refused(format!("there is a key \"{name}\", or the same key by another name")));
    }
    documents::note(to, "key-added", &format!("key/{name}"), None, change)
}

pub(super) fn find(from: &Connection, key: &str) -> Result<Option<ApiKey>, Trouble> {
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(None);
    }
    let mut statement =
        from.prepare_cached("SELECT name, scope, time_ms FROM api_key WHERE hash = ?")?;
    Ok(statement.query_row([hash(key)], api_key).optional()?)
}

pub(super) fn all(from: &Connection) -> Result<Vec<ApiKey>, Trouble> {
    let mut statement =
        from.prepare_cached("SELECT name, scope, time_ms FROM api_key ORDER BY name")?;
    let rows = statement.query_map([], api_key)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn revoke(to: &Connection, name: &str, change: &Change<'_>) -> Result<bool, Trouble> {
    let revoked = to.execute("DELETE FROM api_key WHERE name = ?", [name])? > 0;
    if revoked {
        documents::note(to, "key-revoked", &format!("key/{name}"), None, change)?;
    }
    Ok(revoked)
}
