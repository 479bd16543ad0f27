//! What the ledger knows of experiments.

use super::metric::{Amount, Metric};
use crate::event::{DecodeError, ENTRY_BYTES_MAX};
use crate::event::{NAME_BYTES_MAX, Reader, UnixMicros, Writer};
use crate::model::Experiment;
use crate::model::limits::{EXPERIMENTS_MAX, PHASES_MAX, VARIANTS_MAX};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Metrics of one definition, the days of a series included.
pub const METRICS_MAX: usize = 256;
/// Names of events that metrics of all experiments count.
pub const EVENT_NAMES_MAX: usize = 4_096;
/// Tables that ever were: one for each experiment and each time its units were dealt anew.
pub const TABLES_MAX: usize = 16_384;

/// An experiment as far as it is measured. It may grow by phases and metrics; what is there stays,
/// but for a cap that is a percentile, which is set once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Key of the experiment.
    pub experiment: String,
    /// How many variants it has.
    pub variants: u16,
    /// For each phase, which dealing of the units it belongs to, from 0. Within one dealing a unit
    /// keeps its variant, and a second one is a fault; a new salt deals them anew.
    pub deals: Vec<u16>,
    /// What is measured.
    pub metrics: Vec<Metric>,
}

impl Definition {
    /// What is to be measured of an experiment.
    #[must_use]
    pub fn new(experiment: &Experiment, metrics: Vec<Metric>) -> Definition {
        let mut deal = 0;
        let mut salt = experiment.phases.first().and_then(|phase| phase.salt.as_ref());
        let deals = experiment.phases.iter().map(|phase| {
            if phase.salt.as_ref() != salt {
                salt = phase.salt.as_ref();
                deal += 1;
            }
            deal
        });
        Definition {
            experiment: experiment.key.clone(),
            variants: u16::try_from(experiment.variants.len()).unwrap_or(u16::MAX),
            deals: deals.collect(),
            metrics,
        }
    }

    fn problem(&self, horizon_us: i64) -> Option<String> {
        if !(1..=NAME_BYTES_MAX).contains(&self.experiment.len()) {
            return Some(format!("an experiment's key has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if !(1..=VARIANTS_MAX).contains(&usize::from(self.variants)) {
            return Some(format!("an experiment has 1 to {VARIANTS_MAX} variants"));
        }
        if !(1..=PHASES_MAX).contains(&self.deals.len()) {
            return Some(format!("an experiment has 1 to {PHASES_MAX} phases"));
        }
        let steps = self.deals.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1);
        if self.deals.first() != Some(&0) || !steps {
            return Some("dealings are numbered 0, 1, 2 … in the order of phases".to_owned());
        }
        if self.metrics.len() > METRICS_MAX {
            return Some(format!("at most {METRICS_MAX} metrics can be measured"));
        }
        let mut names: Vec<_> = self.metrics.iter().map(|metric| &metric.name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("there are two metrics \"{}\"", pair[0]));
        }
        self.metrics.iter().find_map(|metric| {
            let problem = metric.problem(horizon_us)?;
            Some(format!("metric \"{}\": {problem}", metric.name))
        })
    }

    /// Why it cannot take the place of another of the same experiment.
    fn conflict(&self, old: &Definition) -> Option<String> {
        let metrics = self.metrics.len() >= old.metrics.len()
            && old.metrics.iter().zip(&self.metrics).all(|(old, new)| old.is_or_becomes(new));
        let keeps = self.deals.starts_with(&old.deals) && metrics;
        (self.variants != old.variants || !keeps).then(|| {
            "variants, phases and metrics that are being measured cannot change: add new ones at \
             the end"
                .to_owned()
        })
    }
}

/// A metric with everything that its columns need.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) metric: Metric,
    /// Only units that were first exposed from then on count: those before had events that nobody
    /// counted.
    pub(super) since_us: UnixMicros,
    /// Numbers of the events, and what each adds.
    pub(super) parts: Vec<(u16, Amount)>,
    /// Index of its first value in those of a row: totals after, then totals before if there is a
    /// lookback.
    pub(super) offset: usize,
    /// Index of its histograms, for quantiles.
    pub(super) histogram: Option<usize>,
}

/// An experiment that is measured.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) definition: Definition,
    pub(super) columns: Vec<Column>,
    /// Values of one row.
    pub(super) width: usize,
    /// Histograms of one row.
    pub(super) histograms: usize,
    /// Number of the table of each dealing.
    pub(super) tables: Vec<u16>,
}

/// All experiments that are measured, and the events that they listen to.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) measured: Vec<Option<Measured>>,
    by_key: HashMap<String, usize>,
    events: HashMap<String, u16>,
    /// For each table, the experiment it is of.
    pub(super) tables: Vec<usize>,
    pub(super) lookback_us: i64,
}

impl Definitions {
    pub(super) fn get(&self, experiment: &str) -> Option<&Measured> {
        self.measured.get(*self.by_key.get(experiment)?)?.as_ref()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Measured> {
        self.measured.iter().flatten()
    }

    pub(super) fn of_table(&self, table: usize) -> Option<&Measured> {
        self.measured.get(*self.tables.get(table)?)?.as_ref()
    }

    /// The number of an event that some metric counts.
    pub(super) fn event(&self, name: &str) -> Option<u16> {
        self.events.get(name).copied()
    }

    /// Adds an experiment, or phases and metrics to one. Nothing changes on an error.
    pub(super) fn define(
        &mut self,
        definition: Definition,
        received_us: UnixMicros,
        horizon_us: i64,
    ) -> Result<(), String> {
        if let Some(problem) = definition.problem(horizon_us) {
            return Err(problem);
        }
        let old = self.by_key.get(&definition.experiment).copied();
        let before = old.and_then(|index| self.measured.get(index)?.as_ref());
        if let Some(problem) = before.and_then(|old| definition.conflict(&old.definition)) {
            return Err(problem);
        }
        let known = before.map_or(0, |old| old.columns.len());
        let tables = before.map_or(0, |old| old.tables.len());
        let deals = definition.deals.last().map_or(0, |&last| usize::from(last) + 1);
        let new = &definition.metrics[known..];
        let names = new.iter().flat_map(Metric::parts).filter(|it| self.event(it.0).is_none());
        if self.events.len() + names.count() > EVENT_NAMES_MAX {
            return Err(format!("metrics cannot count more than {EVENT_NAMES_MAX} events"));
        }
        if self.tables.len() + deals - tables > TABLES_MAX {
            return Err("too many experiments were measured: begin a new store".to_owned());
        }
        if old.is_none() && self.by_key.len() >= EXPERIMENTS_MAX {
            return Err(format!(
                "{EXPERIMENTS_MAX} experiments are measured: forget one that is over"
            ));
        }
        let index = old.unwrap_or(self.measured.len());
        let since_us = if old.is_some() { received_us } else { i64::MIN };
        self.grow(index, definition, since_us);
        Ok(())
    }

    fn grow(&mut self, index: usize, definition: Definition, since_us: UnixMicros) {
        if index == self.measured.len() {
            self.by_key.insert(definition.experiment.clone(), index);
            self.measured.push(None);
        }
        let Some(slot) = self.measured.get_mut(index) else { return };
        let mut measured = slot.take().unwrap_or(Measured {
            definition: definition.clone(),
            columns: Vec::new(),
            width: 0,
            histograms: 0,
            tables: Vec::new(),
        });
        for (column, metric) in measured.columns.iter_mut().zip(&definition.metrics) {
            column.metric.clone_from(metric);
        }
        for metric in definition.metrics.iter().skip(measured.columns.len()) {
            let mut parts = Vec::with_capacity(2);
            for (event, amount) in metric.parts() {
                let next = self.events.len() as u16;
                parts.push((*self.events.entry(event.to_owned()).or_insert(next), amount));
            }
            let offset = measured.width;
            let quantile = matches!(metric.kind, super::MetricKind::Quantile { .. });
            let histogram = quantile.then_some(measured.histograms);
            if quantile {
                measured.histograms += 1;
            } else {
                measured.width += parts.len() * if metric.lookback_us > 0 { 2 } else { 1 };
            }
            self.lookback_us = self.lookback_us.max(metric.lookback_us);
            let metric = metric.clone();
            measured.columns.push(Column { metric, since_us, parts, offset, histogram });
        }
        let deals = definition.deals.last().map_or(0, |&last| usize::from(last) + 1);
        while measured.tables.len() < deals {
            measured.tables.push(self.tables.len() as u16);
            self.tables.push(index);
        }
        measured.definition = definition;
        *slot = Some(measured);
    }

    /// Forgets an experiment; its tables can be dropped. `false` when there is none.
    pub(super) fn forget(&mut self, experiment: &str) -> bool {
        let Some(index) = self.by_key.remove(experiment) else { return false };
        if let Some(slot) = self.measured.get_mut(index) {
            *slot = None;
        }
        true
    }

    pub(super) fn write(&self, out: &mut Writer) {
        // Numbers of events and of tables follow from the order in which they came, so they are
        // written as they are.
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_unstable_by_key(|(_, number)| **number);
        out.number(events.len() as u64);
        events.iter().for_each(|(name, _)| out.text(name));
        out.number(self.tables.len() as u64);
        self.tables.iter().for_each(|&experiment| out.number(experiment as u64));
        out.signed(self.lookback_us);
        out.number(self.measured.len() as u64);
        for slot in &self.measured {
            let Some(measured) = slot else {
                out.byte(0);
                continue;
            };
            out.byte(1);
            out.text(&serde_json::to_string(&measured.definition).unwrap_or_default());
            measured.columns.iter().for_each(|column| out.signed(column.since_us));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Definitions, DecodeError> {
        let mut all = Definitions::default();
        for number in 0..from.count(EVENT_NAMES_MAX, "number of events")? {
            all.events.insert(from.text(NAME_BYTES_MAX, "event")?.to_owned(), number as u16);
        }
        let mut tables = Vec::new();
        for _ in 0..from.count(TABLES_MAX, "number of tables")? {
            tables.push(from.number()? as usize);
        }
        let lookback_us = from.signed()?;
        for index in 0..from.count(TABLES_MAX, "number of experiments")? {
            if from.byte()? == 0 {
                all.measured.push(None);
                continue;
            }
            let text = from.text(ENTRY_BYTES_MAX, "definition")?;
            let definition =
                serde_json::from_str(text).map_err(|_| DecodeError::Value("definition"))?;
            all.grow(index, definition, 0);
            let Some(Some(measured)) = all.measured.get_mut(index) else {
                return Err(DecodeError::Value("definition"));
            };
            for column in &mut measured.columns {
                column.since_us = from.signed()?;
            }
            // Which tables are its own is told by the list of tables.
            let own = |(number, &of): (usize, &usize)| (of == index).then_some(number as u16);
            measured.tables = tables.iter().enumerate().filter_map(own).collect();
        }
        (all.tables, all.lookback_us) = (tables, lookback_us);
        Ok(all)
    }
}
