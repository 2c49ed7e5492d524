//! The kind `modular-addition`: the task on which grokking was found (Power et al. 2022; Nanda et al. 2023).
//!
//! All pairs, written `a b =`, with the answer (a + b) mod p. A pair and its mirror are split together: apart, every
//! second held-out answer would have been seen in training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, Outputs, Ports, Purpose, Seed, Stage,
    lm::text::tokens::{Sequence, Tokens, task_ports},
    rng, shuffle,
};

/// Every sum modulo p, as texts to learn and texts held out.
///
/// A text is `a b =` (tokens 0 to p − 1 are the numbers, p is `=`), its answer (a + b) mod p. Outputs: `train` and
/// `test`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModularAddition {
    /// The modulus.
    #[schemars(range(min = 2, max = 1000))]
    pub p: u32,
    /// The share of unordered pairs that is learned; the others are held out.
    pub train_fraction: f64,
    /// What the split depends on.
    pub seed: Seed,
}

impl Stage for ModularAddition {
    const KIND: &'static str = "modular-addition";
    const VERSION: &'static [(&'static str, u32)] = &[("modular-addition", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut found = vec![];
        if !(2..=1000).contains(&self.p) {
            found.push(Mistake::new("p", format!("a modulus from 2 to 1000, not {}", self.p)));
        }
        if !(self.train_fraction > 0.0 && self.train_fraction < 1.0) {
            let message = format!("a share between 0 and 1, neither of them, not {}", self.train_fraction);
            found.push(Mistake::new("train-fraction", message));
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(task_ports(self.p + 1, 4))
    }

    fn run(&self, _: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let [train, test] = self.split();
        Ok(Outputs::default().with("train", train.artifact()).with("test", test.artifact()))
    }
}

impl ModularAddition {
    fn split(&self) -> [Tokens; 2] {
        let mut pairs: Vec<(u32, u32)> = (0..self.p).flat_map(|a| (a..self.p).map(move |b| (a, b))).collect();
        shuffle(&mut pairs, &mut rng(self.seed.0, Purpose::Task, &[]));
        let learned = (self.train_fraction * pairs.len() as f64).round() as usize;
        let (train, test) = pairs.split_at(learned);
        [train, test].map(|pairs| {
            let both_ways = |&(a, b): &(u32, u32)| [(a, b), (b, a)].into_iter().take(if a == b { 1 } else { 2 });
            let mut pairs: Vec<_> = pairs.iter().flat_map(both_ways).collect();
            pairs.sort_unstable();
            let sequences = pairs.into_iter().map(|(a, b)| self.text(a, b)).collect();
            Tokens { sequences, vocab: Some(self.p + 1) }
        })
    }

    fn text(&self, a: u32, b: u32) -> Sequence {
        Sequence { id: format!("{a}+{b}"), prompt: vec![a, b, self.p], new: vec![(a + b) % self.p] }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pairs(tokens: &Tokens) -> BTreeSet<(u32, u32)> {
        tokens.sequences.iter().map(|text| (text.prompt[0], text.prompt[1])).collect()
    }

    /// p = 7 has 28 unordered pairs; half of them are 14.
    #[test]
    fn a_pair_and_its_mirror_are_on_one_side() {
        let [train, test] = ModularAddition { p: 7, train_fraction: 0.5, seed: Seed(1) }.split();
        let (learned, held_out) = (pairs(&train), pairs(&test));
        assert_eq!(learned.len() + held_out.len(), 49);
        assert!(learned.is_disjoint(&held_out));
        assert_eq!(learned.iter().filter(|(a, b)| a <= b).count(), 14);
        assert!(learned.iter().all(|&(a, b)| learned.contains(&(b, a))));
        let sum = train.sequences.iter().find(|text| text.prompt[0] == 5 || text.prompt[1] == 5).unwrap();
        assert_eq!(sum.new, [(sum.prompt[0] + sum.prompt[1]) % 7]);
        assert_eq!(sum.prompt[2], 7);
    }

    #[test]
    fn another_seed_is_another_split() {
        let split = |seed| pairs(&ModularAddition { p: 11, train_fraction: 0.3, seed: Seed(seed) }.split()[0]);
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }
}
