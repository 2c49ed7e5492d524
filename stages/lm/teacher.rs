//! Teacher forcing: what an edited model predicts for each token of texts that the unedited one wrote or a task has, how
//! far its predictions are from the unedited ones, and how often they are right.

use rayon::prelude::*;

use super::{
    Model,
    batch::Batch,
    edit::Change,
    layers::linear::host,
    pass::{Pass, Wanted},
    probe::Probe,
    text::tokens::Sequence,
};
use crate::Failure;

/// Texts that go through the model together, and for each of their new tokens where it is predicted.
pub struct Forced<'a> {
    sequences: &'a [(usize, &'a Sequence)],
    batch: Batch,
    /// In the grid, the last prompt token and all new tokens but the last, text by text.
    predicting: Vec<usize>,
}

/// Logarithms of probabilities over the vocabulary, `[predicting token, vocab]`.
pub struct Predictions {
    log_probs: Vec<f32>,
    vocab: usize,
}

/// How a text's new tokens are predicted: means over them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reading {
    /// KL(unedited ‖ edited), in nats.
    pub kl: f64,
    /// −ln p of the token that stands there, in nats.
    pub cross_entropy: f64,
    /// The share of tokens that nothing is more likely than (of equals, the first counts).
    pub accuracy: f64,
}

impl<'a> Forced<'a> {
    /// Sequences with their prompts' indices in the study.
    pub fn new(sequences: &'a [(usize, &'a Sequence)]) -> Self {
        // The last token is only predicted, never read.
        let inputs: Vec<Vec<u32>> =
            sequences.iter().map(|(_, s)| s.text()[..s.prompt.len() + s.new.len() - 1].to_vec()).collect();
        let rows: Vec<(usize, &[u32])> =
            sequences.iter().zip(&inputs).map(|((i, _), ids)| (*i, ids.as_slice())).collect();
        let mut batch = Batch::right_padded(&rows);
        batch.ends = sequences.iter().map(|(_, s)| s.prompt.len() + s.new.len()).collect();
        let predicting = sequences.iter().enumerate().flat_map(|(row, (_, s))| {
            let first = row * batch.width() + s.prompt.len() - 1;
            first..first + s.new.len()
        });
        let predicting = predicting.collect();
        Self { sequences, batch, predicting }
    }

    /// What the model predicts under these changes.
    pub fn predictions(&self, model: &Model, changes: Vec<Change>) -> Result<Predictions, Failure> {
        let probe = Probe { changes, takes: vec![] };
        let mut pass = Pass::new(&self.batch, &probe, Wanted::Listed(self.predicting.clone()));
        let logits = model.forward(&mut pass, None);
        pass.checked()?;
        let mut logits = host(logits);
        logits.par_chunks_exact_mut(model.facts.vocab).for_each(normalise);
        Ok(Predictions { log_probs: logits, vocab: model.facts.vocab })
    }

    /// Of each text, how `other` predicts its new tokens and how far that is from `base`.
    pub fn readings(&self, base: &Predictions, other: &Predictions) -> Vec<Reading> {
        let asked: Vec<u32> = self.sequences.iter().flat_map(|(_, sequence)| sequence.new.iter().copied()).collect();
        let pairs = base.log_probs.par_chunks_exact(base.vocab).zip(other.log_probs.par_chunks_exact(other.vocab));
        let tokens = pairs.zip(&asked).map(|((p, q), token)| reading(p, q, *token as usize));
        let tokens: Vec<Reading> = tokens.collect();
        let mut rest = tokens.as_slice();
        let mut means = Vec::with_capacity(self.sequences.len());
        for (_, sequence) in self.sequences {
            let (own, others) = rest.split_at(sequence.new.len());
            let mean = |part: fn(&Reading) -> f64| own.iter().map(part).sum::<f64>() / own.len() as f64;
            means.push(Reading {
                kl: mean(|token| token.kl),
                cross_entropy: mean(|token| token.cross_entropy),
                accuracy: mean(|token| token.accuracy),
            });
            rest = others;
        }
        means
    }
}

/// Of one token: `q` and the base's `p` are logarithms of probabilities.
fn reading(p: &[f32], q: &[f32], token: usize) -> Reading {
    let beaten = q.iter().enumerate().any(|(i, other)| *other > q[token] || (*other == q[token] && i < token));
    Reading { kl: kl(p, q), cross_entropy: -f64::from(q[token]), accuracy: f64::from(!beaten) }
}

/// Logits → logarithms of probabilities, in place.
fn normalise(logits: &mut [f32]) {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let whole: f64 = logits.iter().map(|logit| f64::from((logit - best).exp())).sum();
    let shift = f64::from(best) + whole.ln();
    logits.iter_mut().for_each(|logit| *logit = (f64::from(*logit) - shift) as f32);
}

/// Σ p (ln p − ln q), given both logarithms.
fn kl(log_p: &[f32], log_q: &[f32]) -> f64 {
    log_p.iter().zip(log_q).map(|(p, q)| f64::from(p.exp()) * f64::from(p - q)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fixture::{FAMILIES, Fixture};

    /// Prompt A's first token as a prompt, the others as what the model wrote: every position is predicting.
    fn text(fixture: &Fixture) -> Sequence {
        let ids = fixture.ids("a");
        let next = fixture.expected.ids("a.greedy")[0];
        Sequence { id: String::new(), prompt: ids[..1].to_vec(), new: [&ids[1..], &[next]].concat() }
    }

    #[test]
    fn the_divergence_of_zeroed_heads_agrees_with_pytorch() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let sequence = text(&fixture);
            let sequences = [(0, &sequence)];
            let forced = Forced::new(&sequences);
            let base = forced.predictions(&model, vec![]).unwrap();
            let ablated = forced.predictions(&model, Change::zero_heads(&[(1, 0), (2, 3)], &model.facts)).unwrap();
            let theirs = fixture.expected.get("a.kl.ablate");
            let mean = theirs.iter().map(|kl| f64::from(*kl)).sum::<f64>() / theirs.len() as f64;
            assert!((forced.readings(&base, &ablated)[0].kl - mean).abs() < 1e-5, "{family}");
            for (token, theirs) in theirs.iter().enumerate() {
                let row =
                    |predictions: &'_ Predictions| predictions.log_probs[token * base.vocab..][..base.vocab].to_vec();
                let ours = kl(&row(&base), &row(&ablated));
                assert!((ours - f64::from(*theirs)).abs() < 1e-4, "{family} token {token}");
            }
        }
    }

    /// From Hugging Face's logits.
    #[test]
    fn tokens_are_predicted_as_in_pytorch() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let sequence = text(&fixture);
            let sequences = [(0, &sequence)];
            let forced = Forced::new(&sequences);
            let base = forced.predictions(&model, vec![]).unwrap();
            let found = forced.readings(&base, &base)[0];
            let logits = fixture.expected.get("a.logits");
            let rows: Vec<&[f32]> = logits.chunks_exact(257).collect();
            let scores = rows.iter().zip(&sequence.new).map(|(row, token)| {
                let whole = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
                let own = row[*token as usize];
                (whole - f64::from(own), f64::from(row.iter().all(|x| *x <= own)))
            });
            let (losses, right): (Vec<f64>, Vec<f64>) = scores.unzip();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            assert_eq!(losses.len(), rows.len());
            assert!((found.cross_entropy - mean(&losses)).abs() < 1e-4, "{family}");
            assert_eq!(found.accuracy, mean(&right), "{family}");
            assert!(found.accuracy >= 1.0 / rows.len() as f64, "the last token is the model's own choice");
        }
    }

    #[test]
    fn no_heads_diverge_by_exactly_nothing_and_all_heads_alike_in_any_order() {
        let fixture = Fixture::of("gpt_neox");
        let model = fixture.model();
        let (first, second) =
            (text(&fixture), Sequence { id: String::new(), prompt: fixture.ids("b"), new: vec![3, 4, 5] });
        let sequences = [(0, &first), (1, &second)];
        let forced = Forced::new(&sequences);
        let base = forced.predictions(&model, vec![]).unwrap();
        let without = |heads: &[(usize, usize)]| {
            let other = forced.predictions(&model, Change::zero_heads(heads, &model.facts)).unwrap();
            forced.readings(&base, &other).iter().map(|reading| reading.kl).collect::<Vec<_>>()
        };
        assert_eq!(without(&[]), [0.0, 0.0]);
        let mut heads: Vec<_> = (0..3).flat_map(|layer| (0..4).map(move |head| (layer, head))).collect();
        let all = without(&heads);
        heads.reverse();
        let again = without(&heads);
        assert_eq!(all, again);
        assert!(all.iter().all(|kl| *kl > 0.0));
    }
}
