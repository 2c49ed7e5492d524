//! Pearson's and Spearman's correlation, with two-sided p values.
//!
//! p is that of Student's t with n − 2 degrees of freedom: exact for Pearson on normal data, SciPy's choice for
//! Spearman. Ties have average ranks. Correlations that are not defined (a constant, a NaN, fewer than three points)
//! are NaN.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A correlation and how likely one at least as strong is by chance.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Correlation {
    pub r: f64,
    pub p: f64,
}

/// Pearson's product-moment correlation.
///
/// # Panics
/// Where the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Correlation {
    let r = product_moment(x, y);
    Correlation { r, p: two_sided(r, x.len()) }
}

/// Spearman's rank correlation: Pearson's over average ranks.
///
/// # Panics
/// Where the lengths differ.
pub fn spearman(x: &[f64], y: &[f64]) -> Correlation {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return Correlation { r: f64::NAN, p: f64::NAN };
    }
    pearson(&average_ranks(x), &average_ranks(y))
}

/// Ranks from 1; equal values share the mean of theirs.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = below as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &i in tied {
            ranks[i] = mean;
        }
        below += tied.len();
    }
    ranks
}

fn product_moment(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "a correlation is of pairs");
    if x.len() < 3 {
        return f64::NAN;
    }
    let (dx, dy) = (centred(x), centred(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // One root of the product, not two roots: a perfect relation is then exactly 1.
    let norm = (dot(&dx, &dx) * dot(&dy, &dy)).sqrt();
    if norm == 0.0 { f64::NAN } else { (dot(&dx, &dy) / norm).clamp(-1.0, 1.0) }
}

fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

fn two_sided(r: f64, n: usize) -> f64 {
    if r.is_nan() || r.abs() == 1.0 {
        return if r.is_nan() { f64::NAN } else { 0.0 };
    }
    let freedom = n as f64 - 2.0;
    let t = r.abs() * (freedom / ((1.0 - r) * (1.0 + r))).sqrt();
    let student = StudentsT::new(0.0, 1.0, freedom).expect("three points or more have a degree of freedom");
    2.0 * student.sf(t)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn floats(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn numbers_are_scipys() {
        let fixture: Value = serde_json::from_str(include_str!("../fixtures/correlation.json")).unwrap();
        let cases = fixture["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let (x, y) = (floats(&case["x"]), floats(&case["y"]));
            for (name, found) in [("pearson", pearson(&x, &y)), ("spearman", spearman(&x, &y))] {
                let (r, p) = (case[name]["r"].as_f64().unwrap(), case[name]["p"].as_f64().unwrap());
                assert!((found.r - r).abs() < 1e-12, "{}: {name} {found:?}, SciPy {r}", case["name"]);
                assert!((found.p - p).abs() < 1e-9 * p.max(1e-3), "{}: {name} {found:?}, SciPy {p}", case["name"]);
            }
        }
    }

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(average_ranks(&[30.0, 10.0, 20.0, 20.0]), [4.0, 1.0, 2.5, 2.5]);
        assert_eq!(average_ranks(&[0.0, -0.0]), [1.5, 1.5]);
    }

    #[test]
    fn what_is_not_defined_is_nan_and_a_perfect_relation_is_certain() {
        for undefined in [pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), spearman(&[1.0, 2.0], &[1.0, 2.0])] {
            assert!(undefined.r.is_nan() && undefined.p.is_nan());
        }
        assert!(spearman(&[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0]).r.is_nan());
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[8.0, 6.0, 4.0, 2.0]), Correlation { r: -1.0, p: 0.0 });
    }
}
