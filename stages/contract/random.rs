//! Random numbers that depend on nothing but what they are for.
//!
//! A counter-based generator keyed by (seed, purpose, indices), on the host: the same numbers whatever the batch, the
//! device or the order in which they are drawn.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// What random numbers are for: two purposes never share a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    InitialWeights,
    Sampling,
    Noise,
    Order,
    Resample,
}

/// The generator for `purpose` at `indices` (a layer and a prompt, say) under `seed`.
pub fn rng(seed: u64, purpose: Purpose, indices: &[u64]) -> ChaCha12Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"assay random\0");
    hasher.update(format!("{purpose:?}").as_bytes());
    hasher.update(&seed.to_le_bytes());
    for index in indices {
        hasher.update(&index.to_le_bytes());
    }
    ChaCha12Rng::from_seed(*hasher.finalize().as_bytes())
}

/// A number below `bound`, each as likely as the others.
pub fn below(bound: u64, rng: &mut impl Rng) -> u64 {
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let word = rng.next_u64();
        if word < fair {
            return word % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_matters() {
        let first = |seed, purpose, indices: &[u64]| rng(seed, purpose, indices).next_u64();
        let base = first(42, Purpose::Noise, &[1, 2]);
        assert_eq!(base, first(42, Purpose::Noise, &[1, 2]));
        for other in [
            first(43, Purpose::Noise, &[1, 2]),
            first(42, Purpose::Order, &[1, 2]),
            first(42, Purpose::Noise, &[2, 1]),
            first(42, Purpose::Noise, &[1, 2, 0]),
        ] {
            assert_ne!(base, other);
        }
    }
}
