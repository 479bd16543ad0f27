//! Quantiles of events, such as the 95th percentile of latency, when units have several events.

use std::cmp::Ordering;

use super::tails::normal_critical;
use super::{Error, Moments, Sums};
use crate::quantile::rank;

/// The `nu` quantile of the events of one arm, with the variance it has when units, not events, are
/// independent: the nearest rank or, among events with the same value, the quantile of grouped data.
///
/// `values[i]` is an event of the unit with the number `units[i]`. With n events of J units: the
/// order statistics at n(ν ± z√(ν(1 − ν)/n)), z = 1.96, give the variance ((U − L)/2z)² of
/// independent events; it is multiplied by the variance of the share of events at or below the
/// quantile by the delta method over units, divided by ν(1 − ν)/n (Deng, Knoblich & Lu, 2018, §4;
/// Yao, Li & Lu, 2024, algorithm 1). The result compares like any other metric.
///
/// # Errors
/// [`Error::Argument`] for lengths that differ, values that are not finite or a `nu` outside 0..1;
/// [`Error::TooFewUnits`] below two units or when the order statistics do not exist
/// (n ≤ z²·ν/(1 − ν) or its mirror).
pub fn estimate(values: &[f64], units: &[u32], nu: f64) -> Result<Moments<1>, Error> {
    super::check_share("nu", nu)?;
    if values.len() != units.len() || values.iter().any(|value| !value.is_finite()) {
        return Err(Error::argument("values", "finite, one for each entry of units"));
    }
    let n = values.len() as f64;
    let z = normal_critical(0.025);
    let spread = z * (nu * (1.0 - nu) / n).sqrt();
    if nu - spread <= 0.0 || nu + spread >= 1.0 {
        let needed = z * z * (nu / (1.0 - nu)).max((1.0 - nu) / nu);
        return Err(Error::TooFewUnits {
            units: values.len() as u64,
            needed: needed.floor() as u64 + 1,
        });
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| position(&sorted, q).ok_or(Error::TooFewUnits { units: 0, needed: 2 });
    let (middle, low, high) = (at(nu)?, at(nu - spread)?, at(nu + spread)?);
    let independent = ((high.value - low.value) / (2.0 * z)).powi(2);

    let value = middle.value;
    let share = share_below(&middle, values, units)?;
    let clusters = share.units as f64;
    let design_effect = share.variance() / clusters / (nu * (1.0 - nu) / n);
    Ok(Moments {
        units: share.units,
        mean: [value],
        covariance: [[independent * design_effect * clusters]],
    })
}

/// Steps that a part of an event is counted in; a power of two, so that whole events are exact.
const PARTS: f64 = 1_048_576.0;

/// Where a quantile lies among events.
struct Position {
    value: f64,
    /// The observed value it is at, and the part of the events with that value that lies at or
    /// below it.
    tie: f64,
    part: f64,
}

/// The `q` quantile of sorted values. Of several events with the same value, as of integers or of
/// buckets, each takes its part of the space between the middles of the gaps around that value: a
/// quantile of grouped data, which moves with every event where the nearest rank would jump.
fn position(sorted: &[f64], q: f64) -> Option<Position> {
    let at = usize::try_from(rank(q, sorted.len() as u64)).ok()?.checked_sub(1)?;
    let tie = *sorted.get(at)?;
    let start = sorted.partition_point(|value| *value < tie);
    let end = sorted.partition_point(|value| *value <= tie);
    let same = (end - start) as f64;
    let below = start.checked_sub(1).map(|before| tie - sorted[before]);
    let above = sorted.get(end).map(|after| after - tie);
    let value = match (below.or(above), above.or(below)) {
        (Some(below), Some(above)) if end - start > 1 => {
            let place = ((at - start) as f64 + 0.5) / same;
            tie - below / 2.0 + place * (below + above) / 2.0
        }
        _ => tie,
    };
    Some(Position { value, tie, part: (at - start + 1) as f64 / same })
}

/// The ratio (events at or below the position)/(events), over units; of events with the same value
/// as it each counts in part.
fn share_below(at: &Position, values: &[f64], units: &[u32]) -> Result<Moments<1>, Error> {
    let part = (at.part * PARTS).round() as i64;
    let counted = |value: f64| match value.total_cmp(&at.tie) {
        Ordering::Less => PARTS as i64,
        Ordering::Equal => part,
        Ordering::Greater => 0,
    };
    let mut order: Vec<(u32, i64)> =
        units.iter().zip(values).map(|(&unit, &value)| (unit, counted(value))).collect();
    order.sort_unstable();
    let mut sums = Sums::<2>::default();
    for events in order.chunk_by(|left, right| left.0 == right.0) {
        let below = events.iter().map(|(_, parts)| parts).sum();
        sums.add([below, events.len() as i64])?;
    }
    sums.moments([PARTS, 1.0])?.ratio()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_events_count_once() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from((i * 7919) % 1000)).collect();
        let units: Vec<u32> = (0..1000).collect();
        let single = estimate(&values, &units, 0.9).unwrap();
        assert_eq!(single.value(), 899.0);
        // The same events four times per unit carry no more information.
        let again = estimate(&values.repeat(4), &units.repeat(4), 0.9).unwrap();
        assert_eq!((again.value(), again.units), (899.375, 1000));
        assert!((again.variance() / single.variance() - 1.0).abs() < 0.1);
    }

    #[test]
    fn equal_values_share_the_space_around_them() {
        let sorted = [1.0, 2.0, 2.0, 2.0, 2.0, 4.0];
        let at = |q: f64| position(&sorted, q).map(|it| (it.value, it.part)).unwrap();
        // From 1.5, the middle of 1 and 2, to 3, the middle of 2 and 4.
        assert_eq!(at(2.0 / 6.0), (1.5 + 1.5 / 8.0, 0.25));
        assert_eq!(at(5.0 / 6.0), (3.0 - 1.5 / 8.0, 1.0));
        assert_eq!((at(0.1), at(1.0)), ((1.0, 1.0), (4.0, 1.0)));
        assert_eq!(position(&[7.0; 5], 0.5).unwrap().value, 7.0);
    }

    #[test]
    fn too_few_events_for_a_tail_are_refused() {
        let units: Vec<u32> = (0..70).collect();
        let values: Vec<f64> = units.iter().map(|&unit| f64::from(unit)).collect();
        assert_eq!(
            estimate(&values, &units, 0.95),
            Err(Error::TooFewUnits { units: 70, needed: 73 })
        );
        assert!(estimate(&values, &units[1..], 0.5).is_err());
        assert!(estimate(&[1.0, f64::NAN], &[1, 2], 0.5).is_err());
        assert!(estimate(&[1.0; 50], &[3; 50], 0.5).is_err());
    }
}
