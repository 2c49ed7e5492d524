//! Which keys a query may see, as a term added to the scores.

use std::ops::Range;

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
    /// Blind to padding, to what stands behind where the model is causal, and to what lies `window` keys back or more, where
    /// there is a window (narrower than the keys). (A padding query sees itself, lest its row be empty.)
    pub fn new(batch: &Batch, causal: bool, window: Option<usize>, heads: usize, device: &Device) -> Self {
        let (width, keys) = (batch.width(), batch.columns.end);
        let rows = |texts: &[Range<usize>]| -> Vec<f32> {
            let mut values = Vec::with_capacity(texts.len() * width * keys);
            for text in texts {
                for query in batch.columns.clone() {
                    let start = window.map_or(text.start, |window| text.start.max((query + 1).saturating_sub(window)));
                    let end = if causal { query } else { text.end };
                    let sees = |key| key == query || (key >= start && key < end);
                    values.extend((0..keys).map(|key| if sees(key) { 0.0 } else { f32::NEG_INFINITY }));
                }
            }
            values
        };
        // What is padded on the right, nobody sees who sees nothing behind.
        let ends_early = !causal && batch.real.iter().any(|real| real.end < keys);
        if batch.starts_late() || ends_early {
            let data = TensorData::new(rows(&batch.real), [batch.rows(), 1, width, keys]);
            // Repeated for each head: elementwise sums of equal shapes are the fast ones.
            Self::Each(Tensor::from_data(data, device).repeat_dim(1, heads))
        } else if (causal && width > 1) || window.is_some() {
            let whole = 0..keys;
            Self::Shared(Tensor::from_data(TensorData::new(rows(&[whole]), [1, width * keys]), device))
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
