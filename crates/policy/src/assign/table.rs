//! Integer buckets owned by variants.

/// Half-open ranges of buckets, each owned by a variant; buckets may be left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Start, end and variant, in order, without overlap.
    ranges: Vec<(u32, u32, u16)>,
}

impl Table {
    /// Divides `space` buckets by weight, cumulatively and rounded down, so that every bucket has
    /// an owner and no share is off by more than one bucket. Without weights nobody owns any.
    #[must_use]
    pub fn from_weights(space: u32, weights: &[u32]) -> Table {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut ranges = Vec::with_capacity(weights.len());
        let (mut sum, mut start) = (0, 0);
        for (weight, variant) in weights.iter().zip(0..) {
            sum += u64::from(*weight);
            // At most `space`.
            let end = (u128::from(sum) * u128::from(space) / u128::from(total.max(1))) as u32;
            if end > start {
                ranges.push((start, end, variant));
            }
            start = end;
        }
        Table { ranges }
    }

    /// Ranges as fractions of `space`, rounded to whole buckets: for each variant its half-open
    /// ranges. `None` when two overlap or one is not within 0 to 1.
    #[must_use]
    pub fn from_ranges(space: u32, of_variants: &[Vec<[f64; 2]>]) -> Option<Table> {
        let mut ranges = Vec::new();
        for (of_variant, variant) in of_variants.iter().zip(0..) {
            for [start, end] in of_variant {
                if !(0.0..=1.0).contains(start) || !(*start..=1.0).contains(end) {
                    return None;
                }
                let whole = |fraction: &f64| (fraction * f64::from(space)).round() as u32;
                ranges.push((whole(start), whole(end), variant));
            }
        }
        ranges.retain(|(start, end, _)| start < end);
        ranges.sort_unstable();
        let apart = ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        apart.then_some(Table { ranges })
    }

    /// Who owns a bucket.
    #[must_use]
    pub fn get(&self, bucket: u32) -> Option<u16> {
        let after = self.ranges.partition_point(|&(start, ..)| start <= bucket);
        let (_, end, variant) = self.ranges.get(after.checked_sub(1)?)?;
        (bucket < *end).then_some(*variant)
    }

    /// Start, end and variant of every range, in order.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32, u16)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_divide_every_bucket() {
        let table = Table::from_weights(1_000_000, &[1, 0, 1, 1]);
        assert_eq!(
            table.ranges(),
            [(0, 333_333, 0), (333_333, 666_666, 2), (666_666, 1_000_000, 3)]
        );
        assert_eq!(table.get(333_332), Some(0));
        assert_eq!(table.get(333_333), Some(2));
        assert_eq!(table.get(999_999), Some(3));
        assert_eq!(table.get(1_000_000), None);
        let largest = Table::from_weights(1_000_000, &[u32::MAX; 50]);
        assert_eq!(largest.ranges().last(), Some(&(980_000, 1_000_000, 49)));
        assert_eq!(Table::from_weights(10, &[0, 0]).ranges(), []);
    }

    #[test]
    fn ranges_may_leave_gaps_but_not_overlap() {
        let table =
            Table::from_ranges(1000, &[vec![[0.5, 0.6], [0.0, 0.1]], vec![[0.1, 0.2]]]).unwrap();
        assert_eq!(table.ranges(), [(0, 100, 0), (100, 200, 1), (500, 600, 0)]);
        assert_eq!(table.get(200), None);
        assert_eq!(table.get(599), Some(0));
        assert_eq!(Table::from_ranges(1000, &[vec![[0.0, 0.2]], vec![[0.1, 0.3]]]), None);
        for bad in [[-0.1, 0.2], [0.3, 0.2], [0.0, 1.1], [f64::NAN, 1.0], [0.0, f64::NAN]] {
            assert_eq!(Table::from_ranges(1000, &[vec![bad]]), None, "{bad:?}");
        }
    }
}
