//! What a model predicts: how surprised it is by a text, and its logits at one of the positions.

use super::{
    Model, Tensor,
    batch::Batch,
    edit::Change,
    layers::linear::host,
    pass::{Pass, Wanted},
    probe::Probe,
};
use crate::{Failure, metrics::logits::log_sum_exp};
use ndarray::aview1;

/// Positions whose logits are on the host together.
const CHUNK: usize = 64;

/// What a model predicts in one text.
pub struct Prediction {
    /// −log p of each token after the first, in nats; the mean. NaN of a text of one token.
    pub cross_entropy: f64,
    /// The logits at the position that was asked for.
    pub logits: Vec<f32>,
}

/// What is predicted in each text (its index in the study, its tokens) under these changes; `places` says at which
/// position of each the logits are wanted.
pub fn predictions(
    model: &Model,
    texts: &[(usize, &[u32])],
    places: &[usize],
    changes: &[Change],
) -> Result<Vec<Prediction>, Failure> {
    let batch = Batch::right_padded(texts);
    let probe = Probe { changes: changes.to_vec(), takes: vec![] };
    let mut pass = Pass::new(&batch, &probe, Wanted::All);
    let hidden = model.hidden(&mut pass, None); // [token, d_model]
    pass.checked()?;
    let of = |(row, (_, ids)): (usize, &(usize, &[u32]))| {
        let first = row * batch.width();
        let logits = host(model.logits(hidden.clone(), &[first + places[row]]));
        Prediction { cross_entropy: cross_entropy(model, &hidden, first, ids), logits }
    };
    Ok(texts.iter().enumerate().map(of).collect())
}

/// The mean of −log p over the tokens of a text but the first; its first stands at `first` of the grid.
fn cross_entropy(model: &Model, hidden: &Tensor<2>, first: usize, ids: &[u32]) -> f64 {
    let predicting: Vec<usize> = (0..ids.len().saturating_sub(1)).collect();
    let mut sum = 0.0;
    for chunk in predicting.chunks(CHUNK) {
        let places: Vec<usize> = chunk.iter().map(|place| first + place).collect();
        let logits = host(model.logits(hidden.clone(), &places)); // [place, vocab]
        for (place, logits) in chunk.iter().zip(logits.chunks_exact(model.facts.vocab)) {
            sum += log_sum_exp(aview1(logits)) - f64::from(logits[ids[place + 1] as usize]);
        }
    }
    sum / predicting.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fixture::{FAMILIES, Fixture, distance};

    /// −log p of the next token from PyTorch's logits, in plain f64.
    fn theirs(fixture: &Fixture, run: &str, ids: &[u32]) -> f64 {
        let logits = fixture.expected.get(run);
        let of = |(place, next): (usize, &u32)| {
            let row = &logits[place * 257..][..257];
            let whole: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            whole.ln() - f64::from(row[*next as usize])
        };
        ids[1..].iter().enumerate().map(of).sum::<f64>() / (ids.len() - 1) as f64
    }

    #[test]
    fn predictions_are_those_of_pytorch_with_and_without_heads_in_any_batch() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let (a, b) = (fixture.ids("a"), fixture.ids("b"));
            let both = predictions(&model, &[(0, &a), (1, &b)], &[5, b.len() - 1], &[]).unwrap();
            for (made, run, ids) in [(&both[0], "a.logits", &a), (&both[1], "b.logits", &b)] {
                assert!((made.cross_entropy - theirs(&fixture, run, ids)).abs() < 1e-5, "{family} {run}");
            }
            assert!(distance(&both[0].logits, &fixture.expected.get("a.logits")[5 * 257..6 * 257]) < 1e-4);
            let last = (b.len() - 1) * 257;
            assert!(distance(&both[1].logits, &fixture.expected.get("b.logits")[last..]) < 1e-4, "{family}");

            let without = Change::zero_heads(&[(1, 0), (2, 3)], &model.facts);
            let ablated = predictions(&model, &[(0, &a)], &[0], &without).unwrap();
            let expected = theirs(&fixture, "a.logits.ablate", &a);
            assert!((ablated[0].cross_entropy - expected).abs() < 1e-5, "{family}");
        }
    }

    /// Longer than a chunk: the sum over chunks is that over all.
    #[test]
    fn chunks_change_nothing_and_one_token_predicts_nothing() {
        let fixture = Fixture::of("llama");
        let model = fixture.model();
        let ids: Vec<u32> = (0..150u32).map(|i| i * 7 % 257).collect();
        let whole = predictions(&model, &[(0, &ids)], &[149], &[]).unwrap();
        let batch = Batch::right_padded(&[(0, &ids)]);
        let logits = host(model.forward(&mut Pass::new(&batch, &Probe::default(), Wanted::All), None));
        let of = |place: usize| {
            let row = &logits[place * 257..][..257];
            row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() - f64::from(row[ids[place + 1] as usize])
        };
        let mean = (0..149).map(of).sum::<f64>() / 149.0;
        assert!((whole[0].cross_entropy - mean).abs() < 1e-6);
        assert!(predictions(&model, &[(0, &ids[..1])], &[0], &[]).unwrap()[0].cross_entropy.is_nan());
    }
}
