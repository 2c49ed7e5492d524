//! What becomes of recorded values after the pass: largest values, participation ratios and entropies on the host, and
//! logits of the residual stream, row by row, layer by layer and a chunk of positions at a time: those of a whole text
//! can be larger than the model.

use std::ops::Range;

use ndarray::{Array2, ArrayD, ArrayView1, Axis, Ix4, IxDyn};

use super::{reduce::Kept, take::Take};
use crate::{
    lm::{
        Model, Tensor,
        batch::Batch,
        site::{Extent, Site},
    },
    metrics::{
        entropy::relative_entropy,
        logits::{largest, log_sum_exp},
        participation::participation_ratio,
    },
};

/// What happens last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The values themselves.
    Values,
    /// The relative entropy over the last axis.
    Received,
    /// The participation ratio of the positions.
    Participation,
    /// The largest of the last axis.
    Top(usize),
    /// Logits of the residual stream, or the largest of them.
    Unembed { final_norm: bool, top: Option<usize> },
    /// How logits predict the next token.
    Surprisal,
}

impl Ending {
    pub fn topped(self, k: usize) -> Self {
        match self {
            Self::Unembed { final_norm, .. } => Self::Unembed { final_norm, top: Some(k) },
            _ => Self::Top(k),
        }
    }
}

impl Take {
    /// What a pass recorded, on the host: for each output an array for each row, with the axes of
    /// [`Capture::outputs`](super::Capture::outputs) but the first.
    pub fn outputs(&self, layers: Vec<Tensor<4>>, batch: &Batch, model: &Model) -> Vec<Vec<ArrayD<f32>>> {
        let kept = self.kept();
        match self.ending {
            Ending::Values => vec![self.rows(layers, batch)],
            Ending::Received => {
                let received = |grid: ArrayD<f32>| {
                    let own = |keys: ArrayView1<f32>| relative_entropy(&keys.to_vec()) as f32;
                    let grid = grid.map_axis(Axis(3), own).insert_axis(Axis(3));
                    self.without(grid, Kept { last: None, ..kept })
                };
                vec![self.grids(layers, batch).into_iter().map(received).collect()]
            }
            Ending::Participation => {
                vec![self.rows(layers, batch).iter().map(|row| participation_over(row, self.site)).collect()]
            }
            Ending::Top(k) => {
                let likely = kept.last == Some("token");
                let rows = self.grids(layers, batch).into_iter().map(|grid| self.largest(&grid, k, likely));
                turned(rows.collect())
            }
            Ending::Surprisal => {
                let rows = self.grids(layers, batch).into_iter().enumerate();
                turned(rows.map(|(row, grid)| self.surprisals(&grid, &self.followers(batch, row))).collect())
            }
            Ending::Unembed { final_norm, top } => {
                let row = |row| self.unembedded(&layers, row, batch, model, final_norm, top);
                turned((0..batch.rows()).map(row).collect())
            }
        }
    }

    /// `[layer, pos, 1, vocab]` of one row: its logits, or the largest.
    fn unembedded(
        &self,
        layers: &[Tensor<4>],
        row: usize,
        batch: &Batch,
        model: &Model,
        final_norm: bool,
        top: Option<usize>,
    ) -> Vec<ArrayD<f32>> {
        let own = batch.row(row);
        let (slots, kept) = (self.slots(batch, row), self.kept());
        let each = layers.iter().map(|layer| {
            let [_, places, _, d] = layer.dims();
            let pieces = chunks(places, model.facts.vocab).map(|chunk| {
                let x = layer.clone().narrow(0, row, 1).narrow(1, chunk.start, chunk.len()).reshape([chunk.len(), d]);
                let logits = model.lens(x, final_norm).reshape([1, chunk.len(), 1, model.facts.vocab]);
                // Where positions were made one, or a text has fewer than the longest, there are fewer slots.
                let here = slots.get(chunk.start..chunk.end.min(slots.len())).filter(|_| kept.position);
                let take = self.of(here.unwrap_or_default());
                let grid = take.grids(vec![logits], &own).remove(0);
                match top {
                    Some(k) => take.largest(&grid, k, true),
                    None => vec![take.without(grid, Kept { last: Some("token"), ..kept })],
                }
            });
            self.side_by_side(pieces.collect())
        });
        let by_layer = turned(each.collect());
        let joined = |layers: Vec<ArrayD<f32>>| match self.site.per_layer() {
            true => super::joined(&layers, Axis(0)),
            false => layers.into_iter().next().unwrap_or_else(|| ArrayD::zeros(IxDyn(&[0]))),
        };
        by_layer.into_iter().map(joined).collect()
    }

    /// Arrays of one chunk of positions after the other as those of all.
    pub fn side_by_side(&self, chunks: Vec<Vec<ArrayD<f32>>>) -> Vec<ArrayD<f32>> {
        let whole = |mut pieces: Vec<ArrayD<f32>>| match pieces.len() {
            1 => pieces.remove(0),
            _ => super::joined(&pieces, self.position_axis()),
        };
        turned(chunks).into_iter().map(whole).collect()
    }

    /// The token that follows each place of a row, where the text goes on.
    fn followers(&self, batch: &Batch, row: usize) -> Vec<Option<u32>> {
        let follower = |slot: Option<usize>| {
            let column = slot? + 1;
            let there = column < batch.width() && batch.real[row].contains(&(batch.columns.start + column));
            there.then(|| batch.ids[row * batch.width() + column])
        };
        self.slots(batch, row).into_iter().map(follower).collect()
    }

    /// `[1, pos, 1, vocab]` and what follows → `[pos]`: −ln p of that, and whether nothing is more likely.
    fn surprisals(&self, grid: &ArrayD<f32>, followers: &[Option<u32>]) -> Vec<ArrayD<f32>> {
        let lanes = grid.lanes(Axis(3)).into_iter().zip(followers);
        let scores = lanes.map(|(lane, follower)| match follower.map(|token| token as usize) {
            Some(token) => {
                let surprisal = log_sum_exp(lane) - f64::from(lane[token]);
                (surprisal as f32, f32::from(largest(lane, 1) == [token]))
            }
            None => (f32::NAN, f32::NAN),
        });
        let (surprisals, right): (Vec<f32>, Vec<f32>) = scores.unzip();
        [surprisals, right]
            .map(|values| ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).expect("one axis"))
            .into()
    }

    /// The largest values of the last axis, which they are, and where they are logits how likely.
    fn largest(&self, grid: &ArrayD<f32>, k: usize, likely: bool) -> Vec<ArrayD<f32>> {
        let mut shape = grid.shape().to_vec();
        shape[3] = k;
        let empty = |with| ArrayD::from_elem(IxDyn(&shape), with);
        let (mut values, mut indices, mut shares) = (empty(f32::NAN), empty(-1.0), empty(f32::NAN));
        let places = values.lanes_mut(Axis(3)).into_iter().zip(indices.lanes_mut(Axis(3)));
        for ((lane, (mut values, mut indices)), mut shares) in
            grid.lanes(Axis(3)).into_iter().zip(places).zip(shares.lanes_mut(Axis(3)))
        {
            let scale = if likely { log_sum_exp(lane) } else { f64::NAN };
            for (rank, index) in largest(lane, k).into_iter().enumerate() {
                values[rank] = lane[index];
                indices[rank] = index as f32;
                shares[rank] = (f64::from(lane[index]) - scale).exp() as f32;
            }
        }
        let kept = Kept { last: Some("rank"), ..self.kept() };
        let all = if likely { vec![values, indices, shares] } else { vec![values, indices] };
        all.into_iter().map(|array| self.without(array, kept)).collect()
    }
}

/// Logits that stand in memory at once. In tests so few that the texts of the fixtures come in pieces.
const LOGITS: usize = if cfg!(test) { 1 << 10 } else { 1 << 22 };

/// Positions in pieces, each so long that its logits have room; one piece, if an empty one, in any case.
pub fn chunks(positions: usize, vocab: usize) -> impl Iterator<Item = Range<usize>> {
    let length = (LOGITS / vocab.max(1)).max(1);
    let pieces = positions.div_ceil(length).max(1);
    (0..pieces).map(move |i| i * length..((i + 1) * length).min(positions))
}

/// `[layer, position, head, d]`, some of which a site lacks → `[layer]`: the participation ratio of its positions, heads
/// side by side.
pub fn participation_over(array: &ArrayD<f32>, site: Site) -> ArrayD<f32> {
    let mut array = array.clone();
    if !site.per_layer() {
        array = array.insert_axis(Axis(0));
    }
    if site.extent() == Extent::Residual || array.ndim() < 4 {
        array = array.insert_axis(Axis(2));
    }
    let array = array.into_dimensionality::<Ix4>().expect("a layer, a position, a head and a vector");
    let (_, positions, heads, d) = array.dim();
    let ratio = |layer: usize| {
        let layer = array.index_axis(Axis(0), layer); // [position, head, d]
        let there = (0..positions).filter(|place| layer.index_axis(Axis(0), *place).iter().all(|x| !x.is_nan()));
        let vectors: Vec<f32> =
            there.flat_map(|place| layer.index_axis(Axis(0), place).iter().copied().collect::<Vec<_>>()).collect();
        let rows = vectors.len() / (heads * d).max(1);
        let x = Array2::from_shape_vec((rows, heads * d), vectors).expect("whole vectors");
        participation_ratio(x.view()) as f32
    };
    let ratios: Vec<f32> = (0..array.dim().0).map(ratio).collect();
    let shape = if site.per_layer() { vec![ratios.len()] } else { vec![] };
    ArrayD::from_shape_vec(IxDyn(&shape), ratios).expect("one number a layer")
}

/// For each row its outputs → for each output its rows.
fn turned(rows: Vec<Vec<ArrayD<f32>>>) -> Vec<Vec<ArrayD<f32>>> {
    let outputs = rows.first().map_or(0, Vec::len);
    let mut turned: Vec<Vec<_>> = (0..outputs).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        row.into_iter().zip(&mut turned).for_each(|(array, rows)| rows.push(array));
    }
    turned
}
