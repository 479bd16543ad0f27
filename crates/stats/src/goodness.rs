//! Does a sample follow a distribution? Pearson's chi-square test and the Kolmogorov–Smirnov tests.

use std::f64::consts::PI;

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Outcome of a chi-square goodness-of-fit test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// Σ (observed − expected)² / expected.
    pub statistic: f64,
    /// Degrees of freedom: categories − 1.
    pub degrees: u64,
    /// Probability of a statistic at least this large when the expectation is true.
    pub p_value: f64,
    /// Smallest expected count. Below 5 the p-value should not be believed (Cochran, 1954).
    pub smallest_expected: f64,
}

/// Most categories that [`chi_square_gof`] takes; its p-value is computed in time that grows with them.
pub const MAX_CATEGORIES: usize = 100_000;

/// Pearson's chi-square test that counts per category follow given proportions.
///
/// `expected` holds counts or weights, one per category; it is scaled to the total of `observed`.
/// `None` when the lengths differ, there are fewer than two categories or more than
/// [`MAX_CATEGORIES`], nothing was observed, or an expected value is not positive and finite.
#[must_use]
pub fn chi_square_gof(observed: &[u64], expected: &[f64]) -> Option<ChiSquare> {
    let valid = expected.iter().all(|&weight| weight > 0.0 && weight.is_finite());
    let categories = observed.len();
    if categories != expected.len() || !(2..=MAX_CATEGORIES).contains(&categories) || !valid {
        return None;
    }
    let total: f64 = observed.iter().map(|&count| count as f64).sum();
    let scale = total / expected.iter().sum::<f64>();
    let statistic: f64 = observed
        .iter()
        .zip(expected)
        .map(|(&count, &weight)| (count as f64 - weight * scale).powi(2) / (weight * scale))
        .sum();
    let smallest_expected = expected.iter().copied().fold(f64::INFINITY, f64::min) * scale;
    // Refuses nothing observed, and weights that differ beyond all measure.
    if !statistic.is_finite() || smallest_expected <= 0.0 {
        return None;
    }
    let degrees = categories as u64 - 1;
    let p_value = ChiSquared::new(degrees as f64).ok()?.sf(statistic);
    Some(ChiSquare { statistic, degrees, p_value, smallest_expected })
}

/// Outcome of a Kolmogorov–Smirnov test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// Largest distance D between the two distribution functions, 0..=1.
    pub statistic: f64,
    /// Probability of a distance at least this large when the distributions are the same.
    pub p_value: f64,
}

/// One-sample Kolmogorov–Smirnov test, two-sided, against a continuous distribution function.
///
/// `sorted` must rise; `cdf` must be fully specified, not fitted to the sample. The p-value is
/// Kolmogorov's limit with the correction of Vrbik (2018): within 0.008 of the exact one from 5
/// values on, within 0.001 from 20. `None` when `sorted` is empty or `cdf` leaves 0..=1 on it.
#[must_use]
pub fn ks_test(sorted: &[f64], cdf: impl Fn(f64) -> f64) -> Option<KolmogorovSmirnov> {
    if sorted.is_empty() {
        return None;
    }
    let n = sorted.len() as f64;
    let mut statistic = 0.0_f64;
    for (index, &value) in sorted.iter().enumerate() {
        let expected = cdf(value);
        if !(0.0..=1.0).contains(&expected) {
            return None;
        }
        let (before, after) = (index as f64 / n, (index + 1) as f64 / n);
        statistic = statistic.max(expected - before).max(after - expected);
    }
    let x = n.sqrt() * statistic;
    let p_value = kolmogorov_sf(x + 1.0 / (6.0 * n.sqrt()) + (x - 1.0) / (4.0 * n));
    Some(KolmogorovSmirnov { statistic, p_value })
}

/// Largest product of sample sizes for which [`ks_two_sample`] computes the exact p-value.
pub const MAX_EXACT_PRODUCT: u64 = 1_000_000;

/// Two-sample Kolmogorov–Smirnov test, two-sided.
///
/// Both slices must rise. The p-value is exact up to [`MAX_EXACT_PRODUCT`], beyond that it is
/// Kolmogorov's limit for the effective size n·m/(n+m). Ties make it too large. `None` when a slice
/// is empty or holds a NaN.
#[must_use]
pub fn ks_two_sample(left: &[f64], right: &[f64]) -> Option<KolmogorovSmirnov> {
    let has_nan = left.iter().chain(right).any(|value| value.is_nan());
    if left.is_empty() || right.is_empty() || has_nan {
        return None;
    }
    let (n, m) = (left.len() as u64, right.len() as u64);
    // Distances are counted in units of 1/(n·m), in which they are whole.
    let (mut i, mut j, mut distance) = (0, 0, 0);
    while i < left.len() && j < right.len() {
        let value = left[i].min(right[j]);
        i += left[i..].iter().take_while(|&&other| other <= value).count();
        j += right[j..].iter().take_while(|&&other| other <= value).count();
        distance = distance.max((i as u64 * m).abs_diff(j as u64 * n));
    }
    let product = n * m;
    let statistic = distance as f64 / product as f64;
    let p_value = if product <= MAX_EXACT_PRODUCT {
        exact_p_value(n, m, distance)
    } else {
        kolmogorov_sf((product as f64 / (n + m) as f64).sqrt() * statistic)
    };
    Some(KolmogorovSmirnov { statistic, p_value })
}

/// Probability that two samples of sizes `n` and `m` of one distribution reach `distance`/(n·m).
///
/// Merged in order, they are a random path from (0, 0) to (n, m), a step right for each left value
/// and up for each right one (Hodges, 1957). `inside[j]` is the probability that a path to (i, j)
/// has stayed nearer than `distance`; its last step came from (i−1, j) with probability i/(i+j).
fn exact_p_value(n: u64, m: u64, distance: u64) -> f64 {
    let mut inside = vec![0.0; m as usize + 1];
    for i in 0..=n {
        let mut below = 0.0;
        for (j, cell) in (0..=m).zip(&mut inside) {
            *cell = if (i * m).abs_diff(j * n) >= distance {
                0.0
            } else if i + j == 0 {
                1.0
            } else {
                (i as f64 * *cell + j as f64 * below) / (i + j) as f64
            };
            below = *cell;
        }
    }
    1.0 - inside[m as usize]
}

/// P(K > x) of Kolmogorov's distribution. Both of its series are exact; each converges within a
/// few terms on its side of 1 (Marsaglia, Tsang & Wang, 2003).
fn kolmogorov_sf(x: f64) -> f64 {
    const TERMS: i32 = 10;
    if x <= 0.0 {
        return 1.0;
    }
    let p = if x < 1.0 {
        let odd = |k: i32| f64::from(2 * k - 1);
        let sum: f64 = (1..=TERMS).map(|k| (-(odd(k) * PI / x).powi(2) / 8.0).exp()).sum();
        1.0 - (2.0 * PI).sqrt() / x * sum
    } else {
        let sign = |k: i32| if k % 2 == 1 { 1.0 } else { -1.0 };
        2.0 * (1..=TERMS).map(|k| sign(k) * (-2.0 * (f64::from(k) * x).powi(2)).exp()).sum::<f64>()
    };
    p.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn invalid_input_has_no_test() {
        assert_eq!(chi_square_gof(&[1, 2], &[1.0]), None);
        assert_eq!(chi_square_gof(&[1], &[1.0]), None);
        assert_eq!(chi_square_gof(&[0, 0], &[1.0, 1.0]), None);
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(chi_square_gof(&[1, 2], &[1.0, weight]), None);
        }
        assert_eq!(chi_square_gof(&[1, 2], &[1.0, 1e-320]), None);
        let many = MAX_CATEGORIES + 1;
        assert_eq!(chi_square_gof(&vec![1; many], &vec![1.0; many]), None);
        assert_eq!(ks_test(&[], |x| x), None);
        assert_eq!(ks_test(&[0.5], |_| f64::NAN), None);
        assert_eq!(ks_two_sample(&[], &[1.0]), None);
        assert_eq!(ks_two_sample(&[1.0], &[f64::NAN]), None);
    }

    #[test]
    fn expectations_are_proportions() {
        let counts = chi_square_gof(&[45, 55], &[50.0, 50.0]).unwrap();
        assert_eq!(chi_square_gof(&[45, 55], &[1.0, 1.0]), Some(counts));
        assert_eq!(counts.statistic, 1.0);
        assert_eq!(counts.smallest_expected, 50.0);
        let perfect = chi_square_gof(&[30, 10], &[3.0, 1.0]).unwrap();
        assert_eq!((perfect.statistic, perfect.p_value), (0.0, 1.0));
    }

    #[test]
    fn series_of_kolmogorov_meet() {
        assert!((kolmogorov_sf(1.0 - 1e-12) - kolmogorov_sf(1.0)).abs() < 1e-11);
        assert_eq!(kolmogorov_sf(0.0), 1.0);
        assert_eq!(kolmogorov_sf(40.0), 0.0);
    }

    #[test]
    fn exact_and_limit_of_two_samples_meet() {
        // Sizes without a common divisor, where the limit is smooth.
        let (n, m) = (1000_u64, 999_u64);
        for share in [0.04, 0.05, 0.06, 0.08] {
            let distance = (share * (n * m) as f64) as u64;
            let limit = kolmogorov_sf((499.75_f64).sqrt() * share);
            assert!((exact_p_value(n, m, distance) - limit).abs() < 0.02, "{share}");
        }
        // All of 3 before all of 3: 2 of 20 orders.
        assert!(
            (ks_two_sample(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).unwrap().p_value - 0.1).abs()
                < 1e-12
        );
    }

    #[test]
    fn uniform_samples_pass_and_others_fail() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut rejected = 0;
        for _ in 0..1000 {
            let mut sample: Vec<f64> = (0..50).map(|_| rng.random()).collect();
            sample.sort_by(f64::total_cmp);
            rejected += u32::from(ks_test(&sample, |x| x).unwrap().p_value < 0.05);
            assert!(ks_test(&sample, |x| x.powi(4)).unwrap().p_value < 0.01);
        }
        // Binomial(1000, 0.05): 50 ± 4 standard deviations.
        assert!((23..=77).contains(&rejected), "{rejected}");
    }

    proptest! {
        #[test]
        fn samples_do_not_differ_from_themselves(
            mut sample in proptest::collection::vec(-5..5_i32, 1..50),
        ) {
            sample.sort_unstable();
            let sample: Vec<f64> = sample.into_iter().map(f64::from).collect();
            let same = ks_two_sample(&sample, &sample).unwrap();
            prop_assert_eq!((same.statistic, same.p_value), (0.0, 1.0));
        }

        #[test]
        fn distance_is_the_largest_over_all_points(
            mut left in proptest::collection::vec(0..20_i32, 1..30),
            mut right in proptest::collection::vec(0..20_i32, 1..30),
        ) {
            left.sort_unstable();
            right.sort_unstable();
            let share = |sample: &[i32], limit: i32| {
                sample.iter().filter(|&&value| value <= limit).count() as f64 / sample.len() as f64
            };
            let largest = (0..20)
                .map(|limit| (share(&left, limit) - share(&right, limit)).abs())
                .fold(0.0, f64::max);
            let floats = |sample: &[i32]| sample.iter().copied().map(f64::from).collect::<Vec<_>>();
            let test = ks_two_sample(&floats(&left), &floats(&right)).unwrap();
            prop_assert!((test.statistic - largest).abs() < 1e-12);
        }
    }
}
