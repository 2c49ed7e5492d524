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
    /// Noise on a head's weights.
    WeightNoise,
    Order,
    /// The texts of a task, and which of them are held out.
    Task,
    /// Which texts a step of training sees.
    Batches,
    /// Which numbers a step of training drops.
    Dropout,
    Resample,
    Surrogate,
    /// Which units a bootstrap draws.
    Bootstrap,
    /// Which labels change places.
    Permutation,
    /// The order in which communities are sought.
    Communities,
    /// Which edges of a graph change places.
    Rewiring,
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

/// Two independent normal draws of mean 0 from two words (Box and Muller's transform).
pub fn normal_pair(std: f64, rng: &mut impl Rng) -> [f32; 2] {
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0; // in (0, 1)
    let radius = std * (-2.0 * unit(rng.next_u32()).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * unit(rng.next_u32())).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

/// Puts things into an order that depends on the generator alone (Fisher and Yates's shuffle).
pub fn shuffle<T>(things: &mut [T], rng: &mut impl Rng) {
    for last in (1..things.len()).rev() {
        things.swap(last, below(last as u64 + 1, rng) as usize);
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

    /// 60,000 draws below 6: each face 10,000 times, give or take four standard deviations of 91.
    #[test]
    fn a_die_is_fair_and_a_shuffle_loses_nothing() {
        let mut rng = rng(1, Purpose::Order, &[]);
        let mut faces = [0; 6];
        (0..60_000).for_each(|_| faces[below(6, &mut rng) as usize] += 1);
        assert!(faces.iter().all(|n| (9_635..=10_365).contains(n)), "{faces:?}");
        let mut things: Vec<_> = (0..50).collect();
        shuffle(&mut things, &mut rng);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
