//! Intervals, and confidence intervals for a proportion and for a mean.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// A closed interval of real numbers, `low ≤ high`, in the unit of the quantity it bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, included.
    pub low: f64,
    /// Upper end, included.
    pub high: f64,
}

impl Interval {
    /// True when `value` lies within the interval, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Distance between the ends.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// Wilson score interval of a proportion (E. B. Wilson, 1927), within 0..=1.
///
/// `None` without trials, with more successes than trials, or when `confidence` is not strictly
/// between 0 and 1.
#[must_use]
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> Option<Interval> {
    if trials == 0 || successes > trials || !is_confidence(confidence) {
        return None;
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // The ends at no and at all successes are 0 and 1 in exact arithmetic.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// Student's t interval of the mean of independent, roughly normal values.
///
/// `None` for fewer than two values, for values that are not finite, or when `confidence` is not
/// strictly between 0 and 1.
#[must_use]
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    if values.len() < 2 || !is_confidence(confidence) {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let t = student_t_quantile(0.5 + confidence / 2.0, n - 1.0)?;
    let half = t * error;
    (mean.is_finite() && half.is_finite())
        .then_some(Interval { low: mean - half, high: mean + half })
}

/// Quantile `p` of Student's t. From 1000 degrees of freedom on, where the library's inverse loses
/// its accuracy, by expansion around the normal one (Abramowitz & Stegun, 26.7.5), within 1e-7.
fn student_t_quantile(p: f64, degrees: f64) -> Option<f64> {
    if degrees < 1000.0 {
        return Some(StudentsT::new(0.0, 1.0, degrees).ok()?.inverse_cdf(p));
    }
    let z = Normal::standard().inverse_cdf(p);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    Some(z + first / degrees + second / (degrees * degrees))
}

/// True when `confidence` lies strictly between 0 and 1.
pub(crate) fn is_confidence(confidence: f64) -> bool {
    confidence > 0.0 && confidence < 1.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_are_included() {
        let interval = Interval { low: 1.0, high: 3.0 };
        assert!(interval.contains(1.0) && interval.contains(3.0));
        assert!(!interval.contains(3.1) && !interval.contains(f64::NAN));
        assert_eq!(interval.width(), 2.0);
    }

    #[test]
    fn invalid_input_has_no_interval() {
        assert_eq!(wilson(0, 0, 0.95), None);
        assert_eq!(wilson(2, 1, 0.95), None);
        for confidence in [0.0, 1.0, f64::NAN] {
            assert_eq!(wilson(1, 2, confidence), None);
            assert_eq!(mean_interval(&[1.0, 2.0], confidence), None);
        }
        assert_eq!(mean_interval(&[1.0], 0.95), None);
        assert_eq!(mean_interval(&[1.0, f64::INFINITY], 0.95), None);
    }

    #[test]
    fn quantiles_of_student_for_many_degrees() {
        // scipy 1.17.1: scipy.stats.t.ppf(p, degrees).
        for (p, degrees, t) in [
            (0.975, 999.0, 1.9623414611),
            (0.975, 1000.0, 1.9623390808),
            (0.9995, 1000.0, 3.3002826484),
            (0.975, 1e8, 1.9599640083),
        ] {
            assert!((student_t_quantile(p, degrees).unwrap() - t).abs() < 1e-7, "{p} {degrees}");
        }
    }

    #[test]
    fn equal_values_have_a_point_interval() {
        assert_eq!(mean_interval(&[4.0; 5], 0.95), Some(Interval { low: 4.0, high: 4.0 }));
    }

    proptest! {
        #[test]
        fn quantile_of_student_inverts_its_distribution(
            p in 0.5..0.999_999_f64, degrees in 1_u32..5000,
        ) {
            let degrees = f64::from(degrees);
            let t = student_t_quantile(p, degrees).unwrap();
            let student = StudentsT::new(0.0, 1.0, degrees).unwrap();
            prop_assert!((student.cdf(t) - p).abs() < 1e-8);
        }

        #[test]
        fn wilson_contains_the_share_and_mirrors(
            trials in 1_u64..100_000, share in 0.0..=1.0_f64, confidence in 0.5..0.999_f64,
        ) {
            let successes = (share * trials as f64) as u64;
            let interval = wilson(successes, trials, confidence).unwrap();
            prop_assert!(interval.contains(successes as f64 / trials as f64));
            prop_assert!(interval.low >= 0.0 && interval.high <= 1.0);
            let mirror = wilson(trials - successes, trials, confidence).unwrap();
            prop_assert!((interval.low - (1.0 - mirror.high)).abs() < 1e-9);
        }
    }
}
