//! The closed form: from six correlations to conditional variances, and from those to atoms.
//!
//! Every mutual information here is −½ ln of a variance that is left when something else is known. The variances come
//! from an LDL factorisation; a polynomial for the 4 × 4 determinant loses all digits where heads are nearly
//! collinear. The smaller of two informations is the larger of two variances, so redundancies need no logarithm.

use std::marker::PhantomData;

use super::{
    lanes::Lanes,
    tile::{Measure, Strip},
};

/// The correlations of x, y (past) and a, b (future).
#[derive(Clone, Copy)]
pub struct Correlations<V> {
    pub xy: V,
    pub ab: V,
    pub xa: V,
    pub xb: V,
    pub ya: V,
    pub yb: V,
}

/// What is left of the variance of a target when its sources are known: `xya` is that of a given x and y, and
/// −½ ln `xya` is I(xy; a). `xyab` is the ratio of the determinants for both.
#[derive(Clone, Copy)]
pub struct Variances<V> {
    pub xa: V,
    pub xb: V,
    pub ya: V,
    pub yb: V,
    pub xya: V,
    pub xyb: V,
    pub xab: V,
    pub yab: V,
    pub xyab: V,
    /// The determinant of all four series.
    pub determinant: V,
}

impl<V: Lanes> Variances<V> {
    #[inline(always)]
    pub fn of(c: &Correlations<V>, one: V) -> Self {
        // (1 − c)(1 + c) keeps the digits that 1 − c² loses.
        let (xa, xb) = ((one - c.xa) * (one + c.xa), (one - c.xb) * (one + c.xb));
        let (ya, yb) = ((one - c.ya) * (one + c.ya), (one - c.yb) * (one + c.yb));
        let (past, future) = ((one - c.xy) * (one + c.xy), (one - c.ab) * (one + c.ab));
        let (per_past, per_future) = (one / past, one / future);
        // What y tells beyond x of a and of b; what b tells beyond a of x and of y.
        let (to_a, to_b) = (c.ya - c.xy * c.xa, c.yb - c.xy * c.xb);
        let (to_x, to_y) = (c.xb - c.ab * c.xa, c.yb - c.ab * c.ya);
        let (xya, xyb) = (xa - to_a * to_a * per_past, xb - to_b * to_b * per_past);
        let (xab, yab) = (xa - to_x * to_x * per_future, ya - to_y * to_y * per_future);
        let shared = (c.ab - c.xa * c.xb) - to_a * to_b * per_past; // of a and b, given x and y
        let both = xya * xyb - shared * shared;
        Self { xa, xb, ya, yb, xya, xyb, xab, yab, xyab: both * per_future, determinant: past * both }
    }
}

/// Products of variances whose −½ ln, averaged over prompts, is all that a result is made of.
pub trait Factors<const K: usize> {
    fn of<V: Lanes>(v: &Variances<V>) -> [V; K];
}

/// Running products of factors, as mantissas and then exponents.
pub struct Products<F, const K: usize>(PhantomData<F>);

impl<F: Factors<K>, const K: usize> Measure for Products<F, K> {
    const SLOTS: usize = 2 * K;

    fn initial(slot: usize) -> f64 {
        if slot < K { 1.0 } else { 0.0 }
    }

    #[inline(always)]
    fn absorb<V: Lanes>(strip: &Strip<V>, slots: &mut [f64], out: u32) {
        for (k, factor) in F::of(&strip.variances).into_iter().enumerate() {
            let factor = if out == 0 { factor } else { strip.replace(factor, out, 1.0) };
            strip.multiply(factor, slots, k, K + k);
        }
    }
}

/// −½ ln of products, from their mantissas and exponents.
pub fn informations<const K: usize, const SLOTS: usize>(slots: [f64; SLOTS]) -> [f64; K] {
    std::array::from_fn(|k| -0.5 * (slots[k].ln() + slots[K + k] * std::f64::consts::LN_2))
}

/// `sts` and `rtr`.
pub struct Balance;

impl Factors<2> for Balance {
    // I + J − min(I, J) = max(I, J) leaves of the sixteen terms of sts eight:
    // Ixyab − max(Ixab, Iyab) − max(Ixya, Ixyb) + max(Ixa, Iya) + max(Ixb, Iyb) − min(Ixa, Ixb) − min(Iya, Iyb) + rtr.
    #[inline(always)]
    fn of<V: Lanes>(v: &Variances<V>) -> [V; 2] {
        let (x, y) = (v.xa.max(v.xb), v.ya.max(v.yb));
        let rtr = x.max(y);
        let above = v.xyab * (v.xa.min(v.ya) * v.xb.min(v.yb)) * rtr;
        let below = (v.xab.min(v.yab) * v.xya.min(v.xyb)) * (x * y);
        [above / below, rtr]
    }
}

/// The informations and redundancies that all sixteen atoms are sums of, in the order that [`atoms`] expects.
pub struct Everything;

impl Factors<16> for Everything {
    #[inline(always)]
    fn of<V: Lanes>(v: &Variances<V>) -> [V; 16] {
        let (to_a, to_b) = (v.xa.max(v.ya), v.xb.max(v.yb));
        let (of_x, of_y) = (v.xa.max(v.xb), v.ya.max(v.yb));
        let (to_ab, of_xy) = (v.xab.max(v.yab), v.xya.max(v.xyb));
        let rtr = to_a.max(to_b);
        [v.xa, v.xb, v.ya, v.yb, v.xya, v.xyb, v.xab, v.yab, v.xyab, to_a, to_b, of_x, of_y, to_ab, of_xy, rtr]
    }
}

/// The names of the atoms, in the order of [`atoms`]: from redundant (r), unique (x, y) and synergistic (s) in the
/// past, to (t) the same in the future.
pub const ATOMS: [&str; 16] =
    ["rtr", "rtx", "rty", "rts", "xtr", "xtx", "xty", "xts", "ytr", "ytx", "yty", "yts", "str", "stx", "sty", "sts"];

/// The atom of the pair (y, x) that is the same as atom `k` of the pair (x, y).
pub const MIRRORED: [usize; 16] = [0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15];

/// The sixteen atoms, from the informations and redundancies in nats.
///
/// `Ixya` is I(xy; a); `Rxya` the redundancy of x and y about a, `Rabx` that of a and b about x.
#[allow(non_snake_case)]
pub fn atoms(informations: &[f64; 16]) -> [f64; 16] {
    let [Ixa, Ixb, Iya, Iyb, Ixya, Ixyb, Ixab, Iyab, Ixyab, Rxya, Rxyb, Rabx, Raby, Rxyab, Rabxy, rtr] = *informations;
    let (rtx, rty, rts) = (Rxya - rtr, Rxyb - rtr, Rxyab - Rxya - Rxyb + rtr);
    let (xtr, ytr, str) = (Rabx - rtr, Raby - rtr, Rabxy - Rabx - Raby + rtr);
    let (xtx, xty) = (Ixa - Rxya - Rabx + rtr, Ixb - Rxyb - Rabx + rtr);
    let (ytx, yty) = (Iya - Rxya - Raby + rtr, Iyb - Rxyb - Raby + rtr);
    let stx = Ixya - Ixa - Iya + Rxya - Rabxy + Rabx + Raby - rtr;
    let sty = Ixyb - Ixb - Iyb + Rxyb - Rabxy + Rabx + Raby - rtr;
    let xts = Ixab - Ixa - Ixb - Rxyab + Rxya + Rxyb + Rabx - rtr;
    let yts = Iyab - Iya - Iyb - Rxyab + Rxya + Rxyb + Raby - rtr;
    let sts =
        Ixyab - Ixab - Iyab - Ixya - Ixyb + Ixa + Ixb + Iya + Iyb + Rxyab + Rabxy - Rxya - Rxyb - Rabx - Raby + rtr;
    [rtr, rtx, rty, rts, xtr, xtx, xty, xts, ytr, ytx, yty, yts, str, stx, sty, sts]
}
