//! The part of a block that works on each token alone, whichever module it is.

use super::{
    dense::{Dense, DenseSpec},
    param::Param,
};
use crate::lm::{
    Tensor,
    pass::Pass,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
pub enum MlpSpec {
    Dense(DenseSpec),
}

#[derive(Debug)]
pub enum Mlp {
    Dense(Dense),
}

impl MlpSpec {
    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Dense(dense) => dense.params(),
        }
    }

    pub fn load(&self, weights: &Weights) -> Result<Mlp, WeightsError> {
        match self {
            Self::Dense(dense) => dense.load(weights).map(Mlp::Dense),
        }
    }
}

impl Mlp {
    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Dense(dense) => dense.forward(x, layer, pass),
        }
    }
}
