//! Comparisons within strata or phases, put together without comparing across them.

use super::{Comparison, Error, Moments};

/// Where the sizes of strata come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Units fell into strata by chance, as by country or device: their shares are estimated too.
    Random,
    /// The strata were set, as phases of an experiment are.
    Fixed,
}

/// Combines comparisons within strata, weighted by their units of both arms: Σ wₖ·Tₖ and Σ wₖ·Cₖ.
///
/// Arms are compared within strata only, so a phase with other weights, or a stratum with other
/// values, cannot bias the result (Simpson's paradox). Variances add up as Σ wₖ²·Vₖ; for
/// [`Sizes::Random`] the multinomial variance of the shares is added, Σ wₖ(θₖ − θ)²/N (Miratrix,
/// Sekhon & Yu, 2013). Degrees of freedom by Satterthwaite.
///
/// # Errors
/// [`Error::TooFewUnits`] without strata, [`Error::NoVariance`].
pub fn combine(strata: &[Comparison], sizes: Sizes) -> Result<Comparison, Error> {
    let size = |stratum: &Comparison| stratum.units[0] as f64 + stratum.units[1] as f64;
    let total: f64 = strata.iter().map(size).sum();
    let mut sum = Comparison {
        treatment: 0.0,
        control: 0.0,
        treatment_variance: 0.0,
        control_variance: 0.0,
        covariance: 0.0,
        degrees: 0.0,
        units: [0, 0],
    };
    let mut squares = 0.0;
    for stratum in strata {
        let weight = size(stratum) / total;
        let square = weight * weight;
        sum.treatment += weight * stratum.treatment;
        sum.control += weight * stratum.control;
        sum.treatment_variance += square * stratum.treatment_variance;
        sum.control_variance += square * stratum.control_variance;
        sum.covariance += square * stratum.covariance;
        squares += (square * stratum.contrast(1.0).1).powi(2) / stratum.degrees;
        for (units, more) in sum.units.iter_mut().zip(stratum.units) {
            *units = units.saturating_add(more);
        }
    }
    sum.degrees = sum.contrast(1.0).1.powi(2) / squares;
    if sizes == Sizes::Random {
        for stratum in strata {
            let share = size(stratum) / total / total;
            let (t, c) = (stratum.treatment - sum.treatment, stratum.control - sum.control);
            sum.treatment_variance += share * t * t;
            sum.control_variance += share * c * c;
            sum.covariance += share * t * c;
        }
    }
    sum.checked()
}

/// Most cells that [`post_stratify`] takes.
pub const CELLS_MAX: usize = 10_000;

/// Post-stratification over cells of a property that units had before the exposure: `[treatment,
/// control]` per cell.
///
/// Cells with fewer than `least` units in an arm, or without variance, are joined with the largest
/// cell. Not for phases: use [`combine`], which never pools.
///
/// # Errors
/// [`Error::Argument`] above [`CELLS_MAX`]; as [`combine`] when nothing is left.
pub fn post_stratify(cells: &[[Moments<1>; 2]], least: u64) -> Result<Comparison, Error> {
    if cells.len() > CELLS_MAX {
        return Err(Error::argument("cells", "at most 10000"));
    }
    let size = |cell: &[Moments<1>; 2]| cell[0].units.saturating_add(cell[1].units);
    let largest = (0..cells.len()).max_by_key(|&index| size(&cells[index]));
    let Some(largest) = largest else {
        return Err(Error::TooFewUnits { units: 0, needed: 2 });
    };
    let mut rest = cells[largest];
    let mut strata = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        if index == largest {
            continue;
        }
        let enough = cell.iter().all(|arm| arm.units >= least.max(2) && arm.variance() > 0.0);
        match Comparison::new(&cell[0], &cell[1]) {
            Ok(comparison) if enough => strata.push(comparison),
            _ => rest = [rest[0].pooled(&cell[0]), rest[1].pooled(&cell[1])],
        }
    }
    strata.push(Comparison::new(&rest[0], &rest[1])?);
    combine(&strata, Sizes::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(units: u64, mean: f64) -> Moments<1> {
        Moments { units, mean: [mean], covariance: [[1.0]] }
    }

    fn phase(treatment: (u64, f64), control: (u64, f64)) -> Comparison {
        Comparison::new(&arm(treatment.0, treatment.1), &arm(control.0, control.1)).unwrap()
    }

    #[test]
    fn a_ramp_does_not_reverse_the_effect() {
        // Better in each phase, yet pooling (0.01·1.1 + 0.5·… against control) would say worse.
        let phases = [phase((100, 1.1), (9_900, 1.0)), phase((5_000, 5.1), (5_000, 5.0))];
        let combined = combine(&phases, Sizes::Fixed).unwrap();
        assert!((combined.difference() - 0.1).abs() < 1e-12);
        assert_eq!(combined.units, [5_100, 14_900]);
        let pooled_treatment = arm(100, 1.1).pooled(&arm(5_000, 5.1)).value();
        let pooled_control = arm(9_900, 1.0).pooled(&arm(5_000, 5.0)).value();
        assert!(pooled_treatment - pooled_control > 2.0, "pooled, the ramp looks like an effect");
    }

    #[test]
    fn one_stratum_is_the_comparison_itself() {
        let only = phase((50, 1.0), (60, 2.0));
        for sizes in [Sizes::Random, Sizes::Fixed] {
            let combined = combine(&[only], sizes).unwrap();
            assert!((combined.degrees - only.degrees).abs() < 1e-9);
            assert_eq!(Comparison { degrees: only.degrees, ..combined }, only);
        }
        assert!(combine(&[], Sizes::Fixed).is_err());
    }

    #[test]
    fn small_cells_join_the_largest() {
        let cells = [
            [arm(100, 1.0), arm(100, 1.0)],
            [arm(3, 9.0), arm(2, 9.0)],
            [arm(50, 2.0), arm(50, 2.0)],
        ];
        let stratified = post_stratify(&cells, 10).unwrap();
        assert_eq!(stratified.units, [153, 152]);
        let joined = Comparison::new(
            &arm(100, 1.0).pooled(&arm(3, 9.0)),
            &arm(100, 1.0).pooled(&arm(2, 9.0)),
        )
        .unwrap();
        let by_hand = combine(&[phase((50, 2.0), (50, 2.0)), joined], Sizes::Random).unwrap();
        assert_eq!(stratified, by_hand);
        assert!(post_stratify(&[], 10).is_err());
    }
}
