//! What training reads: token sequences, which of their tokens are to be predicted, and which of them a step sees.

use crate::{
    Purpose,
    lm::{batch::Batch, text::tokens::Tokens},
    rng, shuffle,
};

/// Texts of a task.
#[derive(Clone, PartialEq, Debug)]
pub struct Texts {
    sequences: Vec<Vec<u32>>,
    /// How many tokens of each are given; the others are to be predicted.
    given: Vec<usize>,
}

/// Some texts as one grid, the places in it that predict, and what they should.
pub struct Lesson {
    pub batch: Batch,
    pub places: Vec<usize>,
    pub targets: Vec<u32>,
    /// Those of `places` that predict the last token of a text.
    pub last: Vec<usize>,
}

impl Texts {
    pub fn new(tokens: &Tokens) -> Self {
        Self {
            given: tokens.sequences.iter().map(|text| text.prompt.len()).collect(),
            sequences: tokens.sequences.iter().map(|text| text.text()).collect(),
        }
    }

    pub fn count(&self) -> usize {
        self.sequences.len()
    }

    pub fn longest(&self) -> usize {
        self.sequences.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The texts of these indices.
    pub fn lesson(&self, indices: &[usize]) -> Lesson {
        // The last token predicts nothing, so it need not be read.
        let read: Vec<(usize, &[u32])> =
            indices.iter().map(|&i| (i, &self.sequences[i][..self.sequences[i].len() - 1])).collect();
        let batch = Batch::right_padded(&read);
        let (mut places, mut targets, mut last) = (vec![], vec![], vec![]);
        for (row, &i) in indices.iter().enumerate() {
            for at in self.given[i]..self.sequences[i].len() {
                places.push(row * batch.width() + at - 1);
                targets.push(self.sequences[i][at]);
            }
            last.push(places.len() - 1);
        }
        Lesson { batch, places, targets, last }
    }

    /// The texts that step `step`, counted from 1, sees: `size` of them, each text once before any is seen again. What is
    /// left over at the end of a round is not seen in it.
    pub fn seen_at(&self, step: u64, size: usize, seed: u64) -> Vec<usize> {
        let size = size.min(self.count());
        let steps_a_round = (self.count() / size) as u64;
        let (round, turn) = ((step - 1) / steps_a_round, (step - 1) % steps_a_round);
        let mut order: Vec<usize> = (0..self.count()).collect();
        if size < self.count() {
            shuffle(&mut order, &mut rng(seed, Purpose::Batches, &[round]));
        }
        order[turn as usize * size..][..size].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lm::text::tokens::Sequence;

    fn texts() -> Texts {
        let text = |id: &str, prompt: &[u32], new: &[u32]| Sequence {
            id: id.into(),
            prompt: prompt.to_vec(),
            new: new.to_vec(),
        };
        Texts::new(&Tokens { sequences: vec![text("a", &[1, 2, 9], &[3]), text("b", &[4], &[5, 6])], vocab: None })
    }

    #[test]
    fn a_place_predicts_the_token_that_follows_it() {
        let lesson = texts().lesson(&[1, 0]);
        assert_eq!(lesson.batch.ids, [4, 5, 0, 1, 2, 9]);
        assert_eq!(lesson.places, [0, 1, 5]);
        assert_eq!(lesson.targets, [5, 6, 3]);
        assert_eq!(lesson.last, [1, 2]);
    }

    #[test]
    fn a_round_sees_every_text_once() {
        let texts = Texts { sequences: vec![vec![0, 1]; 10], given: vec![1; 10] };
        let round =
            |first: u64| -> Vec<usize> { (first..first + 3).flat_map(|step| texts.seen_at(step, 3, 7)).collect() };
        assert_eq!(round(1).iter().collect::<BTreeSet<_>>().len(), 9);
        assert_ne!(round(1), round(4));
        assert_eq!(texts.seen_at(5, 3, 7), texts.seen_at(5, 3, 7));
        assert_eq!(texts.seen_at(2, 99, 7), (0..10).collect::<Vec<_>>());
    }
}
