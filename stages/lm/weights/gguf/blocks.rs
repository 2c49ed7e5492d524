//! The stored forms of GGUF tensors, widened to f32.
//!
//! A quantised row is a sequence of blocks of 32 values that share a scale `d` (and, in the `_1` forms, a minimum
//! `m`), both f16. Low nibbles hold the first half of a block, high nibbles the second; the `Q5` forms keep the fifth
//! bits of all 32 values in one word. The k-quants are in `k_quants`; the i-quants are not read.

use half::{bf16, f16};

use super::k_quants;

/// Values that share a scale.
const BLOCK: usize = 32;

/// How the values of a tensor are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(non_camel_case_types, reason = "the names that every tool prints")]
pub enum Format {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
}

impl Format {
    pub const SUPPORTED: &'static str =
        "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K and Q8_K";

    /// The format of this number, or the name of one that is not supported.
    pub fn of(number: u32) -> Result<Self, String> {
        const OTHERS: [(u32, &str); 20] = [
            (9, "Q8_1"),
            (16, "IQ2_XXS"),
            (17, "IQ2_XS"),
            (18, "IQ3_XXS"),
            (19, "IQ1_S"),
            (20, "IQ4_NL"),
            (21, "IQ3_S"),
            (22, "IQ2_S"),
            (23, "IQ4_XS"),
            (24, "I8"),
            (25, "I16"),
            (26, "I32"),
            (27, "I64"),
            (28, "F64"),
            (29, "IQ1_M"),
            (34, "TQ1_0"),
            (35, "TQ2_0"),
            (39, "MXFP4"),
            (40, "NVFP4"),
            (41, "Q1_0"),
        ];
        Ok(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2_K,
            11 => Self::Q3_K,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            15 => Self::Q8_K,
            30 => Self::BF16,
            _ => {
                return Err(OTHERS
                    .iter()
                    .find(|(other, _)| *other == number)
                    .map_or_else(|| format!("the unknown type {number}"), |(_, name)| (*name).to_owned()));
            }
        })
    }

    /// Values and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (BLOCK, 2 + 16),
            Self::Q4_1 => (BLOCK, 4 + 16),
            Self::Q5_0 => (BLOCK, 2 + 4 + 16),
            Self::Q5_1 => (BLOCK, 4 + 4 + 16),
            Self::Q8_0 => (BLOCK, 2 + 32),
            Self::Q2_K => (k_quants::BLOCK, 16 + 64 + 4),
            Self::Q3_K => (k_quants::BLOCK, 32 + 64 + 12 + 2),
            Self::Q4_K => (k_quants::BLOCK, 4 + 12 + 128),
            Self::Q5_K => (k_quants::BLOCK, 4 + 12 + 32 + 128),
            Self::Q6_K => (k_quants::BLOCK, 128 + 64 + 16 + 2),
            Self::Q8_K => (k_quants::BLOCK, 4 + 256 + 32),
        }
    }

    /// Widens whole blocks: `bytes` holds exactly as many as `out` has room for.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) {
        let (values, size) = self.block();
        debug_assert_eq!(bytes.len() / size, out.len() / values);
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(values)) {
            match self {
                Self::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                Self::F16 => out[0] = half_at(block, 0),
                Self::BF16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                Self::Q4_0 => {
                    let d = half_at(block, 0);
                    nibbles(&block[2..], |_| 0, out, |q| d * (q - 8.0));
                }
                Self::Q4_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    nibbles(&block[4..], |_| 0, out, |q| d * q + m);
                }
                Self::Q5_0 => {
                    let d = half_at(block, 0);
                    nibbles(&block[6..], fifth_bits(&block[2..]), out, |q| d * (q - 16.0));
                }
                Self::Q5_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    nibbles(&block[8..], fifth_bits(&block[4..]), out, |q| d * q + m);
                }
                Self::Q8_0 => {
                    let scale = half_at(block, 0);
                    for (out, byte) in out.iter_mut().zip(&block[2..]) {
                        *out = scale * f32::from(*byte as i8);
                    }
                }
                Self::Q2_K => k_quants::two_bits(block, out),
                Self::Q3_K => k_quants::three_bits(block, out),
                Self::Q4_K => k_quants::four_bits(block, out),
                Self::Q5_K => k_quants::five_bits(block, out),
                Self::Q6_K => k_quants::six_bits(block, out),
                Self::Q8_K => k_quants::eight_bits(block, out),
            }
        }
    }
}

pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The fifth bit of value `i`, as 16 or 0.
fn fifth_bits(bytes: &[u8]) -> impl Fn(usize) -> u8 {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    move |i| ((word >> i & 1) as u8) << 4
}

/// 32 values whose low four bits are packed in 16 bytes.
fn nibbles(packed: &[u8], fifth: impl Fn(usize) -> u8, out: &mut [f32], value: impl Fn(f32) -> f32) {
    for i in 0..BLOCK / 2 {
        out[i] = value(f32::from(packed[i] & 15 | fifth(i)));
        out[i + BLOCK / 2] = value(f32::from(packed[i] >> 4 | fifth(i + BLOCK / 2)));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::lm::{fixture::Arrays, weights::gguf::Gguf};

    fn widened(format: Format, bytes: &[u8]) -> Vec<f32> {
        let (values, size) = format.block();
        assert_eq!(bytes.len() % size, 0);
        let mut out = vec![0.0; bytes.len() / size * values];
        format.widen(bytes, &mut out);
        out
    }

    /// 0.5 and −3.0 as f16.
    const HALF: [u8; 2] = [0x00, 0x38];
    const MINUS_THREE: [u8; 2] = [0x00, 0xC2];

    /// Low nibbles 0 … 15, high nibbles 15 … 0.
    fn ramp() -> Vec<u8> {
        (0..16u8).map(|i| i | (15 - i) << 4).collect()
    }

    #[test]
    fn four_bits_with_and_without_a_minimum() {
        let out = widened(Format::Q4_0, &[&HALF[..], &ramp()].concat());
        // 0.5 · (q − 8): q = 0, 1, … 15, then 15, … 0
        assert_eq!(out[..3], [-4.0, -3.5, -3.0]);
        assert_eq!(out[15..18], [3.5, 3.5, 3.0]);
        assert_eq!(out[31], -4.0);

        let out = widened(Format::Q4_1, &[&HALF[..], &MINUS_THREE, &ramp()].concat());
        // 0.5 · q − 3
        assert_eq!(out[..3], [-3.0, -2.5, -2.0]);
        assert_eq!(out[15..18], [4.5, 4.5, 4.0]);
        assert_eq!(out[31], -3.0);
    }

    #[test]
    fn the_fifth_bit_belongs_to_its_value() {
        // fifth bits of values 0, 17 and 31
        let fifth = (1u32 | 1 << 17 | 1 << 31).to_le_bytes();
        let out = widened(Format::Q5_0, &[&HALF[..], &fifth, &ramp()].concat());
        // 0.5 · (q − 16): value 0 is q = 16, value 1 is q = 1, value 17 is q = 14 + 16, value 31 is q = 0 + 16
        assert_eq!((out[0], out[1], out[16], out[17], out[31]), (0.0, -7.5, -0.5, 7.0, 0.0));

        let out = widened(Format::Q5_1, &[&HALF[..], &MINUS_THREE, &fifth, &ramp()].concat());
        // 0.5 · q − 3
        assert_eq!((out[0], out[1], out[16], out[17], out[31]), (5.0, -2.5, 4.5, 12.0, 5.0));
    }

    #[test]
    fn eight_bits_are_signed_and_blocks_follow_each_other() {
        let block: Vec<u8> = HALF.into_iter().chain((0..32).map(|i| if i == 1 { 0x80 } else { i })).collect();
        let out = widened(Format::Q8_0, &[block.clone(), block].concat());
        assert_eq!(out.len(), 64);
        assert_eq!((out[0], out[1], out[2], out[31], out[33]), (0.0, -64.0, 1.0, 15.5, -64.0));
    }

    /// Every form of every block that NumPy's random bytes make, widened by the `gguf` package: `blocks.py` wrote it.
    #[test]
    fn random_blocks_are_widened_to_the_bits_of_the_reference() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
        let stored = Gguf::open(&folder.join("blocks.gguf")).unwrap();
        let expected = Arrays::of(&fs::read(folder.join("blocks.safetensors")).unwrap());
        assert_eq!(expected.0.len(), 13);
        for (name, (shape, values)) in &expected.0 {
            let info = stored.header.tensors.iter().find(|info| info.name == *name).unwrap();
            assert_eq!(&info.shape(), shape, "{name}");
            let found = widened(info.format, &stored.bytes[info.range.clone()]);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(values), "{name}");
        }
    }

    /// The `gguf` package cannot read this form, which ggml uses only between its own kernels.
    #[test]
    fn eight_bits_of_the_k_quants_have_a_scale_in_f32() {
        let quants = (0..256).map(|i| (i as u8).wrapping_sub(128));
        let block: Vec<u8> = 0.25f32.to_le_bytes().into_iter().chain(quants).chain([0xFF; 32]).collect();
        let out = widened(Format::Q8_K, &block);
        assert_eq!((out[0], out[1], out[128], out[255]), (-32.0, -31.75, 0.0, 31.75));
    }

    #[test]
    fn plain_floats() {
        assert_eq!(widened(Format::F32, &1.25f32.to_le_bytes()), [1.25]);
        assert_eq!(widened(Format::F16, &[HALF, MINUS_THREE].concat()), [0.5, -3.0]);
        assert_eq!(widened(Format::BF16, &[0x80, 0x3F, 0x40, 0xC0]), [1.0, -3.0]);
    }
}
