//! Exact sums of one phase and variant.

use super::definition::Column;
use super::metric::MetricKind;
use stats::experiment::{Error, Sums};

/// What statistics need of one metric, in one phase and variant: exact integers, whatever order
/// and shard the records came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricSums {
    /// `[after, before]`.
    Single(Sums<2>),
    /// `[numerator, denominator, numerator before, denominator before]`.
    Ratio(Box<Sums<4>>),
    /// A quantile has no sums; see [`super::Results::quantile_sample`].
    Quantile,
}

impl MetricSums {
    fn new(kind: &MetricKind) -> MetricSums {
        match kind {
            MetricKind::Ratio { .. } => MetricSums::Ratio(Box::default()),
            MetricKind::Quantile { .. } => MetricSums::Quantile,
            _ => MetricSums::Single(Sums::default()),
        }
    }

    /// Adds those of another shard.
    ///
    /// # Errors
    /// [`Error::Overflow`], and [`Error::Argument`] for those of another kind of metric.
    pub fn merge(&mut self, other: &MetricSums) -> Result<(), Error> {
        match (self, other) {
            (MetricSums::Single(own), MetricSums::Single(other)) => own.merge(other),
            (MetricSums::Ratio(own), MetricSums::Ratio(other)) => own.merge(other),
            (MetricSums::Quantile, MetricSums::Quantile) => Ok(()),
            _ => Err(Error::Argument { name: "other", expected: "sums of the same metric" }),
        }
    }
}

/// One phase and variant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) units: u64,
    pub(super) metrics: Vec<MetricSums>,
}

impl Cell {
    pub(super) fn fit(&mut self, columns: &[Column]) {
        let new = columns.iter().skip(self.metrics.len());
        self.metrics.extend(new.map(|column| MetricSums::new(&column.metric.kind)));
    }

    /// Puts a unit with these totals into the sums of a metric, or takes it out.
    pub(super) fn count(&mut self, metric: usize, values: [i64; 4], counted: bool) {
        let zero = [0; 4];
        if counted {
            self.units_of(metric, 1);
            self.replace(metric, zero, values);
        } else {
            self.replace(metric, values, zero);
            self.units_of(metric, -1);
        }
    }

    fn units_of(&mut self, metric: usize, change: i64) {
        match self.metrics.get_mut(metric) {
            Some(MetricSums::Single(sums)) => sums.units = sums.units.saturating_add_signed(change),
            Some(MetricSums::Ratio(sums)) => sums.units = sums.units.saturating_add_signed(change),
            Some(MetricSums::Quantile) | None => {}
        }
    }

    /// Changes the totals of a unit. `TOTAL_MAX` and `UNITS_MAX` keep the sums within 128 bits, so
    /// there is no error to tell.
    pub(super) fn replace(&mut self, metric: usize, old: [i64; 4], new: [i64; 4]) {
        if old == new {
            return;
        }
        let two = |values: [i64; 4]| [values[0], values[1]];
        let result = match self.metrics.get_mut(metric) {
            Some(MetricSums::Single(sums)) => sums.replace(two(old), two(new)),
            Some(MetricSums::Ratio(sums)) => sums.replace(old, new),
            Some(MetricSums::Quantile) | None => Ok(()),
        };
        debug_assert!(result.is_ok(), "limits keep sums within 128 bits");
    }

    pub(super) fn merge(&mut self, other: &Cell) -> Result<(), Error> {
        self.units = self.units.checked_add(other.units).ok_or(Error::Overflow)?;
        self.metrics.iter_mut().zip(&other.metrics).try_for_each(|(own, other)| own.merge(other))
    }
}
