//! Cross-entropy of next-token predictions, and its gradient with respect to the logits.
//!
//! Both are taken on the host and in a form that keeps its digits when a prediction is nearly certain:
//! `softplus(logsumexp_{j≠y}(z_j − z_y))`. The usual `−log softmax` in f32 is a multiple of 1e-7 there, and a training
//! run that has memorised its texts then jumps. The gradient of the right answer is minus the sum of the others, for the
//! same reason.

use rayon::prelude::*;

use crate::metrics::summary::mean;

/// What a model predicted at some places of its texts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Predictions {
    /// The loss in nats at each place.
    pub losses: Vec<f64>,
    /// Whether the likeliest token was the right one.
    pub right: Vec<bool>,
    /// log p(right) − log p(all others).
    pub margins: Vec<f64>,
}

impl Predictions {
    /// Of logits `[place, vocab]`, held against the token that comes next at each place.
    pub fn of(logits: &[f32], targets: &[u32]) -> Self {
        let vocab = logits.len() / targets.len().max(1);
        let places: Vec<(f64, bool)> = logits
            .par_chunks_exact(vocab.max(1))
            .zip(targets)
            .map(|(logits, &target)| (others(logits, target as usize), is_largest(logits, target as usize)))
            .collect();
        Self {
            losses: places.iter().map(|(others, _)| softplus(*others)).collect(),
            right: places.iter().map(|(_, right)| *right).collect(),
            margins: places.iter().map(|(others, _)| -others).collect(),
        }
    }

    /// These, and those at further places.
    pub fn and(mut self, further: Self) -> Self {
        self.losses.extend(further.losses);
        self.right.extend(further.right);
        self.margins.extend(further.margins);
        self
    }

    pub fn loss(&self) -> f64 {
        mean(&self.losses)
    }

    pub fn accuracy(&self) -> f64 {
        self.right.iter().filter(|right| **right).count() as f64 / self.right.len() as f64
    }

    pub fn margin(&self) -> f64 {
        mean(&self.margins)
    }
}

/// The gradient of the mean loss over `places` places, these among them: `[place, vocab]`.
pub fn gradient(logits: &[f32], targets: &[u32], places: usize) -> Vec<f32> {
    let vocab = logits.len() / targets.len().max(1);
    let weight = 1.0 / places as f64;
    let mut gradient = vec![0.0; logits.len()];
    gradient.par_chunks_exact_mut(vocab.max(1)).zip(logits.par_chunks_exact(vocab.max(1))).zip(targets).for_each(
        |((gradient, logits), &target)| {
            let target = target as usize;
            let others = others(logits, target);
            let chosen = f64::from(logits[target]);
            let scale = chosen + softplus(others); // logsumexp of all
            let mut sum = 0.0;
            for (j, (slot, logit)) in gradient.iter_mut().zip(logits).enumerate() {
                if j != target {
                    let p = (f64::from(*logit) - scale).exp() * weight;
                    sum += p;
                    *slot = p as f32;
                }
            }
            gradient[target] = -sum as f32;
        },
    );
    gradient
}

/// logsumexp over the other tokens of their logit less the target's.
fn others(logits: &[f32], target: usize) -> f64 {
    let chosen = f64::from(logits[target]);
    let others = || logits.iter().enumerate().filter(|(j, _)| *j != target).map(|(_, z)| f64::from(*z) - chosen);
    // What is no number stays none: `max` would pass over it.
    let largest = others().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a });
    if largest == f64::NEG_INFINITY {
        largest
    } else {
        largest + others().map(|d| (d - largest).exp()).sum::<f64>().ln()
    }
}

/// log(1 + eˣ).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Of several that are the largest, the first counts.
fn is_largest(logits: &[f32], target: usize) -> bool {
    let chosen = logits[target];
    logits[..target].iter().all(|z| *z < chosen) && logits[target + 1..].iter().all(|z| *z <= chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// softmax(0, ln 2, ln 5) = 1/8, 2/8, 5/8.
    #[test]
    fn by_hand() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let predictions = Predictions::of(&logits, &[1]);
        assert!((predictions.loss() - 4f64.ln()).abs() < 1e-7);
        assert!((predictions.margin() - (2.0f64 / 6.0).ln()).abs() < 1e-7);
        assert_eq!(predictions.accuracy(), 0.0);
        for (ours, theirs) in gradient(&logits, &[1], 1).iter().zip([0.125, -0.75, 0.625]) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
        }
    }

    /// With z = (25, 0), the loss is log(1 + e⁻²⁵) = 1.388794386e-11, which f32 softmax calls 0.
    #[test]
    fn a_prediction_that_is_nearly_certain_keeps_its_digits() {
        let logits = [25.0, 0.0];
        let loss = Predictions::of(&logits, &[0]).loss();
        assert!((loss / 1.388_794_386_4e-11 - 1.0).abs() < 1e-9, "{loss}");
        let gradient = gradient(&logits, &[0], 1);
        assert!((f64::from(gradient[0]) / -1.388_794_386_4e-11 - 1.0).abs() < 1e-6);
        assert_eq!(gradient[0], -gradient[1]);
    }

    #[test]
    fn large_logits_do_not_overflow_and_ties_go_to_the_first() {
        let predictions = Predictions::of(&[1e30, 1e30, -1e30, 1e4, -1e4, 0.0], &[0, 1]);
        assert!((predictions.losses[0] - 2f64.ln()).abs() < 1e-12);
        assert_eq!(predictions.losses[1], 2e4);
        assert_eq!(predictions.right, [true, false]);
        assert_eq!(Predictions::of(&[1.0, 1.0], &[1]).right, [false]);
    }

    #[test]
    fn what_is_no_number_is_no_loss() {
        for logits in [[f32::NAN, 0.0], [0.0, f32::NAN], [f32::INFINITY, f32::INFINITY]] {
            assert!(Predictions::of(&logits, &[0]).loss().is_nan(), "{logits:?}");
            assert!(gradient(&logits, &[0], 1).iter().any(|slope| slope.is_nan()), "{logits:?}");
        }
    }

    /// Central differences of the loss.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let logits = [0.3f32, -1.2, 2.0, 0.7, 0.1, -0.4];
        let targets = [2, 0];
        for (i, ours) in gradient(&logits, &targets, 2).into_iter().enumerate() {
            let moved = |by: f32| {
                let mut logits = logits;
                logits[i] += by;
                Predictions::of(&logits, &targets).loss()
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - f64::from(ours)).abs() < 1e-5, "{i}: {slope} {ours}");
        }
    }
}
