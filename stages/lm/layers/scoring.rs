//! From queries, keys and values to what each head puts out: scores, their mask, the softmax over them.
//!
//! The way eager attention computes it, with the softmax in f32. Keys and values are never repeated for the query heads that share them.

use burn::tensor::activation::softmax;

use super::{cache::LayerCache, softcap::soft_cap, surroundings::Surroundings};
use crate::lm::{
    Tensor,
    pass::{Pass, Place},
    site::Site,
};

#[derive(Clone, PartialEq, Debug)]
pub struct Scoring {
    pub heads: usize,
    pub kv_heads: usize,
    /// What products of queries and keys are divided by: √d in most families.
    pub divisor: f64,
    /// Scores are bent towards this bound, where there is one.
    pub cap: Option<f64>,
    /// How many keys a query sees, its own the last of them; none: all before it.
    pub window: Option<usize>,
}

impl Scoring {
    /// Products over √d, every key before a query.
    pub fn new(heads: usize, kv_heads: usize, d_head: usize) -> Self {
        Self { heads, kv_heads, divisor: (d_head as f64).sqrt(), cap: None, window: None }
    }

    /// The same, seeing this far back.
    pub fn within(self, window: Option<usize>) -> Self {
        Self { window, ..self }
    }

    /// Queries, keys and values as every head has them, `[row, pos, head, d]`: what each head puts out, the same.
    pub fn mix(
        &self,
        [q, k, v]: [Tensor<4>; 3],
        layer: usize,
        pass: &mut Pass,
        around: &Surroundings,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<4> {
        let (k, v) = (by_head(k), by_head(v)); // [row, kv_head, 1, pos, d]
        let (k, v) = match cache {
            Some(cache) => cache.extended(k, v),
            None => (k, v),
        };
        let ([rows, length, heads, d], [.., keys, d_v]) = (q.dims(), v.dims());
        let groups = heads / self.kv_heads;
        let q = q.reshape([rows, length, self.kv_heads, groups, d]).permute([0, 2, 3, 1, 4]); // [row, kv, group, pos, d]
        let dtype = around.dtype;
        let products = dtype.round(q.matmul(k.swap_dims(3, 4))).reshape([rows, heads, length, keys]);
        let scores = dtype.round(products * (1.0 / self.divisor));
        let scores = match self.cap {
            Some(cap) => soft_cap(scores, cap, dtype),
            None => scores,
        };
        let pattern = dtype.round(softmax(around.mask(self.window).apply(scores), 3)); // [row, head, pos, key]
        let pattern = pass.at(Place::of(Site::Pattern, layer), pattern);
        let pattern = pattern.reshape([rows, self.kv_heads, groups, length, keys]);
        let z = dtype.round(pattern.matmul(v)); // [row, kv, group, pos, d_v]
        pass.at(Place::of(Site::Z, layer), z.reshape([rows, heads, length, d_v]).swap_dims(1, 2))
    }
}

/// `[row, pos, head, d]` → `[row, head, 1, pos, d]`
fn by_head(x: Tensor<4>) -> Tensor<5> {
    let [rows, length, heads, d] = x.dims();
    x.reshape([rows, length, heads, 1, d]).permute([0, 2, 3, 1, 4])
}
