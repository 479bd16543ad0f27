//! Where the lines of a scan go.

use crate::{Record, Reject};

/// Takes what the lines of a scan give. Every thread of a scan has a sink of its own; which lines it
/// gets, and in which order, is left to chance, so what sinks hold must merge to the same whole
/// however the lines were dealt out.
pub trait Sink: Send {
    /// A line that parsed. The texts live until the call returns.
    fn record(&mut self, record: &Record<'_>);

    /// A line that did not.
    fn reject(&mut self, reject: &Reject<'_>);
}
