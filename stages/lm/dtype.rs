//! The number type that a model computes in, and what it rounds.
//!
//! Weights are held in the model's number type. Everything between layers is carried in f32 tensors, whatever the type:
//! in bf16 and f16 each value is rounded where Hugging Face's eager implementation rounds it, so that it is always one
//! that the type has. Captures, edits and the KV cache therefore know of f32 alone. What is rounded:
//!
//! - weights, once, when they are read;
//! - the result of each affine map, product of matrices, activation, gate, and sum with the residual stream;
//! - RMS norms before they scale by their weight and after it; those that scale by `1 + weight`, and layer norms, once;
//! - cosines and sines, both products of a rotation, and their sum (DeepSeek's rotations: once);
//! - scores, then what they are divided by, each step of a soft cap, and the probabilities of the softmax;
//! - an expert's weighted output, and each step of the sum over experts; the router itself computes in f32;
//! - what an edit leaves.
//!
//! In f32 are, in each type: products' sums, means and variances, softmax, angles. On the CPU a weight is widened when
//! it is used, a block of rows at a time. On other devices the backend multiplies in the type itself, and a product is
//! rounded before its bias is added too.

use burn::tensor::FloatDType;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Device, Tensor};

/// Values that one task works on: enough to outweigh handing it out.
const GRAIN: usize = 4096;

/// A number type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    #[default]
    F32,
    Bf16,
    F16,
}

impl Dtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// What burn calls it.
    pub fn float(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// The nearest value that the type has; of two, the one whose last bit is 0. What is too large for f16 is infinite.
    pub fn nearest(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::Bf16 => bf16(x),
            Self::F16 => f16(x),
        }
    }

    /// Each value, rounded.
    pub fn round<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match (self, x.device()) {
            (Self::F32, _) => x,
            (_, Device::Flex(_)) => self.map(x, |x| x),
            _ => x.cast(self.float()).cast(FloatDType::F32),
        }
    }

    /// Each value of a tensor on the host under `f`, rounded, in place.
    pub fn map<const D: usize>(self, x: Tensor<D>, f: impl Fn(f32) -> f32 + Sync) -> Tensor<D> {
        let device = x.device();
        let mut data = x.into_data();
        self.each(data.as_mut_slice().expect("what stands between layers is f32"), f);
        Tensor::from_data(data, &device)
    }

    /// Each value under `f`, rounded, on all cores.
    pub fn each(self, values: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
        match self {
            Self::F32 => each(values, f),
            Self::Bf16 => each(values, |x| bf16(f(x))),
            Self::F16 => each(values, |x| f16(f(x))),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    values.par_chunks_mut(GRAIN).for_each(|chunk| chunk.iter_mut().for_each(|x| *x = f(*x)));
}

/// In a form that compiles to vector instructions, as the other one does.
#[inline(always)]
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = f32::from_bits(bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000);
    if x.is_nan() { x } else { rounded }
}

#[inline(always)]
fn f16(x: f32) -> f32 {
    /// Halfway between the largest number of the type and what would come next.
    const TOO_LARGE: f32 = 65_520.0;
    /// The smallest with all digits; below, numbers are multiples of 2⁻²⁴, which is what 0.5 has as its last bit.
    const SMALLEST: f32 = 6.103_515_6e-5;
    let bits = x.to_bits();
    let normal = f32::from_bits(bits.wrapping_add(0xfff + ((bits >> 13) & 1)) & 0xffff_e000);
    let small = ((x.abs() + 0.5) - 0.5).copysign(x);
    let rounded = if x.abs() < SMALLEST { small } else { normal };
    let rounded = if x.abs() >= TOO_LARGE { f32::INFINITY.copysign(x) } else { rounded };
    if x.is_nan() { x } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every size, with those around ties and around the ends of f16.
    fn numbers() -> impl Iterator<Item = f32> {
        let spread = (0..=u32::MAX).step_by(65_521).map(f32::from_bits);
        let near = |x: f32| [x, x.next_up(), x.next_down(), -x];
        let ends = [0.0, 65_504.0, 65_519.996, 65_520.0, 6.1e-5, 6.103_515_6e-5, 5.96e-8, 2.98e-8, 1.0 + 1.0 / 2048.0];
        let ties = (0..4096u32).map(|i| f32::from_bits(0x3f80_0000 + (i << 12)));
        spread.chain(ends.into_iter().chain(ties).flat_map(near)).chain([f32::INFINITY, f32::NEG_INFINITY])
    }

    #[test]
    fn rounding_is_that_of_the_types() {
        for x in numbers().filter(|x| !x.is_nan()) {
            assert_eq!(Dtype::Bf16.nearest(x).to_bits(), half::bf16::from_f32(x).to_f32().to_bits(), "{x:e}");
            assert_eq!(Dtype::F16.nearest(x).to_bits(), half::f16::from_f32(x).to_f32().to_bits(), "{x:e}");
            assert_eq!(Dtype::F32.nearest(x).to_bits(), x.to_bits());
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for dtype in [Dtype::Bf16, Dtype::F16] {
            assert!(dtype.nearest(f32::NAN).is_nan());
            assert!(dtype.nearest(f32::from_bits(0x7fff_ffff)).is_nan(), "though its digits are all ones");
        }
    }

    #[test]
    fn types_are_written_in_small_letters() {
        let written = [Dtype::F32, Dtype::Bf16, Dtype::F16].map(|dtype| serde_json::to_string(&dtype).unwrap());
        assert_eq!(written, ["\"f32\"", "\"bf16\"", "\"f16\""]);
    }
}
