//! How different heads are from one another, by a number for each head in each layer (the entropy of what it attends
//! to, say).
//!
//! Two heads are alike where their numbers rise and fall together from layer to layer. A head's place in its layer is
//! taken for its identity across layers, which nothing in a transformer makes it: whoever uses the index should relabel
//! heads at random and look at what is left of it.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// What is said of a profile `[layer, head]`. What is not defined is NaN.
#[derive(Clone, PartialEq, Debug)]
pub struct Specialization {
    /// The variance over heads (ddof 0) in each layer, and its mean over layers.
    pub layer_variances: Vec<f64>,
    pub mean_head_variance: f64,
    /// `[head, head]`: Pearson's correlation over layers; NaN with a head that is the same in all of them.
    pub correlation: Array2<f64>,
    /// The mean of the upper triangle, without NaN.
    pub mean_head_correlation: f64,
    /// 1 − the mean correlation.
    pub specialization_index: f64,
    /// 2^H, with H the entropy in bits of the heads' shares: their means over layers, normalised.
    pub effective_heads: f64,
    /// The effective heads, as a part of all.
    pub effective_ratio: f64,
}

/// Everything that is said of a profile `[layer, head]`.
pub fn specialization(profile: ArrayView2<f64>) -> Specialization {
    let layer_variances: Vec<f64> = profile.rows().into_iter().map(|heads| heads.var(0.0)).collect();
    let correlation = correlation(profile);
    let mean_head_correlation = mean_above_diagonal(&correlation);
    let effective_heads = effective_heads(profile);
    Specialization {
        mean_head_variance: layer_variances.iter().sum::<f64>() / layer_variances.len() as f64,
        layer_variances,
        correlation,
        mean_head_correlation,
        specialization_index: 1.0 - mean_head_correlation,
        effective_heads,
        effective_ratio: effective_heads / profile.ncols() as f64,
    }
}

/// The specialization index of a profile `[layer, head]`, alone.
pub fn index(profile: ArrayView2<f64>) -> f64 {
    1.0 - mean_above_diagonal(&correlation(profile))
}

/// `[head, head]`
fn correlation(profile: ArrayView2<f64>) -> Array2<f64> {
    if profile.nrows() < 2 {
        return Array2::from_elem((profile.ncols(), profile.ncols()), f64::NAN);
    }
    let mut directions = profile.to_owned(); // [layer, head], each column centred and of length 1
    for mut head in directions.columns_mut() {
        let direction = direction(head.view());
        head.assign(&direction);
    }
    directions.t().dot(&directions).mapv(|r: f64| r.clamp(-1.0, 1.0))
}

/// A head's numbers, centred and of length 1; NaN where they are all the same, or one of them is NaN.
fn direction(head: ArrayView1<f64>) -> Array1<f64> {
    let first = head.first().copied().unwrap_or(f64::NAN);
    if head.iter().all(|value| *value == first) {
        return Array1::from_elem(head.len(), f64::NAN);
    }
    let centred = &head - head.mean().unwrap_or(f64::NAN);
    let length = centred.dot(&centred).sqrt();
    centred / length
}

fn mean_above_diagonal(matrix: &Array2<f64>) -> f64 {
    let above = matrix.indexed_iter().filter(|((row, column), r)| row < column && !r.is_nan());
    let (count, sum) = above.fold((0_usize, 0.0), |(count, sum), (_, r)| (count + 1, sum + r));
    if count == 0 { f64::NAN } else { sum / count as f64 }
}

fn effective_heads(profile: ArrayView2<f64>) -> f64 {
    let Some(means) = profile.mean_axis(Axis(0)) else { return f64::NAN };
    let whole = means.sum();
    if means.iter().any(|mean| mean.is_nan() || *mean < 0.0) || whole <= 0.0 {
        return f64::NAN; // no shares of anything
    }
    let bits: f64 = means.iter().map(|mean| mean / whole).filter(|share| *share > 0.0).map(|p| -p * p.log2()).sum();
    bits.exp2()
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use serde_json::Value;

    use super::*;

    fn matrix(value: &Value) -> Array2<f64> {
        let rows: Vec<Vec<Option<f64>>> = serde_json::from_value(value.clone()).unwrap();
        let shape = (rows.len(), rows[0].len());
        let numbers = rows.into_iter().flatten().map(|number| number.unwrap_or(f64::NAN)).collect();
        Array2::from_shape_vec(shape, numbers).unwrap()
    }

    /// Equal within `tolerance`, or both NaN (`null` in JSON).
    fn same(found: f64, expected: &Value, tolerance: f64) -> bool {
        expected.as_f64().map_or(found.is_nan(), |expected| (found - expected).abs() <= tolerance)
    }

    #[test]
    fn numbers_are_numpys_and_scipys() {
        let fixture: Value = serde_json::from_str(include_str!("../fixtures/specialization.json")).unwrap();
        let cases = fixture["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let found = specialization(matrix(&case["profile"]).view());
            let expected = &case["metrics"];
            for (name, value) in [
                ("mean_head_variance", found.mean_head_variance),
                ("mean_head_correlation", found.mean_head_correlation),
                ("specialization_index", found.specialization_index),
                ("effective_heads", found.effective_heads),
                ("effective_ratio", found.effective_ratio),
            ] {
                assert!(same(value, &expected[name], 1e-12), "{}: {name} = {value}", case["name"]);
            }
            let correlation = matrix(&expected["correlation"]);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
            assert!(found.correlation.iter().zip(&correlation).all(near), "{}", case["name"]);
            let variances = expected["layer_variances"].as_array().unwrap();
            assert!(found.layer_variances.iter().zip(variances).all(|(a, b)| same(*a, b, 1e-12)), "{}", case["name"]);
        }
    }

    #[test]
    fn the_index_alone_is_the_index() {
        let profile = arr2(&[[0.1, 0.5, 0.3], [0.4, 0.2, 0.9], [0.8, 0.7, 0.1]]);
        assert_eq!(index(profile.view()), specialization(profile.view()).specialization_index);
    }

    /// Two heads that move together are one; two that move against each other are as special as can be.
    #[test]
    fn by_hand() {
        assert!((index(arr2(&[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]).view()) - 0.0).abs() < 1e-12);
        assert!((index(arr2(&[[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]).view()) - 2.0).abs() < 1e-12);
        assert_eq!(specialization(arr2(&[[1.0, 1.0], [1.0, 1.0]]).view()).effective_heads, 2.0);
    }

    #[test]
    fn what_is_not_defined_is_nan() {
        assert!(index(arr2(&[[1.0, 2.0]]).view()).is_nan(), "one layer");
        assert!(index(arr2(&[[1.0], [2.0]]).view()).is_nan(), "one head");
        assert!(index(Array2::zeros((0, 3)).view()).is_nan());
        assert!(specialization(arr2(&[[-1.0, 2.0], [0.0, 1.0]]).view()).effective_heads.is_nan());
    }
}
