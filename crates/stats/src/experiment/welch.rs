//! Welch's test at a fixed horizon.

use super::tails::{p_value, student_critical, student_sf};
use super::{Comparison, Effect, Level};

/// Welch's t test of no difference, its interval, and the relative lift by Fieller with the same
/// critical value (Welch, 1947; Fieller, 1954).
///
/// t = (T − C)/SE with [`Comparison::degrees`] of freedom. Valid at one planned time only: looking
/// again and again finds effects that are not there.
#[must_use]
pub fn effect(comparison: &Comparison, level: Level) -> Effect {
    let degrees = comparison.degrees;
    let statistic = comparison.difference() / comparison.standard_error();
    let p = p_value(statistic, level.alternative(), |t| student_sf(t, degrees));
    let critical = student_critical(level.tail(), degrees);
    comparison.effect(critical, p, level.alternative())
}
