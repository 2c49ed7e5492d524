//! One tensor that a family pulls from a checkpoint: its path there, its shape, and how training would have begun.
//!
//! A family describes itself by these before any weight is read, so that shapes are checked, and random weights made,
//! from the same list that loading follows.

use serde::{Deserialize, Serialize};

/// What a parameter holds before training, as the family's Hugging Face implementation initialises it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Initial {
    /// Independent draws of mean 0 and this standard deviation.
    Normal(f64),
    Zeros,
    Ones,
}

/// A tensor of a checkpoint, by its own path there.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    pub path: String,
    pub shape: Vec<usize>,
    pub initial: Initial,
    /// A row that begins as zeros whatever the others hold: the padding token's, among embeddings.
    pub zero_row: Option<usize>,
}

impl Param {
    pub fn normal(path: String, shape: &[usize], std: f64) -> Self {
        Self::of(path, shape, Initial::Normal(std))
    }

    pub fn zeros(path: String, shape: &[usize]) -> Self {
        Self::of(path, shape, Initial::Zeros)
    }

    pub fn ones(path: String, shape: &[usize]) -> Self {
        Self::of(path, shape, Initial::Ones)
    }

    fn of(path: String, shape: &[usize], initial: Initial) -> Self {
        Self { path, shape: shape.to_vec(), initial, zero_row: None }
    }
}
