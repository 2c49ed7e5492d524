//! Prompts of different lengths as one grid of tokens.
//!
//! Padding is on the right where a whole text is read at once (causal attention then needs no mask for it), and on
//! the left where tokens are appended, so that every row's next token stands in the same column.

use std::ops::Range;

/// The token at padding columns. Nothing real ever attends to it.
const PADDING: u32 = 0;

/// Rows of tokens, one a prompt, that go through the model together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The index of each row's prompt in the study's list: what noise is keyed by.
    pub prompts: Vec<usize>,
    /// `[row, column]`, the columns of this pass alone.
    pub ids: Vec<u32>,
    /// The real columns of each row, counted from the beginning of the text.
    pub real: Vec<Range<usize>>,
    /// How many tokens each row's text has, before anything is appended: what negative positions count back from.
    pub ends: Vec<usize>,
    /// The columns of this pass; those before are in the KV cache.
    pub columns: Range<usize>,
}

impl Batch {
    /// `(index, tokens)` of each prompt, padded on the right.
    pub fn right_padded(prompts: &[(usize, &[u32])]) -> Self {
        Self::padded(prompts, |_, _| 0)
    }

    /// `(index, tokens)` of each prompt, padded on the left.
    pub fn left_padded(prompts: &[(usize, &[u32])]) -> Self {
        Self::padded(prompts, |longest, length| longest - length)
    }

    fn padded(prompts: &[(usize, &[u32])], start: impl Fn(usize, usize) -> usize) -> Self {
        let longest = prompts.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or(0);
        let mut ids = vec![PADDING; prompts.len() * longest];
        let mut real = Vec::with_capacity(prompts.len());
        for (row, (_, tokens)) in prompts.iter().enumerate() {
            let start = start(longest, tokens.len());
            ids[row * longest + start..][..tokens.len()].copy_from_slice(tokens);
            real.push(start..start + tokens.len());
        }
        let ends = prompts.iter().map(|(_, tokens)| tokens.len()).collect();
        Self { prompts: prompts.iter().map(|(index, _)| *index).collect(), ids, real, ends, columns: 0..longest }
    }

    /// The pass that appends one token to each row of a left-padded batch.
    pub fn then(&self, tokens: &[u32]) -> Self {
        let column = self.columns.end;
        Self {
            prompts: self.prompts.clone(),
            ids: tokens.to_vec(),
            real: self.real.iter().map(|real| real.start..column + 1).collect(),
            ends: self.ends.clone(),
            columns: column..column + 1,
        }
    }

    /// One row by itself.
    pub fn row(&self, row: usize) -> Self {
        Self {
            prompts: vec![self.prompts[row]],
            ids: self.ids[row * self.width()..][..self.width()].to_vec(),
            real: vec![self.real[row].clone()],
            ends: vec![self.ends[row]],
            columns: self.columns.clone(),
        }
    }

    pub fn rows(&self) -> usize {
        self.prompts.len()
    }

    /// How many columns this pass has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The position in its own text of each token of the grid, row by row; 0 at padding on the left.
    pub fn positions(&self) -> Vec<usize> {
        self.real.iter().flat_map(|real| self.columns.clone().map(|column| column.saturating_sub(real.start))).collect()
    }

    /// Whether some row is padded on the left.
    pub fn starts_late(&self) -> bool {
        self.real.iter().any(|real| real.start > 0)
    }

    /// The place in the grid of a row's newest token.
    pub fn newest(&self, row: usize) -> usize {
        row * self.width() + self.real[row].end - 1 - self.columns.start
    }
}
