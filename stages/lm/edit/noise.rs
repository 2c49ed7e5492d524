//! Gaussian noise that depends on seed, site, layer, prompt and position, and on nothing else: alone or in a batch, whole
//! or token by token, on any device.

use std::sync::Arc;

use rand_chacha::rand_core::Rng;

use super::Addend;
use crate::{Purpose, lm::site::Site, rng};

/// Noise of this standard deviation.
pub fn gaussian(seed: u64, std: f64) -> Addend {
    Arc::new(move |place, prompt, position, count| {
        let indices = [place.layer as u64, prompt as u64, place.site as u64];
        let pairs = count.div_ceil(2);
        let mut stream = match place.site {
            // A query sees as many keys as its position says: each has a stream of its own.
            Site::Pattern => rng(seed, Purpose::Noise, &[&indices[..], &[position as u64]].concat()),
            // Two words for each pair of values: a position's share of the stream begins where the one before ends.
            _ => {
                let mut stream = rng(seed, Purpose::Noise, &indices);
                stream.set_word_pos(position as u128 * 2 * pairs as u128);
                stream
            }
        };
        let mut values: Vec<f32> = (0..pairs).flat_map(|_| pair(&mut stream, std)).collect();
        values.truncate(count);
        values
    })
}

/// Two independent normal draws from two words (Box and Muller's transform).
fn pair(stream: &mut impl Rng, std: f64) -> [f32; 2] {
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0; // in (0, 1)
    let radius = std * (-2.0 * unit(stream.next_u32()).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * unit(stream.next_u32())).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}
