//! How far apart two distributions are.

/// The Jensen–Shannon distance of two lists of weights, each of which is made to add up to 1: the root of the mean
/// divergence from their mean, natural logarithm. From 0 to √ln 2; NaN where weights add up to nothing.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let (all_p, all_q) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
    // x ln(x / y), and 0 where x is 0.
    let part = |x: f64, y: f64| if x == 0.0 { 0.0 } else { x * (x / y).ln() };
    let divergence: f64 = p
        .iter()
        .zip(q)
        .map(|(p, q)| {
            let (p, q) = (p / all_p, q / all_q);
            let middle = 0.5 * (p + q);
            part(p, middle) + part(q, middle)
        })
        .sum();
    (0.5 * divergence.clamp(0.0, f64::INFINITY)).sqrt() // not `max`, which hides a NaN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.spatial.distance.jensenshannon`, SciPy 1.17.
    #[test]
    fn as_scipy_has_it() {
        let cases: [(&[f64], &[f64], f64); 4] = [
            (&[0.5, 0.5, 0.0], &[0.1, 0.4, 0.5], 0.498_844_773_883_879_04),
            (&[3.0, 1.0, 0.0, 4.0], &[1.0; 4], 0.353_258_849_788_254_34),
            (&[1.0, 0.0], &[0.0, 1.0], 0.832_554_611_157_697_7),
            (&[2.0, 1.0, 1.0], &[2.0, 1.0, 1.0], 0.0),
        ];
        for (p, q, expected) in cases {
            assert!((jensen_shannon(p, q) - expected).abs() < 1e-12, "{p:?} {q:?}");
        }
    }

    #[test]
    fn nothing_has_no_distance() {
        assert!(jensen_shannon(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
    }
}
