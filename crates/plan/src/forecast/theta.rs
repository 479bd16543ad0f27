//! The Theta method (Assimakopoulos & Nikolopoulos, 2000), as simple exponential smoothing with half
//! the slope of a straight line as drift (Hyndman & Billah, 2003).

use super::adjust::adjust;
use super::grid::Grid;

/// Bounds of the smoothing parameter, those of R's `forecast`.
const ALPHA: (f64, f64) = (1e-4, 1.0 - 1e-4);

/// Points at which the sum of squares is looked at first.
const SCAN: usize = 100;

/// Most minima among them that are looked at closely, those of the smallest parameters.
const MINIMA_MAX: usize = 5;

/// Golden sections around each.
const SECTIONS: usize = 30;

/// Theta of the seasonally adjusted values, the rhythm added again.
pub(super) fn forecast(grid: &Grid, cells: usize) -> Vec<f64> {
    let (adjusted, seasonal) = adjust(&grid.rates, grid.season());
    let n = adjusted.len();
    theta(&adjusted, cells)
        .into_iter()
        .enumerate()
        .map(|(ahead, value)| value + seasonal.at(n + ahead))
        .collect()
}

/// The `ahead` values after `values`: level + slope/2·(h − 1 + (1 − (1−α)ⁿ)/α), h from 1 on.
fn theta(values: &[f64], ahead: usize) -> Vec<f64> {
    let Ses { alpha, level, .. } = Ses::fit(values);
    let n = values.len() as f64;
    let drift = slope(values) / 2.0;
    let lag = (1.0 - (1.0 - alpha).powf(n)) / alpha;
    (0..ahead).map(|h| level + drift * (h as f64 + lag)).collect()
}

/// Slope of the least-squares line through `values`, per value; 0 for fewer than two.
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let products: f64 = values.iter().enumerate().map(|(at, y)| (at as f64 - middle) * y).sum();
    let squares = n * (n * n - 1.0) / 12.0;
    if squares > 0.0 { products / squares } else { 0.0 }
}

/// Simple exponential smoothing.
#[derive(Debug, Clone, Copy)]
struct Ses {
    alpha: f64,
    /// Level after the last value.
    level: f64,
    /// Sum of the squared errors of the forecasts of one value ahead.
    squares: f64,
}

impl Ses {
    /// With the parameter and the first level that make the sum of squares least. As there may be
    /// several minima, each that a scan of the parameter shows is looked at closely.
    fn fit(values: &[f64]) -> Self {
        let at = |share: f64| Self::with(values, ALPHA.0 + (ALPHA.1 - ALPHA.0) * share);
        let scan: Vec<Self> = (0..=SCAN).map(|point| at(point as f64 / SCAN as f64)).collect();
        let least = |point: &usize| {
            let squares = |point: usize| scan.get(point).map_or(f64::INFINITY, |ses| ses.squares);
            let before = point.checked_sub(1).map_or(f64::INFINITY, squares);
            squares(*point) <= before.min(squares(point + 1))
        };
        let closer = |point: usize| {
            let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
            let mut low = point.saturating_sub(1) as f64 / SCAN as f64;
            let mut high = (point + 1).min(SCAN) as f64 / SCAN as f64;
            for _ in 0..SECTIONS {
                let (left, right) = (high - golden * (high - low), low + golden * (high - low));
                if at(left).squares < at(right).squares { high = right } else { low = left }
            }
            at(f64::midpoint(low, high))
        };
        let minima = (0..=SCAN).filter(least).take(MINIMA_MAX).map(closer);
        // The ends of the scan are not reached by sections.
        let all = minima.chain(scan.iter().copied());
        all.min_by(|a, b| a.squares.total_cmp(&b.squares)).unwrap_or_else(|| at(0.0))
    }

    /// With the first level that makes the sum of squares least. An error is e − l·s, where e is the
    /// error from a first level of 0, s = (1−α)ᵗ and l the first level; so l = Σes/Σs².
    fn with(values: &[f64], alpha: f64) -> Self {
        let (mut level, mut share) = (0.0, 1.0);
        let (mut ee, mut es, mut ss) = (0.0, 0.0, 0.0);
        for value in values {
            let error = value - level;
            (ee, es, ss) = (ee + error * error, es + error * share, ss + share * share);
            level += alpha * error;
            share *= 1.0 - alpha;
        }
        let first = if ss > 0.0 { es / ss } else { 0.0 };
        Self { alpha, level: level + first * share, squares: (ee - es * first).max(0.0) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Flow of the Nile at Aswan, 1871 to 1970, in 10⁸ m³ (Cobb, 1978).
    #[rustfmt::skip]
    pub(in crate::forecast) const NILE: [f64; 100] = [
        1120.0, 1160.0, 963.0, 1210.0, 1160.0, 1160.0, 813.0, 1230.0, 1370.0, 1140.0, 995.0, 935.0,
        1110.0, 994.0, 1020.0, 960.0, 1180.0, 799.0, 958.0, 1140.0, 1100.0, 1210.0, 1150.0, 1250.0,
        1260.0, 1220.0, 1030.0, 1100.0, 774.0, 840.0, 874.0, 694.0, 940.0, 833.0, 701.0, 916.0,
        692.0, 1020.0, 1050.0, 969.0, 831.0, 726.0, 456.0, 824.0, 702.0, 1120.0, 1100.0, 832.0,
        764.0, 821.0, 768.0, 845.0, 864.0, 862.0, 698.0, 845.0, 744.0, 796.0, 1040.0, 759.0,
        781.0, 865.0, 845.0, 944.0, 984.0, 897.0, 822.0, 1010.0, 771.0, 676.0, 649.0, 846.0,
        812.0, 742.0, 801.0, 1040.0, 860.0, 874.0, 848.0, 890.0, 744.0, 749.0, 838.0, 1050.0,
        918.0, 986.0, 797.0, 923.0, 975.0, 815.0, 1020.0, 906.0, 901.0, 1170.0, 912.0, 746.0,
        919.0, 718.0, 714.0, 740.0,
    ];

    /// statsmodels 0.15.0, `SimpleExpSmoothing(y, initialization_method="estimated")`: α = 0.245729,
    /// first level 1110.755, squares 2038674.432, forecast 805.3161; and half of numpy's slope added
    /// by the formula. Its `ThetaModel(y, deseasonalize=False)`, which fits α = 0.246542 with another
    /// first level, says 799.5394.
    #[test]
    fn the_nile() {
        let ses = Ses::fit(&NILE);
        assert!((ses.alpha - 0.245_729).abs() < 2e-4, "{ses:?}");
        assert!((ses.level - 805.3161).abs() < 0.05 && ses.squares < 2_038_674.433, "{ses:?}");
        assert!((slope(&NILE) + 2.714_305_430_543_06).abs() < 1e-9);
        let ahead = theta(&NILE, 5);
        let expected = [799.7931, 798.4360, 797.0788, 795.7217, 794.3645];
        for (value, expected) in ahead.iter().zip(expected) {
            assert!((value - expected).abs() < 0.05, "{ahead:?}");
        }
        assert!((ahead[0] - 799.5394).abs() < 0.3);
    }

    proptest! {
        /// The method is half the sum of the line of theta 0 (a straight line) and of simple
        /// exponential smoothing of the line of theta 2.
        #[test]
        fn half_the_sum_of_two_theta_lines(
            values in prop::collection::vec(0.0..100.0_f64, 5..60), alpha in 0.05..0.95_f64,
        ) {
            let n = values.len();
            let b = slope(&values);
            let mean = values.iter().sum::<f64>() / n as f64;
            let line = |at: f64| mean + b * (at - (n as f64 - 1.0) / 2.0);
            let smoothed = |values: &[f64], first: f64| {
                values.iter().fold(first, |level, value| level + alpha * (value - level))
            };
            // Theta 2 is twice the values less the line, and so is its first level.
            let doubled: Vec<f64> =
                values.iter().enumerate().map(|(at, y)| 2.0 * y - line(at as f64)).collect();
            let first = 40.0;
            let two = smoothed(&doubled, 2.0 * first - line(0.0));
            let level = smoothed(&values, first);
            let lag = (1.0 - (1.0 - alpha).powf(n as f64)) / alpha;
            for h in 0..5 {
                let halves = f64::midpoint(line((n + h) as f64), two);
                let drift = level + b / 2.0 * (h as f64 + lag);
                prop_assert!((halves - drift).abs() < 1e-7, "{halves} {drift}");
            }
        }

        /// No other parameter does better.
        #[test]
        fn the_fit_is_the_least(values in prop::collection::vec(0.0..100.0_f64, 5..60)) {
            let best = Ses::fit(&values);
            for point in 0..=1000 {
                let alpha = ALPHA.0 + (ALPHA.1 - ALPHA.0) * f64::from(point) / 1000.0;
                let other = Ses::with(&values, alpha);
                prop_assert!(best.squares <= other.squares * (1.0 + 1e-7) + 1e-9);
            }
        }
    }

    #[test]
    fn a_line_goes_on_with_half_its_slope_at_least() {
        let line: Vec<f64> = (0..50).map(|at| 3.0 + 2.0 * f64::from(at)).collect();
        assert!((slope(&line) - 2.0).abs() < 1e-12);
        let ahead = theta(&line, 3);
        assert!((ahead[1] - ahead[0] - 1.0).abs() < 1e-9 && ahead[0] > 101.0, "{ahead:?}");
        assert_eq!(theta(&[7.0], 2), [7.0, 7.0]);
    }
}
