//! Changes made at a site while a model runs: which layers, heads and positions, and what happens there.
//!
//! Edits are part of a call, never attached to a model. An edit that changes nothing changes no bit.

use std::{fmt, sync::Arc};

use burn::tensor::TensorData;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Tensor,
    batch::Batch,
    facts::ModelFacts,
    pass::Place,
    site::{Extent, Site},
};
use crate::{Mistake, Purpose, Seed, Select, rng};

/// One edit: a site, which of its layers, heads and positions, and an operation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Edit {
    /// Sets the values to zero.
    Zero {
        site: Site,
        #[serde(default)]
        layers: Select,
        /// Which heads (key/value heads at `k` and `v`, experts at `expert_out`); not given: all.
        #[serde(default)]
        heads: Select,
        /// Which positions, counted from the first token; at `pattern`, of the queries.
        #[serde(default)]
        positions: Select,
    },
    /// Adds Gaussian noise.
    Noise {
        site: Site,
        #[serde(default)]
        layers: Select,
        #[serde(default)]
        heads: Select,
        #[serde(default)]
        positions: Select,
        /// The standard deviation, absolute.
        std: f64,
        seed: Seed,
    },
}

/// Values to add at one token: for (place, prompt, position, how many).
pub type Addend = Arc<dyn Fn(Place, usize, usize, usize) -> Vec<f32> + Send + Sync>;

/// What happens to the values.
#[derive(Clone)]
pub enum Op {
    Zero,
    Add(Addend),
}

/// An edit, checked against a model.
#[derive(Clone, Debug)]
pub struct Change {
    pub site: Site,
    pub layers: Vec<usize>,
    /// Whether each head is meant; empty where the site has none.
    pub heads: Vec<bool>,
    pub positions: Select,
    pub op: Op,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "Zero",
            Self::Add(_) => "Add",
        })
    }
}

impl Edit {
    fn parts(&self) -> (Site, &Select, &Select, &Select) {
        match self {
            Self::Zero { site, layers, heads, positions } | Self::Noise { site, layers, heads, positions, .. } => {
                (*site, layers, heads, positions)
            }
        }
    }

    /// Everything about this edit that the model cannot do; `at` is where it stands in the manifest.
    pub fn mistakes(&self, at: &str, facts: &ModelFacts) -> Vec<Mistake> {
        let (site, layers, heads, _) = self.parts();
        let mut found = facts.site_mistakes(at, site, layers, heads);
        if site == Site::Logits {
            found.push(
                Mistake::new(format!("{at}.site"), "logits are read, not edited")
                    .help("edit `resid_post` of the last layer"),
            );
        }
        if let Self::Noise { std, .. } = self
            && !(std.is_finite() && *std >= 0.0)
        {
            found.push(Mistake::new(format!("{at}.std"), format!("a standard deviation is 0 or more, not {std}")));
        }
        found
    }

    /// This edit on a model that has been asked for its [`mistakes`](Self::mistakes); nothing where it changes nothing.
    pub fn on(&self, facts: &ModelFacts) -> Result<Option<Change>, String> {
        let (site, layers, heads, positions) = self.parts();
        let op = match self {
            Self::Zero { .. } => Op::Zero,
            Self::Noise { std: 0.0, .. } => return Ok(None),
            Self::Noise { std, seed, .. } => Op::Add(noise(seed.0, *std)),
        };
        let count = facts.heads_at(site);
        let mut meant = vec![false; count];
        heads
            .indices(count, "head")
            .map(|picked| picked.into_iter().for_each(|head| meant[head] = true))
            .or_else(|problem| if site.has_heads() { Err(problem) } else { Ok(()) })?;
        let layers = facts.layers_at(site, layers)?;
        Ok(Some(Change { site, layers, heads: meant, positions: positions.clone(), op }))
    }
}

/// Gaussian noise that depends on seed, site, layer, prompt and position, and on nothing else.
fn noise(seed: u64, std: f64) -> Addend {
    Arc::new(move |place, prompt, position, count| {
        let indices = [place.layer as u64, prompt as u64, place.site as u64];
        let mut stream = rng(seed, Purpose::Noise, &indices);
        // Two words for each pair of values: a position's share of the stream begins where the one before ends.
        let pairs = count.div_ceil(2);
        stream.set_word_pos(position as u128 * 2 * pairs as u128);
        let mut values: Vec<f32> = (0..pairs).flat_map(|_| gaussian_pair(&mut stream, std)).collect();
        values.truncate(count);
        values
    })
}

/// Two independent normal draws from two words (Box and Muller's transform).
fn gaussian_pair(stream: &mut impl Rng, std: f64) -> [f32; 2] {
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0; // in (0, 1)
    let radius = std * (-2.0 * unit(stream.next_u32()).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * unit(stream.next_u32())).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

impl Change {
    /// Zeroes these heads' outputs, at every position; `heads` are (layer, head).
    pub fn zero_heads(heads: &[(usize, usize)], facts: &ModelFacts) -> Vec<Self> {
        let mut layers: Vec<usize> = heads.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let in_layer = |layer| {
            let mut meant = vec![false; facts.heads];
            heads.iter().filter(|(l, _)| *l == layer).for_each(|(_, head)| meant[*head] = true);
            Self { site: Site::Z, layers: vec![layer], heads: meant, positions: Select::All, op: Op::Zero }
        };
        layers.into_iter().map(in_layer).collect()
    }

    pub fn acts_at(&self, place: Place) -> bool {
        self.site == place.site && self.layers.contains(&place.layer)
    }

    /// `[row, pos, head, d]` (or `[row, head, query, key]`), edited.
    pub fn apply(&self, place: Place, x: Tensor<4>, batch: &Batch) -> Tensor<4> {
        let x = if place.site.extent() == Extent::Pattern { x.swap_dims(1, 2) } else { x };
        let edited = match &self.op {
            Op::Zero => self.zeroed(x, batch),
            Op::Add(addend) => self.added(place, x, batch, addend),
        }; // [row, pos, head, …]
        if place.site.extent() == Extent::Pattern { edited.swap_dims(1, 2) } else { edited }
    }

    fn zeroed(&self, x: Tensor<4>, batch: &Batch) -> Tensor<4> {
        let [rows, length, heads, _] = x.dims();
        let mut keep = Vec::with_capacity(rows * length * heads);
        for row in 0..rows {
            for column in 0..length {
                let meant = self.means(row, column, batch);
                keep.extend((0..heads).map(|head| if meant && self.means_head(head) { 0.0f32 } else { 1.0 }));
            }
        }
        let keep = Tensor::<4>::from_data(TensorData::new(keep, [rows, length, heads, 1]), &x.device());
        x * keep
    }

    fn added(&self, place: Place, x: Tensor<4>, batch: &Batch, addend: &Addend) -> Tensor<4> {
        let [rows, length, heads, d] = x.dims();
        let mut values = vec![0.0f32; rows * length * heads * d];
        values.par_chunks_mut(heads * d).enumerate().for_each(|(token, values)| {
            let (row, column) = (token / length, token % length);
            if !self.means(row, column, batch) {
                return;
            }
            let position = batch.columns.start + column - batch.real[row].start;
            let drawn = addend(place, batch.prompts[row], position, heads * d);
            for head in (0..heads).filter(|head| self.means_head(*head)) {
                values[head * d..][..d].copy_from_slice(&drawn[head * d..][..d]);
            }
        });
        let values = Tensor::from_data(TensorData::new(values, [rows, length, heads, d]), &x.device());
        x + values
    }

    /// Whether the token at `column` of this pass is real and one of those meant.
    fn means(&self, row: usize, column: usize, batch: &Batch) -> bool {
        let real = &batch.real[row];
        let column = batch.columns.start + column;
        real.contains(&column) && has(&self.positions, column - real.start)
    }

    fn means_head(&self, head: usize) -> bool {
        self.heads.get(head).copied().unwrap_or(true)
    }
}

fn has(select: &Select, position: usize) -> bool {
    match select {
        Select::All => true,
        Select::Range(from, to) => (*from..*to).contains(&position),
        Select::List(list) => list.contains(&position),
    }
}
