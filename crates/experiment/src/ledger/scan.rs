//! What looks at every unit of an experiment, some units at a time: between two looks whoever writes
//! has its turn, so that no event waits for an analysis.
//!
//! A unit is in one shard and one row, rows stay where they are, and what is defined only grows. So
//! each unit is seen once and as a whole, at some moment between beginning and end; a unit that
//! comes meanwhile may be seen or not. That is as good a sample as one of a single moment.

use super::definition::{Column, Measured};
use super::metric::DAY_US;
use super::results::{arms, empty_cells};
use super::shard::Shard;
use super::sums::Cell;
use super::table::{Row, Table, cell_of, counts};
use super::{Arm, Dimension, Fates, Ledger, QuantileSample, Results, Summary, bucket_value};
use crate::event::UnixMicros;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Units that are looked at before the ledger is given back: a few milliseconds.
pub const ROWS_AT_ONCE: usize = 16_384;
/// Segments of one dimension; beyond, new ones count as `(other)`.
pub const SEGMENTS_MAX: usize = 1_000;
/// Events of a quantile sample.
pub const SAMPLE_MAX: usize = 50_000_000;
/// The name of the segments that are too many.
const OTHER: &str = "(other)";

/// Lends a ledger for a moment at a time.
pub trait Lend {
    /// Calls `look` with the ledger, once.
    fn lend(&self, look: &mut dyn FnMut(&Ledger));
}

impl Lend for Ledger {
    fn lend(&self, look: &mut dyn FnMut(&Ledger)) {
        look(self);
    }
}

/// Reads all units of a ledger that is lent, [`ROWS_AT_ONCE`] for each loan.
#[derive(Debug)]
pub struct InSteps<'a, L: ?Sized> {
    lender: &'a L,
    rows: usize,
}

/// One unit of an experiment.
struct Seen<'a> {
    number: usize,
    shard: &'a Shard,
    table: &'a Table,
    index: u32,
    row: &'a Row,
}

impl<'a, L: Lend + ?Sized> InSteps<'a, L> {
    /// Of whoever lends it.
    pub fn new(lender: &'a L) -> InSteps<'a, L> {
        InSteps { lender, rows: ROWS_AT_ONCE }
    }

    /// With so many units for each loan.
    #[cfg(test)]
    pub(super) fn of(lender: &'a L, rows: usize) -> InSteps<'a, L> {
        InSteps { lender, rows }
    }

    /// The sums of the units that were first exposed within a time.
    pub fn cohort(&self, experiment: &str, first_us: &Range<UnixMicros>) -> Option<Vec<Arm>> {
        let measured = self.measured(experiment)?;
        let mut cells = empty_cells(&measured);
        self.walk(&measured, |seen| {
            if is_in(&seen, first_us)
                && let Some(cell) = cells.get_mut(cell_of(&measured, seen.row))
            {
                count(cell, &measured, &seen);
            }
        })?;
        Some(arms(&measured, cells))
    }

    /// The sums of each segment, of the units that were first exposed within a time.
    pub fn segments(
        &self,
        experiment: &str,
        dimension: Dimension,
        first_us: &Range<UnixMicros>,
    ) -> Option<BTreeMap<String, Vec<Arm>>> {
        let measured = self.measured(experiment)?;
        let mut segments = Segments::default();
        self.walk(&measured, |seen| {
            if !is_in(&seen, first_us) {
                return;
            }
            let cells = segments.of(dimension, &seen, || empty_cells(&measured));
            let cell = cells.and_then(|cells| cells.get_mut(cell_of(&measured, seen.row)));
            if let Some(cell) = cell {
                count(cell, &measured, &seen);
            }
        })?;
        let found = segments.places.into_iter().zip(segments.cells);
        Some(found.map(|(name, cells)| (name, arms(&measured, cells))).collect())
    }

    /// The events of a quantile metric in one arm; `None` for another kind of metric, and beyond
    /// [`SAMPLE_MAX`] events.
    pub fn quantile_sample(
        &self,
        experiment: &str,
        metric: &str,
        phase: u16,
        variant: u16,
    ) -> Option<QuantileSample> {
        let measured = self.measured(experiment)?;
        let column = column_of(&measured, metric)?;
        column.histogram?;
        let mut sample = QuantileSample::default();
        let (mut unit, mut fits) = (0, true);
        self.walk(&measured, |seen| {
            if (seen.row.phase, seen.row.variant) != (phase, variant) || !is_counted(column, &seen)
            {
                return;
            }
            for &(bucket, count) in
                seen.table.histogram(column, seen.index).iter().flat_map(|it| &it.0)
            {
                let more = count as usize;
                fits &= sample.values.len() + more <= SAMPLE_MAX;
                if fits {
                    sample.values.extend(std::iter::repeat_n(bucket_value(bucket), more));
                    sample.units.extend(std::iter::repeat_n(unit, more));
                }
            }
            unit += 1;
        })?;
        fits.then_some(sample)
    }

    /// The totals of the units that were first exposed before a time, for a metric, of all arms
    /// together and in no order: from them a cap is found once
    /// ([`stats::experiment::cap::percentile`]). `None` for quantiles.
    pub fn unit_totals(
        &self,
        experiment: &str,
        metric: &str,
        before_us: UnixMicros,
    ) -> Option<Vec<i64>> {
        let measured = self.measured(experiment)?;
        let column = column_of(&measured, metric)?;
        if column.histogram.is_some() {
            return None;
        }
        let mut totals = Vec::new();
        self.walk(&measured, |seen| {
            if is_counted(column, &seen) && seen.row.first_us < before_us {
                totals.push(seen.table.shaped(column, seen.index)[0]);
            }
        })?;
        Some(totals)
    }

    /// What is measured now. What is added meanwhile is not looked at.
    fn measured(&self, experiment: &str) -> Option<Measured> {
        let mut found = None;
        self.lender.lend(&mut |ledger| found = ledger.definitions.get(experiment).cloned());
        found
    }

    /// Shows every unit; `None` when the experiment is forgotten meanwhile.
    fn walk(&self, measured: &Measured, mut see: impl FnMut(Seen<'_>)) -> Option<()> {
        let mut place = Some(Place::default());
        let mut there = true;
        while let Some(from) = place.filter(|_| there) {
            self.lender.lend(&mut |ledger| {
                let now = ledger.definitions.get(&measured.definition.experiment);
                there = now.is_some_and(|now| now.tables.starts_with(&measured.tables));
                if there {
                    place = step(ledger, measured, from, self.rows, &mut see);
                }
            });
        }
        there.then_some(())
    }
}

/// How far a walk has come.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    shard: usize,
    /// Index among the tables of the experiment.
    table: usize,
    row: usize,
}

/// Shows so many rows from a place on; where to go on.
fn step(
    ledger: &Ledger,
    measured: &Measured,
    from: Place,
    mut rows: usize,
    see: &mut impl FnMut(Seen<'_>),
) -> Option<Place> {
    let mut at = from;
    while let Some(shard) = ledger.shards.get(at.shard) {
        let Some(&number) = measured.tables.get(at.table) else {
            at = Place { shard: at.shard + 1, table: 0, row: 0 };
            continue;
        };
        if let Some(table) = shard.tables.get(usize::from(number)) {
            for row in table.rows.iter().skip(at.row) {
                if rows == 0 {
                    return Some(at);
                }
                see(Seen { number: at.shard, shard, table, index: at.row as u32, row });
                at.row += 1;
                rows -= 1;
            }
        }
        at = Place { table: at.table + 1, row: 0, ..at };
    }
    None
}

/// Sums by segment.
#[derive(Default)]
struct Segments {
    /// Index of each name in `cells`; names are sorted at the end.
    places: Vec<String>,
    cells: Vec<Vec<Cell>>,
    by_name: HashMap<String, usize>,
    /// Of the shard that is looked at: what a row has in the dimension, as a number, and its place.
    known: HashMap<i64, usize>,
    shard: usize,
}

impl Segments {
    fn of(
        &mut self,
        dimension: Dimension,
        seen: &Seen<'_>,
        empty: impl Fn() -> Vec<Cell>,
    ) -> Option<&mut Vec<Cell>> {
        if self.shard != seen.number {
            // Numbers of attributes are a shard's own.
            self.known.clear();
            self.shard = seen.number;
        }
        let key = match dimension {
            Dimension::Day => seen.row.first_us.div_euclid(DAY_US),
            _ => seen.row.attributes.0.into(),
        };
        let place = match self.known.get(&key) {
            Some(&place) => place,
            None => {
                let attributes = seen.shard.attributes.get(seen.row.attributes);
                let place = match dimension {
                    Dimension::Browser => self.place(attributes.browser, empty),
                    Dimension::Country => self.place(attributes.country, empty),
                    Dimension::Route => self.place(attributes.route, empty),
                    Dimension::Cache => self.place(attributes.cache, empty),
                    Dimension::Day => self.place(&key.to_string(), empty),
                };
                self.known.insert(key, place);
                place
            }
        };
        self.cells.get_mut(place)
    }

    fn place(&mut self, name: &str, empty: impl Fn() -> Vec<Cell>) -> usize {
        let full = self.cells.len() >= SEGMENTS_MAX && !self.by_name.contains_key(name);
        let name = if full { OTHER } else { name };
        if let Some(&place) = self.by_name.get(name) {
            return place;
        }
        self.by_name.insert(name.to_owned(), self.cells.len());
        self.places.push(name.to_owned());
        self.cells.push(empty());
        self.cells.len() - 1
    }
}

fn count(cell: &mut Cell, measured: &Measured, seen: &Seen<'_>) {
    cell.units += 1;
    for (metric, column) in measured.columns.iter().enumerate() {
        if counts(column, seen.row) {
            cell.count(metric, seen.table.shaped(column, seen.index), true);
        }
    }
}

fn is_in(seen: &Seen<'_>, first_us: &Range<UnixMicros>) -> bool {
    !seen.row.quarantined && first_us.contains(&seen.row.first_us)
}

fn is_counted(column: &Column, seen: &Seen<'_>) -> bool {
    !seen.row.quarantined && counts(column, seen.row)
}

fn column_of<'a>(measured: &'a Measured, metric: &str) -> Option<&'a Column> {
    measured.columns.iter().find(|it| it.metric.name == metric)
}

/// Whoever lends a ledger can be asked.
impl<L: Lend + Send + Sync> Results for L {
    fn summary(&self, experiment: &str) -> Option<Summary> {
        let mut found = None;
        self.lend(&mut |ledger| found = ledger.summary(experiment));
        found
    }

    fn cohort(&self, experiment: &str, first_us: Range<UnixMicros>) -> Option<Vec<Arm>> {
        InSteps::new(self).cohort(experiment, &first_us)
    }

    fn segments(
        &self,
        experiment: &str,
        dimension: Dimension,
        first_us: Range<UnixMicros>,
    ) -> Option<BTreeMap<String, Vec<Arm>>> {
        InSteps::new(self).segments(experiment, dimension, &first_us)
    }

    fn quantile_sample(
        &self,
        experiment: &str,
        metric: &str,
        phase: u16,
        variant: u16,
    ) -> Option<QuantileSample> {
        InSteps::new(self).quantile_sample(experiment, metric, phase, variant)
    }

    fn unit_totals(
        &self,
        experiment: &str,
        metric: &str,
        before_us: UnixMicros,
    ) -> Option<Vec<i64>> {
        InSteps::new(self).unit_totals(experiment, metric, before_us)
    }

    fn fates(&self) -> Fates {
        let mut fates = Fates::default();
        self.lend(&mut |ledger| fates = ledger.fates());
        fates
    }
}
