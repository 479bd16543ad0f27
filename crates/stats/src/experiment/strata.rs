//! Comparisons within strata or phases, put together without comparing across them.

use super::{Comparison, Error, Sums};

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

/// Post-stratification over cells of a property that units had before the exposure: the sums of
/// `[treatment, control]` per cell, each compared by `compare`, plainly or with a covariate.
///
/// Cells with fewer than `least` units in an arm, or with an arm without variance, are joined with
/// the largest cell. Not for phases: use [`combine`], which never pools.
///
/// # Errors
/// [`Error::Argument`] above [`CELLS_MAX`]; as [`combine`] when nothing is left.
pub fn post_stratify<const K: usize>(
    cells: &[[Sums<K>; 2]],
    least: u64,
    compare: impl Fn(&Sums<K>, &Sums<K>) -> Result<Comparison, Error>,
) -> Result<Comparison, Error> {
    if cells.len() > CELLS_MAX {
        return Err(Error::argument("cells", "at most 10000"));
    }
    let size = |cell: &[Sums<K>; 2]| cell[0].units.saturating_add(cell[1].units);
    let largest = (0..cells.len()).max_by_key(|&index| size(&cells[index]));
    let Some(largest) = largest else {
        return Err(Error::TooFewUnits { units: 0, needed: 2 });
    };
    let varies = |it: &Comparison| it.treatment_variance > 0.0 && it.control_variance > 0.0;
    let [mut treatment, mut control] = cells[largest];
    let mut strata = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        if index == largest {
            continue;
        }
        let enough = cell.iter().all(|arm| arm.units >= least.max(2));
        match compare(&cell[0], &cell[1]) {
            Ok(comparison) if enough && varies(&comparison) => strata.push(comparison),
            _ => {
                treatment.merge(&cell[0])?;
                control.merge(&cell[1])?;
            }
        }
    }
    strata.push(compare(&treatment, &control)?);
    combine(&strata, Sizes::Random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Moments;

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
        let sums = |values: &[i64]| {
            let mut sums = Sums::<1>::default();
            values.iter().for_each(|&value| sums.add([value]).unwrap());
            sums
        };
        let compare =
            |t: &Sums<1>, c: &Sums<1>| Comparison::new(&t.moments([1.0])?, &c.moments([1.0])?);
        let (large, small) = ([1, 5, 9, 4, 7, 2], [11, 13, 12]);
        let same = [6; 4];
        let cells = [
            [sums(&large), sums(&large[1..])],
            [sums(&[90]), sums(&[])],
            [sums(&small), sums(&small)],
            [sums(&same), sums(&large[..4])],
        ];
        let stratified = post_stratify(&cells, 3, compare).unwrap();
        assert_eq!(stratified.units, [14, 12]);
        // One unit is too few, and four that are the same say nothing about chance.
        let mut joined = cells[0];
        for cell in [cells[1], cells[3]] {
            joined.iter_mut().zip(cell).for_each(|(own, more)| own.merge(&more).unwrap());
        }
        let each = [&cells[2], &joined].map(|cell| compare(&cell[0], &cell[1]).unwrap());
        assert_eq!(stratified, combine(&each, Sizes::Random).unwrap());
        assert!(post_stratify::<1>(&[], 10, compare).is_err());
    }
}
