//! The ledger as bytes, part by part.
//!
//! The head is written first, then one shard after the other; entries may be applied in between.
//! After a restart the entries from the head's position on are applied again, and each shard
//! leaves out those that it had counted. Definitions must not change from the first part to the
//! last ([`Ledger::generation`]). Sums are not written: they follow from the rows.

use super::attributes::Interner;
use super::definition::Definitions;
use super::event_ids::EventIds;
use super::producers::Producers;
use super::shard::Shard;
use super::table::{Recent, Table};
use super::traffic::TrafficTable;
use super::units::{Membership, Unit, UnitKey};
use super::{Ledger, SHARDS_MAX, Settings};
use crate::event::{DecodeError, Reader, Writer};

/// The version that is written.
const VERSION: u8 = 1;

/// Why a ledger cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("part {part} of the checkpoint: {error}")]
pub struct RestoreError {
    /// 0 for the head, then the shards.
    pub part: usize,
    /// What is wrong with it.
    pub error: DecodeError,
}

impl Ledger {
    /// Changes with every definition.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many parts a checkpoint has: the head and the shards.
    #[must_use]
    pub fn parts(&self) -> usize {
        1 + self.shards.len()
    }

    /// After a restore, the position to which entries must be applied again: some part was written
    /// then. Before that the ledger is of no use.
    #[must_use]
    pub fn replay_through(&self) -> u64 {
        self.shards.iter().map(|shard| shard.position).fold(self.position, u64::max)
    }

    /// The bytes of a part as it is now; empty when there is no such part.
    #[must_use]
    pub fn part(&self, part: usize) -> Vec<u8> {
        let mut out = Writer::default();
        match part.checked_sub(1).map(|index| self.shards.get(index)) {
            None => self.write_head(&mut out),
            Some(Some(shard)) => write_shard(shard, self.position, &mut out),
            Some(None) => {}
        }
        out.0
    }

    fn write_head(&self, out: &mut Writer) {
        out.byte(VERSION);
        out.number(self.position);
        out.signed(self.received_us);
        out.signed(self.newest_us);
        out.number(self.shards.len() as u64);
        self.definitions.write(out);
        self.producers.write(out);
    }

    /// The ledger that parts were written of. The number of shards is that of the checkpoint.
    ///
    /// # Errors
    /// [`RestoreError`] when a part is missing or is not what was written.
    pub fn restore<P: AsRef<[u8]>>(
        settings: Settings,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<Ledger, RestoreError> {
        let mut parts = parts.into_iter();
        let fail = |part| move |error| RestoreError { part, error };
        let head = parts.next().ok_or(DecodeError::Short).map_err(fail(0))?;
        let (mut ledger, shards) = read_head(settings, head.as_ref()).map_err(fail(0))?;
        ledger.shards.clear();
        for part in 1..=shards {
            let bytes = parts.next().ok_or(DecodeError::Short).map_err(fail(part))?;
            let mut shard = read_shard(bytes.as_ref()).map_err(fail(part))?;
            shard.fit(&ledger.definitions);
            for (index, table) in shard.tables.iter_mut().enumerate() {
                if let Some(measured) = ledger.definitions.of_table(index) {
                    table.recount(measured);
                }
            }
            ledger.shards.push(shard);
        }
        Ok(ledger)
    }
}

fn read_head(settings: Settings, bytes: &[u8]) -> Result<(Ledger, usize), DecodeError> {
    let mut from = Reader(bytes);
    match from.byte()? {
        VERSION => {}
        other => return Err(DecodeError::Version(other)),
    }
    let position = from.number()?;
    let (received_us, newest_us) = (from.signed()?, from.signed()?);
    let shards = from.at_most(SHARDS_MAX as u64, "number of shards")? as usize;
    let mut ledger = Ledger::new(Settings { shards, ..settings });
    ledger.definitions = Definitions::read(&mut from)?;
    ledger.producers = Producers::read(&mut from)?;
    (ledger.position, ledger.received_us, ledger.newest_us) = (position, received_us, newest_us);
    if from.0.is_empty() { Ok((ledger, shards)) } else { Err(DecodeError::Long) }
}

fn write_shard(shard: &Shard, position: u64, out: &mut Writer) {
    // After a restart a shard can be ahead of the head.
    out.number(position.max(shard.position));
    shard.fates.iter().for_each(|&count| out.number(count));
    shard.attributes.write(out);
    shard.traffic.write(out);
    shard.event_ids.write(out);
    out.number(shard.tables.len() as u64);
    shard.tables.iter().for_each(|table| table.write(out));
    out.number(shard.units.len() as u64);
    for unit in shard.units.iter() {
        out.wide(unit.key.0);
        out.number(unit.recent.len() as u64);
        for event in &unit.recent {
            out.signed(event.time_us);
            out.signed(event.value);
            out.number(event.event.into());
        }
        out.number(unit.memberships.len() as u64);
        for membership in &unit.memberships {
            out.number(membership.table.into());
            out.number(membership.row.into());
        }
    }
}

fn read_shard(bytes: &[u8]) -> Result<Shard, DecodeError> {
    let mut from = Reader(bytes);
    let from = &mut from;
    let mut shard = Shard { position: from.number()?, ..Shard::default() };
    for count in &mut shard.fates {
        *count = from.number()?;
    }
    shard.attributes = Interner::read(from)?;
    shard.traffic = TrafficTable::read(from)?;
    shard.event_ids = EventIds::read(from)?;
    for _ in 0..from.count(super::TABLES_MAX, "number of tables")? {
        shard.tables.push(Table::read(from)?);
    }
    for _ in 0..from.count(u32::MAX as usize, "number of units")? {
        let key = UnitKey(from.wide()?);
        let events = from.count(super::RECENT_PER_UNIT_MAX, "number of events")?;
        let mut recent = Vec::with_capacity(events);
        for _ in 0..events {
            let (time_us, value) = (from.signed()?, from.signed()?);
            recent.push(Recent { time_us, value, event: from.small("event")? });
        }
        shard.recent += events;
        let count = from.count(super::TABLES_MAX, "number of memberships")?;
        let mut memberships = Vec::with_capacity(count);
        for _ in 0..count {
            let table = from.small("table")?;
            let row = from.at_most(u32::MAX.into(), "row")? as u32;
            let rows = shard.tables.get(usize::from(table)).map_or(0, |table| table.rows.len());
            if row as usize >= rows {
                return Err(DecodeError::Value("row"));
            }
            memberships.push(Membership { table, row });
        }
        shard.units.insert(Unit { key, recent, memberships });
    }
    if from.0.is_empty() { Ok(shard) } else { Err(DecodeError::Long) }
}
