//! Declared caps on heavy-tailed values per unit (winsorising), such as revenue.

use super::Error;
use crate::quantile::nearest_rank;

/// The cap at the `share` quantile of the values of all arms together, one per unit; zeros are left
/// out when `ignore_zeros`. Nearest rank, so that the cap is one of the values.
///
/// Take it once, from arms pooled, then freeze and report it: a cap that is chosen per arm or anew
/// in each analysis changes what is measured. `None` when no value is left.
///
/// # Errors
/// [`Error::Argument`] when `share` is not strictly between 0 and 1.
pub fn percentile(values: &[i64], share: f64, ignore_zeros: bool) -> Result<Option<i64>, Error> {
    super::check_share("share", share)?;
    let mut sorted: Vec<i64> =
        values.iter().copied().filter(|&value| !(ignore_zeros && value == 0)).collect();
    sorted.sort_unstable();
    Ok(nearest_rank(&sorted, share))
}

/// The total of one unit under a cap ≥ 0, the same for all arms: within −`cap`..=`cap`.
#[must_use]
pub fn apply(total: i64, cap: i64) -> i64 {
    let cap = cap.max(0);
    total.clamp(-cap, cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cap_is_a_value_and_applies_to_both_signs() {
        let values = [0, 0, 0, 0, 10, 20, 30, 40, 50, 1000];
        assert_eq!(percentile(&values, 0.9, false), Ok(Some(50)));
        assert_eq!(percentile(&values, 0.5, true), Ok(Some(30)));
        assert_eq!(percentile(&[0, 0], 0.5, true), Ok(None));
        assert!(percentile(&values, 1.0, false).is_err());
        assert_eq!([1000, -1000, 7].map(|value| apply(value, 50)), [50, -50, 7]);
    }
}
