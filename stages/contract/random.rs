//! Random numbers that depend on nothing but what they are for.
//!
//! A counter-based generator keyed by (seed, purpose, indices), on the host: the same numbers whatever the batch, the
//! device or the order in which they are drawn.

use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};

/// What random numbers are for: two purposes never share a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    InitialWeights,
    Sampling,
    Noise,
    Order,
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

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::Rng;

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
