//! Integrals of smooth densities by Gauss–Legendre rules on panels.

use std::f64::consts::PI;

/// Nodes per panel. A panel no wider than one standard deviation is then exact to rounding.
const NODES: usize = 12;

/// Nodes and weights of the Gauss–Legendre rule on −1..1: roots of the Legendre polynomial by
/// Newton's method.
pub(crate) struct GaussLegendre([(f64, f64); NODES]);

impl GaussLegendre {
    pub(crate) fn new() -> Self {
        let n = NODES as f64;
        let mut rule = [(0.0, 0.0); NODES];
        for (i, slot) in rule.iter_mut().enumerate() {
            let mut x = (PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 1.0;
            // Newton's method doubles the digits of a start that has four.
            for _ in 0..6 {
                let (mut previous, mut value) = (1.0, x);
                for k in 2..=NODES {
                    let k = k as f64;
                    (previous, value) =
                        (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * previous) / k);
                }
                slope = n * (x * value - previous) / (x * x - 1.0);
                x -= value / slope;
            }
            *slot = (x, 2.0 / ((1.0 - x * x) * slope * slope));
        }
        Self(rule)
    }

    /// Nodes within `low`..`high` with their weights.
    pub(crate) fn nodes(&self, low: f64, high: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let (centre, half) = (f64::midpoint(low, high), (high - low) / 2.0);
        self.0.iter().map(move |&(x, weight)| (centre + half * x, half * weight))
    }

    /// ∫ f from `low` to `high`.
    pub(crate) fn integral(&self, low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes(low, high).map(|(x, weight)| weight * f(x)).sum()
    }
}

/// A probability density of one unknown, up to a factor, with the places where it must be cut into panels.
pub(crate) struct Density<'a> {
    pub(crate) pdf: Box<dyn Fn(f64) -> f64 + 'a>,
    pub(crate) breaks: Vec<f64>,
}

impl Density<'_> {
    /// Breaks every standard deviation around the centre and, for tails that fall more slowly than
    /// the normal ones, in steps of `tail` on either side.
    pub(crate) fn breaks(centre: f64, deviation: f64, tails: [f64; 2]) -> Vec<f64> {
        let mut breaks: Vec<f64> =
            (-9..=9).map(|step| centre + f64::from(step) * deviation).collect();
        for step in 1..=8 {
            let step = f64::from(step);
            breaks.push(centre - 9.0 * deviation - step * tails[0]);
            breaks.push(centre + 9.0 * deviation + step * tails[1]);
        }
        breaks
    }
}

/// Densities and distribution functions of several unknowns at common nodes.
pub(crate) struct Table {
    /// Place and weight of each node.
    pub(crate) nodes: Vec<(f64, f64)>,
    /// Density of each unknown at each node.
    pub(crate) pdf: Vec<Vec<f64>>,
    /// Probability that each unknown is below each node.
    pub(crate) cdf: Vec<Vec<f64>>,
}

impl Table {
    pub(crate) fn new(densities: &[Density<'_>]) -> Self {
        let rule = GaussLegendre::new();
        let mut breaks: Vec<f64> = densities.iter().flat_map(|d| d.breaks.clone()).collect();
        breaks.sort_unstable_by(f64::total_cmp);
        breaks.dedup();
        let panels = || breaks.windows(2).map(|ends| (ends[0], ends[1]));
        let nodes: Vec<(f64, f64)> =
            panels().flat_map(|(low, high)| rule.nodes(low, high).collect::<Vec<_>>()).collect();
        let mut table = Self { nodes, pdf: Vec::new(), cdf: Vec::new() };
        for density in densities {
            let pdf: Vec<f64> = table.nodes.iter().map(|&(x, _)| (density.pdf)(x)).collect();
            let mut cdf = Vec::with_capacity(pdf.len());
            let mut below = 0.0;
            let values = table.nodes.chunks(NODES).zip(pdf.chunks(NODES));
            for ((low, _), (nodes, values)) in panels().zip(values) {
                let mut inside = 0.0;
                for (&(x, weight), value) in nodes.iter().zip(values) {
                    inside += weight * value;
                    cdf.push(below + rule.integral(low, x, &density.pdf));
                }
                below += inside;
            }
            // `below` is the whole by now.
            table.pdf.push(pdf.into_iter().map(|p| p / below).collect());
            table.cdf.push(cdf.into_iter().map(|p| (p / below).clamp(0.0, 1.0)).collect());
        }
        table
    }

    /// Probability of each unknown to be the greatest; they sum to 1.
    pub(crate) fn greatest(&self) -> Vec<f64> {
        self.first(|cdf| cdf)
    }

    /// Probability of each unknown to be the least; they sum to 1.
    pub(crate) fn least(&self) -> Vec<f64> {
        self.first(|cdf| 1.0 - cdf)
    }

    fn first(&self, beats: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut wins: Vec<f64> = (0..self.pdf.len())
            .map(|arm| {
                let others = |k: usize| {
                    let product: f64 = self
                        .cdf
                        .iter()
                        .enumerate()
                        .filter(|(other, _)| *other != arm)
                        .map(|(_, cdf)| beats(cdf[k]))
                        .product();
                    product
                };
                let pdf = &self.pdf[arm];
                (0..self.nodes.len()).map(|k| self.nodes[k].1 * pdf[k] * others(k)).sum()
            })
            .collect();
        let total: f64 = wins.iter().sum();
        wins.iter_mut().for_each(|win| *win /= total);
        wins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tails::{normal_cdf, normal_pdf};

    #[test]
    fn rule_is_exact_for_polynomials() {
        let rule = GaussLegendre::new();
        let integral = rule.integral(-1.0, 3.0, |x| x.powi(2 * NODES as i32 - 1));
        let exact = (3.0_f64.powi(2 * NODES as i32) - 1.0) / (2.0 * NODES as f64);
        assert!((integral / exact - 1.0).abs() < 1e-12);
    }

    #[test]
    fn table_holds_distribution_functions() {
        let normal = |mean: f64, deviation: f64| Density {
            pdf: Box::new(move |x| normal_pdf((x - mean) / deviation) / deviation),
            breaks: Density::breaks(mean, deviation, [0.0; 2]),
        };
        let table = Table::new(&[normal(0.0, 1.0), normal(1.0, 0.01), normal(-4.0, 30.0)]);
        for (&(x, _), &below) in table.nodes.iter().zip(&table.cdf[0]) {
            assert!((below - normal_cdf(x)).abs() < 1e-10, "{x}");
        }
        let [greatest, least] = [table.greatest(), table.least()];
        assert!((greatest.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(greatest[2] < least[2]);
    }
}
