//! The slope of a series, place by place.

/// Central differences of `values`, one-sided at the ends, as `numpy.gradient` with unit spacing. A series of one value
/// has no slope: NaN.
pub fn gradient(values: &[f64]) -> Vec<f64> {
    let last = values.len().saturating_sub(1);
    let slope = |at: usize| match at {
        _ if last == 0 => f64::NAN,
        0 => values[1] - values[0],
        at if at == last => values[last] - values[last - 1],
        at => (values[at + 1] - values[at - 1]) / 2.0,
    };
    (0..values.len()).map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::reference_tests::{close, each, floats};

    #[test]
    fn numbers_are_numpys() {
        each("gradient", |case| {
            let (found, expected) = (gradient(&floats(&case["x"])), floats(&case["value"]));
            assert_eq!(found.len(), expected.len());
            found.into_iter().zip(expected).for_each(|(found, expected)| close(found, expected, 1e-15));
        });
    }

    #[test]
    fn one_value_has_no_slope() {
        assert!(gradient(&[3.0])[0].is_nan());
        assert!(gradient(&[]).is_empty());
    }
}
