//! From logits to a token, on the host: the most likely one, or a draw that depends on seed, prompt and step alone.

use rand_chacha::rand_core::Rng;

use crate::{Purpose, rng};

/// How tokens are drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sampling {
    /// The most likely token; of equals, the one of the lowest id.
    Greedy,
    /// A draw from softmax(logits / temperature), cut to the `top_k` most likely and then to the fewest whose
    /// probability reaches `top_p`.
    Random { temperature: f64, top_k: Option<usize>, top_p: f64, seed: u64 },
}

impl Sampling {
    pub fn pick(self, logits: &[f32], prompt: usize, step: usize) -> u32 {
        match self {
            Self::Greedy => most_likely(logits),
            Self::Random { temperature, top_k, top_p, seed } => {
                let candidates = candidates(logits, temperature, top_k, top_p);
                let word = rng(seed, Purpose::Sampling, &[prompt as u64, step as u64]).next_u64();
                drawn(&candidates, (word >> 11) as f64 / (1u64 << 53) as f64)
            }
        }
    }
}

fn most_likely(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().fold(
        (0, f32::NEG_INFINITY),
        |best, (id, &logit)| {
            if logit > best.1 { (id, logit) } else { best }
        },
    );
    best.0 as u32
}

/// Tokens and weights that are not cut off, the likeliest first.
fn candidates(logits: &[f32], temperature: f64, top_k: Option<usize>, top_p: f64) -> Vec<(u32, f64)> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    order.truncate(top_k.unwrap_or(order.len()).max(1));
    let best = f64::from(logits[order[0] as usize]);
    let weight = |id: u32| ((f64::from(logits[id as usize]) - best) / temperature).exp();
    let mut weighted: Vec<_> = order.into_iter().map(|id| (id, weight(id))).collect();
    let whole: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut reached = 0.0;
    let enough = weighted.iter().position(|(_, weight)| {
        reached += weight / whole;
        reached >= top_p
    });
    weighted.truncate(enough.map_or(weighted.len(), |last| last + 1));
    weighted
}

/// The candidate at `point` (in [0, 1)) of their cumulative weight.
fn drawn(candidates: &[(u32, f64)], point: f64) -> u32 {
    let whole: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    let mut left = point * whole;
    for (id, weight) in candidates {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    candidates[candidates.len() - 1].0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities 0.2, 0.5, 0.3 at temperature 1.
    fn logits() -> [f32; 3] {
        [0.2, 0.5, 0.3].map(f32::ln)
    }

    fn frequencies(top_k: Option<usize>, top_p: f64) -> [f64; 3] {
        let sampling = Sampling::Random { temperature: 1.0, top_k, top_p, seed: 7 };
        let mut counts = [0.0; 3];
        (0..20_000).for_each(|step| counts[sampling.pick(&logits(), 0, step) as usize] += 1.0 / 20_000.0);
        counts
    }

    #[test]
    fn draws_follow_the_distribution() {
        for (drawn, expected) in [
            (frequencies(None, 1.0), [0.2, 0.5, 0.3]),
            (frequencies(Some(2), 1.0), [0.0, 0.625, 0.375]),
            (frequencies(None, 0.6), [0.0, 0.625, 0.375]),
            (frequencies(None, 0.5), [0.0, 1.0, 0.0]),
        ] {
            for (drawn, expected) in drawn.iter().zip(expected) {
                assert!((drawn - expected).abs() < 0.015, "{drawn} for {expected}");
            }
        }
    }

    #[test]
    fn of_equals_the_lowest_id_is_picked() {
        assert_eq!(Sampling::Greedy.pick(&[1.0, 3.0, 3.0], 0, 0), 1);
        let cold = Sampling::Random { temperature: 1e-4, top_k: None, top_p: 1.0, seed: 1 };
        assert_eq!(cold.pick(&logits(), 3, 5), 1);
    }
}
