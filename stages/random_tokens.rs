//! The kind `random-tokens`: texts without any structure, in which there is nothing to learn but the texts themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, Outputs, Ports, Purpose, Seed, Stage, below,
    lm::text::tokens::{Sequence, Tokens, task_ports},
    rng,
};

/// Texts of independent, equally likely tokens, as texts to learn and texts held out.
///
/// The first token of each is given, the rest is to be predicted. Outputs: `train` and `test`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandomTokens {
    /// Tokens to draw from.
    #[schemars(range(min = 2))]
    pub vocab: u32,
    /// Tokens of a text.
    #[schemars(range(min = 2))]
    pub length: usize,
    /// Texts to learn.
    pub train: usize,
    /// Texts held out.
    pub test: usize,
    /// What the texts depend on.
    pub seed: Seed,
}

impl Stage for RandomTokens {
    const KIND: &'static str = "random-tokens";
    const VERSION: &'static [(&'static str, u32)] = &[("random-tokens", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let wrong = [
            (self.vocab < 2, "vocab", "at least two tokens"),
            (self.length < 2, "length", "at least two tokens"),
            (self.train == 0, "train", "at least one text"),
            (self.test == 0, "test", "at least one text"),
        ];
        let found: Vec<_> =
            wrong.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, at, message)| Mistake::new(at, message)).collect();
        if !found.is_empty() {
            return Err(found);
        }
        Ok(task_ports(self.vocab, self.length))
    }

    fn run(&self, _: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default()
            .with("train", self.texts(0, self.train).artifact())
            .with("test", self.texts(1, self.test).artifact()))
    }
}

impl RandomTokens {
    /// `side` 0 is learned, 1 held out: other streams of random numbers.
    fn texts(&self, side: u64, count: usize) -> Tokens {
        let text = |i: usize| {
            let mut rng = rng(self.seed.0, Purpose::Task, &[side, i as u64]);
            let mut draw = |count| (0..count).map(|_| below(self.vocab.into(), &mut rng) as u32).collect();
            Sequence { id: i.to_string(), prompt: draw(1), new: draw(self.length - 1) }
        };
        Tokens { sequences: (0..count).map(text).collect(), vocab: Some(self.vocab) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 500 texts of 40 tokens from 8: each token 2,500 times, give or take four standard deviations of 47.
    #[test]
    fn every_token_is_as_likely_and_the_sides_differ() {
        let task = RandomTokens { vocab: 8, length: 40, train: 500, test: 500, seed: Seed(3) };
        let mut counts = [0; 8];
        for text in task.texts(0, 500).sequences {
            assert_eq!((text.prompt.len(), text.new.len()), (1, 39));
            text.text().into_iter().for_each(|token| counts[token as usize] += 1);
        }
        assert!(counts.iter().all(|n| (2_310..=2_690).contains(n)), "{counts:?}");
        assert_ne!(task.texts(0, 2), task.texts(1, 2));
    }
}
