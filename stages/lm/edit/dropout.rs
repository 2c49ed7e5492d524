//! Dropout: a share of the numbers becomes zero, the others are scaled up, so that their mean stays (Srivastava et al.
//! 2014). For training alone.
//!
//! What is dropped depends on seed, step, site, layer and text, and on nothing else: a run that is resumed drops what it
//! would have dropped, and the order of texts in a batch does not matter.

use burn::tensor::TensorData;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::Change;
use crate::{
    Purpose, Select,
    lm::{Tensor, batch::Batch, facts::ModelFacts, pass::Place, site::Site},
    rng,
};

/// What is dropped at one step of training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    /// The share that becomes zero, below 1.
    pub rate: f64,
    pub seed: u64,
    pub step: u64,
}

impl Dropout {
    /// Where GPT-2 has it: at what enters the first block, at attention probabilities, and at what attention and MLP add
    /// to the residual stream.
    pub fn changes(self, facts: &ModelFacts) -> Vec<Change> {
        let at =
            |site, layers| Change { site, layers, heads: vec![], positions: Select::All, op: super::Op::Drop(self) };
        let all = || (0..facts.layers).collect::<Vec<_>>();
        let places = [(Site::ResidPre, vec![0]), (Site::Pattern, all()), (Site::AttnOut, all()), (Site::MlpOut, all())];
        places
            .into_iter()
            .filter(|(site, _)| facts.sites.contains(site))
            .map(|(site, layers)| at(site, layers))
            .collect()
    }

    /// `[row, …]`, thinned.
    pub fn apply(self, place: Place, x: Tensor<4>, batch: &Batch) -> Tensor<4> {
        let shape = x.dims();
        let mut factors = vec![0.0; shape.iter().product()];
        let size = factors.len() / batch.rows().max(1);
        let rows = factors.par_chunks_mut(size.max(1)).zip(&batch.prompts);
        rows.for_each(|(factors, &text)| self.fill(place, text, factors));
        x.clone() * Tensor::from_data(TensorData::new(factors, shape), &x.device())
    }

    /// What each number of a text is multiplied by.
    fn fill(self, place: Place, text: usize, factors: &mut [f32]) {
        let indices = [self.step, place.site as u64, place.layer as u64, text as u64];
        let mut stream = rng(self.seed, Purpose::Dropout, &indices);
        let least = (self.rate * 4_294_967_296.0) as u32; // of 2³² words, so many drop a number
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        factors.iter_mut().for_each(|factor| *factor = if stream.next_u32() < least { 0.0 } else { kept });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::{
        fixture::{Fixture, device},
        layers::linear::host,
    };

    fn dropped(dropout: Dropout, texts: &[usize]) -> Vec<f32> {
        let ids = [0; 100];
        let rows: Vec<(usize, &[u32])> = texts.iter().map(|&text| (text, &ids[..])).collect();
        let batch = Batch::right_padded(&rows);
        let ones = Tensor::<4>::ones([texts.len(), 100, 1, 50], &device());
        host(dropout.apply(Place::of(Site::AttnOut, 1), ones, &batch))
    }

    const TENTH: Dropout = Dropout { rate: 0.1, seed: 3, step: 7 };

    /// Of 10,000 numbers 1,000 are zero, give or take four standard deviations of 30.
    #[test]
    fn a_share_is_zero_and_the_rest_makes_up_for_it() {
        let values = dropped(TENTH, &[0, 1]);
        let zero = values.iter().filter(|x| **x == 0.0).count();
        assert!((880..=1_120).contains(&zero), "{zero}");
        assert!(values.iter().all(|x| *x == 0.0 || (x - 1.0 / 0.9).abs() < 1e-6));
    }

    #[test]
    fn a_text_loses_the_same_wherever_it_stands_and_others_at_another_step() {
        let (both, turned) = (dropped(TENTH, &[4, 9]), dropped(TENTH, &[9, 4]));
        assert_eq!(both[..5_000], turned[5_000..]);
        assert_ne!(both[..5_000], both[5_000..]);
        assert_ne!(both, dropped(Dropout { step: 8, ..TENTH }, &[4, 9]));
        assert_ne!(both, dropped(Dropout { seed: 4, ..TENTH }, &[4, 9]));
    }

    #[test]
    fn it_is_where_the_model_has_such_places() {
        let facts = ModelFacts::of(&Fixture::of("gpt2").config).unwrap();
        let sites: Vec<_> =
            TENTH.changes(&facts).into_iter().map(|change| (change.site, change.layers.len())).collect();
        assert_eq!(sites, [(Site::ResidPre, 1), (Site::Pattern, 3), (Site::AttnOut, 3), (Site::MlpOut, 3)]);
    }
}
