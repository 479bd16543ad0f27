//! A number of instances that never changes.

use super::Observation;

/// A fleet of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Instances at all times.
    pub replicas: u32,
}

impl Fixed {
    /// The fixed number, whatever is seen.
    pub fn decide(&mut self, _now_s: f64, _seen: &Observation) -> u32 {
        self.replicas
    }
}
