//! Latent attention (DeepSeek's MLA): keys and values of all heads are projected up from one small vector a token, and
//! one rotary part of the key is shared by all heads.
//!
//! Each head has keys of its own here, as the sites have it, and the KV cache keeps them so: an edit of one head's key
//! or value lasts. The smaller cache of latents, which the design allows, is not built.

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

/// Where queries come from.
#[derive(Clone, PartialEq, Debug)]
pub enum QueriesSpec {
    Direct(Box<LinearSpec>),
    /// Through a small vector, which is normed.
    Squeezed(Box<SqueezeSpec>),
}

/// Down to a small vector, a norm over it, and up again.
#[derive(Clone, PartialEq, Debug)]
pub struct SqueezeSpec {
    pub down: LinearSpec,
    pub norm: NormSpec,
    pub up: LinearSpec,
}

#[derive(Clone, PartialEq, Debug)]
pub struct LatentSpec {
    /// Dimensions of a head's queries and keys that do not turn; they come first.
    pub still: usize,
    /// Those that turn.
    pub turning: usize,
    pub d_value: usize,
    pub queries: QueriesSpec,
    /// `down` gives the latent and the shared part of the key, `up` the heads' `[head, (key, value)]`.
    pub keys: SqueezeSpec,
    /// Which of the architecture's rotary embeddings turns queries and keys.
    pub rope: usize,
    pub scoring: Scoring,
    pub out: LinearSpec,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a layer, and none moves once it is made")]
enum Queries {
    Direct(Linear),
    Squeezed(Squeeze),
}

#[derive(Clone, Debug)]
struct Squeeze {
    down: Linear,
    norm: Norm,
    up: Linear,
}

#[derive(Clone, Debug)]
pub struct Latent {
    still: usize,
    turning: usize,
    d_value: usize,
    queries: Queries,
    keys: Squeeze,
    rope: usize,
    scoring: Scoring,
    out: Linear,
}

impl SqueezeSpec {
    fn params(&self) -> Vec<&Param> {
        [self.down.params(), self.norm.params(), self.up.params()].concat()
    }

    fn load(&self, weights: &Weights) -> Result<Squeeze, WeightsError> {
        Ok(Squeeze { down: self.down.load(weights)?, norm: self.norm.load(weights)?, up: self.up.load(weights)? })
    }
}

impl LatentSpec {
    pub fn params(&self) -> Vec<&Param> {
        let queries = match &self.queries {
            QueriesSpec::Direct(linear) => linear.params(),
            QueriesSpec::Squeezed(squeeze) => squeeze.params(),
        };
        [queries, self.keys.params(), self.out.params()].concat()
    }

    pub fn load(&self, weights: &Weights) -> Result<Latent, WeightsError> {
        let queries = match &self.queries {
            QueriesSpec::Direct(linear) => Queries::Direct(linear.load(weights)?),
            QueriesSpec::Squeezed(squeeze) => Queries::Squeezed(squeeze.load(weights)?),
        };
        Ok(Latent {
            still: self.still,
            turning: self.turning,
            d_value: self.d_value,
            queries,
            keys: self.keys.load(weights)?,
            rope: self.rope,
            scoring: self.scoring.clone(),
            out: self.out.load(weights)?,
        })
    }
}

impl Latent {
    /// Whether the output projection has a bias.
    pub fn has_bias(&self) -> bool {
        self.out.has_bias()
    }

    /// Where one head's own weights are. Where queries come through a small vector, which all heads share, they are those
    /// behind it.
    pub fn head_weights(&mut self, head: usize) -> HeadWeights<'_> {
        let own = |d: usize| head * d..(head + 1) * d;
        let queries = match &mut self.queries {
            Queries::Direct(linear) => linear,
            Queries::Squeezed(squeeze) => &mut squeeze.up,
        };
        HeadWeights { queries: (queries, own(self.still + self.turning)), out: (&mut self.out, own(self.d_value)) }
    }

    /// What a text's keys and values need in a cache.
    pub fn room(&self) -> Room {
        Room { heads: self.scoring.heads, key: self.still + self.turning, value: self.d_value }
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
        let (rows, length, heads) = (pass.batch.rows(), pass.batch.width(), self.scoring.heads);
        let q = self.queries(x.clone(), pass).reshape([rows, length, heads, self.still + self.turning]);
        let (k, v) = self.keys_and_values(x, pass);
        let q = pass.at(Place::of(Site::Q, layer), q); // [row, pos, head, still + turning]
        let k = pass.at(Place::of(Site::K, layer), k); // [row, pos, head, still + turning]
        let v = pass.at(Place::of(Site::V, layer), v); // [row, pos, head, d_value]
        let (q, k) = around.turn(self.rope, q, k);
        let q = pass.at(Place::of(Site::RotQ, layer), q);
        let k = pass.at(Place::of(Site::RotK, layer), k);
        let z = self.scoring.mix([q, k, v], layer, pass, around, cache); // [row, pos, head, d_value]
        project(&self.out, z, layer, pass)
    }

    fn queries(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        match &self.queries {
            Queries::Direct(linear) => linear.forward(x),
            Queries::Squeezed(squeeze) => {
                let small = squeeze.norm.forward(squeeze.down.forward(x), None, pass); // [token, q_rank]
                squeeze.up.forward(small)
            }
        }
    }

    /// Each head's keys, their shared part last, and values: `[row, pos, head, d]`.
    fn keys_and_values(&self, x: Tensor<2>, pass: &mut Pass) -> (Tensor<4>, Tensor<4>) {
        let (rows, length, heads) = (pass.batch.rows(), pass.batch.width(), self.scoring.heads);
        let both = self.keys.down.forward(x); // [token, rank + turning]
        let rank = both.dims()[1] - self.turning;
        let latent = self.keys.norm.forward(both.clone().narrow(1, 0, rank), None, pass); // [token, rank]
        let up = self.keys.up.forward(latent).reshape([rows, length, heads, self.still + self.d_value]);
        let shared = both.narrow(1, rank, self.turning).reshape([rows, length, 1, self.turning]).repeat_dim(2, heads);
        let own = up.clone().narrow(3, 0, self.still); // [row, pos, head, still]
        (Tensor::cat(vec![own, shared], 3), up.narrow(3, self.still, self.d_value))
    }
}
