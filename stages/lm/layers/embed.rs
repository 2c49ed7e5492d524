//! What enters the first block: token embeddings, with a scale and learned positions where a family has them.

use burn::tensor::{Int, TensorData};

use super::{matrix::Matrix, param::Param};
use crate::lm::{
    Device, Dtype, Tensor,
    pass::{Pass, Place},
    site::Site,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
pub struct EmbedSpec {
    pub tokens: Param,
    /// Added by position, where rotary embeddings do not tell positions apart.
    pub positions: Option<Param>,
    /// What token embeddings are multiplied by; the unembedding they may be tied to is not.
    pub scale: Option<f32>,
}

#[derive(Clone, Debug)]
pub struct Embed {
    pub tokens: Matrix,           // [vocab, d_model]
    positions: Option<Tensor<2>>, // [position, d_model]
    scale: Option<f32>,
    dtype: Dtype,
}

impl EmbedSpec {
    /// Of tokens alone.
    pub fn tokens(tokens: Param) -> Self {
        Self { tokens, positions: None, scale: None }
    }

    pub fn params(&self) -> Vec<&Param> {
        std::iter::once(&self.tokens).chain(&self.positions).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Embed, WeightsError> {
        Ok(Embed {
            tokens: weights.table(&self.tokens)?,
            positions: self.positions.as_ref().map(|positions| weights.tensor(positions)).transpose()?,
            scale: self.scale.map(|scale| weights.dtype().nearest(scale)),
            dtype: weights.dtype(),
        })
    }
}

impl Embed {
    /// The tokens of a pass, `[token, d_model]`.
    pub fn forward(&self, pass: &mut Pass) -> Tensor<2> {
        let x = self.tokens.rows(pass.batch.ids.iter().map(|&id| id as usize)); // [token, d_model]
        let x = match self.scale {
            Some(scale) => self.dtype.round(x.mul_scalar(scale)),
            None => x,
        };
        let x = pass.at(Place::of(Site::Embed, 0), x);
        match &self.positions {
            Some(positions) => {
                let places = indices(pass.batch.positions(), self.tokens.device());
                self.dtype.round(x + positions.clone().select(0, places))
            }
            None => x,
        }
    }
}

/// Rows to look up.
pub fn indices(indices: impl IntoIterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i64> = indices.into_iter().map(|i| i as i64).collect();
    let count = indices.len();
    Tensor::from_data(TensorData::new(indices, [count]), device)
}
