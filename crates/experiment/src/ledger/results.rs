//! What can be read from the ledger.

use super::definition::{Column, Measured};
use super::metric::DAY_US;
use super::sums::Cell;
use super::table::{Row, Table, counts};
use super::{Definition, Fates, Ledger, MetricSums, TrafficTotals, bucket_value};
use crate::event::UnixMicros;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Segments of one dimension; beyond, new ones count as `(other)`.
pub const SEGMENTS_MAX: usize = 1_000;
/// Events of a quantile sample.
pub const SAMPLE_MAX: usize = 50_000_000;
/// The name of the segments that are too many.
const OTHER: &str = "(other)";

/// By what units are told apart; all of it is frozen at the first exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// Family of the browser.
    Browser,
    /// Country.
    Country,
    /// Route.
    Route,
    /// What the cache did.
    Cache,
    /// Day of the first exposure, UTC, as days since 1970.
    Day,
}

/// One phase and variant of an experiment: a stratum's arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// Index of the phase.
    pub phase: u16,
    /// Index of the variant.
    pub variant: u16,
    /// Units that were exposed and are not quarantined.
    pub units: u64,
    /// Sums by metric, in the order of the definition.
    pub metrics: Vec<MetricSums>,
}

/// Requests of one phase and variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficArm {
    /// Index of the phase.
    pub phase: u16,
    /// Index of the variant.
    pub variant: u16,
    /// What the gateway saw.
    pub totals: TrafficTotals,
}

/// How far the data reach; `None` while there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Time of the newest record.
    pub newest_us: Option<UnixMicros>,
    /// Everything until then has come in, if producers send in order: the oldest among the newest
    /// records of those that are active.
    pub complete_through_us: Option<UnixMicros>,
    /// Nothing until then is accepted any more: the newest record less the horizon.
    pub final_through_us: Option<UnixMicros>,
}

/// Everything about one experiment that needs no look at every unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What is measured.
    pub definition: Definition,
    /// By phase, then variant; those without units, too.
    pub arms: Vec<Arm>,
    /// Units that saw a second variant and count nowhere.
    pub quarantined: u64,
    /// Requests.
    pub traffic: Vec<TrafficArm>,
    /// How far the data reach.
    pub progress: Progress,
}

/// The values of a quantile metric in one arm, as [`stats::experiment::quantile::estimate`] takes
/// them; in millionths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuantileSample {
    /// One for each event: the middle of its bucket.
    pub values: Vec<f64>,
    /// The unit that each is of.
    pub units: Vec<u32>,
}

impl Ledger {
    /// The experiments that are measured, by key.
    #[must_use]
    pub fn definitions(&self) -> BTreeMap<&str, &Definition> {
        let all = self.definitions.all().map(|it| &it.definition);
        all.map(|definition| (definition.experiment.as_str(), definition)).collect()
    }

    /// How far the data reach.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let newest_us = (self.newest_us != UnixMicros::MIN).then_some(self.newest_us);
        Progress {
            newest_us,
            complete_through_us: self.producers.complete_through(self.received_us).or(newest_us),
            final_through_us: newest_us.map(|newest| newest - self.settings.horizon_us),
        }
    }

    /// What became of all records so far.
    #[must_use]
    pub fn fates(&self) -> Fates {
        let mut sum = Fates::default();
        for shard in &self.shards {
            sum.0.iter_mut().zip(shard.fates).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Units that something is known of.
    #[must_use]
    pub fn units(&self) -> usize {
        self.shards.iter().map(|shard| shard.units.len()).sum()
    }

    /// An experiment's sums: a few per shard, however many units there are.
    #[must_use]
    pub fn summary(&self, experiment: &str) -> Option<Summary> {
        let measured = self.definitions.get(experiment)?;
        let mut cells = vec![Cell::default(); cells_of(measured)];
        let mut quarantined = 0;
        for table in self.tables(measured) {
            quarantined += table.quarantined;
            for (cell, more) in cells.iter_mut().zip(&table.cells) {
                add(cell, more, &measured.columns);
            }
        }
        let mut traffic: BTreeMap<_, TrafficTotals> = BTreeMap::new();
        for (place, totals) in self.shards.iter().flat_map(|shard| shard.traffic.of(experiment)) {
            traffic.entry(*place).or_default().merge(totals);
        }
        let traffic = traffic.into_iter();
        Some(Summary {
            definition: measured.definition.clone(),
            arms: arms(measured, cells),
            quarantined,
            traffic: traffic
                .map(|((phase, variant), totals)| TrafficArm { phase, variant, totals })
                .collect(),
            progress: self.progress(),
        })
    }

    /// The sums of the units that were first exposed within a time. Looks at every unit of the
    /// experiment.
    #[must_use]
    pub fn cohort(&self, experiment: &str, first_us: &Range<UnixMicros>) -> Option<Vec<Arm>> {
        let one = self.scan(experiment, first_us, |_, _, _| Cow::Borrowed(""))?;
        let measured = self.definitions.get(experiment)?;
        Some(one.into_values().next().unwrap_or_else(|| {
            let mut cells = vec![Cell::default(); cells_of(measured)];
            cells.iter_mut().for_each(|cell| cell.fit(&measured.columns));
            arms(measured, cells)
        }))
    }

    /// The sums of each segment, of the units that were first exposed within a time. Looks at every
    /// unit of the experiment.
    #[must_use]
    pub fn segments(
        &self,
        experiment: &str,
        dimension: Dimension,
        first_us: &Range<UnixMicros>,
    ) -> Option<BTreeMap<String, Vec<Arm>>> {
        self.scan(experiment, first_us, |ledger, shard, row| {
            let attributes = ledger.shards.get(shard).map(|it| it.attributes.get(row.attributes));
            let attributes = attributes.unwrap_or_default();
            match dimension {
                Dimension::Browser => attributes.browser.into(),
                Dimension::Country => attributes.country.into(),
                Dimension::Route => attributes.route.into(),
                Dimension::Cache => attributes.cache.into(),
                Dimension::Day => row.first_us.div_euclid(DAY_US).to_string().into(),
            }
        })
    }

    fn scan<'a>(
        &'a self,
        experiment: &str,
        first_us: &Range<UnixMicros>,
        segment: impl Fn(&'a Ledger, usize, &Row) -> Cow<'a, str>,
    ) -> Option<BTreeMap<String, Vec<Arm>>> {
        let measured = self.definitions.get(experiment)?;
        let mut found: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
        for (shard, table) in self.numbered_tables(measured) {
            for (index, row) in table.rows.iter().enumerate() {
                if row.quarantined || !first_us.contains(&row.first_us) {
                    continue;
                }
                let mut name = segment(self, shard, row);
                if found.len() >= SEGMENTS_MAX && !found.contains_key(name.as_ref()) {
                    name = OTHER.into();
                }
                if !found.contains_key(name.as_ref()) {
                    let mut cells = vec![Cell::default(); cells_of(measured)];
                    cells.iter_mut().for_each(|cell| cell.fit(&measured.columns));
                    found.insert(name.clone().into_owned(), cells);
                }
                let cells = found.get_mut(name.as_ref());
                let place = super::table::cell_of(measured, row);
                let Some(cell) = cells.and_then(|cells| cells.get_mut(place)) else { continue };
                cell.units += 1;
                for (metric, column) in measured.columns.iter().enumerate() {
                    if counts(column, row) {
                        cell.count(metric, table.shaped(column, index as u32), true);
                    }
                }
            }
        }
        Some(found.into_iter().map(|(name, cells)| (name, arms(measured, cells))).collect())
    }

    /// The events of a quantile metric in one arm; `None` for another kind of metric, and beyond
    /// [`SAMPLE_MAX`] events. Looks at every unit of the experiment.
    #[must_use]
    pub fn quantile_sample(
        &self,
        experiment: &str,
        metric: &str,
        phase: u16,
        variant: u16,
    ) -> Option<QuantileSample> {
        let measured = self.definitions.get(experiment)?;
        let column = measured.columns.iter().find(|it| it.metric.name == metric)?;
        column.histogram?;
        let mut sample = QuantileSample::default();
        let mut unit = 0;
        for (table, index, row) in self.rows(measured, column) {
            if (row.phase, row.variant) != (phase, variant) {
                continue;
            }
            for &(bucket, count) in table.histogram(column, index).iter().flat_map(|it| &it.0) {
                let more = count as usize;
                if sample.values.len() + more > SAMPLE_MAX {
                    return None;
                }
                sample.values.extend(std::iter::repeat_n(bucket_value(bucket), more));
                sample.units.extend(std::iter::repeat_n(unit, more));
            }
            unit += 1;
        }
        Some(sample)
    }

    /// The totals of the units that were first exposed before a time, for a metric, of all arms
    /// together and in no order: from them a cap is found once
    /// ([`stats::experiment::cap::percentile`]). `None` for quantiles.
    #[must_use]
    pub fn unit_totals(
        &self,
        experiment: &str,
        metric: &str,
        before_us: UnixMicros,
    ) -> Option<Vec<i64>> {
        let measured = self.definitions.get(experiment)?;
        let column = measured.columns.iter().find(|it| it.metric.name == metric)?;
        if column.histogram.is_some() {
            return None;
        }
        let rows = self.rows(measured, column).filter(|(_, _, row)| row.first_us < before_us);
        Some(rows.map(|(table, index, _)| table.shaped(column, index)[0]).collect())
    }

    /// The rows that count for a metric.
    fn rows<'a>(
        &'a self,
        measured: &'a Measured,
        column: &'a Column,
    ) -> impl Iterator<Item = (&'a Table, u32, &'a Row)> {
        self.tables(measured).flat_map(move |table| {
            let rows = (0..).zip(&table.rows);
            let counted = rows.filter(|(_, row)| !row.quarantined && counts(column, row));
            counted.map(move |(index, row)| (table, index, row))
        })
    }

    fn tables<'a>(&'a self, measured: &'a Measured) -> impl Iterator<Item = &'a Table> {
        self.numbered_tables(measured).map(|(_, table)| table)
    }

    fn numbered_tables<'a>(
        &'a self,
        measured: &'a Measured,
    ) -> impl Iterator<Item = (usize, &'a Table)> {
        self.shards.iter().enumerate().flat_map(move |(number, shard)| {
            let tables = measured.tables.iter().filter_map(|&at| shard.tables.get(usize::from(at)));
            tables.map(move |table| (number, table))
        })
    }
}

fn cells_of(measured: &Measured) -> usize {
    measured.definition.deals.len() * usize::from(measured.definition.variants)
}

fn add(cell: &mut Cell, more: &Cell, columns: &[Column]) {
    cell.fit(columns);
    let result = cell.merge(more);
    debug_assert!(result.is_ok(), "limits keep sums within 128 bits");
}

fn arms(measured: &Measured, cells: Vec<Cell>) -> Vec<Arm> {
    let variants = usize::from(measured.definition.variants);
    let arm = |(index, cell): (usize, Cell)| Arm {
        phase: (index / variants) as u16,
        variant: (index % variants) as u16,
        units: cell.units,
        metrics: cell.metrics,
    };
    cells.into_iter().enumerate().map(arm).collect()
}
