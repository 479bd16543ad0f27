//! One experiment's units in one shard: a row for each, and the sums of all.

use super::attributes::AttributesId;
use super::definition::{Column, Measured};
use super::histogram::Histogram;
use super::metric::{Amount, Place};
use super::sums::Cell;
use crate::event::{DecodeError, Reader, UnixMicros, Writer};

/// An event that is kept for exposures that may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) time_us: UnixMicros,
    pub(super) value: i64,
    pub(super) event: u16,
}

/// Where a unit stands in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) first_us: UnixMicros,
    pub(super) attributes: AttributesId,
    pub(super) variant: u16,
    pub(super) phase: u16,
    /// Saw a second variant; counts no more.
    pub(super) quarantined: bool,
    /// Is in the sums.
    counted: bool,
}

/// Rows, their values, and the sums of each phase and variant.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// `width` totals for each row.
    values: Vec<i64>,
    /// As many histograms for each row as there are quantiles.
    histograms: Vec<Histogram>,
    width: usize,
    quantiles: usize,
    /// By phase, then variant.
    pub(super) cells: Vec<Cell>,
    pub(super) quarantined: u64,
}

impl Table {
    /// Makes room for the phases and metrics of a definition.
    pub(super) fn fit(&mut self, measured: &Measured) {
        restride(&mut self.values, self.width, measured.width, self.rows.len());
        restride(&mut self.histograms, self.quantiles, measured.histograms, self.rows.len());
        (self.width, self.quantiles) = (measured.width, measured.histograms);
        let cells = measured.definition.deals.len() * usize::from(measured.definition.variants);
        self.cells.resize_with(cells, Cell::default);
        for cell in &mut self.cells {
            cell.fit(&measured.columns);
        }
    }

    /// A row for a unit that is exposed for the first time; it counts when [`Table::count`] says so.
    pub(super) fn add(
        &mut self,
        first_us: UnixMicros,
        attributes: AttributesId,
        variant: u16,
        phase: u16,
    ) -> u32 {
        let row = Row { first_us, attributes, variant, phase, quarantined: false, counted: false };
        self.rows.push(row);
        self.values.resize(self.rows.len() * self.width, 0);
        self.histograms.resize_with(self.rows.len() * self.quantiles, Histogram::default);
        (self.rows.len() - 1) as u32
    }

    /// Puts a row into the sums, or takes it out of them.
    pub(super) fn count(&mut self, measured: &Measured, index: u32, counted: bool) {
        let Some(&row) = self.rows.get(index as usize) else { return };
        if row.counted == counted {
            return;
        }
        let place = cell_of(measured, &row);
        for (metric, column) in measured.columns.iter().enumerate() {
            let values = self.shaped(column, index);
            let Some(cell) = self.cells.get_mut(place) else { return };
            if counts(column, &row) {
                cell.count(metric, values, counted);
            }
        }
        if let Some(cell) = self.cells.get_mut(place) {
            if counted {
                cell.units += 1;
            } else {
                cell.units -= 1;
            }
        }
        if let Some(row) = self.rows.get_mut(index as usize) {
            row.counted = counted;
        }
    }

    /// Adds an event to a row, or takes it away again; the sums follow when the row counts.
    pub(super) fn event(&mut self, measured: &Measured, index: u32, event: &Recent, add: bool) {
        let Some(&row) = self.rows.get(index as usize) else { return };
        for (metric, column) in measured.columns.iter().enumerate() {
            let listens = |part: &&(u16, Amount)| part.0 == event.event;
            if !column.parts.iter().any(|part| listens(&part)) {
                continue;
            }
            let place = column.metric.place(row.first_us, event.time_us);
            if place == Place::Outside {
                continue;
            }
            if let Some(histogram) = column.histogram {
                self.observe(index, histogram, event.value, add);
                continue;
            }
            let old = self.shaped(column, index);
            let offset =
                column.offset + if place == Place::Before { column.parts.len() } else { 0 };
            let start = index as usize * self.width + offset;
            for (part, value) in column.parts.iter().zip(self.values.iter_mut().skip(start)) {
                let amount = match part.1 {
                    _ if part.0 != event.event => 0,
                    Amount::One => 1,
                    Amount::Value => event.value,
                };
                *value = value.saturating_add(if add { amount } else { -amount });
            }
            let new = self.shaped(column, index);
            if row.counted
                && counts(column, &row)
                && let Some(cell) = self.cells.get_mut(cell_of(measured, &row))
            {
                cell.replace(metric, old, new);
            }
        }
    }

    fn observe(&mut self, index: u32, histogram: usize, value: i64, add: bool) {
        let at = index as usize * self.quantiles + histogram;
        let Some(histogram) = self.histograms.get_mut(at) else { return };
        if add {
            histogram.add(value);
        } else {
            histogram.remove(value);
        }
    }

    /// The totals of a row as they go into sums: those after, then those before. What a metric does
    /// not have is 0.
    pub(super) fn shaped(&self, column: &Column, index: u32) -> [i64; 4] {
        let mut shaped = [0; 4];
        if column.histogram.is_none() {
            let of = column.parts.len() * if column.metric.lookback_us > 0 { 2 } else { 1 };
            let start = index as usize * self.width + column.offset;
            let totals = self.values.iter().skip(start).take(of);
            for (shaped, &total) in shaped.iter_mut().zip(totals) {
                *shaped = column.metric.shape(total);
            }
        }
        shaped
    }

    pub(super) fn histogram(&self, column: &Column, index: u32) -> Option<&Histogram> {
        self.histograms.get(index as usize * self.quantiles + column.histogram?)
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + self.values.capacity() * size_of::<i64>()
            + self.histograms.capacity() * size_of::<Histogram>()
            + self.histograms.iter().map(|it| it.0.capacity() * 8).sum::<usize>()
    }

    /// Rows and values; the sums follow from them.
    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.width as u64);
        out.number(self.quantiles as u64);
        out.number(self.rows.len() as u64);
        for (index, row) in self.rows.iter().enumerate() {
            out.signed(row.first_us);
            out.number(row.attributes.0.into());
            out.number(row.variant.into());
            out.number(row.phase.into());
            out.byte(u8::from(row.quarantined));
            let values = self.values.iter().skip(index * self.width).take(self.width);
            values.for_each(|&value| out.signed(value));
            let histograms = self.histograms.iter().skip(index * self.quantiles);
            for histogram in histograms.take(self.quantiles) {
                out.number(histogram.0.len() as u64);
                for &(bucket, count) in &histogram.0 {
                    out.signed(bucket.into());
                    out.number(count.into());
                }
            }
        }
    }

    /// The table as it was written, not yet counted: [`Table::recount`] makes the sums.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Table, DecodeError> {
        let wrong = DecodeError::Value;
        let mut table = Table {
            width: from.at_most(1 << 12, "width")? as usize,
            quantiles: from.at_most(1 << 12, "width")? as usize,
            ..Table::default()
        };
        let rows = from.count(u32::MAX as usize, "number of rows")?;
        for _ in 0..rows {
            let first_us = from.signed()?;
            let attributes = AttributesId(from.small("attributes")?);
            let (variant, phase) = (from.small("variant")?, from.small("phase")?);
            let quarantined = from.byte()? != 0;
            table.rows.push(Row {
                first_us,
                attributes,
                variant,
                phase,
                quarantined,
                counted: false,
            });
            for _ in 0..table.width {
                table.values.push(from.signed()?);
            }
            for _ in 0..table.quantiles {
                let mut histogram = Histogram::default();
                for _ in 0..from.count(1 << 13, "number of buckets")? {
                    let bucket = from.signed()?.try_into().map_err(|_| wrong("bucket"))?;
                    let count = from.number()?.try_into().map_err(|_| wrong("count"))?;
                    histogram.0.push((bucket, count));
                }
                table.histograms.push(histogram);
            }
        }
        Ok(table)
    }

    /// Makes the sums anew from the rows.
    pub(super) fn recount(&mut self, measured: &Measured) {
        self.cells.clear();
        self.fit(measured);
        self.quarantined = self.rows.iter().filter(|row| row.quarantined).count() as u64;
        for index in 0..self.rows.len() {
            let Some(row) = self.rows.get_mut(index) else { return };
            row.counted = false;
            if !row.quarantined {
                self.count(measured, index as u32, true);
            }
        }
    }
}

/// Whether the events of a unit were counted from the beginning.
pub(super) fn counts(column: &Column, row: &Row) -> bool {
    row.first_us >= column.since_us
}

pub(super) fn cell_of(measured: &Measured, row: &Row) -> usize {
    usize::from(row.phase) * usize::from(measured.definition.variants) + usize::from(row.variant)
}

/// Moves rows of `old` items apart to `new` items each.
fn restride<T: Clone + Default>(items: &mut Vec<T>, old: usize, new: usize, rows: usize) {
    if old == new {
        return;
    }
    let mut wider = vec![T::default(); rows * new];
    if old > 0 && new > 0 {
        for (to, from) in wider.chunks_exact_mut(new).zip(items.chunks_exact(old)) {
            for (to, from) in to.iter_mut().zip(from) {
                to.clone_from(from);
            }
        }
    }
    *items = wider;
}
