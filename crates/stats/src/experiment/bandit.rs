//! Weights of arms for a bandit: Thompson sampling in expectation, with a floor.

use super::bayes::{BetaPosterior, Posterior};
use super::quadrature::{Density, Table};
use super::{Better, Error};

/// Most arms.
pub const ARMS_MAX: usize = 32;

/// Weights from normal posteriors of the arms: the probability p of each to be the best one (what
/// Thompson sampling draws, here by quadrature and thus reproducible), then floor + (1 − k·floor)·p
/// for k arms. They sum to 1.
///
/// Arms with few units have unsure posteriors; keep equal weights until each has 100. When weights
/// change over time, take the arms' values over periods of equal weights ([`super::strata`]).
///
/// # Errors
/// [`Error::Argument`] with fewer than two arms or more than [`ARMS_MAX`], a floor outside 0..=1/k,
/// or posteriors that are not finite or have no width.
pub fn weights(arms: &[Posterior], better: Better, floor: f64) -> Result<Vec<f64>, Error> {
    let proper = |arm: &Posterior| arm.mean.is_finite() && arm.standard_deviation.is_normal();
    if !arms.iter().all(proper) || arms.iter().any(|arm| arm.standard_deviation < 0.0) {
        return Err(Error::argument("arms", "finite, of positive width"));
    }
    with_floor(&arms.iter().map(|arm| arm.density()).collect::<Vec<_>>(), better, floor)
}

/// As [`weights`], from Beta posteriors of rates: for conversions, exact from the first unit.
///
/// # Errors
/// [`Error::Argument`] as [`weights`].
pub fn beta_weights(arms: &[BetaPosterior], better: Better, floor: f64) -> Result<Vec<f64>, Error> {
    with_floor(&arms.iter().map(|arm| arm.density()).collect::<Vec<_>>(), better, floor)
}

fn with_floor(arms: &[Density<'_>], better: Better, floor: f64) -> Result<Vec<f64>, Error> {
    let count = arms.len() as f64;
    if !(2..=ARMS_MAX).contains(&arms.len()) {
        return Err(Error::argument("arms", "2 to 32"));
    }
    if !(0.0..=1.0 / count).contains(&floor) {
        return Err(Error::argument("floor", "within 0..=1/arms"));
    }
    let table = Table::new(arms);
    let best = match better {
        Better::Higher => table.greatest(),
        Better::Lower => table.least(),
    };
    Ok(best.into_iter().map(|p| floor + (1.0 - count * floor) * p).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms(means: &[f64]) -> Vec<Posterior> {
        means.iter().map(|&mean| Posterior { mean, standard_deviation: 1.0 }).collect()
    }

    #[test]
    fn equal_arms_have_equal_weights() {
        for weight in weights(&arms(&[1.0; 5]), Better::Higher, 0.05).unwrap() {
            assert!((weight - 0.2).abs() < 1e-10);
        }
    }

    #[test]
    fn the_better_one_of_two_wins_as_often_as_its_difference_says() {
        let two = arms(&[0.0, 1.0]);
        let chance = Posterior { mean: 1.0, standard_deviation: 2.0_f64.sqrt() };
        for (better, index) in [(Better::Higher, 1), (Better::Lower, 0)] {
            let weight = weights(&two, better, 0.0).unwrap()[index];
            assert!((weight - chance.chance_to_win(Better::Higher)).abs() < 1e-10, "{weight}");
        }
    }

    #[test]
    fn floor_keeps_losers_alive_in_both_directions() {
        for (better, best) in [(Better::Higher, 2), (Better::Lower, 0)] {
            let weights = weights(&arms(&[0.0, 20.0, 40.0]), better, 0.01).unwrap();
            for (index, weight) in weights.iter().enumerate() {
                let expected = if index == best { 0.98 } else { 0.01 };
                assert!((weight - expected).abs() < 1e-9, "{weights:?}");
            }
        }
    }

    #[test]
    fn normal_and_beta_meet_for_large_counts() {
        let counts = [(5_000_u64, 100_000_u64), (5_100, 100_000), (5_050, 90_000)];
        let beta: Vec<BetaPosterior> =
            counts.iter().map(|&(x, n)| BetaPosterior::new(x, n, (1.0, 1.0)).unwrap()).collect();
        let normal: Vec<Posterior> = counts
            .iter()
            .map(|&(x, n)| {
                let (x, n) = (x as f64, n as f64);
                let p = x / n;
                Posterior { mean: p, standard_deviation: (p * (1.0 - p) / n).sqrt() }
            })
            .collect();
        let exact = beta_weights(&beta, Better::Higher, 0.0).unwrap();
        for (exact, near) in exact.iter().zip(weights(&normal, Better::Higher, 0.0).unwrap()) {
            assert!((exact - near).abs() < 1e-3, "{exact} {near}");
        }
    }

    #[test]
    fn what_cannot_be_weighed_is_refused() {
        assert!(weights(&arms(&[1.0]), Better::Higher, 0.0).is_err());
        assert!(weights(&arms(&[1.0; 33]), Better::Higher, 0.0).is_err());
        assert!(weights(&arms(&[1.0, 2.0]), Better::Higher, 0.6).is_err());
        assert!(weights(&arms(&[1.0, f64::NAN]), Better::Higher, 0.0).is_err());
    }
}
