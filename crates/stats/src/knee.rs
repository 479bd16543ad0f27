//! Kneedle: where a curve bends most (Satopää, Albrecht, Irwin & Raghavan, 2011).

/// How a rising curve bends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Steep first, then flat, as throughput over concurrency: the knee.
    Concave,
    /// Flat first, then steep, as latency over load: the elbow.
    Convex,
}

/// The sensitivity that the paper recommends: smaller finds knees sooner, larger only pronounced
/// ones.
pub const DEFAULT_SENSITIVITY: f64 = 1.0;

/// Index of the knee among `points` (x, y) of a rising curve.
///
/// The paper smooths first; here the caller does, where measurements are noisy. Of several knees
/// the one farthest from the diagonal is returned. `None` when there is no knee, for fewer than
/// three points, when x does not strictly rise, when the last y is not above the first, or when a
/// value is not finite.
#[must_use]
pub fn knee(points: &[(f64, f64)], shape: Shape, sensitivity: f64) -> Option<usize> {
    let (&first, &last) = (points.first()?, points.last()?);
    let finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
    let rises = points.is_sorted_by(|a, b| a.0 < b.0) && last.1 > first.1;
    if points.len() < 3 || !finite || !rises || !sensitivity.is_finite() {
        return None;
    }
    let lowest = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let above_diagonal = |&(x, y): &(f64, f64)| {
        (y - lowest) / (highest - lowest) - (x - first.0) / (last.0 - first.0)
    };
    // Turned by 180°, a convex curve is concave, and lies as far above the diagonal as it lay below.
    match shape {
        Shape::Concave => {
            let distances: Vec<f64> = points.iter().map(above_diagonal).collect();
            farthest_knee(&distances, sensitivity)
        }
        Shape::Convex => {
            let distances: Vec<f64> = points.iter().rev().map(|p| -above_diagonal(p)).collect();
            farthest_knee(&distances, sensitivity).map(|index| points.len() - 1 - index)
        }
    }
}

/// Among the local maxima of the distance from the diagonal, those are knees after which it falls
/// by more than the sensitivity times the mean step of x before the next local maximum.
fn farthest_knee(distances: &[f64], sensitivity: f64) -> Option<usize> {
    let fall = sensitivity / (distances.len() - 1) as f64;
    let maxima: Vec<usize> = (1..distances.len() - 1)
        .filter(|&i| distances[i] > distances[i - 1] && distances[i] >= distances[i + 1])
        .collect();
    let ends = maxima.iter().copied().skip(1).chain([distances.len()]);
    maxima
        .iter()
        .copied()
        .zip(ends)
        .filter(|&(peak, end)| {
            distances[peak] > 0.0 && {
                let threshold = distances[peak] - fall;
                distances[peak + 1..end].iter().any(|&distance| distance < threshold)
            }
        })
        .map(|(peak, _)| peak)
        .max_by(|&a, &b| distances[a].total_cmp(&distances[b]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the paper's figure 2: y = −1/(x + 0.1) + 5 on 0..=1, ten points.
    fn figure_2() -> Vec<(f64, f64)> {
        (0..10).map(|i| f64::from(i) / 9.0).map(|x| (x, -1.0 / (x + 0.1) + 5.0)).collect()
    }

    fn turned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        points.iter().rev().map(|&(x, y)| (-x, -y)).collect()
    }

    #[test]
    fn finds_the_knee_of_the_paper() {
        // The paper puts the knee at x = 0.22.
        assert_eq!(knee(&figure_2(), Shape::Concave, DEFAULT_SENSITIVITY), Some(2));
        assert_eq!(knee(&turned(&figure_2()), Shape::Convex, DEFAULT_SENSITIVITY), Some(7));
    }

    #[test]
    fn finds_the_elbow_of_a_queue() {
        // M/M/1 response time over utilisation.
        let points: Vec<_> =
            (0..20).map(|i| f64::from(i) / 20.0).map(|u| (u, 1.0 / (1.0 - u))).collect();
        let elbow = knee(&points, Shape::Convex, DEFAULT_SENSITIVITY).unwrap();
        assert!((15..=17).contains(&elbow), "{elbow}");
    }

    #[test]
    fn straight_or_invalid_curves_have_none() {
        let line: Vec<_> = (0..10).map(|i| (f64::from(i), 2.0 * f64::from(i))).collect();
        for shape in [Shape::Concave, Shape::Convex] {
            assert_eq!(knee(&line, shape, 1.0), None);
            assert_eq!(knee(&[], shape, 1.0), None);
            assert_eq!(knee(&line[..2], shape, 1.0), None);
            assert_eq!(knee(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)], shape, 1.0), None);
            assert_eq!(knee(&[(0.0, 1.0), (0.0, 2.0), (2.0, 3.0)], shape, 1.0), None);
            assert_eq!(knee(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)], shape, 1.0), None);
        }
        assert_eq!(knee(&figure_2(), Shape::Concave, f64::NAN), None);
        assert_eq!(knee(&figure_2(), Shape::Convex, 1.0), None);
    }

    #[test]
    fn high_sensitivity_wants_a_pronounced_knee() {
        assert_eq!(knee(&figure_2(), Shape::Concave, 20.0), None);
    }

    proptest! {
        #[test]
        fn corner_of_two_lines_is_found(corner in 3_usize..17, steep in 3.0..20.0_f64) {
            let points: Vec<_> = (0..20)
                .map(|i| {
                    let (before, after) = (i.min(corner), i.saturating_sub(corner));
                    (i as f64, steep * before as f64 + after as f64)
                })
                .collect();
            prop_assert_eq!(knee(&points, Shape::Concave, 0.5), Some(corner));
            prop_assert_eq!(knee(&turned(&points), Shape::Convex, 0.5), Some(19 - corner));
        }

        #[test]
        fn result_is_an_inner_point(ys in proptest::collection::vec(-1e6..1e6_f64, 0..50)) {
            let points: Vec<_> = ys.iter().enumerate().map(|(i, &y)| (i as f64, y)).collect();
            for shape in [Shape::Concave, Shape::Convex] {
                if let Some(index) = knee(&points, shape, 1.0) {
                    prop_assert!(index > 0 && index < points.len() - 1);
                }
            }
        }
    }
}
