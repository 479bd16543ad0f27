//! Tails of the normal and of Student's distribution, and roots by bisection.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};

use super::Alternative;

/// Density of the standard normal distribution.
pub(crate) fn normal_pdf(z: f64) -> f64 {
    Normal::standard().pdf(z)
}

/// P(Z ≤ z) of the standard normal distribution.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// P(Z > z) of the standard normal distribution.
pub(crate) fn normal_sf(z: f64) -> f64 {
    Normal::standard().sf(z)
}

/// The z that is exceeded with probability `tail`, which must be within 0..=1.
pub(crate) fn normal_critical(tail: f64) -> f64 {
    -Normal::standard().inverse_cdf(tail.clamp(0.0, 1.0))
}

/// Degrees of freedom from which on the library's incomplete beta function is not accurate enough.
const MANY_DEGREES: f64 = 200.0;

/// P(T > t) of Student's distribution with `degrees` of freedom, which may be infinite.
///
/// For many degrees by the normal approximation of Hill (1970, Algorithm 395), whose relative error
/// is then below 1e-9.
pub(crate) fn student_sf(t: f64, degrees: f64) -> f64 {
    if degrees < MANY_DEGREES
        && let Ok(student) = StudentsT::new(0.0, 1.0, degrees)
    {
        return student.sf(t);
    }
    if degrees.is_infinite() {
        return normal_sf(t);
    }
    let a = degrees - 0.5;
    let b = 48.0 * a * a;
    let y = a * (t * t / degrees).ln_1p();
    let correction = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b);
    normal_sf(t.signum() * ((correction + y + 3.0) / b + 1.0) * y.sqrt())
}

/// The t that is exceeded with probability `tail`, 0 < `tail` < 0.5.
pub(crate) fn student_critical(tail: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return normal_critical(tail);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while student_sf(high, degrees) > tail && high < f64::MAX / 4.0 {
        (low, high) = (high, high * 2.0);
    }
    root(low, high, 1e-14 * high, |t| (student_sf(t, degrees) / tail).ln())
}

/// The p-value of a statistic whose upper tail is `sf` and which is symmetric about 0.
pub(crate) fn p_value(statistic: f64, alternative: Alternative, sf: impl Fn(f64) -> f64) -> f64 {
    match alternative {
        Alternative::TwoSided => (2.0 * sf(statistic.abs())).min(1.0),
        Alternative::Greater => sf(statistic),
        Alternative::Less => sf(-statistic),
    }
}

/// The point between `low` and `high` where `reached`, which must be false before it and true after
/// it, changes; to the last digits of `f64`.
pub(crate) fn bisect(mut low: f64, mut high: f64, reached: impl Fn(f64) -> bool) -> f64 {
    /// Halvings, enough for any two numbers that are not astronomically far apart.
    const STEPS_MAX: u32 = 200;
    for _ in 0..STEPS_MAX {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if reached(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The root between `low` and `high` of a smooth `f` that falls, within `tolerance`, in few steps:
/// false position with the Illinois rule (Dowell & Jarratt, 1971). The nearer end when `f` has no
/// change of sign.
pub(crate) fn root(low: f64, high: f64, tolerance: f64, f: impl Fn(f64) -> f64) -> f64 {
    const STEPS_MAX: u32 = 100;
    let (mut a, mut b, mut above, mut below) = (low, high, f(low), f(high));
    if above <= 0.0 {
        return low;
    }
    if below >= 0.0 {
        return high;
    }
    let (mut x, mut last_side) = (a, 0.0);
    for _ in 0..STEPS_MAX {
        let previous = x;
        x = (b * above - a * below) / (above - below);
        let value = f(x);
        if value == 0.0 || (x - previous).abs() <= tolerance {
            break;
        }
        if value > 0.0 {
            (a, above) = (x, value);
            below *= if last_side > 0.0 { 0.5 } else { 1.0 };
        } else {
            (b, below) = (x, value);
            above *= if last_side < 0.0 { 0.5 } else { 1.0 };
        }
        last_side = value;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_is_continuous_where_its_formula_changes() {
        for t in [0.1, 1.0, 2.0, 4.0, 8.0] {
            let exact = StudentsT::new(0.0, 1.0, 250.0).unwrap().sf(t);
            assert!((student_sf(t, 250.0) / exact - 1.0).abs() < 1e-9, "{t}");
            assert!((student_sf(-t, 250.0) + student_sf(t, 250.0) - 1.0).abs() < 1e-15);
            let (many, normal) = (student_sf(t, 1e12), normal_sf(t));
            assert!((many / normal - 1.0).abs() < 1e-8, "{t}: {many} {normal}");
        }
    }

    #[test]
    fn critical_values_have_their_tail() {
        for degrees in [1.0, 2.5, 30.0, 199.0, 201.0, 1e6, f64::INFINITY] {
            for tail in [0.4, 0.05, 0.025, 1e-4] {
                let critical = student_critical(tail, degrees);
                assert!((student_sf(critical, degrees) / tail - 1.0).abs() < 1e-9, "{degrees}");
            }
        }
    }

    #[test]
    fn bisection_ends_at_neighbours() {
        let root = bisect(0.0, 2.0, |x| x * x >= 2.0);
        assert!((root - 2.0_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn roots_of_steep_functions() {
        let found = root(-12.0, 12.0, 1e-12, |z| (normal_sf(z) / 1e-9).ln());
        assert!((found - normal_critical(1e-9)).abs() < 1e-9, "{found}");
        assert_eq!(root(0.0, 1.0, 1e-9, |_| -1.0), 0.0);
        assert_eq!(root(0.0, 1.0, 1e-9, |_| 1.0), 1.0);
    }
}
