//! Affine maps, and the unembedding.

use std::ops::Range;

use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{matrix::Matrix, param::Param};
use crate::lm::{
    Dtype, Tensor,
    weights::{Weights, checkpoint::WeightsError},
};

/// Which way round a checkpoint stores a weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// As PyTorch's `Linear` does.
    OutIn,
    /// As GPT-2's `Conv1D` does.
    InOut,
}

/// A weight, and its bias.
#[derive(Clone, PartialEq, Debug)]
pub struct LinearSpec {
    pub layout: Layout,
    pub weight: Param,
    pub bias: Option<Param>,
}

/// `x W + b`. The weight is held `[in, out]`: with the few rows of decoding the product then runs at the speed of
/// memory, which it does not when a weight stored `[out, in]` is transposed at use.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Matrix,          // [in, out]
    bias: Option<Tensor<2>>, // [1, out]
    dtype: Dtype,
}

/// How the final residual becomes logits.
#[derive(Clone, PartialEq, Debug)]
pub enum UnembedSpec {
    /// By the transposed embedding.
    Tied,
    Own(LinearSpec),
}

#[derive(Clone, Debug)]
pub enum Unembed {
    Tied,
    Own(Box<Linear>),
}

impl LinearSpec {
    /// `path.weight`, stored `[out, in]` and drawn with `std`, and `path.bias`, zero, where there is one.
    pub fn new(path: &str, [inputs, outputs]: [usize; 2], bias: bool, std: f64) -> Self {
        Self {
            layout: Layout::OutIn,
            weight: Param::normal(format!("{path}.weight"), &[outputs, inputs], std),
            bias: bias.then(|| Param::zeros(format!("{path}.bias"), &[outputs])),
        }
    }

    /// The same with a bias, and the weight stored `[in, out]`.
    pub fn conv1d(path: &str, [inputs, outputs]: [usize; 2], std: f64) -> Self {
        let weight = Param::normal(format!("{path}.weight"), &[inputs, outputs], std);
        Self { layout: Layout::InOut, weight, ..Self::new(path, [inputs, outputs], true, std) }
    }

    pub fn params(&self) -> Vec<&Param> {
        std::iter::once(&self.weight).chain(&self.bias).collect()
    }

    /// `[out, in]`
    pub fn dims(&self) -> [usize; 2] {
        let [first, second] = [self.weight.shape[0], self.weight.shape[1]];
        match self.layout {
            Layout::OutIn => [first, second],
            Layout::InOut => [second, first],
        }
    }

    /// The weight's values in row-major `[out, in]`, whichever way they are stored.
    pub fn rows(&self, weights: &Weights) -> Result<Vec<f32>, WeightsError> {
        let [outputs, inputs] = self.dims();
        let values = weights.read(&self.weight)?;
        Ok(match self.layout {
            Layout::OutIn => values,
            Layout::InOut => transposed(&values, inputs, outputs),
        })
    }

    pub fn load(&self, weights: &Weights) -> Result<Linear, WeightsError> {
        let bias = self.bias.as_ref().map(|bias| weights.row(bias)).transpose()?;
        Ok(Linear { weight: self.matrix(weights)?, bias, dtype: weights.dtype() })
    }

    /// `[in, out]`: turned round once on the host, unless a tape has to follow that.
    fn matrix(&self, weights: &Weights) -> Result<Matrix, WeightsError> {
        let [outputs, inputs] = self.dims();
        Ok(match (self.layout, weights.taped(&self.weight)?) {
            (Layout::OutIn, Some(leaf)) => Matrix::taped(leaf.transpose()),
            (Layout::InOut, Some(leaf)) => Matrix::taped(leaf),
            (Layout::OutIn, None) => {
                weights.matrix(transposed(&weights.read(&self.weight)?, outputs, inputs), [inputs, outputs])
            }
            (Layout::InOut, None) => weights.matrix(weights.read(&self.weight)?, [inputs, outputs]),
        })
    }
}

impl Linear {
    /// A map of these values, the weight in row-major `[out, in]`.
    pub fn new(weights: &Weights, values: &[f32], bias: Option<Vec<f32>>, [outputs, inputs]: [usize; 2]) -> Self {
        let weight = weights.matrix(transposed(values, outputs, inputs), [inputs, outputs]);
        let bias = bias.map(|bias| weights.upload(bias, vec![1, outputs]));
        Self { weight, bias, dtype: weights.dtype() }
    }

    /// `[token, in]` → `[token, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.dtype.round(self.biased(self.weight.times(x)))
    }

    /// What some of the inputs give by themselves, without the bias: `[token, part]` → `[token, out]`
    pub fn part(&self, x: Tensor<2>, inputs: Range<usize>) -> Tensor<2> {
        self.dtype.round(self.weight.times_rows(x, inputs))
    }

    pub fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// Lets `change` alter the weights that some outputs have, `[part, in]` row by row, given the width of a row; biases stay.
    pub fn change_outputs(&mut self, outputs: Range<usize>, change: impl FnOnce(&mut [f32], usize)) {
        let (inputs, part) = (0..self.weight.shape()[0], outputs.len());
        let stored = self.weight.part(inputs.clone(), outputs.clone()); // [in, part]
        let mut own = transposed(&stored, inputs.len(), part);
        change(&mut own, inputs.len());
        self.weight.put(inputs.clone(), outputs, transposed(&own, part, inputs.len()));
    }

    /// The same of the weights that some inputs have, `[part, out]` row by row.
    pub fn change_inputs(&mut self, inputs: Range<usize>, change: impl FnOnce(&mut [f32], usize)) {
        let outputs = 0..self.weight.shape()[1];
        let mut own = self.weight.part(inputs.clone(), outputs.clone());
        change(&mut own, outputs.len());
        self.weight.put(inputs, outputs, own);
    }

    /// The same in f32, whatever the model's number type.
    pub fn forward_in_f32(&self, x: Tensor<2>) -> Tensor<2> {
        self.biased(self.weight.times_in_f32(x))
    }

    fn biased(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }
}

impl Unembed {
    /// `[token, d_model]` → `[token, vocab]`
    pub fn forward(&self, x: Tensor<2>, embedding: &Matrix, dtype: Dtype) -> Tensor<2> {
        match self {
            Self::Tied => dtype.round(embedding.transposed_times(x)),
            Self::Own(linear) => linear.forward(x),
        }
    }

    pub fn has_bias(&self) -> bool {
        matches!(self, Self::Own(linear) if linear.has_bias())
    }

    /// What a normed residual is multiplied with to give the logit of a token, and the number that is added.
    pub fn of_token(&self, token: usize, embedding: &Matrix) -> (Vec<f32>, f32) {
        match self {
            Self::Tied => (host(embedding.rows([token])), 0.0),
            Self::Own(linear) => {
                let bias = linear.bias.as_ref().map_or(0.0, |bias| host(bias.clone())[token]);
                (host(linear.weight.column(token)), bias)
            }
        }
    }
}

/// `[rows, columns]` → `[columns, rows]`, in tiles that stay in cache, on all cores.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; values.len()];
    out.par_chunks_mut(TILE * rows).enumerate().for_each(|(band, out)| {
        let first = band * TILE;
        for start in (0..rows).step_by(TILE) {
            for (i, line) in out.chunks_exact_mut(rows).enumerate() {
                for row in start..rows.min(start + TILE) {
                    line[row] = values[row * columns + first + i];
                }
            }
        }
    });
    out
}

/// The values of a tensor on the host, in row-major order. Free of copies where the device is the host.
pub fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    let data: TensorData = x.into_data();
    data.into_vec().expect("the model computes in f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_moves_every_value() {
        let (rows, columns) = (37, 70);
        let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let turned = transposed(&values, rows, columns);
        for row in 0..rows {
            for column in 0..columns {
                assert_eq!(turned[column * rows + row], values[row * columns + column]);
            }
        }
    }
}
