//! Universal Scalability Law (N. J. Gunther, Guerrilla Capacity Planning, 2007): throughput over
//! load, bounded by contention and by coherency delay.
//!
//! X(N) = γN / (1 + σ(N−1) + κN(N−1))

/// A fitted law, with γ > 0 and σ, κ ≥ 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UslFit {
    /// Throughput at load 1, in units of the given throughput.
    pub gamma: f64,
    /// Contention: the share of the work that must queue.
    pub sigma: f64,
    /// Coherency: the delay from keeping every pair of workers in agreement. Above 0, throughput
    /// falls beyond [`n_star`](Self::n_star).
    pub kappa: f64,
    /// Share of the variance of throughput that the law explains; at most 1, negative when the law
    /// does worse than a constant, 0 when throughput does not vary.
    pub r_squared: f64,
    /// Root mean square residual, in units of throughput.
    pub residual: f64,
}

impl UslFit {
    /// Throughput at load `n`, in units of the given throughput.
    #[must_use]
    pub fn throughput(&self, n: f64) -> f64 {
        self.gamma * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// The load of highest throughput, √((1−σ)/κ).
    ///
    /// `None` when throughput never turns (κ = 0) or falls from the start (σ ≥ 1).
    #[must_use]
    pub fn n_star(&self) -> Option<f64> {
        (self.kappa > 0.0 && self.sigma < 1.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt())
    }
}

/// Fits the law to points (load, throughput) by least squares on throughput.
///
/// With time per unit of work y = N/X = a + b(N−1) + cN(N−1), where a = 1/γ, b = σ/γ and c = κ/γ,
/// the law is linear in its parameters. That gives the start for Levenberg–Marquardt steps. The
/// bounds are met by fitting with each choice of b and c held at zero, and taking the best fit that
/// has none negative.
///
/// `None` for fewer than three distinct loads, or when a load or a throughput is not positive and
/// finite. Loads below 1 are accepted.
#[must_use]
pub fn fit(points: &[(f64, f64)]) -> Option<UslFit> {
    let positive = |value: f64| value > 0.0 && value.is_finite();
    if !points.iter().all(|&(load, throughput)| positive(load) && positive(throughput)) {
        return None;
    }
    let mut loads: Vec<f64> = points.iter().map(|point| point.0).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    if loads.len() < 3 {
        return None;
    }
    let active_sets: [&[usize]; 4] = [&[0, 1, 2], &[0, 1], &[0, 2], &[0]];
    let (squares, [a, b, c]) = active_sets
        .iter()
        .filter_map(|free| fit_free(points, free))
        .min_by(|left, right| left.0.total_cmp(&right.0))?;

    let n = points.len() as f64;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / n;
    let variation: f64 = points.iter().map(|point| (point.1 - mean).powi(2)).sum();
    let r_squared = if variation > 0.0 { 1.0 - squares / variation } else { 0.0 };
    let fit = UslFit {
        gamma: 1.0 / a,
        sigma: b / a,
        kappa: c / a,
        r_squared,
        residual: (squares / n).sqrt(),
    };
    let values = [fit.gamma, fit.sigma, fit.kappa, fit.r_squared, fit.residual];
    (fit.gamma > 0.0 && values.iter().all(|value| value.is_finite())).then_some(fit)
}

/// The parameters a, b, c of the linear form.
type Linear = [f64; 3];

const MAX_STEPS: usize = 200;

/// Sum of squares and parameters of the best fit with only the `free` parameters not zero; `None`
/// when that has a negative parameter.
fn fit_free(points: &[(f64, f64)], free: &[usize]) -> Option<(f64, Linear)> {
    // An error in y weighs X²/N as much in X, to first order.
    let start = normal_equations(points, free, |load, throughput| {
        let weight = throughput * throughput / load;
        (weight, weight * load / throughput)
    })
    .solve(free, 0.0);
    let mean_time = points.iter().map(|point| point.0 / point.1).sum::<f64>() / points.len() as f64;
    let (mut squares, mut best) = [start, Some([mean_time, 0.0, 0.0])]
        .into_iter()
        .flatten()
        .filter_map(|linear| Some((sum_of_squares(points, &linear)?, linear)))
        .min_by(|left, right| left.0.total_cmp(&right.0))?;

    let mut damping = 1e-3;
    for _ in 0..MAX_STEPS {
        // X̂ = N/ŷ, so its derivative by y is −X̂²/N.
        let equations = normal_equations(points, free, |load, throughput| {
            let estimate = load / time(&best, load);
            let weight = estimate * estimate / load;
            (weight, estimate - throughput)
        });
        let Some(step) = equations.solve(free, damping) else { break };
        let next = [best[0] + step[0], best[1] + step[1], best[2] + step[2]];
        match sum_of_squares(points, &next) {
            Some(smaller) if smaller < squares => {
                let gain = (squares - smaller) / squares;
                (squares, best) = (smaller, next);
                damping = (damping / 10.0_f64).max(1e-12);
                if gain < 1e-14 {
                    break;
                }
            }
            _ if damping > 1e12 => break,
            _ => damping *= 10.0,
        }
    }
    (best[0] > 0.0 && best[1] >= 0.0 && best[2] >= 0.0).then_some((squares, best))
}

/// Time per unit of work, ŷ = a + b(N−1) + cN(N−1).
fn time(linear: &Linear, load: f64) -> f64 {
    linear.iter().zip(terms(load)).map(|(parameter, term)| parameter * term).sum()
}

fn terms(load: f64) -> [f64; 3] {
    [1.0, load - 1.0, load * (load - 1.0)]
}

/// Sum of squared residuals of throughput; `None` where the parameters make no sense.
fn sum_of_squares(points: &[(f64, f64)], linear: &Linear) -> Option<f64> {
    let mut squares = 0.0;
    for &(load, throughput) in points {
        let time = time(linear, load);
        if time <= 0.0 {
            return None;
        }
        squares += (throughput - load / time).powi(2);
    }
    squares.is_finite().then_some(squares)
}

/// The normal equations of a weighted linear least-squares problem in a, b, c.
struct NormalEquations {
    matrix: [[f64; 3]; 3],
    right: [f64; 3],
}

/// Collects the equations of the `free` parameters; `row` gives, for a point, the factor of its
/// terms and its right-hand side.
fn normal_equations(
    points: &[(f64, f64)],
    free: &[usize],
    row: impl Fn(f64, f64) -> (f64, f64),
) -> NormalEquations {
    let mut equations = NormalEquations { matrix: [[0.0; 3]; 3], right: [0.0; 3] };
    for &(load, throughput) in points {
        let (weight, value) = row(load, throughput);
        let scaled = terms(load).map(|term| term * weight);
        for &i in free {
            equations.right[i] += scaled[i] * value;
            for &j in free {
                equations.matrix[i][j] += scaled[i] * scaled[j];
            }
        }
    }
    equations
}

impl NormalEquations {
    /// Solves for the `free` parameters, the others 0, by Gauss–Jordan elimination with the
    /// diagonal scaled to 1 + `damping` (Marquardt, 1963). `None` when singular.
    fn solve(&self, free: &[usize], damping: f64) -> Option<Linear> {
        const SINGULAR: f64 = 1e-14;
        let scale: [f64; 3] = std::array::from_fn(|i| self.matrix[i][i].sqrt());
        let mut rows = [[0.0; 4]; 3];
        for &i in free {
            for &j in free {
                rows[i][j] = self.matrix[i][j] / (scale[i] * scale[j]);
            }
            rows[i][i] = 1.0 + damping;
            rows[i][3] = self.right[i] / scale[i];
        }
        // Symmetric and positive definite, so the diagonal serves as pivot.
        for &pivot in free {
            if rows[pivot][pivot].is_nan() || rows[pivot][pivot] < SINGULAR {
                return None;
            }
            let pivot_row = rows[pivot].map(|value| value / rows[pivot][pivot]);
            rows[pivot] = pivot_row;
            for &i in free.iter().filter(|&&i| i != pivot) {
                let factor = rows[i][pivot];
                for (value, pivot_value) in rows[i].iter_mut().zip(pivot_row) {
                    *value -= factor * pivot_value;
                }
            }
        }
        let mut solution = [0.0; 3];
        for &i in free {
            solution[i] = rows[i][3] / scale[i];
        }
        solution.iter().all(|value| value.is_finite()).then_some(solution)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn law(gamma: f64, sigma: f64, kappa: f64) -> UslFit {
        UslFit { gamma, sigma, kappa, r_squared: 1.0, residual: 0.0 }
    }

    fn points_of(law: &UslFit, loads: &[f64]) -> Vec<(f64, f64)> {
        loads.iter().map(|&load| (load, law.throughput(load))).collect()
    }

    #[test]
    fn invalid_input_has_no_fit() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (2.0, 2.1)]), None);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (3.0, bad)]), None);
            assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (bad, 3.0)]), None);
        }
    }

    #[test]
    fn bounds_hold_for_superlinear_throughput() {
        let fit = fit(&[(1.0, 1.0), (2.0, 3.0), (3.0, 6.0), (4.0, 10.0)]).unwrap();
        assert_eq!((fit.sigma, fit.kappa, fit.n_star()), (0.0, 0.0, None));
        // Best line through the origin: Σ N·X / Σ N² = 65/30.
        assert!((fit.gamma - 65.0 / 30.0).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn peak_is_at_n_star() {
        let law = law(100.0, 0.02, 1e-4);
        let peak = law.n_star().unwrap();
        assert!((peak - 98.994_949).abs() < 1e-5);
        assert!(law.throughput(peak) > law.throughput(peak + 1.0));
        assert!(law.throughput(peak) > law.throughput(peak - 1.0));
        assert_eq!(super::tests::law(1.0, 1.0, 0.1).n_star(), None);
    }

    #[test]
    fn constant_throughput_is_full_contention() {
        let fit = fit(&[(1.0, 5.0), (2.0, 5.0), (4.0, 5.0), (8.0, 5.0)]).unwrap();
        assert!((fit.gamma - 5.0).abs() < 1e-6 && (fit.sigma - 1.0).abs() < 1e-6, "{fit:?}");
    }

    proptest! {
        #[test]
        fn recovers_the_law_it_was_drawn_from(
            gamma in 1.0..1e5_f64, sigma in 0.0..0.5_f64, kappa in 0.0..0.01_f64,
        ) {
            let truth = law(gamma, sigma, kappa);
            let fit = fit(&points_of(&truth, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])).unwrap();
            prop_assert!((fit.gamma / gamma - 1.0).abs() < 1e-6, "{:?}", fit);
            prop_assert!((fit.sigma - sigma).abs() < 1e-6, "{:?}", fit);
            prop_assert!((fit.kappa - kappa).abs() < 1e-7, "{:?}", fit);
            prop_assert!(fit.r_squared > 0.999_999);
        }

        #[test]
        fn no_neighbour_fits_better(
            noise in proptest::collection::vec(0.7..1.3_f64, 8),
            sigma in 0.0..0.3_f64, kappa in 0.0..0.005_f64,
        ) {
            let loads = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 70.0, 100.0];
            let mut points = points_of(&law(50.0, sigma, kappa), &loads);
            points.iter_mut().zip(&noise).for_each(|(point, factor)| point.1 *= factor);
            let fit = fit(&points).unwrap();
            let squares = |law: &UslFit| {
                points.iter().map(|&(n, x)| (x - law.throughput(n)).powi(2)).sum::<f64>()
            };
            let least = squares(&fit);
            for direction in [-1e-3, 1e-3] {
                let gamma = UslFit { gamma: fit.gamma * (1.0 + direction), ..fit };
                let sigma = UslFit { sigma: (fit.sigma + direction).max(0.0), ..fit };
                let kappa = UslFit { kappa: (fit.kappa + direction / 100.0).max(0.0), ..fit };
                for neighbour in [gamma, sigma, kappa] {
                    prop_assert!(squares(&neighbour) >= least * (1.0 - 1e-9), "{:?}", fit);
                }
            }
        }

        #[test]
        fn never_nan(points in proptest::collection::vec(
            (prop_oneof![0.001..1e6_f64, 1.0..10.0_f64], prop_oneof![1e-9..1e12_f64, 1.0..9.0_f64]),
            3..12,
        )) {
            if let Some(fit) = fit(&points) {
                prop_assert!(fit.gamma > 0.0 && fit.sigma >= 0.0 && fit.kappa >= 0.0);
                prop_assert!(fit.r_squared <= 1.0 && fit.residual.is_finite());
                prop_assert!(fit.n_star().is_none_or(f64::is_finite));
            }
        }
    }
}
