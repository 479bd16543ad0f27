//! Exact integer sums per arm, the moments they stand for, and ratios by the delta method.

use super::Error;

/// Exact sums over the units of one arm of `K` fixed-point integers per unit, such as
/// `[revenue]`, `[numerator, denominator]` or `[after, before]`.
///
/// Integers make the sums independent of the order of arrival and of sharding. They become floating
/// point only in [`Sums::moments`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums<const K: usize> {
    /// Number of units n.
    pub units: u64,
    /// Σ xᵢ, in fixed point.
    pub sums: [i128; K],
    /// Σ xᵢ·xⱼ for i ≤ j, in fixed point squared; the places below the diagonal are not used.
    pub products: [[i128; K]; K],
}

impl<const K: usize> Default for Sums<K> {
    fn default() -> Self {
        Self { units: 0, sums: [0; K], products: [[0; K]; K] }
    }
}

impl<const K: usize> Sums<K> {
    /// Adds a unit with these values.
    ///
    /// # Errors
    /// [`Error::Overflow`]; the sums are then as before.
    pub fn add(&mut self, values: [i64; K]) -> Result<(), Error> {
        let mut next = *self;
        next.units = next.units.checked_add(1).ok_or(Error::Overflow)?;
        next.shift([0; K], values).ok_or(Error::Overflow)?;
        *self = next;
        Ok(())
    }

    /// Changes the values of a unit that was added before with the values `old`.
    ///
    /// # Errors
    /// [`Error::Overflow`]; the sums are then as before.
    pub fn replace(&mut self, old: [i64; K], new: [i64; K]) -> Result<(), Error> {
        let mut next = *self;
        next.shift(old, new).ok_or(Error::Overflow)?;
        *self = next;
        Ok(())
    }

    fn shift(&mut self, old: [i64; K], new: [i64; K]) -> Option<()> {
        let (old, new) = (old.map(i128::from), new.map(i128::from));
        for i in 0..K {
            self.sums[i] = self.sums[i].checked_add(new[i] - old[i])?;
            for j in i..K {
                let change = new[i] * new[j] - old[i] * old[j];
                self.products[i][j] = self.products[i][j].checked_add(change)?;
            }
        }
        Some(())
    }

    /// Adds the sums of other units of the same arm, such as those of another shard.
    ///
    /// # Errors
    /// [`Error::Overflow`]; the sums are then as before.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let mut next = *self;
        next.units = next.units.checked_add(other.units).ok_or(Error::Overflow)?;
        for i in 0..K {
            next.sums[i] = next.sums[i].checked_add(other.sums[i]).ok_or(Error::Overflow)?;
            for j in i..K {
                next.products[i][j] =
                    next.products[i][j].checked_add(other.products[i][j]).ok_or(Error::Overflow)?;
            }
        }
        *self = next;
        Ok(())
    }

    /// Means, and covariances with divisor n − 1; `scales[i]` is how many fixed-point steps make
    /// one unit of value i (1 for counts, 1e6 for micros).
    ///
    /// Values are centred in integers before they become floating point, so that nothing cancels.
    ///
    /// # Errors
    /// [`Error::TooFewUnits`] below two units, [`Error::Argument`] for a scale that is not positive,
    /// [`Error::ImpossibleSums`] and [`Error::Overflow`].
    pub fn moments(&self, scales: [f64; K]) -> Result<Moments<K>, Error> {
        if self.units < 2 {
            return Err(Error::TooFewUnits { units: self.units, needed: 2 });
        }
        for scale in scales {
            super::check_positive("scale", scale)?;
        }
        let n = self.units as f64;
        let mut moments = Moments { units: self.units, mean: [0.0; K], covariance: [[0.0; K]; K] };
        for i in 0..K {
            moments.mean[i] = self.sums[i] as f64 / n / scales[i];
            for j in i..K {
                let product = self.centred_product(i, j).ok_or(Error::Overflow)?;
                if i == j && product < 0.0 {
                    return Err(Error::ImpossibleSums);
                }
                let covariance = product / (n - 1.0) / scales[i] / scales[j];
                moments.covariance[i][j] = covariance;
                moments.covariance[j][i] = covariance;
            }
        }
        Ok(moments)
    }

    /// Σ (xᵢ − x̄ᵢ)(xⱼ − x̄ⱼ): exact around the whole parts of the means, then a small correction.
    fn centred_product(&self, i: usize, j: usize) -> Option<f64> {
        let n = i128::from(self.units);
        let (mean_i, rest_i) = (self.sums[i].div_euclid(n), self.sums[i].rem_euclid(n));
        let (mean_j, rest_j) = (self.sums[j].div_euclid(n), self.sums[j].rem_euclid(n));
        let around = self.products[i][j]
            .checked_sub(mean_i.checked_mul(self.sums[j])?)?
            .checked_sub(mean_j.checked_mul(rest_i)?)?;
        Some(around as f64 - rest_i as f64 * rest_j as f64 / n as f64)
    }
}

/// Estimates for one arm of `K` parameters, and their covariance per unit.
///
/// `covariance / units` is the covariance of the estimates. For plain metrics these are sample
/// means and covariances; for ratios and quantiles the ones of their linearisation, so that every
/// method treats all metrics alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments<const K: usize> {
    /// Number of independent (randomised) units n ≥ 2.
    pub units: u64,
    /// Estimates, in the unit of the metric.
    pub mean: [f64; K],
    /// Covariances of one unit, in the unit of the metric squared. Symmetric.
    pub covariance: [[f64; K]; K],
}

impl<const K: usize> Moments<K> {
    /// Linear propagation (delta method): estimates `value`, covariance J·Σ·Jᵀ, where row j of the
    /// `jacobian` holds the derivatives of estimate j by the `K` means.
    #[must_use]
    pub fn propagate<const J: usize>(
        &self,
        value: [f64; J],
        jacobian: [[f64; K]; J],
    ) -> Moments<J> {
        let mut covariance = [[0.0; J]; J];
        for (row, left) in covariance.iter_mut().zip(&jacobian) {
            for (cell, right) in row.iter_mut().zip(&jacobian) {
                *cell = (0..K)
                    .flat_map(|a| (0..K).map(move |b| (a, b)))
                    .map(|(a, b)| left[a] * self.covariance[a][b] * right[b])
                    .sum();
            }
        }
        Moments { units: self.units, mean: value, covariance }
    }

    /// Moments of the units of both together.
    #[must_use]
    pub fn pooled(&self, other: &Self) -> Self {
        let (n, m) = (self.units as f64, other.units as f64);
        let total = n + m;
        let mut pooled = *self;
        pooled.units = self.units.saturating_add(other.units);
        for i in 0..K {
            pooled.mean[i] = (n * self.mean[i] + m * other.mean[i]) / total;
            for j in 0..K {
                let between =
                    (self.mean[i] - other.mean[i]) * (self.mean[j] - other.mean[j]) * n * m / total;
                let within = (n - 1.0) * self.covariance[i][j] + (m - 1.0) * other.covariance[i][j];
                pooled.covariance[i][j] = (within + between) / (total - 1.0);
            }
        }
        pooled
    }
}

impl Moments<1> {
    /// Share of `successes` among `units`, variance p(1 − p)·n/(n − 1) as of any mean of zeros and
    /// ones.
    ///
    /// # Errors
    /// [`Error::TooFewUnits`] below two units, [`Error::Argument`] with more successes than units.
    pub fn proportion(successes: u64, units: u64) -> Result<Self, Error> {
        if successes > units {
            return Err(Error::argument("successes", "at most the number of units"));
        }
        let sum = i128::from(successes);
        Sums { units, sums: [sum], products: [[sum]] }.moments([1.0])
    }

    /// Sample mean and variance of values, one per unit (Welford, 1962).
    ///
    /// # Errors
    /// [`Error::TooFewUnits`] below two values, [`Error::Argument`] when one is not finite.
    pub fn of_values(values: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let (mut units, mut mean, mut squares) = (0_u64, 0.0, 0.0);
        for value in values {
            units += 1;
            let distance = value - mean;
            mean += distance / units as f64;
            squares += distance * (value - mean);
        }
        if units < 2 {
            return Err(Error::TooFewUnits { units, needed: 2 });
        }
        let variance: f64 = squares / (units - 1) as f64;
        if !(mean.is_finite() && variance.is_finite()) {
            return Err(Error::argument("values", "finite"));
        }
        Ok(Self { units, mean: [mean], covariance: [[variance]] })
    }

    /// The estimate.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.mean[0]
    }

    /// Variance of one unit.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.covariance[0][0]
    }
}

impl Moments<2> {
    /// Ratio of the means, numerator first, by the delta method (Deng, Knoblich & Lu, 2018):
    /// s²/n with s² = s²ₘ/d² − 2·cov·m/d³ + s²_d·m²/d⁴.
    ///
    /// # Errors
    /// [`Error::ZeroDenominator`].
    pub fn ratio(&self) -> Result<Moments<1>, Error> {
        let [m, d] = self.mean;
        let (value, gradient) = ratio(m, d)?;
        Ok(self.propagate([value], [gradient]))
    }
}

impl Moments<4> {
    /// The ratio of the first two means with the ratio of the last two as its covariate, for
    /// [`super::cuped::adjust`]: `[m, d, m before, d before]` → `[m/d, m before/d before]`.
    ///
    /// # Errors
    /// [`Error::ZeroDenominator`].
    pub fn ratios(&self) -> Result<Moments<2>, Error> {
        let [m, d, m_before, d_before] = self.mean;
        let (after, [by_m, by_d]) = ratio(m, d)?;
        let (before, [by_m_before, by_d_before]) = ratio(m_before, d_before)?;
        let jacobian = [[by_m, by_d, 0.0, 0.0], [0.0, 0.0, by_m_before, by_d_before]];
        Ok(self.propagate([after, before], jacobian))
    }
}

/// m/d and its derivatives by m and by d.
fn ratio(m: f64, d: f64) -> Result<(f64, [f64; 2]), Error> {
    if d == 0.0 {
        return Err(Error::ZeroDenominator);
    }
    Ok((m / d, [1.0 / d, -m / (d * d)]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_and_too_small_sums_are_refused() {
        let one = Sums { units: 1, sums: [3], products: [[9]] };
        assert_eq!(one.moments([1.0]), Err(Error::TooFewUnits { units: 1, needed: 2 }));
        let wrong = Sums { units: 2, sums: [10], products: [[49]] };
        assert_eq!(wrong.moments([1.0]), Err(Error::ImpossibleSums));
        let two = Sums { units: 2, sums: [10], products: [[50]] };
        assert_eq!(two.moments([1.0]).unwrap().variance(), 0.0);
        assert!(two.moments([0.0]).is_err());
        assert!(Moments::proportion(3, 2).is_err());
        assert!(Moments::of_values([1.0, f64::NAN]).is_err());
    }

    #[test]
    fn overflow_is_an_error_and_changes_nothing() {
        let mut sums = Sums::<1>::default();
        let mut result = Ok(());
        let mut before = sums;
        while result.is_ok() {
            before = sums;
            result = sums.add([i64::MAX]);
        }
        assert_eq!(result, Err(Error::Overflow));
        assert_eq!(sums, before);
    }

    #[test]
    fn large_values_with_a_small_spread_keep_their_variance() {
        let mut sums = Sums::<1>::default();
        for offset in [0, 1, 2, 3] {
            sums.add([4_000_000_000_000_000_000 + offset]).unwrap();
        }
        let variance = sums.moments([1.0]).unwrap().variance();
        assert!((variance - 5.0 / 3.0).abs() < 1e-12, "{variance}");
    }

    fn pairs() -> impl Strategy<Value = Vec<[i64; 2]>> {
        proptest::collection::vec([-1_000_000..1_000_000_i64, 1..1_000_000_i64], 2..50)
    }

    proptest! {
        #[test]
        fn order_shards_and_changes_do_not_matter(values in pairs(), split in 0..50_usize) {
            let mut whole = Sums::<2>::default();
            for &value in &values {
                whole.add([7, 7]).unwrap();
                whole.replace([7, 7], value).unwrap();
            }
            let (left, right) = values.split_at(split.min(values.len()));
            let (mut first, mut second) = (Sums::default(), Sums::default());
            left.iter().rev().try_for_each(|&value| second.add(value)).unwrap();
            right.iter().try_for_each(|&value| first.add(value)).unwrap();
            first.merge(&second).unwrap();
            prop_assert_eq!(whole, first);
        }

        #[test]
        fn moments_are_those_of_the_values(values in pairs()) {
            let mut sums = Sums::<2>::default();
            values.iter().try_for_each(|&value| sums.add(value)).unwrap();
            let moments = sums.moments([10.0, 1.0]).unwrap();
            let plain = Moments::of_values(values.iter().map(|v| v[0] as f64 / 10.0)).unwrap();
            prop_assert!((moments.mean[0] - plain.value()).abs() < 1e-6);
            prop_assert!((moments.covariance[0][0] - plain.variance()).abs()
                <= 1e-9 * plain.variance().max(1e-9));
            // The delta method is the variance of the residuals m − r·d, over the mean of d.
            let ratio = moments.ratio().unwrap();
            let residuals = Moments::of_values(values.iter().map(|v| {
                (v[0] as f64 / 10.0 - ratio.value() * v[1] as f64) / moments.mean[1]
            })).unwrap();
            prop_assert!((ratio.variance() - residuals.variance()).abs()
                <= 1e-6 * residuals.variance().max(1e-9));
        }

        #[test]
        fn pooling_is_taking_together(
            left in proptest::collection::vec(-100.0..100.0_f64, 2..20),
            right in proptest::collection::vec(-100.0..100.0_f64, 2..20),
        ) {
            let of = |values: &[f64]| Moments::of_values(values.iter().copied()).unwrap();
            let pooled = of(&left).pooled(&of(&right));
            let together = of(&[left, right].concat());
            prop_assert!((pooled.value() - together.value()).abs() < 1e-9);
            prop_assert!((pooled.variance() - together.variance()).abs() < 1e-7);
        }
    }
}
