//! Activations, by the names that configs use.
//!
//! Where the device is the host, each is one pass over the buffer in place, on all cores, in a form that compiles to
//! vector instructions. The backend's own call a library function number by number, on one core: the exact GELU took
//! a quarter of the time of a forward pass.

use burn::tensor::activation as composed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lm::{Device, Dtype, Tensor};

/// An activation, under the names that configs use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Activation {
    /// x · Φ(x), exactly.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of GELU.
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// The same, which Hugging Face composes of operations that round one by one.
    #[serde(rename = "gelu_new")]
    GeluNew,
    #[serde(rename = "silu", alias = "swish")]
    Silu,
    #[serde(rename = "relu")]
    Relu,
}

impl Activation {
    /// Each value, as the number type has it.
    pub fn apply(self, x: Tensor<2>, dtype: Dtype) -> Tensor<2> {
        match x.device() {
            Device::Flex(_) => self.in_place(x, dtype),
            _ => dtype.round(self.composed(x)),
        }
    }

    /// Of backend operations, for devices that fuse them and for differentiation.
    fn composed(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Gelu => composed::gelu(x),
            Self::GeluTanh | Self::GeluNew => {
                let inner = (x.clone() * x.clone() * CUBIC + 1.0) * x.clone() * SLOPE;
                x * composed::sigmoid(inner)
            }
            Self::Silu => x.clone() * composed::sigmoid(x),
            Self::Relu => composed::relu(x),
        }
    }

    fn in_place(self, x: Tensor<2>, dtype: Dtype) -> Tensor<2> {
        match self {
            Self::Gelu => dtype.map(x, gelu),
            Self::GeluNew if dtype != Dtype::F32 => dtype.map(x, |x| stepwise(x, |x| dtype.nearest(x))),
            Self::GeluTanh | Self::GeluNew => dtype.map(x, |x| x / (1.0 + exp(-SLOPE * (x + CUBIC * x * x * x)))),
            Self::Silu => dtype.map(x, |x| x / (1.0 + exp(-x))),
            Self::Relu => dtype.map(x, |x| x.max(0.0)),
        }
    }
}

/// tanh(u) = 2 sigmoid(2u) − 1, so GELU's tanh form is x · sigmoid(SLOPE · (x + CUBIC · x³)), SLOPE = 2 √(2/π).
const SLOPE: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

/// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), rounded after each operation.
fn stepwise(x: f32, round: impl Fn(f32) -> f32) -> f32 {
    let cubed = round(CUBIC * round(round(x * x) * x));
    let inner = round(0.5 * SLOPE * round(x + cubed));
    round(round(0.5 * x) * round(1.0 + round(inner.tanh())))
}

/// x · erfc(−x/√2) / 2. The complementary error function keeps its relative precision where Φ(x) is small.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let tail = 0.5 * erfc(z); // Φ(−|x|)
    let phi = if x < 0.0 { tail } else { 1.0 - tail };
    x * phi
}

/// The complementary error function of a number that is not negative, to 1.2e-7 of its value: a Chebyshev fit in
/// 1 / (1 + z/2) (W. H. Press et al., Numerical Recipes, "Special functions").
#[inline(always)]
fn erfc(z: f32) -> f32 {
    const FIT: [f32; 10] = [
        -1.265_512_2,
        1.000_023_7,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_204,
        1.488_515_9,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * z);
    let fit = FIT.iter().rev().fold(0.0, |sum, c| sum * t + c);
    t * exp(fit - z * z)
}

/// eˣ to 2e-7 of its value, for −87 ≤ x ≤ 88; beyond, the value at the end.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 · 2²³ rounds to a whole number, without the instruction that old machines lack.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let whole = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let rest = (x - whole * 0.693_359_4) + whole * 2.121_944_4e-4; // x − whole · ln 2, in two parts
    // Taylor's series on |rest| ≤ ln 2 / 2
    let series = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.iter().fold(0.0, |sum, c| sum * rest + c);
    power * f32::from_bits(((whole as i32 + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::lm::{fixture::device, layers::linear::host};

    fn of(activation: Activation, points: &[f32]) -> Vec<f32> {
        let data = TensorData::new(points.to_vec(), [1, points.len()]);
        host(activation.apply(Tensor::from_data(data, &device()), Dtype::F32))
    }

    /// The definitions, in f64.
    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Gelu => x * 0.5 * statrs::function::erf::erfc(-x / 2f64.sqrt()),
            Activation::GeluTanh | Activation::GeluNew => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Relu => x.max(0.0),
        }
    }

    #[test]
    fn each_is_its_definition() {
        let points: Vec<f32> = (-1200..=1200).map(|i| i as f32 / 100.0).collect();
        for activation in
            [Activation::Gelu, Activation::GeluTanh, Activation::GeluNew, Activation::Silu, Activation::Relu]
        {
            for (x, ours) in points.iter().zip(of(activation, &points)) {
                let exact = exact(activation, f64::from(*x));
                let error = (f64::from(ours) - exact).abs();
                assert!(error <= 4e-7 * f64::from(*x).abs().max(1e-3), "{activation:?}({x}) = {ours}, not {exact}");
            }
        }
    }

    /// Where Φ(x) is small, x · Φ(x) keeps its digits.
    #[test]
    fn the_tail_of_the_gelu_is_precise() {
        let points: Vec<f32> = (0..=1200).map(|i| -i as f32 / 100.0).collect();
        for (x, ours) in points.iter().zip(of(Activation::Gelu, &points)) {
            let exact = exact(Activation::Gelu, f64::from(*x));
            assert!((f64::from(ours) - exact).abs() <= 1e-5 * exact.abs() + 1e-30, "gelu({x}) = {ours}, not {exact}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            let made = of(activation, &[f32::NAN, f32::INFINITY, -100.0]);
            assert!(made[0].is_nan());
            assert_eq!(made[1], f32::INFINITY);
            assert!(made[2].abs() < 1e-30, "{activation:?}(-100) = {}", made[2]);
        }
    }
}
