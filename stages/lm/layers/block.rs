//! One layer: attention and MLP, each behind its norm, added to the residual stream one after the other or at once.

use super::{
    attention::{Attention, Surroundings},
    cache::LayerCache,
    mlp::Mlp,
    norm::Norm,
};
use crate::lm::{
    Tensor,
    families::architecture::{BlockSpec, Residual},
    pass::{Pass, Place},
    site::Site,
    weights::{Weights, checkpoint::WeightsError},
};

#[derive(Debug)]
pub struct Block {
    residual: Residual,
    ln1: Norm,
    attention: Attention,
    ln2: Norm,
    mlp: Mlp,
}

impl BlockSpec {
    pub fn load(&self, weights: &Weights) -> Result<Block, WeightsError> {
        Ok(Block {
            residual: self.residual,
            ln1: self.ln1.load(weights)?,
            attention: self.attention.load(weights)?,
            ln2: self.ln2.load(weights)?,
            mlp: self.mlp.load(weights)?,
        })
    }
}

impl Block {
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
        let normed = self.ln1.forward(x.clone(), Place::of(Site::Ln1Scale, layer), pass);
        let attended = self.attention.forward(normed, layer, pass, around, cache);
        let (mid, base) = match self.residual {
            Residual::Sequential => {
                let mid = pass.at(Place::of(Site::ResidMid, layer), attended + x);
                (mid.clone(), mid)
            }
            Residual::Parallel => (x.clone(), attended + x),
        };
        let normed = self.ln2.forward(mid, Place::of(Site::Ln2Scale, layer), pass);
        let x = self.mlp.forward(normed, layer, pass) + base;
        pass.at(Place::of(Site::ResidPost, layer), x)
    }
}
