//! Gaussian noise that depends on seed, site, layer, prompt and position, and on nothing else: alone or in a batch, whole
//! or token by token, on any device.

use std::sync::Arc;

use super::Addend;
use crate::{Purpose, lm::site::Site, normal_pair, rng};

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
        let mut values: Vec<f32> = (0..pairs).flat_map(|_| normal_pair(std, &mut stream)).collect();
        values.truncate(count);
        values
    })
}
