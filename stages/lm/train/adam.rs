//! Adam and AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019), as PyTorch computes them, over plain arrays.
//!
//! On the host: a step is one pass over memory, the same bits on every device, and what is frozen is simply passed
//! over, so that neither gradient, moment nor decay touches it.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How weights follow their gradients.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Adam {
    /// The largest learning rate.
    pub learning_rate: f64,
    /// Decay of the means of the gradient and of its square.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub eps: f64,
    /// The share of the learning rate by which a weight shrinks at each step, apart from its gradient (AdamW).
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

/// One tensor's weights and the running means of its gradient.
#[derive(Clone, PartialEq, Debug)]
pub struct Moving {
    pub values: Vec<f32>,
    pub mean: Vec<f32>,
    pub square: Vec<f32>,
}

impl Moving {
    pub fn new(values: Vec<f32>) -> Self {
        let rest = vec![0.0; values.len()];
        Self { values, mean: rest.clone(), square: rest }
    }
}

/// Values that one task works on.
const GRAIN: usize = 4096;

impl Adam {
    /// What is wrong with these numbers.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let share = |x: f64| (0.0..1.0).contains(&x);
        match self {
            _ if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) => {
                Some(("learning-rate", "the learning rate must be above 0".to_owned()))
            }
            _ if !self.betas.into_iter().all(share) => {
                Some(("betas", "each of `betas` must be at least 0 and below 1".to_owned()))
            }
            _ if self.eps <= 0.0 || self.eps.is_nan() => Some(("eps", "`eps` must be above 0".to_owned())),
            _ if self.weight_decay < 0.0 || self.weight_decay.is_nan() => {
                Some(("weight-decay", "`weight-decay` must not be negative".to_owned()))
            }
            _ => None,
        }
    }

    /// The `step`th step, counted from 1, at `rate` times the learning rate. `moves` says which weights move; all where
    /// there is none.
    pub fn step(&self, moving: &mut Moving, gradient: &[f32], step: u64, rate: f64, moves: Option<&[bool]>) {
        let [b1, b2] = self.betas.map(|b| b as f32);
        let rate = self.learning_rate * rate;
        let unbias = |b: f64| 1.0 - b.powf(step as f64);
        let size = (rate / unbias(self.betas[0])) as f32;
        let root = unbias(self.betas[1]).sqrt() as f32;
        let (shrink, eps) = ((1.0 - rate * self.weight_decay) as f32, self.eps as f32);
        let Moving { values, mean, square } = moving;
        let chunks = values
            .par_chunks_mut(GRAIN)
            .zip(mean.par_chunks_mut(GRAIN))
            .zip(square.par_chunks_mut(GRAIN))
            .zip(gradient.par_chunks(GRAIN))
            .enumerate();
        chunks.for_each(|(chunk, (((values, mean), square), gradient))| {
            for (i, g) in gradient.iter().enumerate() {
                if moves.is_some_and(|moves| !moves[chunk * GRAIN + i]) {
                    continue;
                }
                mean[i] += (1.0 - b1) * (g - mean[i]);
                square[i] = b2 * square[i] + (1.0 - b2) * g * g;
                values[i] = values[i] * shrink - size * mean[i] / (square[i].sqrt() / root + eps);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps on two weights with the gradients (0.1, −2), (0.3, 1), (−0.2, 0.5), from (1, −0.5):
    /// `torch.optim.AdamW([w], lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)`, PyTorch 2.15.
    #[test]
    fn as_pytorch_moves() {
        let adam = Adam { learning_rate: 1e-2, betas: [0.9, 0.98], eps: 1e-8, weight_decay: 0.1 };
        let mut moving = Moving::new(vec![1.0, -0.5]);
        let steps = [([0.1, -2.0], ADAMW[0]), ([0.3, 1.0], ADAMW[1]), ([-0.2, 0.5], ADAMW[2])];
        for (step, (gradient, expected)) in steps.into_iter().enumerate() {
            adam.step(&mut moving, &gradient, step as u64 + 1, 1.0, None);
            for (ours, theirs) in moving.values.iter().zip(expected) {
                assert!((ours - theirs).abs() < 2e-7, "step {step}: {ours} {theirs}");
            }
        }
    }

    const ADAMW: [[f32; 2]; 3] = [[0.989, -0.489_500_02], [0.978_868_3, -0.486_339_45], [0.975_315_63, -0.485_234_98]];

    /// A first step is the learning rate, whatever the gradient's size.
    #[test]
    fn what_is_frozen_neither_moves_nor_shrinks() {
        let adam = Adam { weight_decay: 1.0, ..Adam::default() };
        let mut moving = Moving::new(vec![1.0, 1.0]);
        adam.step(&mut moving, &[1e-3, 5.0], 1, 1.0, Some(&[false, true]));
        assert_eq!((moving.values[0], moving.mean[0], moving.square[0]), (1.0, 0.0, 0.0));
        assert!((moving.values[1] - (1.0 - 1e-3 - 1e-3)).abs() < 1e-6);
    }
}
