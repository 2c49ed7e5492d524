//! From the heads back to the residual stream: the output projection, and what each head adds through it.

use super::linear::Linear;
use crate::lm::{
    Tensor,
    pass::{Pass, Place},
    site::Site,
};

/// What the heads put out, `[row, pos, head, d]`, through the output projection: `[token, d_model]`. What each head adds
/// is only computed where something looks at it.
pub fn project(out: &Linear, z: Tensor<4>, layer: usize, pass: &mut Pass) -> Tensor<2> {
    let place = Place::of(Site::Result, layer);
    if pass.touches(place) {
        pass.at(place, by_head(out, &z));
    }
    let [rows, length, heads, d] = z.dims();
    let z = z.reshape([rows * length, heads * d]);
    pass.at(Place::of(Site::AttnOut, layer), out.forward(z))
}

/// `[row, pos, head, d]` → `[row, pos, head, d_model]`
fn by_head(out: &Linear, z: &Tensor<4>) -> Tensor<4> {
    let [rows, length, heads, d] = z.dims();
    let of = |head: usize| {
        let own = z.clone().narrow(2, head, 1).reshape([rows * length, d]);
        let added = out.part(own, head * d..(head + 1) * d); // [token, d_model]
        let width = added.dims()[1];
        added.reshape([rows, length, 1, width])
    };
    Tensor::cat((0..heads).map(of).collect(), 2)
}
