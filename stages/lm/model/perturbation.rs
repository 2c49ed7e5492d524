//! Models some of whose heads have noise on their weights: on the rows of W_Q that make a head's queries, and on the columns
//! of W_O that read its output.
//!
//! The noise is on the weights themselves, not on what they give, so a perturbed model is a model like any other: it costs
//! what its own pass costs, and equals one that is loaded from a checkpoint with these weights. It shares all else with
//! the model that it comes from. Biases, keys, values and norms are left alone.

use rayon::prelude::*;

use super::Model;
use crate::{Purpose, lm::layers::attention::HeadWeights, metrics::summary, normal_pair, rng};

/// Gaussian noise on heads' weights. What a head gets depends on seed, layer and head, and on nothing else.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WeightNoise {
    /// In units of the standard deviation of the head's own numbers in the matrix.
    pub std: f64,
    pub seed: u64,
}

/// Which of a head's matrices; a number is part of the key of its noise and never changes.
#[derive(Clone, Copy)]
enum Part {
    Queries = 0,
    Out = 1,
}

impl Model {
    /// Adds noise to the weights of heads, given as (layer, head); each should be given once. What the weights become is
    /// rounded to the model's number type.
    pub fn perturb(&mut self, heads: &[(usize, usize)], noise: WeightNoise) {
        if noise.std == 0.0 {
            return;
        }
        for &(layer, head) in heads {
            let HeadWeights { queries: (queries, outputs), out: (out, inputs) } = self.blocks[layer].head_weights(head);
            queries.change_outputs(outputs, |own, width| noise.add(own, width, [layer, head], Part::Queries));
            out.change_inputs(inputs, |own, width| noise.add(own, width, [layer, head], Part::Out));
        }
    }
}

impl WeightNoise {
    /// Adds it to a head's numbers in one matrix, given in rows of this width: one for each of the head's dimensions, and
    /// each with a stream of its own.
    fn add(self, weights: &mut [f32], width: usize, [layer, head]: [usize; 2], part: Part) {
        let own: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
        let std = self.std * summary::std(&own);
        weights.par_chunks_mut(width).enumerate().for_each(|(row, weights)| {
            let mut stream = rng(self.seed, Purpose::WeightNoise, &[layer, head, part as usize, row].map(|i| i as u64));
            for pair in weights.chunks_mut(2) {
                let noise = normal_pair(std, &mut stream);
                pair.iter_mut().zip(noise).for_each(|(weight, noise)| *weight += noise);
            }
        });
    }
}

#[cfg(test)]
mod tests;
