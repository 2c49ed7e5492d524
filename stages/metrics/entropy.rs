//! How evenly a weight is spread.

/// The entropy of weights that need not add up to 1, divided by the largest that as many as are not zero can have: from
/// 0 (all on one) to 1 (spread evenly); 0 where at most one is not zero.
pub fn relative_entropy(weights: &[f32]) -> f64 {
    let whole: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let shares: Vec<f64> = weights.iter().filter(|w| **w != 0.0).map(|w| f64::from(*w) / whole).collect();
    if shares.len() < 2 {
        return 0.0;
    }
    -shares.iter().map(|p| p * p.ln()).sum::<f64>() / (shares.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_weights_have_all_of_it() {
        assert!((relative_entropy(&[0.2, 0.2, 0.0, 0.2]) - 1.0).abs() < 1e-12);
        assert_eq!(relative_entropy(&[0.0, 3.0]), 0.0);
        assert_eq!(relative_entropy(&[]), 0.0);
        // H(¾, ¼) = 2 − ¾ log₂ 3 bits, of 1 that two can have.
        assert!((relative_entropy(&[3.0, 1.0]) - (2.0 - 0.75 * 3f64.log2())).abs() < 1e-7);
    }
}
