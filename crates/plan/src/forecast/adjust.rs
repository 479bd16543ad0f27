//! Seasonal adjustment by classical decomposition: additive, with a centred moving mean as trend.

use crate::demand::days::median;

/// What each position within a period is above or below the trend; the sum is 0.
#[derive(Debug, Clone)]
pub(super) struct Seasonal {
    indices: Vec<f64>,
}

impl Seasonal {
    /// The index of position `at`, counted from the first value that it was made from.
    pub(super) fn at(&self, at: usize) -> f64 {
        if self.indices.is_empty() { 0.0 } else { self.indices[at % self.indices.len()] }
    }
}

/// `values` without their rhythm of `period`, and the rhythm. The index of a position is the median
/// over the periods, so that one odd day is not repeated. Unchanged without a period or with less
/// than two of them.
pub(super) fn adjust(values: &[f64], period: Option<usize>) -> (Vec<f64>, Seasonal) {
    let Some(period) = period.filter(|&period| period > 1 && values.len() >= 2 * period) else {
        return (values.to_vec(), Seasonal { indices: Vec::new() });
    };
    let mut sums = vec![0.0];
    for value in values {
        sums.push(sums[sums.len() - 1] + value);
    }
    let half = period / 2;
    // An even period has two halves that overlap in both ends: these count half.
    let moving_mean = |at: usize| {
        let sum = sums[at + half + 1] - sums[at - half];
        let ends =
            if period % 2 == 0 { f64::midpoint(values[at - half], values[at + half]) } else { 0.0 };
        (sum - ends) / period as f64
    };
    let mut by_position = vec![Vec::new(); period];
    for at in half..values.len() - half {
        by_position[at % period].push(values[at] - moving_mean(at));
    }
    let mut indices: Vec<f64> = by_position.iter_mut().map(|around| median(around)).collect();
    let mean = indices.iter().sum::<f64>() / period as f64;
    indices.iter_mut().for_each(|index| *index -= mean);
    let seasonal = Seasonal { indices };
    let adjusted = values.iter().enumerate().map(|(at, value)| value - seasonal.at(at));
    (adjusted.collect(), seasonal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_on_a_line_is_found_exactly() {
        for period in [4, 7] {
            let wave = |at: usize| ((at % period) as f64 - (period - 1) as f64 / 2.0).powi(3);
            let values: Vec<f64> =
                (0..period * 5).map(|at| 10.0 + 0.5 * at as f64 + wave(at)).collect();
            let (adjusted, seasonal) = adjust(&values, Some(period));
            for (at, adjusted) in adjusted.iter().enumerate() {
                assert!((adjusted - 10.0 - 0.5 * at as f64).abs() < 1e-9);
                assert!((seasonal.at(at + period) - wave(at)).abs() < 1e-9);
            }
        }
        assert_eq!(adjust(&[1.0, 2.0, 1.0], Some(2)).0, [1.0, 2.0, 1.0]);
    }
}
