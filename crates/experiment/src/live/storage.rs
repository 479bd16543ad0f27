//! What the service asks of storage besides [`crate::ledger::Journal`].

use super::kept::Kept;

/// Keeps assignments and links. All of it is in memory while the service runs, because a request
/// cannot wait for a disk; so it is read once, at the start.
pub trait Keeper: Send + Sync {
    /// Makes some durable. Blocks; is not called on the data plane.
    ///
    /// # Errors
    /// What failed, and what to do.
    fn keep(&self, kept: &[Kept]) -> Result<(), String>;

    /// Everything that was kept, the oldest first.
    ///
    /// # Errors
    /// What failed, and what to do.
    fn each(&self, see: &mut dyn FnMut(&Kept)) -> Result<(), String>;
}
