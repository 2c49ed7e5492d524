//! An edit on a model: what happens to a site's value on the device, at the tokens and heads that are meant.
//!
//! Everything else keeps its bits: a changed value is put in place under a mask, never added to zeros.

use std::{fmt, sync::Arc};

use burn::tensor::{Bool, TensorData};
use rayon::prelude::*;

use super::{Dropout, Over, Replacement, Token, clamp};
use crate::{
    Select,
    lm::{
        Tensor,
        batch::Batch,
        facts::ModelFacts,
        pass::Place,
        site::{Extent, Site},
    },
};

/// Values to add at one token: for (place, prompt, position, how many).
pub type Addend = Arc<dyn Fn(Place, usize, usize, usize) -> Vec<f32> + Send + Sync>;

/// What happens to the values.
#[derive(Clone)]
pub enum Op {
    Zero,
    Scale(f64),
    Add(Addend),
    /// The same in units of the root mean square of the vector that it is added to.
    AddRelative(Addend),
    /// Other values in their place.
    Put(Replacement),
    /// Vectors of this norm.
    Norm(f64, Over),
    /// Vectors of this standard deviation about their own mean; over a batch, about its mean.
    Spread(f64, Over),
    /// A share of them is lost.
    Drop(Dropout),
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
            Self::Scale(_) => "Scale",
            Self::Add(_) => "Add",
            Self::AddRelative(_) => "AddRelative",
            Self::Put(_) => "Put",
            Self::Norm(..) => "Norm",
            Self::Spread(..) => "Spread",
            Self::Drop(_) => "Drop",
        })
    }
}

impl Op {
    fn brings_values(&self) -> bool {
        matches!(self, Self::Add(_) | Self::AddRelative(_) | Self::Put(_))
    }
}

/// Which numbers of `[row, pos, head, d]` change; and where the operation brings values, those.
struct Changed {
    mask: Vec<bool>,
    values: Vec<f32>,
}

/// The numbers of one token in the grid, `[head, d]`.
struct Numbers<'a> {
    mask: &'a mut [bool],
    /// Empty where the operation brings none.
    values: &'a mut [f32],
}

impl Change {
    /// One operation on these heads' outputs, at every position; `heads` are (layer, head).
    pub fn on_heads(heads: &[(usize, usize)], op: &Op, facts: &ModelFacts) -> Vec<Self> {
        let mut layers: Vec<usize> = heads.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let in_layer = |layer| {
            let mut meant = vec![false; facts.heads];
            heads.iter().filter(|(l, _)| *l == layer).for_each(|(_, head)| meant[*head] = true);
            Self { site: Site::Z, layers: vec![layer], heads: meant, positions: Select::All, op: op.clone() }
        };
        layers.into_iter().map(in_layer).collect()
    }

    /// Zeroes these heads' outputs, at every position; `heads` are (layer, head).
    pub fn zero_heads(heads: &[(usize, usize)], facts: &ModelFacts) -> Vec<Self> {
        Self::on_heads(heads, &Op::Zero, facts)
    }

    pub fn acts_at(&self, place: Place) -> bool {
        self.site == place.site && self.layers.contains(&place.layer)
    }

    /// Whether what becomes of a text depends on those that share its batch.
    pub fn mixes_texts(&self) -> bool {
        matches!(self.op, Op::Norm(_, Over::Batch) | Op::Spread(_, Over::Batch))
    }

    /// `[row, pos, head, d]` (or `[row, head, query, key]`), edited; or why it cannot be.
    pub fn apply(&self, place: Place, x: Tensor<4>, batch: &Batch) -> Result<Tensor<4>, String> {
        match self.op {
            Op::Drop(dropout) => return Ok(dropout.apply(place, x, batch)),
            Op::Norm(norm, Over::Batch) => {
                return Ok(self.over_batch(x, batch, |x, tokens| clamp::norm_over(x, tokens, norm)));
            }
            Op::Spread(std, Over::Batch) => {
                return Ok(self.over_batch(x, batch, |x, tokens| clamp::spread_over(x, tokens, std)));
            }
            _ => (),
        }
        if place.site.extent() == Extent::Pattern {
            return Ok(self.changed(place, x.swap_dims(1, 2), batch)?.swap_dims(1, 2));
        }
        self.changed(place, x, batch)
    }

    /// All tokens that are meant, changed together, `[row, pos, 1, d]`.
    fn over_batch(
        &self,
        x: Tensor<4>,
        batch: &Batch,
        change: impl Fn(Tensor<4>, &clamp::Tokens) -> Tensor<4>,
    ) -> Tensor<4> {
        match clamp::Tokens::of(batch, |row, column| self.means(row, column, batch), &x) {
            Some(tokens) => tokens.put(change(x.clone(), &tokens), x),
            None => x,
        }
    }

    /// `[row, pos, head, d]`, or a pattern's `[row, query, head, key]`
    fn changed(&self, place: Place, x: Tensor<4>, batch: &Batch) -> Result<Tensor<4>, String> {
        let shape = x.dims();
        let Changed { mask, values } = self.meant(place, shape, batch)?;
        if !mask.contains(&true) {
            return Ok(x);
        }
        let mask = Tensor::<4, Bool>::from_bool(TensorData::new(mask, shape), &x.device());
        let values = || Tensor::<4>::from_data(TensorData::new(values, shape), &x.device()).cast(x.dtype());
        let edited = match &self.op {
            Op::Zero => return Ok(x.mask_fill(mask, 0.0)),
            Op::Scale(factor) => x.clone() * *factor,
            Op::Add(_) => x.clone() + values(),
            Op::AddRelative(_) => x.clone() + values() * (x.clone() * x.clone()).mean_dim(3).sqrt(),
            Op::Put(_) => values(),
            Op::Norm(norm, _) => clamp::norm(x.clone(), *norm),
            Op::Spread(std, _) => clamp::spread(x.clone(), *std),
            Op::Drop(dropout) => dropout.apply(place, x.clone(), batch),
        };
        Ok(x.mask_where(mask, edited))
    }

    /// Which numbers change, and to what.
    fn meant(&self, place: Place, [rows, length, heads, d]: [usize; 4], batch: &Batch) -> Result<Changed, String> {
        let size = heads * d;
        let mut mask = vec![false; rows * length * size];
        let mut values = if self.op.brings_values() { vec![0.0; mask.len()] } else { vec![] };
        let each = |(at, numbers): (usize, Numbers)| match (at / length, at % length) {
            (row, column) if self.means(row, column, batch) => self.mark(place, row, column, heads, batch, numbers),
            _ => Ok(()),
        };
        if values.is_empty() {
            let tokens = mask.par_chunks_mut(size).map(|mask| Numbers { mask, values: &mut [] });
            tokens.enumerate().try_for_each(each)?;
        } else {
            let tokens = mask.par_chunks_mut(size).zip(values.par_chunks_mut(size));
            tokens.map(|(mask, values)| Numbers { mask, values }).enumerate().try_for_each(each)?;
        }
        Ok(Changed { mask, values })
    }

    /// Marks the numbers that change at one token, and writes those that the operation brings.
    fn mark(
        &self,
        place: Place,
        row: usize,
        column: usize,
        heads: usize,
        batch: &Batch,
        numbers: Numbers,
    ) -> Result<(), String> {
        let start = batch.real[row].start;
        let position = batch.columns.start + column - start;
        let d = numbers.mask.len() / heads;
        // What a query sees of a pattern begins with the row's first token and ends with its own.
        let (from, width) = if place.site.extent() == Extent::Pattern { (start, position + 1) } else { (0, d) };
        let (prompt, length) = (batch.prompts[row], batch.ends[row]);
        let token = Token { site: place.site, layer: place.layer, heads, prompt, position, length };
        let given = match self.op.brings_values() {
            true => match self.given(place, token, heads * width)? {
                Some(given) => given,
                None => return Ok(()),
            },
            false => vec![],
        };
        for head in (0..heads).filter(|head| self.means_head(*head)) {
            let own = head * d + from..head * d + from + width;
            numbers.mask[own.clone()].fill(true);
            if !given.is_empty() {
                numbers.values[own].copy_from_slice(&given[head * width..][..width]);
            }
        }
        Ok(())
    }

    /// The values that the operation adds or puts at a token.
    fn given(&self, place: Place, token: Token, count: usize) -> Result<Option<Vec<f32>>, String> {
        let given = match &self.op {
            Op::Add(addend) | Op::AddRelative(addend) => Some(addend(place, token.prompt, token.position, count)),
            Op::Put(put) => put(token, count)?,
            _ => None,
        };
        match given.as_ref().map(Vec::len) {
            Some(own) if own != count => {
                let heads = token.heads;
                Err(format!(
                    "at `{}` vectors have {} numbers, and the edit brings {}",
                    place.site.name(),
                    count / heads,
                    own / heads
                ))
            }
            _ => Ok(given),
        }
    }

    /// Whether the token at `column` of this pass is real and one of those meant.
    fn means(&self, row: usize, column: usize, batch: &Batch) -> bool {
        let real = &batch.real[row];
        let column = batch.columns.start + column;
        real.contains(&column) && self.positions.has(column - real.start, batch.ends[row])
    }

    fn means_head(&self, head: usize) -> bool {
        self.heads.get(head).copied().unwrap_or(true)
    }
}
