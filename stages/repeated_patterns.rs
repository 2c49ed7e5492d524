//! The kind `repeated-patterns`: random tokens that repeat themselves, which is what induction heads are for (Elhage et
//! al. 2021; Olsson et al. 2022).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, Outputs, Ports, Purpose, Seed, Stage, below,
    lm::text::tokens::{Sequence, Tokens, task_ports},
    rng,
};

/// Texts that tile a random pattern, as texts to learn and texts held out.
///
/// Each has a pattern of its own, of random tokens and of a random length among those allowed, repeated until the text
/// is full. Its first token is given, the rest is to be predicted. Outputs: `train` and `test`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RepeatedPatterns {
    /// Tokens that a pattern is drawn from.
    #[schemars(range(min = 2))]
    pub vocab: u32,
    /// Tokens of a text.
    #[schemars(range(min = 2))]
    pub length: usize,
    /// The shortest and the longest pattern, both allowed.
    pub pattern_length: [usize; 2],
    /// Texts to learn.
    pub train: usize,
    /// Texts held out.
    pub test: usize,
    /// What the texts depend on.
    pub seed: Seed,
}

impl Stage for RepeatedPatterns {
    const KIND: &'static str = "repeated-patterns";
    const VERSION: &'static [(&'static str, u32)] = &[("repeated-patterns", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let found = self.mistakes();
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

impl RepeatedPatterns {
    fn mistakes(&self) -> Vec<Mistake> {
        let [shortest, longest] = self.pattern_length;
        let wrong = [
            (self.vocab < 2, "vocab", "at least two tokens"),
            (self.length < 2, "length", "at least two tokens"),
            (self.train == 0, "train", "at least one text"),
            (self.test == 0, "test", "at least one text"),
            (
                shortest == 0 || shortest > longest,
                "pattern-length",
                "the shortest pattern, at least 1, then the longest",
            ),
            (longest >= self.length, "pattern-length", "a pattern as long as its text never repeats"),
        ];
        wrong.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, at, message)| Mistake::new(at, message)).collect()
    }

    /// `side` 0 is learned, 1 held out: other streams of random numbers.
    fn texts(&self, side: u64, count: usize) -> Tokens {
        Tokens { sequences: (0..count).map(|i| self.text(side, i)).collect(), vocab: Some(self.vocab) }
    }

    fn text(&self, side: u64, i: usize) -> Sequence {
        let mut rng = rng(self.seed.0, Purpose::Task, &[side, i as u64]);
        let [shortest, longest] = self.pattern_length;
        let length = shortest + below((longest - shortest + 1) as u64, &mut rng) as usize;
        let pattern: Vec<u32> = (0..length).map(|_| below(self.vocab.into(), &mut rng) as u32).collect();
        let mut tokens = pattern.iter().copied().cycle().take(self.length);
        Sequence { id: i.to_string(), prompt: tokens.by_ref().take(1).collect(), new: tokens.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: RepeatedPatterns =
        RepeatedPatterns { vocab: 64, length: 32, pattern_length: [2, 7], train: 200, test: 50, seed: Seed(42) };

    #[test]
    fn every_text_repeats_a_pattern_of_an_allowed_length() {
        let mut lengths = std::collections::BTreeSet::new();
        for text in TASK.texts(0, 200).sequences {
            let tokens = text.text();
            assert_eq!((tokens.len(), text.prompt.len()), (32, 1));
            let repeats = |n: &usize| tokens.windows(n + 1).all(|window| window[0] == window[*n]);
            lengths.insert((2..=7).find(repeats).expect("it repeats"));
        }
        assert_eq!(lengths, (2..=7).collect());
    }

    #[test]
    fn held_out_texts_are_others() {
        assert_ne!(TASK.text(0, 3), TASK.text(1, 3));
        assert_eq!(TASK.text(0, 3), RepeatedPatterns { train: 4, ..TASK }.text(0, 3));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let task = RepeatedPatterns { vocab: 1, pattern_length: [5, 2], ..TASK };
        let at: Vec<_> = task.mistakes().into_iter().map(|mistake| mistake.at).collect();
        assert_eq!(at, ["vocab", "pattern-length"]);
    }
}
