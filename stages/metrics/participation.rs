//! How many directions a set of vectors takes.

use ndarray::ArrayView2;

/// Below this total of squares there is nothing to measure.
const NOTHING: f64 = 1e-10;

/// tr(G)² / ‖G‖² with G = X Xᵀ of the rows of X, uncentred: 1 where all point the same way, n where n rows of equal
/// length are orthogonal. NaN where tr(G) < 1e-10, or of fewer than two rows.
pub fn participation_ratio(x: ArrayView2<f32>) -> f64 {
    let x = x.mapv(f64::from);
    let gram = x.dot(&x.t()); // [row, row]
    let trace = gram.diag().sum();
    if x.nrows() < 2 || trace.is_nan() || trace < NOTHING {
        return f64::NAN;
    }
    trace * trace / gram.iter().map(|g| g * g).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn it_counts_directions() {
        let ratio = |x: ndarray::Array2<f32>| participation_ratio(x.view());
        assert_eq!(ratio(array![[2.0, 0.0], [0.0, 2.0]]), 2.0);
        assert_eq!(ratio(array![[1.0, 1.0], [3.0, 3.0], [-2.0, -2.0]]), 1.0);
        // G = [[1, 1], [1, 2]]: tr² = 9, ‖G‖² = 7.
        assert!((ratio(array![[1.0, 0.0], [1.0, 1.0]]) - 9.0 / 7.0).abs() < 1e-12);
        assert!(ratio(array![[1.0, 0.0]]).is_nan(), "one row");
        assert!(ratio(array![[1e-6, 0.0], [0.0, 1e-6]]).is_nan(), "nothing to measure");
        assert!(ratio(array![[f32::NAN, 0.0], [0.0, 1.0]]).is_nan());
    }
}
