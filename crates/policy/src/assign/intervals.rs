//! Real intervals owned by variants, for systems that compare floating-point numbers.

/// Half-open intervals in the order in which they are tried.
#[derive(Debug, Clone)]
pub(super) struct Intervals(Vec<(f64, f64, u16)>);

impl Intervals {
    /// Variants one after the other, each as long as `length` says. The sums are rounded as
    /// `start + length` is, one after the other.
    pub(super) fn stacked(lengths: impl Iterator<Item = f64>) -> Intervals {
        let mut end = 0.0;
        let next = |(length, variant): (f64, u16)| {
            let start = end;
            end += length;
            (start, end, variant)
        };
        Intervals(lengths.zip(0..).map(next).collect())
    }

    /// The given ranges of each variant, times `scale`.
    pub(super) fn given(of_variants: &[Vec<[f64; 2]>], scale: f64) -> Intervals {
        let each = of_variants.iter().zip(0..).flat_map(|(ranges, variant)| {
            ranges.iter().map(move |[start, end]| (start * scale, end * scale, variant))
        });
        Intervals(each.collect())
    }

    /// The first variant whose interval has the point.
    pub(super) fn get(&self, point: f64) -> Option<u16> {
        let hit = self.0.iter().find(|(start, end, _)| *start <= point && point < *end);
        hit.map(|&(_, _, variant)| variant)
    }
}

/// A weight as a share of `whole`: exact when the weights sum to `whole`.
pub(super) fn shares(weights: &[u32], whole: f64) -> impl Iterator<Item = f64> + '_ {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    weights.iter().map(move |&weight| f64::from(weight) * whole / total)
}
