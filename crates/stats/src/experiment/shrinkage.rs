//! The winner's curse: effects that are reported because they were significant are too large.

use super::tails::{bisect, normal_pdf, normal_sf};
use super::{Alternative, Effect};

/// The estimate of a significant effect, corrected for having been selected by its significance:
/// the most likely true difference given that |Z| (or Z on the tested side) exceeds the critical
/// value (Zhong & Prentice, 2008). It solves E[Z | selected; μ] = z. `None` when the effect is not
/// significant.
///
/// Near the critical value it is close to 0: such a result says little about size. It never exceeds
/// the estimate and never changes its sign. Show it beside the raw estimate.
#[must_use]
pub fn conditional_estimate(effect: &Effect, alternative: Alternative) -> Option<f64> {
    let z = effect.difference / effect.standard_error;
    let towards = match alternative {
        Alternative::TwoSided => z.abs(),
        Alternative::Greater => z,
        Alternative::Less => -z,
    };
    if towards <= effect.critical {
        return None;
    }
    let two_sided = alternative == Alternative::TwoSided;
    let selected = |mu: f64| mean_when_selected(mu, effect.critical, two_sided);
    let mu = bisect(0.0, towards, |mu| selected(mu) >= towards);
    // The observed value may be nearer to the bound than its mean without any effect.
    let mu = if selected(0.0) >= towards { 0.0 } else { mu };
    Some(mu * effect.standard_error * z.signum())
}

/// E[Z | Z > c], or E[Z | |Z| > c] when two-sided, for Z ~ N(μ, 1), μ ≥ 0:
/// μ + (φ(c − μ) − φ(c + μ))/(Φ(μ − c) + Φ(−c − μ)).
fn mean_when_selected(mu: f64, critical: f64, two_sided: bool) -> f64 {
    let (above, density) = (normal_sf(critical - mu), normal_pdf(critical - mu));
    let (below, other) =
        if two_sided { (normal_sf(critical + mu), normal_pdf(critical + mu)) } else { (0.0, 0.0) };
    mu + (density - other) / (above + below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Comparison, Moments};

    fn effect(z: f64, alternative: Alternative) -> Effect {
        let arm = |mean| Moments { units: 2, mean: [mean], covariance: [[1.0]] };
        Comparison::new(&arm(z), &arm(0.0)).unwrap().effect(1.96, 0.0, alternative)
    }

    #[test]
    fn shrinks_most_at_the_bound_and_not_far_beyond() {
        for alternative in [Alternative::TwoSided, Alternative::Greater] {
            assert_eq!(conditional_estimate(&effect(1.95, alternative), alternative), None);
            let mut before = 0.0;
            for step in 0..40 {
                let z = 2.0 + f64::from(step) / 10.0;
                let estimate = conditional_estimate(&effect(z, alternative), alternative).unwrap();
                assert!((before..=z).contains(&estimate), "{z}: {estimate}");
                before = estimate;
            }
            let far = conditional_estimate(&effect(8.0, alternative), alternative).unwrap();
            assert!((far - 8.0).abs() < 1e-6);
        }
    }

    #[test]
    fn sign_is_kept() {
        let up = conditional_estimate(&effect(2.8, Alternative::TwoSided), Alternative::TwoSided);
        let down =
            conditional_estimate(&effect(-2.8, Alternative::TwoSided), Alternative::TwoSided);
        assert_eq!(up, down.map(|estimate| -estimate));
        assert!(conditional_estimate(&effect(2.8, Alternative::Less), Alternative::Less).is_none());
        assert!(
            conditional_estimate(&effect(-2.8, Alternative::Less), Alternative::Less).is_some()
        );
    }
}
