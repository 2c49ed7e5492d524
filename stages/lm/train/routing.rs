//! Where heads look, and how much of that is still so some steps later.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, Ix2};

use crate::{lm::batch::Batch, metrics::divergence::jensen_shannon};

/// Each head's attention, averaged over texts: `[head, query · key]`, heads of all layers.
pub type Attention = Array2<f32>;

/// Sums of patterns over texts.
#[derive(Default)]
pub struct Patterns {
    /// For each head of all layers, `[query, key]` of the longest text.
    sums: Vec<Vec<f64>>,
    /// How many texts have each query.
    texts: Vec<f64>,
}

impl Patterns {
    /// The patterns of a batch, for each layer `[row, head, query, key]`, padded on the right.
    pub fn add(&mut self, layers: &[Vec<f32>], batch: &Batch, heads: usize) {
        let width = batch.width();
        self.grow(layers.len() * heads, width);
        let longest = self.texts.len();
        for (row, real) in batch.real.iter().enumerate() {
            self.texts[..real.len()].iter_mut().for_each(|texts| *texts += 1.0);
            for (sums, (layer, head)) in self.sums.iter_mut().zip(places(layers.len(), heads)) {
                let pattern = &layers[layer][(row * heads + head) * width * width..][..width * width];
                for query in 0..real.len() {
                    let own = &pattern[query * width..][..=query];
                    sums[query * longest..].iter_mut().zip(own).for_each(|(sum, p)| *sum += f64::from(*p));
                }
            }
        }
    }

    /// Makes room for texts of up to `width` tokens.
    fn grow(&mut self, heads: usize, width: usize) {
        let before = self.texts.len();
        self.sums.resize(heads, vec![0.0; before * before]);
        if width > before {
            self.texts.resize(width, 0.0);
            for sums in &mut self.sums {
                let mut grown = vec![0.0; width * width];
                let rows = grown.chunks_exact_mut(width).zip(sums.chunks_exact(before.max(1)));
                rows.for_each(|(grown, sums)| grown[..before].copy_from_slice(sums));
                *sums = grown;
            }
        }
    }

    /// The mean of each query's attention over the texts that have it.
    pub fn mean(&self) -> Attention {
        let width = self.texts.len();
        let share = |sums: &Vec<f64>, i: usize| (sums[i] / self.texts[i / width].max(1.0)) as f32;
        Array2::from_shape_fn((self.sums.len(), width * width), |(head, i)| share(&self.sums[head], i))
    }
}

fn places(layers: usize, heads: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..layers).flat_map(move |layer| (0..heads).map(move |head| (layer, head)))
}

/// For each head, 1 less the Jensen–Shannon distance of its attention now and then, from 0 to 1; nothing for one that
/// attends to nothing.
pub fn kept(now: &Attention, then: &Attention) -> Vec<Option<f64>> {
    let wide =
        |attention: &Attention, head: usize| attention.row(head).iter().map(|p| f64::from(*p)).collect::<Vec<_>>();
    let distances = (0..now.nrows()).map(|head| jensen_shannon(&wide(now, head), &wide(then, head)));
    distances.map(|distance| (!distance.is_nan()).then(|| (1.0 - distance).clamp(0.0, 1.0))).collect()
}

/// What heads attended to at earlier looks, as far as it is still needed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Past(BTreeMap<u64, Attention>);

impl Past {
    /// The last look at `lag` or more steps before `step`.
    pub fn before(&self, step: u64, lag: u64) -> Option<&Attention> {
        self.0.range(..=step.checked_sub(lag)?).next_back().map(|(_, attention)| attention)
    }

    /// Keeps a look, and forgets those that no later one is held against.
    pub fn keep(&mut self, step: u64, lag: u64, attention: Attention) {
        self.0.insert(step, attention);
        let needed = step.checked_sub(lag).and_then(|then| self.0.range(..=then).next_back().map(|(step, _)| *step));
        self.0.retain(|step, _| needed.is_none_or(|needed| *step >= needed));
    }

    /// By step, as a checkpoint holds it.
    pub fn arrays(&self) -> BTreeMap<String, ArrayD<f32>> {
        self.0.iter().map(|(step, attention)| (step.to_string(), attention.clone().into_dyn())).collect()
    }

    /// From what a checkpoint holds, if it holds that.
    pub fn of(arrays: BTreeMap<String, ArrayD<f32>>) -> Option<Self> {
        let look =
            |(step, array): (String, ArrayD<f32>)| Some((step.parse().ok()?, array.into_dimensionality::<Ix2>().ok()?));
        arrays.into_iter().map(look).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attention(p: f32) -> Attention {
        Array2::from_shape_vec((1, 4), vec![1.0, 0.0, p, 1.0 - p]).unwrap()
    }

    /// Two texts of two and one tokens, two heads; the second query is in one of them.
    #[test]
    fn a_query_is_averaged_over_the_texts_that_have_it() {
        let batch = Batch::right_padded(&[(0, &[1, 2]), (1, &[3])]);
        let layer = vec![
            1.0, 0.0, 0.25, 0.75, // text 0, head 0
            1.0, 0.0, 0.5, 0.5, // text 0, head 1
            1.0, 0.0, 0.9, 0.1, // text 1, head 0, its second query padding
            1.0, 0.0, 0.9, 0.1,
        ];
        let mut patterns = Patterns::default();
        patterns.add(&[vec![1.0, 1.0]], &Batch::right_padded(&[(2, &[4])]), 2);
        patterns.add(&[layer], &batch, 2);
        let expected = ndarray::array![[1.0, 0.0, 0.25, 0.75], [1.0, 0.0, 0.5, 0.5]];
        assert_eq!(patterns.mean(), expected);
    }

    /// 1 less `scipy.spatial.distance.jensenshannon`: 0.8325546 for a query that looks elsewhere, of two that count alike,
    /// is √(ln 2 / 2) = 0.5887050 for both.
    #[test]
    fn what_is_kept_is_one_less_the_distance() {
        assert_eq!(kept(&attention(0.3), &attention(0.3)), [Some(1.0)]);
        let nothing = Array2::zeros((1, 4));
        assert_eq!(kept(&nothing, &attention(0.3)), [None]);
        assert!((kept(&attention(1.0), &attention(0.0))[0].unwrap() - (1.0 - 0.588_705_0)).abs() < 1e-6);
    }

    #[test]
    fn the_past_is_as_long_as_it_is_needed() {
        let mut past = Past::default();
        for step in [0, 30, 100, 120, 200] {
            past.keep(step, 100, attention(step as f32 / 1000.0));
        }
        assert_eq!(past.before(199, 100), None, "step 30 is forgotten: the next look is later than 200");
        assert_eq!(past.before(200, 100), Some(&attention(0.1)));
        assert_eq!(past.before(250, 100), Some(&attention(0.12)));
        assert_eq!(past.before(50, 100), None);
        assert_eq!(Past::of(past.arrays()), Some(past));
    }
}
