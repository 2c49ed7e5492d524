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
/// is full. Its first tokens are given (`given`), the rest is to be predicted. Outputs: `train` and `test`.
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
    /// Whether the tokens of a pattern all differ, so that each says which one follows when the pattern comes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distinct: bool,
    /// A token that each text begins with, before its pattern: a model's beginning-of-text token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<u32>,
    /// How many tokens of each text are given: what `generate` goes on from, and what `train` and `ablate` do not ask.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1))]
    pub given: usize,
    /// Texts to learn.
    pub train: usize,
    /// Texts held out.
    pub test: usize,
    /// What the texts depend on.
    pub seed: Seed,
}

fn one() -> usize {
    1
}

fn is_one(given: &usize) -> bool {
    *given == 1
}

impl Stage for RepeatedPatterns {
    const KIND: &'static str = "repeated-patterns";
    const VERSION: &'static [(&'static str, u32)] = &[("repeated-patterns", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let found = self.mistakes();
        if !found.is_empty() {
            return Err(found);
        }
        Ok(task_ports(self.known(), self.length))
    }

    fn run(&self, _: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default()
            .with("train", self.texts(0, self.train).artifact())
            .with("test", self.texts(1, self.test).artifact()))
    }
}

impl RepeatedPatterns {
    /// Tokens that there are.
    fn known(&self) -> u32 {
        self.vocab.max(self.begin.map_or(0, |begin| begin.saturating_add(1)))
    }

    /// Tokens of a text that its pattern fills.
    fn tiled(&self) -> usize {
        self.length.saturating_sub(usize::from(self.begin.is_some()))
    }

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
            (longest >= self.tiled(), "pattern-length", "a pattern as long as its text never repeats"),
            (
                self.distinct && longest > self.vocab as usize,
                "pattern-length",
                "there are fewer tokens than the longest pattern has, and they are to be distinct",
            ),
            (self.begin == Some(u32::MAX), "begin", "no vocabulary is so large"),
            (
                self.given == 0 || self.given >= self.length,
                "given",
                "at least one token is given, and at least one is left to predict",
            ),
        ];
        wrong.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, at, message)| Mistake::new(at, message)).collect()
    }

    /// `side` 0 is learned, 1 held out: other streams of random numbers.
    fn texts(&self, side: u64, count: usize) -> Tokens {
        Tokens { sequences: (0..count).map(|i| self.text(side, i)).collect(), vocab: Some(self.known()) }
    }

    fn text(&self, side: u64, i: usize) -> Sequence {
        let mut rng = rng(self.seed.0, Purpose::Task, &[side, i as u64]);
        let [shortest, longest] = self.pattern_length;
        let length = shortest + below((longest - shortest + 1) as u64, &mut rng) as usize;
        let mut pattern = Vec::with_capacity(length);
        while pattern.len() < length {
            let token = below(self.vocab.into(), &mut rng) as u32;
            if !(self.distinct && pattern.contains(&token)) {
                pattern.push(token);
            }
        }
        let tiles = pattern.iter().copied().cycle().take(self.tiled());
        let mut tokens = self.begin.into_iter().chain(tiles);
        Sequence { id: i.to_string(), prompt: tokens.by_ref().take(self.given).collect(), new: tokens.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: RepeatedPatterns = RepeatedPatterns {
        vocab: 64,
        length: 32,
        pattern_length: [2, 7],
        distinct: false,
        begin: None,
        given: 1,
        train: 200,
        test: 50,
        seed: Seed(42),
    };

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
    fn a_text_may_begin_with_a_token_of_its_own_and_give_more_than_one() {
        let task = RepeatedPatterns { begin: Some(64), given: 8, pattern_length: [7, 7], ..TASK };
        let text = task.text(0, 5);
        assert_eq!((text.prompt.len(), text.new.len(), text.prompt[0]), (8, 24, 64));
        assert_eq!(text.text()[1..8], text.text()[8..15]);
        assert_eq!(task.texts(0, 1).vocab, Some(65));
        // What is drawn does not depend on either.
        assert_eq!(text.text()[1..], RepeatedPatterns { pattern_length: [7, 7], ..TASK }.text(0, 5).text()[..31]);
    }

    #[test]
    fn tokens_of_a_pattern_differ_where_they_should() {
        let repeats = |task: &RepeatedPatterns| {
            let twice = |text: Sequence| (0..7).any(|i| text.text()[..i].contains(&text.text()[i]));
            (0..200).filter(|i| twice(task.text(0, *i))).count()
        };
        let task = RepeatedPatterns { vocab: 8, pattern_length: [7, 7], ..TASK };
        // 1 − 8!/8⁷ = .981 of random patterns have a token twice.
        assert!(repeats(&task) > 180);
        assert_eq!(repeats(&RepeatedPatterns { distinct: true, ..task }), 0);
    }

    #[test]
    fn held_out_texts_are_others() {
        assert_ne!(TASK.text(0, 3), TASK.text(1, 3));
        assert_eq!(TASK.text(0, 3), RepeatedPatterns { train: 4, ..TASK }.text(0, 3));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let at = |task: RepeatedPatterns| task.mistakes().into_iter().map(|mistake| mistake.at).collect::<Vec<_>>();
        assert_eq!(at(RepeatedPatterns { vocab: 1, pattern_length: [5, 2], ..TASK }), ["vocab", "pattern-length"]);
        assert_eq!(at(RepeatedPatterns { distinct: true, vocab: 6, given: 32, ..TASK }), ["pattern-length", "given"]);
        let begun = RepeatedPatterns { begin: Some(0), pattern_length: [2, 31], ..TASK };
        assert_eq!(at(begun), ["pattern-length"]);
    }
}
