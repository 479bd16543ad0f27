//! Quantiles of events, such as the 95th percentile of latency, when units have several events.

use super::tails::normal_critical;
use super::{Error, Moments, Sums};
use crate::quantile::nearest_rank;

/// The `nu` quantile (nearest rank) of the events of one arm, with the variance it has when units,
/// not events, are independent.
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
    let at = |q: f64| nearest_rank(&sorted, q).ok_or(Error::TooFewUnits { units: 0, needed: 2 });
    let (value, low, high) = (at(nu)?, at(nu - spread)?, at(nu + spread)?);
    let independent = ((high - low) / (2.0 * z)).powi(2);

    let share = share_at_or_below(value, values, units)?;
    let clusters = share.units as f64;
    let design_effect = share.variance() / clusters / (nu * (1.0 - nu) / n);
    Ok(Moments {
        units: share.units,
        mean: [value],
        covariance: [[independent * design_effect * clusters]],
    })
}

/// The ratio (events at or below `limit`)/(events), over units.
fn share_at_or_below(limit: f64, values: &[f64], units: &[u32]) -> Result<Moments<1>, Error> {
    let mut order: Vec<(u32, bool)> =
        units.iter().zip(values).map(|(&unit, &value)| (unit, value <= limit)).collect();
    order.sort_unstable();
    let mut sums = Sums::<2>::default();
    for events in order.chunk_by(|left, right| left.0 == right.0) {
        let below = events.iter().filter(|(_, below)| *below).count();
        sums.add([below as i64, events.len() as i64])?;
    }
    sums.moments([1.0, 1.0])?.ratio()
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
        assert_eq!((again.value(), again.units), (899.0, 1000));
        assert!((again.variance() / single.variance() - 1.0).abs() < 0.1);
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
