//! Holm's correction for several tests (S. Holm, 1979: A simple sequentially rejective multiple
//! test procedure).

/// Adjusted p-values, in the order given: each may be compared with the error rate of the whole
/// family. The i-th smallest of m becomes the largest (m − j + 1)·p₍ⱼ₎ of all j ≤ i, at most 1.
pub(super) fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (before, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - before) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_p_adjust_of_r() {
        // p.adjust(c(0.01, 0.04, 0.03, 0.005), method = "holm")
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (adjusted, expected) in adjusted(&[0.01, 0.04, 0.03, 0.005]).iter().zip(expected) {
            assert!((adjusted - expected).abs() < 1e-12, "{adjusted} {expected}");
        }
        assert!(adjusted(&[]).is_empty());
        assert_eq!(adjusted(&[0.8, 0.9]), [1.0, 1.0]);
    }
}
