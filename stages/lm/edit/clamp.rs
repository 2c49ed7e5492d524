//! Clamps: vectors that are given another size, token by token or all of a batch at once.
//!
//! Gradients flow through both. A batch's clamp makes each token depend on the others, so it is for training alone, where
//! a batch is part of what is computed.

use burn::tensor::{Bool, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Failure, Inputs,
    lm::{Tensor, batch::Batch, donor::Need},
    tables,
};

/// What has the size that a clamp sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Each vector by itself.
    #[default]
    Token,
    /// All vectors of a batch together: the texts of a step of training, or 256 where the model is looked at. Only in
    /// `train`.
    Batch,
}

/// The size that a clamp sets: a number, or what another stage measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    Given(f64),
    Measured(Measured),
}

/// The number in the last row of a column: of the `log` of a training run, that of the trained model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measured {
    /// The name of an input port.
    pub from: String,
    /// The column. (Of a tensor, the values are the column `value`.)
    pub column: String,
}

impl Size {
    /// What it wants of an input port.
    pub fn need(&self, at: String) -> Option<Need> {
        match self {
            Self::Given(_) => None,
            Self::Measured(Measured { from, column }) => Some(Need::rows(at, from, column)),
        }
    }

    /// What is wrong with it on its own.
    pub fn mistake(&self) -> Option<String> {
        match self {
            Self::Given(size) => wrong(*size),
            Self::Measured(_) => None,
        }
    }

    /// The number.
    pub fn size(&self, inputs: &Inputs) -> Result<f64, String> {
        let size = match self {
            Self::Given(size) => *size,
            Self::Measured(measured) => measured.read(inputs)?,
        };
        wrong(size).map_or(Ok(size), Err)
    }
}

impl Measured {
    fn read(&self, inputs: &Inputs) -> Result<f64, String> {
        let Self { from, column } = self;
        let said = |failure: Failure| failure.to_string();
        let table = tables::stack(from, inputs.many(from)).map_err(said)?;
        let values = tables::numbers(&table, column, from).map_err(said)?;
        values.last().copied().ok_or_else(|| format!("`{from}` has no rows"))
    }
}

fn wrong(size: f64) -> Option<String> {
    (!(size.is_finite() && size >= 0.0)).then(|| format!("a norm or a standard deviation is 0 or more, not {size}"))
}

/// `[row, pos, head, d]`, each vector of this norm.
pub fn norm(x: Tensor<4>, norm: f64) -> Tensor<4> {
    x.clone() * ratio(norm, (x.clone() * x).sum_dim(3))
}

/// `[row, pos, head, d]`, each vector of this standard deviation about its own mean.
pub fn spread(x: Tensor<4>, std: f64) -> Tensor<4> {
    let mean = x.clone().mean_dim(3); // [row, pos, head, 1]
    let rest = x - mean.clone();
    mean + rest.clone() * ratio(std, (rest.clone() * rest).mean_dim(3))
}

/// `[row, pos, 1, d]`, x · norm / mean ‖x‖, the mean over the tokens that `counts` says.
pub fn norm_over(x: Tensor<4>, counts: &Tokens, norm: f64) -> Tensor<4> {
    let squares = (x.clone() * x.clone()).sum_dim(3); // [row, pos, 1, 1]
    let none = squares.clone().equal_elem(0.0);
    let norms = squares.mask_fill(none.clone(), 1.0).sqrt().mask_fill(none, 0.0);
    let mean = counts.mean(norms); // [1, 1, 1, 1]
    x * ratio(norm, mean.clone() * mean)
}

/// `[row, pos, 1, d]`, μ + (x − μ) · std / s: μ for each dimension the mean over the tokens that `counts` says, s the
/// standard deviation (ddof 0) of all their numbers about it.
pub fn spread_over(x: Tensor<4>, counts: &Tokens, std: f64) -> Tensor<4> {
    let mean = counts.mean(x.clone()); // [1, 1, 1, d]
    let rest = x - mean.clone();
    let variance = counts.mean(rest.clone() * rest.clone()).mean_dim(3); // [1, 1, 1, 1]
    mean + rest * ratio(std, variance)
}

/// The tokens of a batch that a clamp is over.
pub struct Tokens {
    /// 1 for those that count; none where all do.
    counts: Option<Tensor<4>>, // [row, pos, 1, 1]
    count: usize,
}

impl Tokens {
    /// Those tokens of a pass that are meant, of which there is one at least.
    pub fn of(batch: &Batch, means: impl Fn(usize, usize) -> bool, x: &Tensor<4>) -> Option<Self> {
        let [rows, length, ..] = x.dims();
        let means = |at: usize| means(at / length, at % length);
        let flags: Vec<f32> = (0..batch.rows() * length).map(|at| if means(at) { 1.0 } else { 0.0 }).collect();
        let count = flags.iter().filter(|flag| **flag > 0.0).count();
        let some = count < flags.len();
        let data = TensorData::new(flags, [rows, length, 1, 1]);
        (count > 0).then(|| Self { counts: some.then(|| Tensor::from_data(data, &x.device())), count })
    }

    /// The mean over tokens, `[row, pos, 1, d]` → `[1, 1, 1, d]`
    fn mean(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.counts {
            Some(counts) => x * counts.clone(),
            None => x,
        };
        x.sum_dim(0).sum_dim(1) * (1.0 / self.count as f64)
    }

    /// What was edited where tokens count, and what was there elsewhere.
    pub fn put(&self, edited: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let Some(counts) = &self.counts else { return edited };
        let mask: Tensor<4, Bool> = counts.clone().greater_elem(0.5);
        let shape = x.dims();
        x.mask_where(mask.expand(shape), edited)
    }
}

/// `target / √square`, and 1 where `square` is 0: the root has no slope there.
fn ratio(target: f64, square: Tensor<4>) -> Tensor<4> {
    let none = square.clone().equal_elem(0.0);
    let own = square.mask_fill(none.clone(), 1.0).sqrt();
    (own.recip() * target).mask_fill(none, 1.0)
}
