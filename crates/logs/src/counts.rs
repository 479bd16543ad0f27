//! What became of the lines.

use crate::{Format, RejectReason};

/// Lines read, parsed and rejected so far; `read = parsed + rejected()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines read, including empty ones; without [`Self::directives`].
    pub read: u64,
    /// Lines that gave a record or hit.
    pub parsed: u64,
    /// Lines that are no records by intent: headers of tables and `#` comments.
    pub directives: u64,
    rejected: [u64; RejectReason::ALL.len()],
    formats: [u64; Format::ALL.len()],
}

impl Counts {
    /// Lines that gave nothing.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Lines rejected for `reason`.
    #[must_use]
    pub fn rejected_for(&self, reason: RejectReason) -> u64 {
        self.rejected[reason as usize]
    }

    /// Lines parsed as `format`.
    #[must_use]
    pub fn parsed_as(&self, format: Format) -> u64 {
        self.formats[format as usize]
    }

    /// The reasons that occurred, with their counts, in the order of [`RejectReason::ALL`].
    pub fn reasons(&self) -> impl Iterator<Item = (RejectReason, u64)> {
        RejectReason::ALL.into_iter().zip(self.rejected).filter(|(_, count)| *count > 0)
    }

    /// The formats that occurred, with their counts, in the order of [`Format::ALL`].
    pub fn formats(&self) -> impl Iterator<Item = (Format, u64)> {
        Format::ALL.into_iter().zip(self.formats).filter(|(_, count)| *count > 0)
    }

    /// Adds the lines of another reading.
    pub fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.parsed += other.parsed;
        self.directives += other.directives;
        self.rejected.iter_mut().zip(other.rejected).for_each(|(all, more)| *all += more);
        self.formats.iter_mut().zip(other.formats).for_each(|(all, more)| *all += more);
    }

    pub(crate) fn add_parsed(&mut self, format: Format) {
        self.read += 1;
        self.parsed += 1;
        self.formats[format as usize] += 1;
    }

    pub(crate) fn add_rejected(&mut self, reason: RejectReason) {
        self.read += 1;
        self.rejected[reason as usize] += 1;
    }
}
