//! Kept assignments, and which device a user is known by.

use super::limits::NAME_BYTES_MAX;
use super::{Trouble, integer, natural, within};
use experiment::evaluate::StickyRecord;
use experiment::model::limits::UNIT_BYTES_MAX;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// The first writer wins, unless it wrote for an earlier version: one statement, so that two cannot
/// both be first.
pub(super) fn stick(
    to: &Connection,
    unit: &str,
    experiment: &str,
    record: &StickyRecord,
) -> Result<StickyRecord, Trouble> {
    within("unit", unit, UNIT_BYTES_MAX)?;
    within("experiment", experiment, NAME_BYTES_MAX)?;
    within("variant", &record.variant, NAME_BYTES_MAX)?;
    to.prepare_cached(
        "INSERT INTO sticky (unit, experiment, version, variant, phase) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET version = excluded.version, variant = excluded.variant, \
         phase = excluded.phase WHERE excluded.version > version",
    )?
    .execute(params![
        unit,
        experiment,
        record.version,
        record.variant,
        integer(record.phase as u64)
    ])?;
    let kept = to
        .prepare_cached(
            "SELECT version, variant, phase FROM sticky WHERE unit = ? AND experiment = ?",
        )?
        .query_row(params![unit, experiment], |row| {
            let phase = natural(row.get(2)?) as usize;
            Ok(StickyRecord { version: row.get(0)?, variant: row.get(1)?, phase })
        })?;
    Ok(kept)
}

pub(super) fn sticky(
    from: &Connection,
    unit: &str,
) -> Result<HashMap<String, StickyRecord>, Trouble> {
    let sql = "SELECT experiment, version, variant, phase FROM sticky WHERE unit = ?";
    let mut statement = from.prepare_cached(sql)?;
    let rows = statement.query_map([unit], |row| {
        let phase = natural(row.get(3)?) as usize;
        let record = StickyRecord { version: row.get(1)?, variant: row.get(2)?, phase };
        Ok((row.get(0)?, record))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn link(
    to: &Connection,
    user: &str,
    device: &str,
    time_ms: u64,
) -> Result<String, Trouble> {
    within("user", user, UNIT_BYTES_MAX)?;
    within("device", device, UNIT_BYTES_MAX)?;
    to.prepare_cached(
        "INSERT INTO link (user, device, time_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )?
    .execute(params![user, device, integer(time_ms)])?;
    Ok(linked(to, user)?.unwrap_or_else(|| device.to_owned()))
}

pub(super) fn linked(from: &Connection, user: &str) -> Result<Option<String>, Trouble> {
    let mut statement = from.prepare_cached("SELECT device FROM link WHERE user = ?")?;
    Ok(statement.query_row([user], |row| row.get(0)).optional()?)
}
