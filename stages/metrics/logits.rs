//! Logits: how likely tokens are, and which are the most likely.

use ndarray::ArrayView1;

/// The logarithm of the sum of exponentials: what turns logits into logarithms of probabilities.
pub fn log_sum_exp(logits: ArrayView1<f32>) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(largest) + logits.iter().map(|x| f64::from(x - largest).exp()).sum::<f64>().ln()
}

/// The places of the `k` largest numbers, the largest first; of equals, the first. NaN is none of them.
pub fn largest(logits: ArrayView1<f32>, k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|i| !logits[*i].is_nan()).collect();
    let larger = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if order.len() > k {
        order.select_nth_unstable_by(k, larger);
        order.truncate(k);
    }
    order.sort_unstable_by(larger);
    order
}

/// The place of a token among all, the most likely first, counted from 1: how many are more likely, and one.
pub fn rank(logits: ArrayView1<f32>, token: usize) -> usize {
    1 + logits.iter().filter(|logit| **logit > logits[token]).count()
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    #[test]
    fn shares_of_two_tokens() {
        // e⁰ + e^ln 3 = 4
        let logits = arr1(&[0.0, 3f32.ln()]);
        assert!((log_sum_exp(logits.view()) - 4f64.ln()).abs() < 1e-7);
        // no overflow
        assert!((log_sum_exp(arr1(&[1000.0, 1000.0]).view()) - (1000.0 + 2f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn the_largest_come_first_and_of_equals_the_first() {
        let logits = arr1(&[1.0, 5.0, f32::NAN, 5.0, 4.0]);
        assert_eq!(largest(logits.view(), 3), [1, 3, 4]);
        assert_eq!(largest(logits.view(), 9), [1, 3, 4, 0]);
        assert_eq!([0, 1, 3, 4].map(|token| rank(logits.view(), token)), [4, 1, 1, 3]);
    }
}
