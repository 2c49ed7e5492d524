//! The redundancy "common change in surprisal" (CCS): what two sources tell about a target *at the same moments*.
//!
//! A local redundancy is the co-information of a moment where it and the local informations of both sources and of
//! the two together have one sign, else 0 (Ince 2017; Mediano et al. 2025). The signs stand in the samples, so there is
//! no closed form: each strip of pairs goes over its windows once more. Local informations are written with residuals:
//! i(S; a) = −½ ln v + ½ (a² − r²/v), r being what S leaves of a and v its variance. Their means are the closed form's.
//!
//! CCS jumps where a local information is 0, and there rounding would decide: what is smaller than [`ZERO`] counts as 0,
//! and how often that happens is counted too.

use super::{
    lanes::Lanes,
    tile::{Measure, Strip},
};

/// A local information below this, in nats, is 0.
pub const ZERO: f64 = 1e-12;

/// The mean informations and CCS redundancies that all sixteen atoms are sums of, and last the number of moments at
/// which a local information counts as 0.
pub struct CommonSurprisal;

impl Measure for CommonSurprisal {
    const SLOTS: usize = 17;

    fn initial(_: usize) -> f64 {
        0.0
    }

    #[inline(always)]
    fn absorb<V: Lanes>(strip: &Strip<V>, slots: &mut [f64], out: u32) {
        let found = informations(strip);
        for (k, found) in found.into_iter().enumerate() {
            let found = if out == 0 { found } else { strip.replace(found, out, 0.0) };
            strip.add(found, slots, k);
        }
    }
}

/// One prompt's informations, redundancies and zeros, in the order of [`CommonSurprisal`].
#[inline(always)]
fn informations<V: Lanes>(strip: &Strip<V>) -> [V; 17] {
    let fit = Fit::of(strip);
    let zero = strip.splat(0.0);
    let mut sums = [zero; 8];
    for at in 0..strip.moments() {
        let local = fit.local(strip.moment(at));
        for (sum, value) in sums.iter_mut().zip(redundancies(strip, &local)) {
            *sum = *sum + value;
        }
    }
    let per_moment = strip.splat(1.0 / strip.moments() as f64);
    let mut found = [zero; 17];
    found[..9].copy_from_slice(&fit.means);
    for (found, sum) in found[9..16].iter_mut().zip(sums) {
        *found = sum * per_moment;
    }
    found[16] = sums[7];
    found
}

/// How the moments of a pair in a prompt become local informations.
struct Fit<V> {
    /// −½ ln of the variances: xa xb ya yb, xya xyb xab yab, xyab.
    means: [V; 9],
    /// ½ (M − 1) / variance, in the same order; windows are of length one, not of variance one.
    weights: [V; 8],
    half: V,
    correlations: [V; 6], // xy ab xa xb ya yb
    slopes: [V; 4],       // of y beyond x on a and b; of b beyond a on x and y
    across: V,            // of the residual of a on that of b
    beyond: V,            // ½ (M − 1) / variance of b given a
    rest: V,              // ½ (M − 1) / variance of b given x, y and a
}

impl<V: Lanes> Fit<V> {
    #[inline(always)]
    fn of(strip: &Strip<V>) -> Self {
        let (c, v) = (&strip.correlations, &strip.variances);
        let one = strip.splat(1.0);
        let half = strip.splat(0.5 * (strip.moments() - 1) as f64);
        let (past, future) = ((one - c.xy) * (one + c.xy), (one - c.ab) * (one + c.ab));
        let (to_a, to_b) = ((c.ya - c.xy * c.xa) / past, (c.yb - c.xy * c.xb) / past);
        let (to_x, to_y) = ((c.xb - c.ab * c.xa) / future, (c.yb - c.ab * c.ya) / future);
        let shared = (c.ab - c.xa * c.xb) - to_a * (c.yb - c.xy * c.xb);
        let single = [v.xa, v.xb, v.ya, v.yb, v.xya, v.xyb, v.xab, v.yab];
        let mut means = [one; 9];
        for (mean, variance) in means.iter_mut().zip(single.into_iter().chain([v.xyab])) {
            *mean = strip.minus_half_ln(variance);
        }
        let mut weights = single;
        for weight in &mut weights {
            *weight = half / *weight;
        }
        Self {
            means,
            weights,
            half,
            correlations: [c.xy, c.ab, c.xa, c.xb, c.ya, c.yb],
            slopes: [to_a, to_b, to_x, to_y],
            across: shared / v.xya,
            beyond: half / future,
            rest: half * v.xya / (v.xyab * future),
        }
    }

    /// The nine local informations of a moment.
    #[inline(always)]
    fn local(&self, [x, y, a, b]: [V; 4]) -> [V; 9] {
        let [xy, ab, xa, xb, ya, yb] = self.correlations;
        let [to_a, to_b, to_x, to_y] = self.slopes;
        let squares = [x * x * self.half, y * y * self.half, a * a * self.half, b * b * self.half];
        let (new_y, new_b) = (y - xy * x, b - ab * a); // y beyond x, b beyond a
        let (a_x, b_x, x_a, y_a) = (a - xa * x, b - xb * x, x - xa * a, y - ya * a);
        let (a_y, b_y) = (a - ya * y, b - yb * y);
        let (a_xy, b_xy) = (a_x - to_a * new_y, b_x - to_b * new_y);
        let (x_ab, y_ab) = (x_a - to_x * new_b, y_a - to_y * new_b);
        let last = b_xy - self.across * a_xy;
        let [sx, sy, sa, sb] = squares;
        let residuals = [(a_x, sa), (b_x, sb), (a_y, sa), (b_y, sb), (a_xy, sa), (b_xy, sb), (x_ab, sx), (y_ab, sy)];
        let mut local = self.means;
        for (k, (residual, square)) in residuals.into_iter().enumerate() {
            local[k] = local[k] + (square - residual * residual * self.weights[k]);
        }
        let without = sa + new_b * new_b * self.beyond;
        let with = a_xy * a_xy * self.weights[4] + last * last * self.rest;
        local[8] = local[8] + (without - with);
        local
    }
}

/// The seven local redundancies of a moment, and 1 where a local information counts as 0.
#[inline(always)]
fn redundancies<V: Lanes>(strip: &Strip<V>, local: &[V; 9]) -> [V; 8] {
    let [xa, xb, ya, yb, xya, xyb, xab, yab, xyab] = *local;
    let (zero, bound) = (strip.splat(0.0), strip.splat(ZERO));
    let to_a = common(xa, ya, xya, zero, bound);
    let to_b = common(xb, yb, xyb, zero, bound);
    let of_x = common(xa, xb, xab, zero, bound);
    let of_y = common(ya, yb, yab, zero, bound);
    let to_ab = common(xab, yab, xyab, zero, bound);
    let of_xy = common(xya, xyb, xyab, zero, bound);
    // The co-information of both sources with both targets: what is left of rtr when all other terms are known.
    let single = (xa + xb) + (ya + yb);
    let double = (xab + yab) + (xya + xyb) - xyab - single + (to_a + to_b + of_x + of_y) - (to_ab + of_xy);
    let low = xa.min(xb).min(ya.min(yb)).min(double);
    let high = xa.max(xb).max(ya.max(yb)).max(double);
    let rtr = double.where_above(low, bound) + double.where_above(zero - high, bound);
    let mut nearest = xa.max(zero - xa);
    for information in &local[1..] {
        nearest = nearest.min(information.max(zero - *information));
    }
    let near = strip.splat(1.0).where_above(bound, nearest);
    [to_a, to_b, of_x, of_y, to_ab, of_xy, rtr, near]
}

/// The co-information where it, both parts and the whole have one sign; else 0.
#[inline(always)]
fn common<V: Lanes>(one: V, other: V, both: V, zero: V, bound: V) -> V {
    let shared = one + other - both;
    let low = one.min(other).min(both.min(shared));
    let high = one.max(other).max(both.max(shared));
    shared.where_above(low, bound) + shared.where_above(zero - high, bound)
}
