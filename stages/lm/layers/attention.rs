//! The attention of a block, whichever module it is.

use std::ops::Range;

use super::{
    cache::{LayerCache, Room},
    heads::{Heads, HeadsSpec},
    latent::{Latent, LatentSpec},
    linear::Linear,
    param::Param,
    surroundings::Surroundings,
};
use crate::lm::{
    Tensor,
    pass::Pass,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a layer, and none moves once it is made")]
pub enum AttentionSpec {
    /// Each head projects the stream to queries, keys and values of its own, or of its group.
    Heads(HeadsSpec),
    /// Keys and values of all heads come from one small vector a token.
    Latent(LatentSpec),
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a layer, and none moves once it is made")]
pub enum Attention {
    Heads(Heads),
    Latent(Latent),
}

/// The weights of one query head: those that make its queries, and those that read its output `z`.
pub struct HeadWeights<'a> {
    pub queries: (&'a mut Linear, Range<usize>), // the outputs that are its queries
    pub out: (&'a mut Linear, Range<usize>),     // the inputs that are its z
}

impl AttentionSpec {
    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Heads(heads) => heads.params(),
            Self::Latent(latent) => latent.params(),
        }
    }

    /// How far back its queries see, counting themselves; none: to the beginning.
    pub fn window(&self) -> Option<usize> {
        match self {
            Self::Heads(heads) => heads.scoring.window,
            Self::Latent(latent) => latent.scoring.window,
        }
    }

    /// Whether queries and keys turn with their positions.
    pub fn turns(&self) -> bool {
        match self {
            Self::Heads(heads) => heads.rope.is_some(),
            Self::Latent(_) => true,
        }
    }

    pub fn load(&self, weights: &Weights) -> Result<Attention, WeightsError> {
        match self {
            Self::Heads(heads) => heads.load(weights).map(Attention::Heads),
            Self::Latent(latent) => latent.load(weights).map(Attention::Latent),
        }
    }
}

impl Attention {
    /// Whether the output projection has a bias.
    pub fn has_bias(&self) -> bool {
        match self {
            Self::Heads(heads) => heads.has_bias(),
            Self::Latent(latent) => latent.has_bias(),
        }
    }

    /// What a text's keys and values need in a cache.
    pub fn room(&self) -> Room {
        match self {
            Self::Heads(heads) => heads.room(),
            Self::Latent(latent) => latent.room(),
        }
    }

    /// Where one head's own weights are.
    pub fn head_weights(&mut self, head: usize) -> HeadWeights<'_> {
        match self {
            Self::Heads(heads) => heads.head_weights(head),
            Self::Latent(latent) => latent.head_weights(head),
        }
    }

    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(
        &self,
        x: Tensor<2>,
        layer: usize,
        pass: &mut Pass,
        around: &Surroundings,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        match self {
            Self::Heads(heads) => heads.forward(x, layer, pass, around, cache),
            Self::Latent(latent) => latent.forward(x, layer, pass, around, cache),
        }
    }
}
