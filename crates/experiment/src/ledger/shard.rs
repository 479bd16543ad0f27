//! One shard: everything about the units whose hash falls on it, and nothing of the others.

use super::Fate;
use super::attributes::Interner;
use super::definition::{Definitions, Measured};
use super::event_ids::EventIds;
use super::limits::{FUTURE_US_MAX, RECENT_PER_UNIT_MAX, Settings};
use super::table::{Recent, Row, Table};
use super::traffic::TrafficTable;
use super::units::{Membership, Unit, UnitKey, Units};
use crate::event::{Event, Exposure, Record, UnixMicros};
use xxhash_rust::xxh3::Xxh3;

/// Units that are looked after for each record that comes in.
const SWEEP_PER_RECORD: usize = 4;

/// What all records of one entry have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) received_us: UnixMicros,
    /// Older records are late.
    pub(super) accept_from: UnixMicros,
    /// Older events are no longer needed.
    pub(super) keep_from: UnixMicros,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Entries before this one are counted.
    pub(super) position: u64,
    pub(super) units: Units,
    pub(super) tables: Vec<Table>,
    pub(super) event_ids: EventIds,
    pub(super) attributes: Interner,
    pub(super) traffic: TrafficTable,
    /// Events that units keep.
    pub(super) recent: usize,
    pub(super) fates: [u64; Fate::COUNT],
}

impl Shard {
    /// Makes room for what was defined.
    pub(super) fn fit(&mut self, definitions: &Definitions) {
        if self.tables.len() < definitions.tables.len() {
            self.tables.resize_with(definitions.tables.len(), Table::default);
        }
        for (index, table) in self.tables.iter_mut().enumerate() {
            if let Some(measured) = definitions.of_table(index) {
                table.fit(measured);
            }
        }
    }

    /// Drops tables, and the units that are in no others.
    pub(super) fn forget(&mut self, experiment: &str, tables: &[u16]) {
        for &table in tables {
            if let Some(table) = self.tables.get_mut(usize::from(table)) {
                *table = Table::default();
            }
        }
        self.units.leave(tables);
        self.traffic.forget(experiment);
    }

    /// Counts a record.
    pub(super) fn apply(
        &mut self,
        settings: &Settings,
        definitions: &Definitions,
        moment: &Moment,
        key: UnitKey,
        record: &Record<'_>,
    ) -> Fate {
        let fate = if record.time_us() > moment.received_us.saturating_add(FUTURE_US_MAX) {
            Fate::Future
        } else {
            match record {
                Record::Exposure(exposure) => {
                    self.expose(settings, definitions, moment, key, exposure)
                }
                Record::Event(event) => self.happen(settings, definitions, moment, key, event),
                Record::Traffic(traffic) => match definitions.get(traffic.experiment) {
                    Some(measured) if is_in(measured, traffic.variant, traffic.phase) => {
                        self.traffic.add(traffic);
                        Fate::Counted
                    }
                    _ => Fate::Unknown,
                },
            }
        };
        if let Some(count) = self.fates.get_mut(fate as usize) {
            *count += 1;
        }
        self.recent -= self.units.sweep(SWEEP_PER_RECORD, moment.keep_from);
        fate
    }

    fn expose(
        &mut self,
        settings: &Settings,
        definitions: &Definitions,
        moment: &Moment,
        key: UnitKey,
        exposure: &Exposure<'_>,
    ) -> Fate {
        let Some(measured) = definitions.get(exposure.experiment) else { return Fate::Unknown };
        let Some(table_number) = table_of(measured, exposure) else { return Fate::Unknown };
        let found = self.units.find(key);
        let row = found.and_then(|at| self.units.get(at)?.row(table_number));
        let late = exposure.time_us < moment.accept_from;
        let Some(row) = row else {
            if late {
                return Fate::Late;
            }
            if found.is_none() && self.units.len() >= settings.share(settings.units_max) {
                return Fate::Full;
            }
            let at = found.unwrap_or_else(|| self.units.insert(unit(key)));
            self.enrol(measured, table_number, at, exposure);
            return Fate::Counted;
        };
        let Some(table) = self.tables.get_mut(usize::from(table_number)) else {
            return Fate::Unknown;
        };
        let Some(&known) = table.rows.get(row as usize) else { return Fate::Unknown };
        if known.variant != exposure.variant && !known.quarantined {
            table.count(measured, row, false);
            table.quarantined += 1;
            if let Some(row) = table.rows.get_mut(row as usize) {
                row.quarantined = true;
            }
        }
        // The earliest exposure is the first one, whenever it arrives.
        if !late && self.is_earlier(exposure, &known) {
            self.move_back(measured, table_number, row, found, exposure);
        }
        Fate::Duplicate
    }

    /// Whether an exposure comes before the one that is known. Those at the same time are put in an
    /// order that does not depend on their arrival.
    fn is_earlier(&self, exposure: &Exposure<'_>, known: &Row) -> bool {
        if exposure.time_us != known.first_us {
            return exposure.time_us < known.first_us;
        }
        let attributes = self.attributes.get(known.attributes);
        (exposure.phase, exposure.attributes) < (known.phase, attributes)
    }

    fn enrol(&mut self, measured: &Measured, table: u16, at: u32, exposure: &Exposure<'_>) {
        let attributes = self.attributes.intern(&exposure.attributes);
        let Some(unit) = self.units.get_mut(at) else { return };
        let number = table;
        let Some(table) = self.tables.get_mut(usize::from(table)) else { return };
        let row = table.add(exposure.time_us, attributes, exposure.variant, exposure.phase);
        unit.memberships.reserve_exact(1);
        unit.memberships.push(Membership { table: number, row });
        for event in &unit.recent {
            table.event(measured, row, event, true);
        }
        table.count(measured, row, true);
    }

    /// Events that are still kept are weighed anew; older ones are before either exposure.
    fn move_back(
        &mut self,
        measured: &Measured,
        table: u16,
        row: u32,
        at: Option<u32>,
        exposure: &Exposure<'_>,
    ) {
        let attributes = self.attributes.intern(&exposure.attributes);
        let Some(unit) = at.and_then(|at| self.units.get(at)) else { return };
        let Some(table) = self.tables.get_mut(usize::from(table)) else { return };
        table.count(measured, row, false);
        for event in &unit.recent {
            table.event(measured, row, event, false);
        }
        let Some(known) = table.rows.get_mut(row as usize) else { return };
        known.first_us = exposure.time_us;
        known.phase = exposure.phase;
        known.attributes = attributes;
        let counts = !known.quarantined;
        for event in &unit.recent {
            table.event(measured, row, event, true);
        }
        table.count(measured, row, counts);
    }

    fn happen(
        &mut self,
        settings: &Settings,
        definitions: &Definitions,
        moment: &Moment,
        key: UnitKey,
        event: &Event<'_>,
    ) -> Fate {
        let Some(number) = definitions.event(event.name) else { return Fate::Unused };
        if event.time_us < moment.accept_from {
            return Fate::Late;
        }
        let id = event.event_id.map(|id| event_key(event.unit, id));
        if id.is_some_and(|id| self.event_ids.contains(id)) {
            return Fate::Duplicate;
        }
        let room = self.recent < settings.share(settings.recent_max);
        let found = self.units.find(key);
        if found.is_none() && (!room || self.units.len() >= settings.share(settings.units_max)) {
            return Fate::Full;
        }
        let at = found.unwrap_or_else(|| self.units.insert(unit(key)));
        let Some(unit) = self.units.get_mut(at) else { return Fate::Full };
        let keep = room && unit.recent.len() < RECENT_PER_UNIT_MAX;
        if !keep && unit.memberships.is_empty() {
            return Fate::Full;
        }
        let event = Recent { time_us: event.time_us, value: event.value, event: number };
        for membership in &unit.memberships {
            let table = usize::from(membership.table);
            if let (Some(table), Some(measured)) =
                (self.tables.get_mut(table), definitions.of_table(table))
            {
                table.event(measured, membership.row, &event, true);
            }
        }
        if keep {
            unit.recent.push(event);
            self.recent += 1;
        }
        if let Some(id) = id {
            self.event_ids.insert(id, settings.share(settings.event_ids_max));
        }
        Fate::Counted
    }

    pub(super) fn bytes(&self) -> usize {
        self.units.bytes()
            + self.event_ids.bytes()
            + self.attributes.bytes()
            + self.tables.iter().map(Table::bytes).sum::<usize>()
    }
}

fn unit(key: UnitKey) -> Unit {
    Unit { key, recent: Vec::new(), memberships: Vec::new() }
}

fn is_in(measured: &Measured, variant: u16, phase: u16) -> bool {
    variant < measured.definition.variants && usize::from(phase) < measured.definition.deals.len()
}

fn table_of(measured: &Measured, exposure: &Exposure<'_>) -> Option<u16> {
    if !is_in(measured, exposure.variant, exposure.phase) {
        return None;
    }
    let deal = measured.definition.deals.get(usize::from(exposure.phase))?;
    measured.tables.get(usize::from(*deal)).copied()
}

/// The hash of an event's id, which is the unit's own.
fn event_key(unit: &str, id: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&(unit.len() as u64).to_le_bytes());
    hash.update(unit.as_bytes());
    hash.update(id.as_bytes());
    hash.digest128()
}
