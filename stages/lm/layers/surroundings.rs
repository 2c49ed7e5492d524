//! What the attention of all layers of one pass shares: masks and rotations, made once for each that is different.

use std::collections::BTreeSet;

use super::{
    mask::Mask,
    rotary::{RopeSpec, Rotation},
};
use crate::lm::{Device, Dtype, Tensor, batch::Batch};

/// A rotary embedding, and the heads that it turns.
#[derive(Clone, PartialEq, Debug)]
pub struct RotarySpec {
    pub rope: RopeSpec,
    pub query_heads: usize,
    pub key_heads: usize,
    /// The size of what is handed over to be turned, a part of it or all.
    pub d_head: usize,
}

/// What tokens see of a text.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Nothing behind them.
    pub causal: bool,
    /// How far back, each different distance once.
    pub windows: &'a [Option<usize>],
}

pub struct Surroundings {
    /// The number type that the model computes in.
    pub dtype: Dtype,
    keys: usize,
    /// By how far back queries see.
    masks: Vec<(Option<usize>, Mask)>,
    turns: Vec<Turn>,
}

/// A window, where there are keys beyond it: a wider one hides nothing.
fn reach(window: Option<usize>, keys: usize) -> Option<usize> {
    window.filter(|window| *window < keys)
}

/// One rotary embedding at the positions of this pass.
struct Turn {
    queries: Rotation,
    keys: Rotation,
}

impl Surroundings {
    /// A mask for each window, and a rotation for each of `rotary`.
    pub fn new(
        batch: &Batch,
        heads: usize,
        sight: Sight,
        rotary: &[RotarySpec],
        dtype: Dtype,
        device: &Device,
    ) -> Self {
        let turn = |spec: &RotarySpec| {
            let of = |heads| Rotation::new(&spec.rope, batch, [heads, spec.d_head], dtype, device);
            Turn { queries: of(spec.query_heads), keys: of(spec.key_heads) }
        };
        let keys = batch.columns.end;
        let reaches: BTreeSet<_> = sight.windows.iter().map(|window| reach(*window, keys)).collect();
        Self {
            dtype,
            keys,
            masks: reaches
                .into_iter()
                .map(|reach| (reach, Mask::new(batch, sight.causal, reach, heads, device)))
                .collect(),
            turns: rotary.iter().map(turn).collect(),
        }
    }

    /// The mask of a layer whose queries see this far.
    pub fn mask(&self, window: Option<usize>) -> &Mask {
        let reach = reach(window, self.keys);
        let found = self.masks.iter().find(|(of, _)| *of == reach);
        &found.expect("a model makes a mask for each window of its blocks").1
    }

    /// Queries and keys `[row, pos, head, d]`, turned by the rotary embedding of this index among the architecture's.
    pub fn turn(&self, rotary: usize, q: Tensor<4>, k: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let turn = &self.turns[rotary];
        (turn.queries.apply(q), turn.keys.apply(k))
    }
}
