//! What is recorded at a site: which layers, heads and positions, reduced on the device before it leaves it.

use std::ops::Range;

use burn::tensor::{Int, TensorData};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Tensor,
    batch::Batch,
    facts::ModelFacts,
    layers::linear::host,
    pass::Place,
    site::{Extent, Site},
};
use crate::{Mistake, Select};

/// One capture: a site, which of its layers, heads and positions, and what becomes of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capture {
    /// Where: `z`, `pattern`, `resid_post`, `logits`, …
    pub site: Site,
    /// Which layers: "all", a half-open range "10..26", a number or a list.
    #[serde(default)]
    pub layers: Select,
    /// Which heads (key/value heads at `k` and `v`, experts at `expert_out`).
    #[serde(default)]
    pub heads: Select,
    /// Which positions, counted from the first token; at `pattern`, of the queries.
    #[serde(default)]
    pub positions: Select,
    /// What becomes of it; without one, the raw values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
    /// The name of the output; without one, the site's.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What becomes of recorded values before they leave the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// The Euclidean norm over the last axis.
    Norm,
    /// The mean over positions.
    Mean,
    /// The last position alone.
    Last,
}

/// Which columns of a pass a capture looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// These positions of rows that are padded on the right; of every row, where it has them.
    Positions(Select),
    /// The newest column.
    Newest,
    /// The last real column of each row.
    Last,
    /// The mean over these positions.
    Mean(Select),
}

/// A capture, checked against a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Take {
    pub site: Site,
    pub layers: Vec<usize>,
    /// None: all.
    pub heads: Option<Vec<usize>>,
    pub at: At,
    pub norm: bool,
}

impl Capture {
    /// The output's name.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.site.name())
    }

    /// Everything about this capture that the model cannot give; `at` is where it stands in the manifest.
    pub fn mistakes(&self, at: &str, facts: &ModelFacts) -> Vec<Mistake> {
        let mut found = facts.site_mistakes(at, self.site, &self.layers, &self.heads);
        if self.reduce == Some(Reduce::Norm) && self.site.extent() == Extent::Scale {
            found.push(Mistake::new(format!("{at}.reduce"), "a scale is one number: it has no norm"));
        }
        found
    }

    /// This capture on a model that has been asked for its [`mistakes`](Self::mistakes).
    pub fn on(&self, facts: &ModelFacts) -> Result<Take, String> {
        let heads =
            (self.heads != Select::All).then(|| self.heads.indices(facts.heads_at(self.site), "head")).transpose()?;
        let at = match self.reduce {
            Some(Reduce::Last) => At::Last,
            Some(Reduce::Mean) => At::Mean(self.positions.clone()),
            _ => At::Positions(self.positions.clone()),
        };
        let layers = facts.layers_at(self.site, &self.layers)?;
        Ok(Take { site: self.site, layers, heads, at, norm: self.reduce == Some(Reduce::Norm) })
    }

    /// The names of the output's axes, in order; `position` is what the axis of positions is called.
    pub fn axes(&self, position: &str) -> Vec<String> {
        let layer = self.site.per_layer().then_some("layer");
        let along = (!matches!(self.reduce, Some(Reduce::Mean | Reduce::Last))).then_some(position);
        let last = |name| (self.reduce != Some(Reduce::Norm)).then_some(name);
        let rest: Vec<Option<&str>> = match self.site.extent() {
            Extent::Residual => vec![along, last("d")],
            Extent::Scale => vec![along],
            Extent::Heads | Extent::KvHeads => vec![along, Some("head"), last("d")],
            Extent::Experts => vec![along, Some("expert"), last("d")],
            Extent::Pattern => vec![Some("head"), along.map(|_| "query"), last("key")],
            Extent::Logits => vec![along, last("token")],
        };
        [Some("prompt"), layer].into_iter().chain(rest).flatten().map(str::to_owned).collect()
    }
}

impl Take {
    pub fn looks_at(&self, place: Place) -> bool {
        self.site == place.site && self.layers.contains(&place.layer)
    }

    /// `[row, pos, head, d]` (or a pattern) → what is kept of it.
    pub fn reduce(&self, x: Tensor<4>, batch: &Batch) -> Tensor<4> {
        let pattern = self.site.extent() == Extent::Pattern;
        let (head_axis, position_axis) = if pattern { (1, 2) } else { (2, 1) };
        let x = match &self.heads {
            Some(heads) => select(x, head_axis, heads),
            None => x,
        };
        let x = self.at.pick(x, position_axis, batch);
        if self.norm { x.clone().mul(x).sum_dim(3).sqrt() } else { x }
    }

    /// Where the axis of positions stands in the array of a row.
    pub fn position_axis(&self) -> usize {
        let heads_first = self.site.extent() == Extent::Pattern;
        usize::from(self.site.per_layer()) + usize::from(heads_first)
    }

    /// What a pass recorded, on the host: an array for each row.
    pub fn rows(&self, layers: Vec<Tensor<4>>, batch: &Batch) -> Vec<ArrayD<f32>> {
        let shape = layers.first().map_or([0; 4], Tensor::dims);
        let layers: Vec<_> = layers.into_iter().map(host).collect();
        (0..batch.rows()).map(|row| self.row(&layers, shape, row, batch)).collect()
    }

    /// One row of what a pass recorded, on the host: padding cut off, and the axes of [`Capture::axes`] but the first.
    fn row(&self, layers: &[Vec<f32>], shape: [usize; 4], row: usize, batch: &Batch) -> ArrayD<f32> {
        let [_, a, b, c] = shape;
        let size = a * b * c;
        let values: Vec<f32> = layers.iter().flat_map(|layer| &layer[row * size..(row + 1) * size]).copied().collect();
        let grid = ArrayD::from_shape_vec(IxDyn(&[layers.len(), a, b, c]), values).expect("a row of every layer");
        let cropped = self.cropped(grid, &batch.real[row]);
        let shape: Vec<_> =
            cropped.shape().iter().zip(self.kept_axes()).filter_map(|(n, kept)| kept.then_some(*n)).collect();
        cropped.into_shape_with_order(IxDyn(&shape)).expect("an axis that is left out has one element")
    }

    /// `[layer, pos, head, d]` (or `[layer, head, query, key]`) without the positions that this row does not have.
    fn cropped(&self, mut grid: ArrayD<f32>, real: &Range<usize>) -> ArrayD<f32> {
        let pattern = self.site.extent() == Extent::Pattern;
        if let At::Positions(select) = &self.at {
            let kept = chosen(select, real.len()).len();
            grid.slice_axis_inplace(Axis(if pattern { 2 } else { 1 }), Slice::from(..kept));
        }
        if pattern && !self.norm {
            grid.slice_axis_inplace(Axis(3), Slice::from(real.start..real.end));
        }
        grid.as_standard_layout().into_owned()
    }

    /// Which axes of `[layer, pos, head, d]` (or `[layer, head, query, key]`) this capture has.
    fn kept_axes(&self) -> [bool; 4] {
        let along = matches!(self.at, At::Positions(_) | At::Newest);
        let layer = self.site.per_layer();
        match self.site.extent() {
            Extent::Pattern => [layer, true, along, !self.norm],
            Extent::Scale => [layer, along, false, false],
            _ => [layer, along, self.site.has_heads(), !self.norm],
        }
    }
}

impl At {
    /// The columns that are looked at, on the axis of positions.
    fn pick(&self, x: Tensor<4>, axis: usize, batch: &Batch) -> Tensor<4> {
        match self {
            Self::Positions(Select::All) => x,
            Self::Positions(some) => match chosen(some, batch.width()).as_slice() {
                // No row has any of them: a column that is cut off again.
                [] => x.narrow(axis, 0, 1),
                columns => select(x, axis, columns),
            },
            Self::Newest => {
                let last = x.dims()[axis] - 1;
                x.narrow(axis, last, 1)
            }
            Self::Last => rows(x, batch, |x, real| x.narrow(axis, real.end - 1, 1)),
            Self::Mean(some) => rows(x, batch, |x, real| match chosen(some, real.len()).as_slice() {
                [] => x.narrow(axis, 0, 1) * f32::NAN,
                columns => select(x, axis, columns).mean_dim(axis),
            }),
        }
    }
}

/// The selected positions that a row of this length has.
pub fn chosen(select: &Select, length: usize) -> Vec<usize> {
    match select {
        Select::All => (0..length).collect(),
        Select::Range(from, to) => (*from..(*to).min(length)).collect(),
        Select::List(_) => {
            select.indices(usize::MAX, "position").into_iter().flatten().filter(|p| *p < length).collect()
        }
    }
}

/// Each row of the grid on its own, put together again.
fn rows(x: Tensor<4>, batch: &Batch, each: impl Fn(Tensor<4>, &Range<usize>) -> Tensor<4>) -> Tensor<4> {
    Tensor::cat(batch.real.iter().enumerate().map(|(row, real)| each(x.clone().narrow(0, row, 1), real)).collect(), 0)
}

fn select(x: Tensor<4>, axis: usize, indices: &[usize]) -> Tensor<4> {
    let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    let count = indices.len();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &x.device());
    x.select(axis, indices)
}

/// Arrays of equal rank as one array with a new first axis, the shorter ones filled up with NaN.
pub fn stacked(parts: &[ArrayD<f32>]) -> ArrayD<f32> {
    let raised: Vec<_> = parts.iter().map(|part| part.clone().insert_axis(Axis(0))).collect();
    joined(&raised, Axis(0))
}

/// Arrays one after the other along an axis, filled up with NaN where they are shorter in the others.
pub fn joined(parts: &[ArrayD<f32>], along: Axis) -> ArrayD<f32> {
    let rank = parts.first().map_or(0, ArrayD::ndim);
    let lengths = |axis| parts.iter().map(move |part| part.shape()[axis]);
    let shape: Vec<usize> = (0..rank)
        .map(|axis| if axis == along.0 { lengths(axis).sum() } else { lengths(axis).max().unwrap_or(0) })
        .collect();
    let mut whole = ArrayD::from_elem(IxDyn(&shape), f32::NAN);
    let mut from = 0;
    for part in parts {
        let to = from + part.shape()[along.0];
        let mut place = whole.view_mut();
        for (axis, &length) in part.shape().iter().enumerate() {
            let range = if axis == along.0 { from..to } else { 0..length };
            place.slice_axis_inplace(Axis(axis), Slice::from(range));
        }
        place.assign(part);
        from = to;
    }
    whole
}
