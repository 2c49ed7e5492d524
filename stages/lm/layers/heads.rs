//! Multi-head attention with grouped key/value heads: the projections, their norms and rotary embeddings, their sites.

use super::{
    attention::HeadWeights,
    cache::{LayerCache, Room},
    linear::{Linear, LinearSpec},
    norm::{Norm, NormSpec},
    param::Param,
    project::project,
    scoring::Scoring,
    surroundings::Surroundings,
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
    /// One map whose outputs are `[head, (q, k, v), d]`.
    ByHead(Box<LinearSpec>),
    /// One map whose outputs are `[(q, k, v), head, d]`.
    ByKind(Box<LinearSpec>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct HeadsSpec {
    pub d_head: usize,
    pub qkv: QkvSpec,
    /// Over each head's queries and keys, before they turn.
    pub norms: Option<(NormSpec, NormSpec)>,
    /// Which of the architecture's rotary embeddings turns queries and keys.
    pub rope: Option<usize>,
    pub scoring: Scoring,
    pub out: LinearSpec,
}

#[derive(Clone, Debug)]
pub struct Heads {
    d_head: usize,
    q: Linear,
    k: Linear,
    v: Linear,
    norms: Option<(Norm, Norm)>,
    rope: Option<usize>,
    scoring: Scoring,
    out: Linear,
}

impl HeadsSpec {
    pub fn params(&self) -> Vec<&Param> {
        let qkv = match &self.qkv {
            QkvSpec::Separate(qkv) => qkv.iter().collect(),
            QkvSpec::ByHead(fused) | QkvSpec::ByKind(fused) => vec![&**fused],
        };
        let norms = self.norms.iter().flat_map(|(q, k)| [q, k]).flat_map(NormSpec::params);
        qkv.into_iter().chain([&self.out]).flat_map(LinearSpec::params).chain(norms).collect()
    }

    pub fn load(&self, weights: &Weights) -> Result<Heads, WeightsError> {
        let width = self.scoring.heads * self.d_head;
        let [q, k, v] = match &self.qkv {
            QkvSpec::Separate(qkv) => {
                let [q, k, v] = &**qkv;
                [q.load(weights)?, k.load(weights)?, v.load(weights)?]
            }
            QkvSpec::ByHead(fused) => split(fused, self.d_head, weights)?,
            QkvSpec::ByKind(fused) => split(fused, width, weights)?,
        };
        let norms = match &self.norms {
            Some((q, k)) => Some((q.load(weights)?, k.load(weights)?)),
            None => None,
        };
        let (rope, scoring) = (self.rope, self.scoring.clone());
        Ok(Heads { d_head: self.d_head, q, k, v, norms, rope, scoring, out: self.out.load(weights)? })
    }
}

/// The three maps whose outputs take turns in those of `fused`, `run` of them at a time.
fn split(fused: &LinearSpec, run: usize, weights: &Weights) -> Result<[Linear; 3], WeightsError> {
    let [outputs, inputs] = fused.dims();
    let weight = fused.rows(weights)?;
    let bias = fused.bias.as_ref().map(|bias| weights.read(bias)).transpose()?;
    Ok([0, 1, 2].map(|part| {
        let weight = every_third(&weight, run * inputs, part);
        let bias = bias.as_ref().map(|bias| every_third(bias, run, part));
        Linear::new(weights, &weight, bias, [outputs / 3, inputs])
    }))
}

/// Chunks `part`, `part + 3`, `part + 6`, … of `size` values each.
fn every_third(values: &[f32], size: usize, part: usize) -> Vec<f32> {
    values.chunks_exact(size).skip(part).step_by(3).flatten().copied().collect()
}

impl Heads {
    /// Whether the output projection has a bias.
    pub fn has_bias(&self) -> bool {
        self.out.has_bias()
    }

    /// Where one query head's own weights are: its rows of W_Q, its columns of W_O.
    pub fn head_weights(&mut self, head: usize) -> HeadWeights<'_> {
        let own = head * self.d_head..(head + 1) * self.d_head;
        HeadWeights { queries: (&mut self.q, own.clone()), out: (&mut self.out, own) }
    }

    /// What a text's keys and values need in a cache.
    pub fn room(&self) -> Room {
        Room { heads: self.scoring.kv_heads, key: self.d_head, value: self.d_head }
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
        let (rows, length) = (pass.batch.rows(), pass.batch.width());
        let Scoring { heads, kv_heads, .. } = self.scoring;
        let split = |x: Tensor<2>, heads| x.reshape([rows, length, heads, self.d_head]);
        let q = pass.at(Place::of(Site::Q, layer), split(self.q.forward(x.clone()), heads));
        let k = pass.at(Place::of(Site::K, layer), split(self.k.forward(x.clone()), kv_heads));
        let v = pass.at(Place::of(Site::V, layer), split(self.v.forward(x), kv_heads));
        let (q, k) = self.normed(q, k, pass);
        let (q, k) = match self.rope {
            Some(rope) => {
                let (q, k) = around.turn(rope, q, k);
                (pass.at(Place::of(Site::RotQ, layer), q), pass.at(Place::of(Site::RotK, layer), k))
            }
            None => (q, k),
        }; // [row, pos, head, d], [row, pos, kv_head, d]
        let z = self.scoring.mix([q, k, v], layer, pass, around, cache); // [row, pos, head, d]
        project(&self.out, z, layer, pass)
    }

    /// Queries and keys behind their norms, where there are such.
    fn normed(&self, q: Tensor<4>, k: Tensor<4>, pass: &mut Pass) -> (Tensor<4>, Tensor<4>) {
        let Some((q_norm, k_norm)) = &self.norms else { return (q, k) };
        let mut each = |x: Tensor<4>, norm: &Norm| {
            let shape @ [rows, length, heads, d] = x.dims();
            norm.forward(x.reshape([rows * length * heads, d]), None, pass).reshape(shape)
        };
        (each(q, q_norm), each(k, k_norm))
    }
}
