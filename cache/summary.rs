//! A tensor in a few numbers: what a report says of it.

use crate::{Data, Tensor};

/// Shape and extent of a tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// `f32`, `f64` or `i64`.
    pub kind: &'static str,
    /// Axis names and lengths.
    pub shape: Vec<(String, usize)>,
    pub unit: Option<String>,
    /// Least, mean and greatest of the finite numbers; none where there is no such number.
    pub extent: Option<[f64; 3]>,
    /// How many numbers are NaN or infinite.
    pub not_finite: usize,
}

impl Tensor {
    pub fn summary(&self) -> Summary {
        let (kind, (extent, not_finite)) = match &self.data {
            Data::F32(array) => ("f32", extent(array.iter().map(|x| f64::from(*x)))),
            Data::F64(array) => ("f64", extent(array.iter().copied())),
            Data::I64(array) => ("i64", extent(array.iter().map(|x| *x as f64))),
        };
        let shape = self.axes.iter().zip(self.shape()).map(|(axis, length)| (axis.name.clone(), *length)).collect();
        Summary { kind, shape, unit: self.unit.clone(), extent, not_finite }
    }
}

fn extent(numbers: impl Iterator<Item = f64>) -> (Option<[f64; 3]>, usize) {
    let (mut least, mut greatest, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
    let (mut finite, mut others) = (0usize, 0usize);
    for number in numbers {
        if number.is_finite() {
            (least, greatest) = (least.min(number), greatest.max(number));
            sum += number;
            finite += 1;
        } else {
            others += 1;
        }
    }
    ((finite > 0).then(|| [least, sum / finite as f64, greatest]), others)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let data = array![[1.0, f64::NAN], [4.0, f64::INFINITY]].into_dyn();
        let summary = Tensor::new(&["head", "step"], Data::F64(data)).with_unit("nats").summary();
        assert_eq!((summary.extent, summary.not_finite), (Some([1.0, 2.5, 4.0]), 2));
        assert_eq!(summary.shape, [("head".to_owned(), 2), ("step".to_owned(), 2)]);
        let nothing = Tensor::new(&["a"], Data::F32(array![f32::NAN].into_dyn())).summary();
        assert_eq!((nothing.extent, nothing.not_finite), (None, 1));
    }
}
