//! Several f64 at once: the arithmetic of the fused pass, for the instruction sets that it is compiled for.
//!
//! The default target knows only SSE2, which is four times slower than what most processors can do, so the set is
//! chosen when the program runs. A value of a wide type can be made only with a proof that this processor has the
//! set; that is what makes its operators safe. Nothing here is specific to PhiID.

use std::ops::{Add, Div, Mul, Sub};

/// `N` numbers that are computed with in step.
pub trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + 'static
{
    /// Evidence that this processor has the instructions.
    type Proof: Copy + Send + Sync;
    const N: usize;

    fn splat(proof: Self::Proof, value: f64) -> Self;
    /// The first `N` numbers of a slice.
    fn load(proof: Self::Proof, from: &[f64]) -> Self;
    fn store(self, to: &mut [f64]);
    /// `self · by + plus`, fused where the instruction set can.
    fn fma(self, by: Self, plus: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    /// One bit for each lane that is above `bound`; a NaN is not.
    fn above(self, bound: Self) -> u32;
    /// `self` where `value` is above `bound`, else 0.
    fn where_above(self, value: Self, bound: Self) -> Self;
    /// Mantissa in [1, 2) and exponent of positive, normal numbers.
    fn split(self) -> (Self, Self);
}

const FRACTION: u64 = (1 << 52) - 1;
const ONE: u64 = 1023 << 52;

/// Plain Rust in `N` lanes: what runs where nothing better is found.
#[derive(Clone, Copy, Debug)]
pub struct Plain<const N: usize>([f64; N]);

impl<const N: usize> Plain<N> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

macro_rules! plain_operator {
    ($($operator:ident :: $method:ident),*) => {$(
        impl<const N: usize> $operator for Plain<N> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, $operator::$method)
            }
        }
    )*};
}

plain_operator!(Add::add, Sub::sub, Mul::mul, Div::div);

impl<const N: usize> Lanes for Plain<N> {
    type Proof = ();
    const N: usize = N;

    #[inline(always)]
    fn splat((): (), value: f64) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    fn load((): (), from: &[f64]) -> Self {
        Self(std::array::from_fn(|lane| from[lane]))
    }

    #[inline(always)]
    fn store(self, to: &mut [f64]) {
        to[..N].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn fma(self, by: Self, plus: Self) -> Self {
        self * by + plus
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn above(self, bound: Self) -> u32 {
        (0..N).fold(0, |bits, lane| bits | u32::from(self.0[lane] > bound.0[lane]) << lane)
    }

    #[inline(always)]
    fn where_above(self, value: Self, bound: Self) -> Self {
        Self(std::array::from_fn(|lane| if value.0[lane] > bound.0[lane] { self.0[lane] } else { 0.0 }))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let mantissa = self.0.map(|x| f64::from_bits(x.to_bits() & FRACTION | ONE));
        let exponent = self.0.map(|x| (x.to_bits() >> 52) as f64 - 1023.0);
        (Self(mantissa), Self(exponent))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! SAFETY of every block below: a value of the type, or its proof, exists only where the instructions were
    //! detected, and slices are cut to the width before their pointer is used.

    use std::arch::x86_64::*;

    use super::{Add, Div, FRACTION, Lanes, Mul, ONE, Sub};

    /// Eight lanes of AVX-512.
    #[derive(Clone, Copy)]
    pub struct Wide512(__m512d);

    /// Four lanes of AVX2 with fused multiply-add.
    #[derive(Clone, Copy)]
    pub struct Wide256(__m256d);

    #[derive(Clone, Copy, Debug)]
    pub struct Has512(());

    #[derive(Clone, Copy, Debug)]
    pub struct Has256(());

    impl Has512 {
        pub fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx512f").then_some(Self(()))
        }
    }

    impl Has256 {
        pub fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }
    }

    macro_rules! operator {
        ($type:ident: $($operator:ident :: $method:ident = $instruction:ident),*) => {$(
            impl $operator for $type {
                type Output = Self;

                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    Self(unsafe { $instruction(self.0, other.0) })
                }
            }
        )*};
    }

    operator!(Wide512: Add::add = _mm512_add_pd, Sub::sub = _mm512_sub_pd, Mul::mul = _mm512_mul_pd, Div::div = _mm512_div_pd);
    operator!(Wide256: Add::add = _mm256_add_pd, Sub::sub = _mm256_sub_pd, Mul::mul = _mm256_mul_pd, Div::div = _mm256_div_pd);

    impl Lanes for Wide512 {
        type Proof = Has512;
        const N: usize = 8;

        #[inline(always)]
        fn splat(_: Has512, value: f64) -> Self {
            Self(unsafe { _mm512_set1_pd(value) })
        }

        #[inline(always)]
        fn load(_: Has512, from: &[f64]) -> Self {
            Self(unsafe { _mm512_loadu_pd(from[..8].as_ptr()) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f64]) {
            unsafe { _mm512_storeu_pd(to[..8].as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn fma(self, by: Self, plus: Self) -> Self {
            Self(unsafe { _mm512_fmadd_pd(self.0, by.0, plus.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { _mm512_min_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn above(self, bound: Self) -> u32 {
            u32::from(unsafe { _mm512_cmp_pd_mask::<_CMP_GT_OQ>(self.0, bound.0) })
        }

        #[inline(always)]
        fn where_above(self, value: Self, bound: Self) -> Self {
            Self(unsafe { _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(value.0, bound.0), self.0) })
        }

        #[inline(always)]
        fn split(self) -> (Self, Self) {
            let mantissa = unsafe { _mm512_getmant_pd::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self.0) };
            (Self(mantissa), Self(unsafe { _mm512_getexp_pd(self.0) }))
        }
    }

    impl Lanes for Wide256 {
        type Proof = Has256;
        const N: usize = 4;

        #[inline(always)]
        fn splat(_: Has256, value: f64) -> Self {
            Self(unsafe { _mm256_set1_pd(value) })
        }

        #[inline(always)]
        fn load(_: Has256, from: &[f64]) -> Self {
            Self(unsafe { _mm256_loadu_pd(from[..4].as_ptr()) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f64]) {
            unsafe { _mm256_storeu_pd(to[..4].as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn fma(self, by: Self, plus: Self) -> Self {
            Self(unsafe { _mm256_fmadd_pd(self.0, by.0, plus.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm256_max_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { _mm256_min_pd(self.0, other.0) })
        }

        #[inline(always)]
        fn above(self, bound: Self) -> u32 {
            unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(self.0, bound.0)) as u32 }
        }

        #[inline(always)]
        fn where_above(self, value: Self, bound: Self) -> Self {
            Self(unsafe { _mm256_and_pd(self.0, _mm256_cmp_pd::<_CMP_GT_OQ>(value.0, bound.0)) })
        }

        #[inline(always)]
        fn split(self) -> (Self, Self) {
            // The biased exponent becomes the last bits of a number of known magnitude (2⁵²), which is subtracted again.
            const MAGNITUDE: u64 = 0x4330_0000_0000_0000;
            const BIAS: f64 = (1_u64 << 52) as f64 + 1023.0;
            unsafe {
                let bits = _mm256_castpd_si256(self.0);
                let fraction = _mm256_and_si256(bits, _mm256_set1_epi64x(FRACTION as i64));
                let mantissa = _mm256_castsi256_pd(_mm256_or_si256(fraction, _mm256_set1_epi64x(ONE as i64)));
                let biased = _mm256_or_si256(_mm256_srli_epi64::<52>(bits), _mm256_set1_epi64x(MAGNITUDE as i64));
                let exponent = _mm256_sub_pd(_mm256_castsi256_pd(biased), _mm256_set1_pd(BIAS));
                (Self(mantissa), Self(exponent))
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Has256, Has512, Wide256, Wide512};

#[cfg(test)]
mod tests {
    use super::*;

    fn check<V: Lanes>(proof: V::Proof) {
        let values = [1.5, 0.375, 1e-200, 7.25, 1.0, 3e150, 0.1, 2.0];
        for chunk in values.chunks_exact(V::N) {
            let (mantissa, exponent) = V::load(proof, chunk).split();
            let (mut m, mut e) = ([0.0; 8], [0.0; 8]);
            mantissa.store(&mut m);
            exponent.store(&mut e);
            for (lane, &value) in chunk.iter().enumerate() {
                assert!((1.0..2.0).contains(&m[lane]));
                assert_eq!(m[lane] * 2_f64.powi(e[lane] as i32), value);
            }
        }
        let mut other = values;
        other[0] = f64::NAN;
        let bits = V::load(proof, &other).above(V::splat(proof, 0.3));
        let expected = (1..V::N).filter(|&lane| other[lane] > 0.3).fold(0, |bits, lane| bits | 1 << lane);
        assert_eq!(bits, expected);
        let mut kept = [9.0; 8];
        V::splat(proof, 2.0).where_above(V::load(proof, &other), V::splat(proof, 0.3)).store(&mut kept);
        assert!((0..V::N).all(|lane| kept[lane] == if other[lane] > 0.3 { 2.0 } else { 0.0 }));
    }

    #[test]
    fn every_set_that_is_here_splits_and_compares_alike() {
        check::<Plain<1>>(());
        check::<Plain<2>>(());
        #[cfg(target_arch = "x86_64")]
        {
            Has256::detect().into_iter().for_each(check::<Wide256>);
            Has512::detect().into_iter().for_each(check::<Wide512>);
        }
    }
}
