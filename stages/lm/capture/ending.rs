//! What becomes of recorded values after the pass: largest values, participation ratios and entropies on the host, and
//! logits of the residual stream, row by row and layer by layer, so that no more than one text's leave the device at
//! once.

use ndarray::{Array2, ArrayD, ArrayView1, Axis, Ix4, IxDyn};

use super::{reduce::Kept, take::Take};
use crate::{
    lm::{
        Model, Tensor,
        batch::Batch,
        site::{Extent, Site},
    },
    metrics::{entropy::relative_entropy, participation::participation_ratio},
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
        let each = layers.iter().map(|layer| {
            let [_, places, _, d] = layer.dims();
            let x = layer.clone().narrow(0, row, 1).reshape([places, d]);
            let logits = model.lens(x, final_norm); // [pos, vocab]
            let logits = logits.reshape([1, places, 1, model.facts.vocab]);
            let grid = self.grids(vec![logits], &own).remove(0);
            match top {
                Some(k) => self.largest(&grid, k, true),
                None => vec![self.without(grid, Kept { last: Some("token"), ..self.kept() })],
            }
        });
        let by_layer = turned(each.collect());
        let joined = |layers: Vec<ArrayD<f32>>| match self.site.per_layer() {
            true => super::joined(&layers, Axis(0)),
            false => layers.into_iter().next().unwrap_or_else(|| ArrayD::zeros(IxDyn(&[0]))),
        };
        by_layer.into_iter().map(joined).collect()
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
                (surprisal as f32, f32::from(best(lane, 1) == [token]))
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
            for (rank, index) in best(lane, k).into_iter().enumerate() {
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

/// The places of the `k` largest numbers, the largest first; of equals, the first.
fn best(lane: ArrayView1<f32>, k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lane.len()).filter(|i| !lane[*i].is_nan()).collect();
    let larger = |a: &usize, b: &usize| lane[*b].total_cmp(&lane[*a]).then(a.cmp(b));
    if order.len() > k {
        order.select_nth_unstable_by(k, larger);
        order.truncate(k);
    }
    order.sort_unstable_by(larger);
    order
}

fn log_sum_exp(lane: ArrayView1<f32>) -> f64 {
    let largest = lane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(largest) + lane.iter().map(|x| f64::from(x - largest).exp()).sum::<f64>().ln()
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
