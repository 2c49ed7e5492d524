//! One layer: attention and MLP, each behind its norm, added to the residual stream one after the other or at once.

use super::{
    attention::{Attention, HeadWeights},
    cache::{LayerCache, Room},
    mlp::Mlp,
    norm::{Norm, NormSpec},
    surroundings::Surroundings,
};
use crate::{
    lm::{
        Dtype, Tensor,
        families::architecture::{BlockSpec, Residual},
        pass::{Pass, Place},
        site::Site,
        weights::{Weights, checkpoint::WeightsError},
    },
    metrics::attribution::FrozenNorm,
};

#[derive(Clone, Debug)]
pub struct Block {
    residual: Residual,
    ln1: Option<Norm>,
    attention: Attention,
    ln1_post: Option<Norm>,
    ln2: Option<Norm>,
    mlp: Option<Mlp>,
    ln2_post: Option<Norm>,
    dtype: Dtype,
}

impl BlockSpec {
    pub fn load(&self, weights: &Weights) -> Result<Block, WeightsError> {
        let optional = |norm: &Option<NormSpec>| norm.as_ref().map(|norm| norm.load(weights)).transpose();
        Ok(Block {
            residual: self.residual,
            ln1: optional(&self.ln1)?,
            attention: self.attention.load(weights)?,
            ln1_post: optional(&self.ln1_post)?,
            ln2: optional(&self.ln2)?,
            mlp: self.mlp.as_ref().map(|mlp| mlp.load(weights)).transpose()?,
            ln2_post: optional(&self.ln2_post)?,
            dtype: weights.dtype(),
        })
    }
}

impl Block {
    /// What a text's keys and values need in a cache.
    pub fn room(&self) -> Room {
        self.attention.room()
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
        let x = pass.at(Place::of(Site::ResidPre, layer), x);
        let normed = behind(&self.ln1, x.clone(), Some(Place::of(Site::Ln1Scale, layer)), pass);
        let attended = self.attention.forward(normed, layer, pass, around, cache);
        let attended = behind(&self.ln1_post, attended, None, pass);
        let Some(mlp) = &self.mlp else {
            return pass.at(Place::of(Site::ResidPost, layer), self.dtype.round(attended + x));
        };
        let x = match self.residual {
            Residual::Sequential => {
                let mid = pass.at(Place::of(Site::ResidMid, layer), self.dtype.round(attended + x));
                let moved = self.moved(mlp, mid.clone(), layer, pass);
                self.dtype.round(moved + mid)
            }
            // In this order in Hugging Face too, which rounds both sums.
            Residual::Parallel => {
                let moved = self.moved(mlp, x.clone(), layer, pass);
                self.dtype.round(self.dtype.round(moved + attended) + x)
            }
        };
        pass.at(Place::of(Site::ResidPost, layer), x)
    }

    /// What the MLP makes of the stream, `[token, d_model]`.
    fn moved(&self, mlp: &Mlp, x: Tensor<2>, layer: usize, pass: &mut Pass) -> Tensor<2> {
        let normed = behind(&self.ln2, x, Some(Place::of(Site::Ln2Scale, layer)), pass);
        let moved = mlp.forward(normed, layer, pass);
        behind(&self.ln2_post, moved, None, pass)
    }
}

impl Block {
    /// Whether attention adds more than its heads do.
    pub fn has_attention_bias(&self) -> bool {
        self.attention.has_bias()
    }

    /// Where one head's own weights are.
    pub fn head_weights(&mut self, head: usize) -> HeadWeights<'_> {
        self.attention.head_weights(head)
    }

    pub fn has_mlp(&self) -> bool {
        self.mlp.is_some()
    }

    /// The norm that attention's output goes through, frozen at what it is at one token.
    pub fn behind_attention(&self, out: &[f32]) -> Option<FrozenNorm> {
        self.ln1_post.as_ref().map(|norm| norm.frozen_at(out))
    }

    /// The norm that the MLP's output goes through, frozen at what it is at one token.
    pub fn behind_mlp(&self, out: &[f32]) -> Option<FrozenNorm> {
        self.ln2_post.as_ref().map(|norm| norm.frozen_at(out))
    }
}

/// What comes out behind a norm, where there is one; `scale` is the place of its divisor, where that is a site.
pub fn behind(norm: &Option<Norm>, x: Tensor<2>, scale: Option<Place>, pass: &mut Pass) -> Tensor<2> {
    match norm {
        Some(norm) => norm.forward(x, scale, pass),
        None => x,
    }
}
