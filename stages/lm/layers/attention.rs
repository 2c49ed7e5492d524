//! Multi-head attention, with grouped key/value heads, its sites, and its part of the KV cache.
//!
//! Softmax over scores divided by √d, in f32, the way eager attention computes it. Keys and values are never repeated
//! for the query heads that share them.

use burn::tensor::activation::softmax;

use super::{
    cache::LayerCache,
    linear::{Linear, LinearSpec},
    mask::Mask,
    param::Param,
    rotary::Rotation,
};
use crate::lm::{
    Tensor,
    pass::{Pass, Place},
    site::Site,
    weights::{Weights, checkpoint::WeightsError},
};

/// How a checkpoint stores the three projections.
#[derive(Clone, PartialEq, Debug)]
pub enum QkvSpec {
    Separate(Box<[LinearSpec; 3]>),
    /// One matrix whose rows are `[head, (q, k, v), d]`.
    ByHead(Box<LinearSpec>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct AttentionSpec {
    pub heads: usize,
    pub kv_heads: usize,
    pub d_head: usize,
    pub qkv: QkvSpec,
    pub out: LinearSpec,
}

#[derive(Debug)]
pub struct Attention {
    heads: usize,
    kv_heads: usize,
    d_head: usize,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

/// What the attention of every layer of one pass shares.
pub struct Surroundings {
    pub mask: Mask,
    pub queries: Rotation,
    pub keys: Rotation,
}

impl AttentionSpec {
    pub fn params(&self) -> Vec<&Param> {
        let qkv = match &self.qkv {
            QkvSpec::Separate(qkv) => qkv.iter().collect(),
            QkvSpec::ByHead(fused) => vec![&**fused],
        };
        qkv.into_iter().chain([&self.out]).flat_map(LinearSpec::params).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Attention, WeightsError> {
        let [q, k, v] = match &self.qkv {
            QkvSpec::Separate(qkv) => {
                let [q, k, v] = &**qkv;
                [q.load(weights)?, k.load(weights)?, v.load(weights)?]
            }
            QkvSpec::ByHead(fused) => self.split(fused, weights)?,
        };
        let out = self.out.load(weights)?;
        Ok(Attention { heads: self.heads, kv_heads: self.kv_heads, d_head: self.d_head, q, k, v, out })
    }

    /// The three maps that a matrix with rows `[head, (q, k, v), d]` holds.
    fn split(&self, fused: &LinearSpec, weights: &Weights) -> Result<[Linear; 3], WeightsError> {
        let inputs = fused.weight.shape[1];
        let weight = weights.read(&fused.weight)?;
        let bias = fused.bias.as_ref().map(|bias| weights.read(bias)).transpose()?;
        Ok([0, 1, 2].map(|part| {
            let weight = every_third(&weight, self.d_head * inputs, part);
            let bias = bias.as_ref().map(|bias| every_third(bias, self.d_head, part));
            Linear::new(weights, &weight, bias, [self.heads * self.d_head, inputs])
        }))
    }
}

/// Chunks `part`, `part + 3`, `part + 6`, … of `size` values each.
fn every_third(values: &[f32], size: usize, part: usize) -> Vec<f32> {
    values.chunks_exact(size).skip(part).step_by(3).flatten().copied().collect()
}

impl Attention {
    /// `[token, d_model]` → `[token, d_model]`
    pub fn forward(
        &self,
        x: Tensor<2>,
        layer: usize,
        pass: &mut Pass,
        around: &Surroundings,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        let (rows, length) = (pass.batch.rows(), pass.batch.width());
        let split = |x: Tensor<2>, heads| x.reshape([rows, length, heads, self.d_head]);
        let q = pass.at(Place::of(Site::Q, layer), split(self.q.forward(x.clone()), self.heads));
        let k = pass.at(Place::of(Site::K, layer), split(self.k.forward(x.clone()), self.kv_heads));
        let v = pass.at(Place::of(Site::V, layer), split(self.v.forward(x), self.kv_heads));
        let q = pass.at(Place::of(Site::RotQ, layer), around.queries.apply(q)); // [row, pos, head, d]
        let k = pass.at(Place::of(Site::RotK, layer), around.keys.apply(k)); // [row, pos, kv_head, d]

        let by_head = |x: Tensor<4>| x.reshape([rows, length, self.kv_heads, 1, self.d_head]).permute([0, 2, 3, 1, 4]);
        let (k, v) = (by_head(k), by_head(v)); // [row, kv_head, 1, pos, d]
        let (k, v) = match cache {
            Some(cache) => cache.extended(k, v),
            None => (k, v),
        };
        let z = self.mix(q, k, v, layer, pass, &around.mask); // [row, pos, head, d]
        let z = pass.at(Place::of(Site::Z, layer), z).reshape([rows * length, self.heads * self.d_head]);
        pass.at(Place::of(Site::AttnOut, layer), self.out.forward(z))
    }

    /// Queries `[row, pos, head, d]`, keys and values `[row, kv_head, 1, key, d]` → `[row, pos, head, d]`
    fn mix(&self, q: Tensor<4>, k: Tensor<5>, v: Tensor<5>, layer: usize, pass: &mut Pass, mask: &Mask) -> Tensor<4> {
        let [rows, length, heads, d] = q.dims();
        let (groups, keys) = (self.heads / self.kv_heads, k.dims()[3]);
        let q = q.reshape([rows, length, self.kv_heads, groups, d]).permute([0, 2, 3, 1, 4]); // [row, kv, group, pos, d]
        let scores = q.matmul(k.swap_dims(3, 4)).reshape([rows, heads, length, keys]) / (d as f64).sqrt();
        let pattern = pass.at(Place::of(Site::Pattern, layer), softmax(mask.apply(scores), 3)); // [row, head, pos, key]
        let pattern = pattern.reshape([rows, self.kv_heads, groups, length, keys]);
        let z = pattern.matmul(v); // [row, kv, group, pos, d]
        z.reshape([rows, heads, length, d]).swap_dims(1, 2)
    }
}
