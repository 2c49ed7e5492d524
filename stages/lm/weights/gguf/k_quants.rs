//! The k-quants: blocks of 256 values with a scale of their own for each 16 or 32 of them.
//!
//! Each function widens one block, whose layout it documents; arithmetic is in the order of the reference
//! implementation (`gguf.quants` and ggml), so that results are equal to the last bit. The i-quants, which need tables,
//! are not read.

use super::blocks::half_at;

/// Values of a block.
pub const BLOCK: usize = 256;

/// 16 bytes of scales (low nibble) and minima (high nibble) | 64 bytes of two-bit values | d | dmin.
pub fn two_bits(block: &[u8], out: &mut [f32]) {
    let (scales, rest) = block.split_at(16);
    let (packed, rest) = rest.split_at(64);
    let (d, d_min) = (half_at(rest, 0), half_at(rest, 2));
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[group] & 15);
        let minimum = d_min * f32::from(scales[group] >> 4);
        for (i, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(crumb(packed, group * 16 + i)) - minimum;
        }
    }
}

/// 32 bytes of third bits (clear where 4 is taken off) | 64 bytes of two-bit values | 12 bytes of scales | d.
pub fn three_bits(block: &[u8], out: &mut [f32]) {
    let (third, rest) = block.split_at(32);
    let (packed, rest) = rest.split_at(64);
    let (scales, rest) = rest.split_at(12);
    let d = half_at(rest, 0);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        // 6 bits: low nibbles of bytes 0 to 7, then their high ones; two more bits in bytes 8 to 11
        let low = scales[group % 8] >> (4 * (group / 8)) & 15;
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        for (i, out) in out.iter_mut().enumerate() {
            let at = group * 16 + i;
            let less = if third[at % 32] >> (at / 32) & 1 == 0 { 4.0 } else { 0.0 };
            *out = scale * (f32::from(crumb(packed, at)) - less);
        }
    }
}

/// d | dmin | 12 bytes of scales and minima | 128 bytes of four-bit values.
pub fn four_bits(block: &[u8], out: &mut [f32]) {
    scaled(block, &block[16..], |_| 0, out);
}

/// d | dmin | 12 bytes of scales and minima | 32 bytes of fifth bits | 128 bytes of four-bit values.
pub fn five_bits(block: &[u8], out: &mut [f32]) {
    let fifth = &block[16..48];
    scaled(block, &block[48..], |at| (fifth[at % 32] >> (at / 32) & 1) << 4, out);
}

/// 128 bytes of low nibbles | 64 bytes of upper two bits | 16 signed scales | d.
pub fn six_bits(block: &[u8], out: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, rest) = rest.split_at(16);
    let d = half_at(rest, 0);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[group] as i8);
        for (i, out) in out.iter_mut().enumerate() {
            let at = group * 16 + i;
            let value = nibble(low, at, 64) | crumb(high, at) << 4;
            *out = scale * (f32::from(value) - 32.0);
        }
    }
}

/// d as f32 | 256 signed values | sums of 16 values each, which only dot products use.
pub fn eight_bits(block: &[u8], out: &mut [f32]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (out, byte) in out.iter_mut().zip(&block[4..]) {
        *out = d * f32::from(*byte as i8);
    }
}

/// `d · scale · q − dmin · minimum`, where each 32 values share a scale and a minimum of six bits.
fn scaled(block: &[u8], packed: &[u8], fifth: impl Fn(usize) -> u8, out: &mut [f32]) {
    let (d, d_min, scales) = (half_at(block, 0), half_at(block, 2), &block[4..16]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(scales, group);
        let (scale, minimum) = (d * f32::from(scale), d_min * f32::from(minimum));
        for (i, out) in out.iter_mut().enumerate() {
            let at = group * 32 + i;
            *out = scale * f32::from(nibble(packed, at, 32) | fifth(at)) - minimum;
        }
    }
}

/// Bytes 0 to 3 and 4 to 7 hold six bits of the first four scales and minima; their upper two bits and the nibbles of
/// bytes 8 to 11 are those of the last four.
fn scale_and_minimum(scales: &[u8], group: usize) -> (u8, u8) {
    match group.checked_sub(4) {
        None => (scales[group] & 63, scales[4 + group] & 63),
        Some(i) => (scales[8 + i] & 15 | scales[i] >> 6 << 4, scales[8 + i] >> 4 | scales[4 + i] >> 6 << 4),
    }
}

/// Value `at` of four bits: each `run` bytes hold two runs of values, in their low and their high nibbles.
fn nibble(packed: &[u8], at: usize, run: usize) -> u8 {
    packed[at / (2 * run) * run + at % run] >> (4 * (at / run % 2)) & 15
}

/// Value `at` of two bits: each 32 bytes hold four runs of 32 values, from the low bits up.
fn crumb(packed: &[u8], at: usize) -> u8 {
    packed[at / 128 * 32 + at % 32] >> (2 * (at / 32 % 4)) & 3
}
