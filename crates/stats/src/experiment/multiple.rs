//! Several tests at once: corrections over a declared family of p-values or e-values.

use super::Error;

/// p-values adjusted by Holm's step-down method (Holm, 1979), in the order given: those at most α
/// are rejected with a probability of any false alarm of at most α, under any dependence.
///
/// # Errors
/// [`Error::Argument`] for p-values outside 0..=1.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    let order = rising(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        largest = largest.max((remaining * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    Ok(adjusted)
}

/// p-values adjusted by the step-up method of Benjamini & Hochberg (1995), in the order given:
/// those at most q are rejected with an expected share of false ones among them of at most q, for
/// independent or positively dependent tests.
///
/// # Errors
/// [`Error::Argument`] for p-values outside 0..=1.
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    let order = rising(p_values)?;
    let count = p_values.len() as f64;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] * count / (rank as f64 + 1.0));
        adjusted[index] = smallest;
    }
    Ok(adjusted)
}

/// Which hypotheses e-BH rejects (Wang & Ramdas, 2022): the k largest e-values, for the greatest k
/// whose k-th largest is at least m/(k·q). The expected share of false ones among them is at most
/// `q` under any dependence and at any time.
///
/// Takes logarithms of e-values, as [`super::ConfidenceSequence::ln_e_value`] and
/// [`super::counts::MultinomialProcess::ln_e_value`] give them.
///
/// # Errors
/// [`Error::Argument`] for a NaN, or a `q` not strictly between 0 and 1.
pub fn e_benjamini_hochberg(ln_e_values: &[f64], q: f64) -> Result<Vec<bool>, Error> {
    super::check_share("q", q)?;
    if ln_e_values.iter().any(|value| value.is_nan()) {
        return Err(Error::argument("e-values", "numbers"));
    }
    let mut falling = ln_e_values.to_vec();
    falling.sort_unstable_by(|left, right| right.total_cmp(left));
    let count = ln_e_values.len() as f64;
    let reaches = |rank: usize, value: f64| value >= (count / ((rank as f64 + 1.0) * q)).ln();
    let limit = falling
        .iter()
        .enumerate()
        .rev()
        .find_map(|(rank, &value)| reaches(rank, value).then_some(value))
        .unwrap_or(f64::INFINITY);
    Ok(ln_e_values.iter().map(|&value| value >= limit && value > f64::NEG_INFINITY).collect())
}

/// Indices by rising p-value.
fn rising(p_values: &[f64]) -> Result<Vec<usize>, Error> {
    if p_values.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::argument("p-values", "within 0..=1"));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_and_nonsense() {
        assert_eq!(holm(&[]), Ok(vec![]));
        assert_eq!(benjamini_hochberg(&[]), Ok(vec![]));
        assert_eq!(e_benjamini_hochberg(&[], 0.1), Ok(vec![]));
        assert!(holm(&[1.1]).is_err() && benjamini_hochberg(&[f64::NAN]).is_err());
        assert!(e_benjamini_hochberg(&[1.0], 0.0).is_err());
        assert!(e_benjamini_hochberg(&[f64::NAN], 0.1).is_err());
        let certain = e_benjamini_hochberg(&[f64::INFINITY, 0.0], 0.1);
        assert_eq!(certain, Ok(vec![true, false]));
        assert_eq!(e_benjamini_hochberg(&[0.0, 1.0], 0.1), Ok(vec![false, false]));
    }

    proptest! {
        #[test]
        fn holm_is_the_stricter(p in proptest::collection::vec(0.0..=1.0_f64, 1..30)) {
            let (holm, bh) = (holm(&p).unwrap(), benjamini_hochberg(&p).unwrap());
            for i in 0..p.len() {
                prop_assert!(p[i] <= bh[i] + 1e-15 && bh[i] <= holm[i] + 1e-15);
            }
        }

        /// e-BH is BH applied to 1/e.
        #[test]
        fn e_bh_is_bh_of_inverses(ln_e in proptest::collection::vec(0.0..12.0_f64, 1..30)) {
            let rejected = e_benjamini_hochberg(&ln_e, 0.1).unwrap();
            let inverses: Vec<f64> = ln_e.iter().map(|ln| (-ln).exp()).collect();
            let adjusted = benjamini_hochberg(&inverses).unwrap();
            for (rejected, adjusted) in rejected.iter().zip(adjusted) {
                prop_assume!((adjusted - 0.1).abs() > 1e-12);
                prop_assert_eq!(*rejected, adjusted < 0.1);
            }
        }
    }
}
