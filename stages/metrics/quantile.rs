//! Quantiles, as NumPy's default has them.

/// The value below which the part `q` of `values` lies, linear between neighbours (Hyndman and Fan's type 7). Empty
/// columns have none, and a NaN among them spreads.
///
/// # Panics
/// Where `q` is not from 0 to 1.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    assert!((0.0..=1.0).contains(&q), "a quantile's part is from 0 to 1");
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * (sorted.len() - 1) as f64;
    let (low, part) = (sorted[place as usize], place.fract());
    let high = sorted[(place as usize + 1).min(sorted.len() - 1)];
    match part {
        0.0 => low,
        // From the nearer end, so that the result is monotonic in q.
        part if part < 0.5 => low + (high - low) * part,
        part => high - (high - low) * (1.0 - part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::reference_tests::{close, each, floats};

    #[test]
    fn numbers_are_numpys() {
        each("quantile", |case| {
            let expected = floats(&case["value"]);
            for (q, expected) in floats(&case["q"]).into_iter().zip(expected) {
                close(quantile(&floats(&case["x"]), q), expected, 1e-14);
            }
        });
    }

    #[test]
    fn nothing_has_none_and_infinity_is_a_value() {
        assert!(quantile(&[], 0.5).is_nan() && quantile(&[1.0, f64::NAN], 0.0).is_nan());
        assert_eq!(quantile(&[1.0, f64::INFINITY], 0.0), 1.0);
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }
}
