//! Soft caps: `cap · tanh(x / cap)`, which bends values towards a bound and leaves small ones alone.

use crate::lm::{Device, Dtype, Tensor};

/// `cap · tanh(x / cap)`; where the number type rounds, each step on its own.
pub fn soft_cap<const D: usize>(x: Tensor<D>, cap: f64, dtype: Dtype) -> Tensor<D> {
    let Device::Flex(_) = x.device() else {
        return dtype.round(dtype.round(dtype.round(x / cap).tanh()) * cap);
    };
    // The backend's own calls a library function number by number, on one core.
    let cap = cap as f32;
    dtype.map(x, |x| cap * dtype.nearest(tanh(dtype.nearest(x / cap))))
}

/// The hyperbolic tangent to a few units in the last place, in a form that compiles to vector instructions: Eigen's
/// rational approximation of degree 13 over 6.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    const ODD: [f32; 7] =
        [4.893_524_6e-3, 6.372_619_3e-4, 1.485_722_4e-5, 5.122_297e-8, -8.604_672e-11, 2.000_188e-13, -2.760_768_5e-16];
    const EVEN: [f32; 4] = [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];
    let x = x.clamp(-7.905_311, 7.905_311); // beyond, the tangent is ±1
    let square = x * x;
    let odd = ODD.iter().rev().fold(0.0, |sum, c| sum * square + c);
    let even = EVEN.iter().rev().fold(0.0, |sum, c| sum * square + c);
    x * odd / even
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::lm::{fixture::device, layers::linear::host};

    fn capped(points: &[f32], cap: f64) -> Vec<f32> {
        host(soft_cap(
            Tensor::<2>::from_data(TensorData::new(points.to_vec(), [1, points.len()]), &device()),
            cap,
            Dtype::F32,
        ))
    }

    #[test]
    fn it_is_its_definition() {
        let points: Vec<f32> = (-4000..=4000).map(|i| i as f32 / 20.0).collect();
        for (x, ours) in points.iter().zip(capped(&points, 30.0)) {
            let exact = 30.0 * (f64::from(*x) / 30.0).tanh();
            assert!((f64::from(ours) - exact).abs() <= 5e-7 * exact.abs(), "{x}: {ours}, not {exact}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none_and_infinity_meets_the_cap() {
        let made = capped(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], 5.0);
        assert!(made[0].is_nan());
        assert!((made[1] - 5.0).abs() < 1e-6 && (made[2] + 5.0).abs() < 1e-6, "{made:?}");
    }
}
