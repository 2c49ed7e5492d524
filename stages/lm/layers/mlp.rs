//! The part of a block that works on each token alone, whichever module it is.

use super::{
    dense::{Dense, DenseSpec},
    experts::{Experts, ExpertsSpec},
    param::Param,
};
use crate::lm::{
    Tensor,
    pass::Pass,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a layer, and none moves once it is made")]
pub enum MlpSpec {
    Dense(DenseSpec),
    Experts(ExpertsSpec),
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a layer, and none moves once it is made")]
pub enum Mlp {
    Dense(Dense),
    Experts(Experts),
}

impl MlpSpec {
    /// How many experts it has, the shared one among them; 0 where it has none.
    pub fn experts(&self) -> usize {
        match self {
            Self::Dense(_) => 0,
            Self::Experts(experts) => experts.nodes(),
        }
    }

    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Dense(dense) => dense.params(),
            Self::Experts(experts) => experts.params(),
        }
    }

    pub fn load(&self, weights: &Weights) -> Result<Mlp, WeightsError> {
        match self {
            Self::Dense(dense) => dense.load(weights).map(Mlp::Dense),
            Self::Experts(experts) => experts.load(weights).map(Mlp::Experts),
        }
    }
}

impl Mlp {
    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Dense(dense) => dense.forward(x, layer, pass),
            Self::Experts(experts) => experts.forward(x, layer, pass),
        }
    }
}
