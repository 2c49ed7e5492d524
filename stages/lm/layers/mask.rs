//! Which keys a query may see, as a term added to the scores.

use burn::tensor::TensorData;

use crate::lm::{Device, Tensor, batch::Batch};

/// What is added to the scores of every layer of one pass that has the same window.
pub enum Mask {
    /// Every query sees every key: one new token a row, no padding, no window.
    Nothing,
    /// The same for every row and head: `[1, query · key]`.
    Shared(Tensor<2>),
    /// `[row, head, query, key]`
    Each(Tensor<4>),
}

impl Mask {
    /// Causal, and blind to padding and to what lies `window` keys back or more, where there is a window (narrower than the keys). (A padding query sees itself, lest
    /// its row be empty.)
    pub fn new(batch: &Batch, window: Option<usize>, heads: usize, device: &Device) -> Self {
        let (width, keys) = (batch.width(), batch.columns.end);
        let rows = |starts: &[usize]| -> Vec<f32> {
            let mut values = Vec::with_capacity(starts.len() * width * keys);
            for &start in starts {
                for query in batch.columns.clone() {
                    let start = window.map_or(start, |window| start.max((query + 1).saturating_sub(window)));
                    let sees = |key| key == query || (key >= start && key < query);
                    values.extend((0..keys).map(|key| if sees(key) { 0.0 } else { f32::NEG_INFINITY }));
                }
            }
            values
        };
        if batch.starts_late() {
            let starts: Vec<_> = batch.real.iter().map(|real| real.start).collect();
            let data = TensorData::new(rows(&starts), [starts.len(), 1, width, keys]);
            // Repeated for each head: elementwise sums of equal shapes are the fast ones.
            Self::Each(Tensor::from_data(data, device).repeat_dim(1, heads))
        } else if width > 1 || window.is_some() {
            Self::Shared(Tensor::from_data(TensorData::new(rows(&[0]), [1, width * keys]), device))
        } else {
            Self::Nothing
        }
    }

    /// `[row, head, query, key]`
    pub fn apply(&self, scores: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Nothing => scores,
            Self::Shared(mask) => {
                let shape @ [rows, heads, queries, keys] = scores.dims();
                (scores.reshape([rows * heads, queries * keys]) + mask.clone()).reshape(shape)
            }
            Self::Each(mask) => scores + mask.clone(),
        }
    }
}
