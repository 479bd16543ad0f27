//! What can be read from the ledger without a look at every unit; for the rest see [`super::InSteps`].

use super::definition::{Column, Measured};
use super::sums::Cell;
use super::table::Table;
use super::{Definition, Fates, Ledger, MetricSums, TrafficTotals};
use crate::event::UnixMicros;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

    fn tables<'a>(&'a self, measured: &'a Measured) -> impl Iterator<Item = &'a Table> {
        let of = |shard: &'a super::Shard| {
            measured.tables.iter().filter_map(|&at| shard.tables.get(usize::from(at)))
        };
        self.shards.iter().flat_map(of)
    }
}

/// Cells of an experiment, without anything in them.
pub(super) fn empty_cells(measured: &Measured) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); cells_of(measured)];
    cells.iter_mut().for_each(|cell| cell.fit(&measured.columns));
    cells
}

fn cells_of(measured: &Measured) -> usize {
    measured.definition.deals.len() * usize::from(measured.definition.variants)
}

fn add(cell: &mut Cell, more: &Cell, columns: &[Column]) {
    cell.fit(columns);
    let result = cell.merge(more);
    debug_assert!(result.is_ok(), "limits keep sums within 128 bits");
}

pub(super) fn arms(measured: &Measured, cells: Vec<Cell>) -> Vec<Arm> {
    let variants = usize::from(measured.definition.variants);
    let arm = |(index, cell): (usize, Cell)| Arm {
        phase: (index / variants) as u16,
        variant: (index % variants) as u16,
        units: cell.units,
        metrics: cell.metrics,
    };
    cells.into_iter().enumerate().map(arm).collect()
}
