//! Teacher forcing: what an edited model predicts for each token of texts that the unedited one wrote, and how far
//! its predictions are from the unedited ones.

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

impl<'a> Forced<'a> {
    /// Sequences with their prompts' indices in the study.
    pub fn new(sequences: &'a [(usize, &'a Sequence)]) -> Self {
        // The last token is only predicted, never read.
        let inputs: Vec<Vec<u32>> =
            sequences.iter().map(|(_, s)| s.text()[..s.prompt.len() + s.new.len() - 1].to_vec()).collect();
        let rows: Vec<(usize, &[u32])> =
            sequences.iter().zip(&inputs).map(|((i, _), ids)| (*i, ids.as_slice())).collect();
        let batch = Batch::right_padded(&rows);
        let predicting = sequences.iter().enumerate().flat_map(|(row, (_, s))| {
            let first = row * batch.width() + s.prompt.len() - 1;
            first..first + s.new.len()
        });
        let predicting = predicting.collect();
        Self { sequences, batch, predicting }
    }

    /// What the model predicts under these changes.
    pub fn predictions(&self, model: &Model, changes: Vec<Change>) -> Predictions {
        let probe = Probe { changes, takes: vec![] };
        let mut pass = Pass::new(&self.batch, &probe, Wanted::Listed(self.predicting.clone()));
        let mut logits = host(model.forward(&mut pass, None));
        logits.par_chunks_exact_mut(model.facts.vocab).for_each(normalise);
        Predictions { log_probs: logits, vocab: model.facts.vocab }
    }

    /// KL(base ‖ other) in nats, the mean over the new tokens of each text.
    pub fn divergence(&self, base: &Predictions, other: &Predictions) -> Vec<f64> {
        let pairs = base.log_probs.par_chunks_exact(base.vocab).zip(other.log_probs.par_chunks_exact(other.vocab));
        let tokens: Vec<f64> = pairs.map(|(p, q)| kl(p, q)).collect();
        let mut rest = tokens.as_slice();
        let mut means = Vec::with_capacity(self.sequences.len());
        for (_, sequence) in self.sequences {
            let (own, others) = rest.split_at(sequence.new.len());
            means.push(own.iter().sum::<f64>() / own.len() as f64);
            rest = others;
        }
        means
    }
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
            let base = forced.predictions(&model, vec![]);
            let ablated = forced.predictions(&model, Change::zero_heads(&[(1, 0), (2, 3)], &model.facts));
            let theirs = fixture.expected.get("a.kl.ablate");
            let mean = theirs.iter().map(|kl| f64::from(*kl)).sum::<f64>() / theirs.len() as f64;
            assert!((forced.divergence(&base, &ablated)[0] - mean).abs() < 1e-5, "{family}");
            for (token, theirs) in theirs.iter().enumerate() {
                let row =
                    |predictions: &'_ Predictions| predictions.log_probs[token * base.vocab..][..base.vocab].to_vec();
                let ours = kl(&row(&base), &row(&ablated));
                assert!((ours - f64::from(*theirs)).abs() < 1e-4, "{family} token {token}");
            }
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
        let base = forced.predictions(&model, vec![]);
        assert_eq!(
            forced.divergence(&base, &forced.predictions(&model, Change::zero_heads(&[], &model.facts))),
            [0.0, 0.0]
        );
        let mut heads: Vec<_> = (0..3).flat_map(|layer| (0..4).map(move |head| (layer, head))).collect();
        let all = forced.divergence(&base, &forced.predictions(&model, Change::zero_heads(&heads, &model.facts)));
        heads.reverse();
        let again = forced.divergence(&base, &forced.predictions(&model, Change::zero_heads(&heads, &model.facts)));
        assert_eq!(all, again);
        assert!(all.iter().all(|kl| *kl > 0.0));
    }
}
