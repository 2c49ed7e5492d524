//! Random weights: what a model of a configuration holds before training.
//!
//! Each tensor has its own stream of random numbers, named by its path, so that a weight depends on the seed and its
//! place alone, never on the order in which tensors are made.

use std::collections::BTreeMap;

use rand_chacha::rand_core::Rng;
use serde_json::Value;

use super::checkpoint::{Checkpoint, WeightsError};
use crate::contract::{Purpose, rng};
use crate::lm::{
    families,
    layers::param::{Initial, Param},
};

/// Initial weights of a configuration under a seed. They are computed when they are read.
pub struct InitialWeights {
    params: BTreeMap<String, Param>,
    seed: u64,
}

impl InitialWeights {
    pub fn new(config: &Value, seed: u64) -> Result<Self, WeightsError> {
        let architecture = families::architecture(config).map_err(WeightsError)?;
        let params = architecture.params().into_iter().map(|param| (param.path.clone(), param.clone())).collect();
        Ok(Self { params, seed })
    }
}

impl Checkpoint for InitialWeights {
    fn names(&self) -> Vec<String> {
        self.params.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.params.get(name).map(|param| param.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let param = self.params.get(name).ok_or_else(|| WeightsError(format!("the model has no tensor `{name}`")))?;
        let count = param.shape.iter().product();
        let mut values = match param.initial {
            Initial::Zeros => vec![0.0; count],
            Initial::Ones => vec![1.0; count],
            Initial::Normal(std) => normal(count, std, self.seed, name),
        };
        if let Some(row) = param.zero_row {
            let width = count / param.shape[0];
            values[row * width..][..width].fill(0.0);
        }
        Ok(values)
    }
}

/// `count` draws of mean 0 and standard deviation `std`, by the Box–Muller transform in f64.
fn normal(count: usize, std: f64, seed: u64, name: &str) -> Vec<f32> {
    let hash = blake3::hash(name.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
    let mut rng = rng(seed, Purpose::InitialWeights, &[u64::from_le_bytes(*first)]);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = std * (-2.0 * uniform(rng.next_u64()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * uniform(rng.next_u64())).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

/// In (0, 1]: its logarithm is finite.
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fixture::Fixture;

    #[test]
    fn the_draws_are_normal() {
        const COUNT: usize = 200_001;
        let values = normal(COUNT, 0.02, 42, "w");
        let moment = |power: i32| values.iter().map(|v| (f64::from(*v) / 0.02).powi(power)).sum::<f64>() / COUNT as f64;
        // Standard errors of the first four moments: 0.0022, 0.0032, 0.0087, 0.022.
        assert!(moment(1).abs() < 0.01, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.015, "{}", moment(2));
        assert!(moment(3).abs() < 0.04, "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.1, "{}", moment(4));
        let beyond = values.iter().filter(|v| v.abs() > 0.0392).count() as f64 / COUNT as f64; // 1.96 σ
        assert!((beyond - 0.05).abs() < 0.003, "{beyond}");
    }

    #[test]
    fn seed_and_name_matter_and_nothing_else() {
        assert_eq!(normal(7, 1.0, 1, "a"), normal(8, 1.0, 1, "a")[..7]);
        assert_ne!(normal(4, 1.0, 1, "a"), normal(4, 1.0, 2, "a"));
        assert_ne!(normal(4, 1.0, 1, "a"), normal(4, 1.0, 1, "b"));
    }

    #[test]
    fn a_llama_before_training() {
        let mut config = Fixture::of("llama").config;
        config["pad_token_id"] = serde_json::Value::Null;
        let weights = InitialWeights::new(&config, 7).unwrap();
        assert_eq!(weights.shape("model.norm.weight"), Some(vec![config["hidden_size"].as_u64().unwrap() as usize]));
        assert!(weights.read("model.norm.weight").unwrap().iter().all(|v| *v == 1.0));
        let embedding = weights.read("model.embed_tokens.weight").unwrap();
        let count = embedding.len() as f64;
        let std = (embedding.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / count).sqrt();
        let expected = config["initializer_range"].as_f64().unwrap_or(0.02);
        assert!((std / expected - 1.0).abs() < 5.0 / (2.0 * count).sqrt(), "{std}");
        assert!(weights.read("nothing").is_err());

        // A padding token's row is zero, and the others are as they were.
        config["pad_token_id"] = 3.into();
        let padded = InitialWeights::new(&config, 7).unwrap().read("model.embed_tokens.weight").unwrap();
        let rows = padded.chunks(64).zip(embedding.chunks(64)).enumerate();
        rows.for_each(|(row, (ours, plain))| assert_eq!(ours, if row == 3 { &[0.0; 64] } else { plain }));
    }
}
