//! Arrays on the host: places picked along an axis, several arrays as one, NaN wherever there is nothing.

use ndarray::{ArrayD, Axis, IxDyn, Slice};

/// The places `chosen` along an axis, NaN where there is none.
pub fn picked(array: &ArrayD<f32>, chosen: &[Option<usize>], axis: Axis) -> ArrayD<f32> {
    let mut shape = array.shape().to_vec();
    shape[axis.0] = chosen.len();
    let mut picked = ArrayD::from_elem(IxDyn(&shape), f32::NAN);
    for (to, from) in chosen.iter().enumerate() {
        if let Some(from) = from {
            picked.index_axis_mut(axis, to).assign(&array.index_axis(axis, *from));
        }
    }
    picked
}

/// The mean over the places there are; NaN where there is none.
pub fn mean(array: &ArrayD<f32>, chosen: &[Option<usize>], axis: Axis) -> ArrayD<f32> {
    let there: Vec<usize> = chosen.iter().copied().flatten().collect();
    let picked = array.select(axis, &there);
    let nothing = picked.sum_axis(axis) * f32::NAN;
    picked.mean_axis(axis).unwrap_or(nothing)
}

/// The variance (ddof 0) over the places there are, averaged over the numbers of vectors; NaN where there is none.
pub fn variance(array: &ArrayD<f32>, chosen: &[Option<usize>], axis: Axis, vectors: bool) -> ArrayD<f32> {
    let own = mean(array, chosen, axis).insert_axis(axis);
    let rest = array - &own;
    let variance = mean(&(&rest * &rest), chosen, axis);
    match vectors {
        true => variance.mean_axis(Axis(variance.ndim() - 1)).expect("a vector has numbers"),
        false => variance,
    }
}

/// The last of the places there are; NaN where there is none.
pub fn last(array: &ArrayD<f32>, chosen: &[Option<usize>], axis: Axis) -> ArrayD<f32> {
    match chosen.iter().copied().flatten().max() {
        Some(last) => array.index_axis(axis, last).to_owned(),
        None => array.sum_axis(axis) * f32::NAN,
    }
}

/// Arrays of equal rank as one array with a new first axis, the shorter ones filled up with NaN.
pub fn stacked(parts: &[ArrayD<f32>]) -> ArrayD<f32> {
    let raised: Vec<_> = parts.iter().map(|part| part.clone().insert_axis(Axis(0))).collect();
    joined(&raised, Axis(0))
}

/// Arrays one after the other along an axis, filled up with NaN where they are shorter in the others.
pub fn joined(parts: &[ArrayD<f32>], along: Axis) -> ArrayD<f32> {
    let rank = parts.first().map_or(0, ArrayD::ndim);
    let lengths = |axis| parts.iter().map(move |part| part.shape()[axis]);
    let shape: Vec<usize> = (0..rank)
        .map(|axis| if axis == along.0 { lengths(axis).sum() } else { lengths(axis).max().unwrap_or(0) })
        .collect();
    let mut whole = ArrayD::from_elem(IxDyn(&shape), f32::NAN);
    let mut from = 0;
    for part in parts {
        let to = from + part.shape()[along.0];
        let mut place = whole.view_mut();
        for (axis, &length) in part.shape().iter().enumerate() {
            let range = if axis == along.0 { from..to } else { 0..length };
            place.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
        place.assign(part);
        from = to;
    }
    whole
}
