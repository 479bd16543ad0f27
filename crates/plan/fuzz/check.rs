//! What must hold for any bytes given as counts; shared by the test and the fuzz target.

use plan::counts::{STEPS_MIN, read};

/// Reads `data` as counts.
///
/// # Panics
/// If what is accepted is no demand that one can plan from.
pub(crate) fn any_counts(data: &[u8]) {
    match read(data, None) {
        Ok(counts) => {
            let series = counts.series;
            assert!(series.known() >= STEPS_MIN && series.known() <= series.len());
            assert!(series.total().is_finite() && series.total() >= 0.0);
            assert!(series.end_s() > series.time_s(0));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
