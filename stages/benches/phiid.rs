//! The fused pass of PhiID against its floor and against the obvious way, in one process: 256 heads × 60 prompts × 100
//! steps. Prints ratios; a machine that is busy with something else disturbs all of them alike.
//!
//! - floor: the dot products alone, four a pair, from the same memory by the same instructions as far as LLVM finds
//!   them; a plain loop cannot be faster than what feeds the closed form;
//! - peak: the same number of multiply-adds on registers, without any memory;
//! - a pair at a time: correlations of one pair, closed form with its logarithms, prompt after prompt.

mod timing;

use std::hint::black_box;

use assay_stages::metrics::phiid::{self, Redundancy, Wanted, Windows};
use ndarray::{Array3, ArrayView1, ArrayView2, linalg::general_mat_mul, s};
use rayon::ThreadPoolBuilder;

const PROMPTS: usize = 60;
const HEADS: usize = 256;
const STEPS: usize = 100;
const ROUNDS: usize = 9;

fn main() {
    let activations = activations();
    println!("{HEADS} heads, {PROMPTS} prompts, {STEPS} steps, instructions {}", phiid::instructions());
    let one = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
    let two = ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be started");

    let peak = best(|| multiply_adds(multiplications()));
    let grams = best(|| all_grams(&activations));
    let windows = best(|| one.install(|| Windows::of(activations.view(), 1)));
    let ready = Windows::of(activations.view(), 1);
    let pass = best(|| one.install(|| phiid::compute(&ready, Redundancy::Mmi, Wanted::Balance, &phiid::blocks(HEADS))));
    let long = Windows::concatenated(activations.view(), 1);
    let concatenated =
        best(|| one.install(|| phiid::compute(&long, Redundancy::Mmi, Wanted::Balance, &phiid::blocks(HEADS))));
    let atoms = best(|| one.install(|| phiid::compute(&ready, Redundancy::Mmi, Wanted::Atoms, &phiid::blocks(HEADS))));
    let ccs = once(|| one.install(|| phiid::compute(&ready, Redundancy::Ccs, Wanted::Balance, &phiid::blocks(HEADS))));
    let whole = |threads: &rayon::ThreadPool| best(|| threads.install(|| everything(&activations)));
    let (single, double) = (whole(&one), whole(&two));
    let pairwise = once(|| pair_by_pair(&activations));

    println!("{:<44} {:>9} {:>9}", "", "ms", "× pass");
    let lines = [
        ("multiply-adds on registers (peak), one thread", peak),
        ("Gram products by ndarray, one thread", grams),
        ("windows: centre, scale, pack, one thread", windows),
        ("fused pass, sts and rtr, one thread", pass),
        ("the same, prompts concatenated, one thread", concatenated),
        ("fused pass, sixteen atoms, one thread", atoms),
        ("fused pass, CCS, one thread", ccs),
        ("all of it, one thread", single),
        ("all of it, two threads", double),
        ("a pair at a time, one thread", pairwise),
    ];
    for (what, seconds) in lines {
        println!("{what:<44} {:>9.1} {:>9.2}", seconds * 1e3, seconds / pass);
    }
}

/// Autoregressive series with a shared part: nothing in them is degenerate.
fn activations() -> Array3<f64> {
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let mut all = Array3::zeros((PROMPTS, HEADS, STEPS));
    for mut prompt in all.outer_iter_mut() {
        let mut shared = 0.0;
        for t in 0..STEPS {
            shared = 0.7 * shared + noise();
            for head in 0..HEADS {
                let before = if t > 0 { prompt[[head, t - 1]] } else { 0.0 };
                prompt[[head, t]] = 0.5 * before + 0.3 * shared + noise();
            }
        }
    }
    all
}

fn best<T>(work: impl Fn() -> T) -> f64 {
    timing::best(ROUNDS, work).0
}

fn once<T>(work: impl Fn() -> T) -> f64 {
    timing::best(1, work).0
}

fn everything(activations: &Array3<f64>) -> phiid::Means {
    let windows = Windows::of(activations.view(), 1);
    let rows = phiid::blocks(HEADS);
    let blocks: Vec<_> =
        rows.iter().cloned().zip(phiid::compute(&windows, Redundancy::Mmi, Wanted::Balance, &rows)).collect();
    phiid::assemble(&windows, Wanted::Balance, &blocks, false)
}

/// Four dot products a pair and prompt.
fn multiplications() -> usize {
    4 * HEADS * (HEADS - 1) / 2 * PROMPTS * (STEPS - 1)
}

/// The Gram matrices alone. ndarray computes whole products: one of the past, one of the future, one across, each as
/// large as both of ours of its kind, so the pairs below the diagonal are paid for too.
fn all_grams(activations: &Array3<f64>) -> f64 {
    let mut gram = ndarray::Array2::zeros((HEADS, HEADS));
    let mut sum = 0.0;
    for prompt in activations.outer_iter() {
        let (past, future) = (prompt.slice(s![.., ..STEPS - 1]), prompt.slice(s![.., 1..]));
        let products: [(ArrayView2<f64>, ArrayView2<f64>); 3] = [(past, past), (future, future), (past, future)];
        for (left, right) in products {
            general_mat_mul(1.0, &left, &right.t(), 0.0, &mut gram);
            sum += gram[[0, 1]];
        }
    }
    sum
}

/// The obvious way: for each pair and prompt six correlations, the closed form, and its logarithms.
fn pair_by_pair(activations: &Array3<f64>) -> f64 {
    let mut sum = 0.0;
    for i in 0..HEADS {
        for j in i + 1..HEADS {
            for prompt in activations.outer_iter() {
                sum += synergy(prompt.row(i), prompt.row(j));
            }
        }
    }
    sum
}

fn synergy(x: ArrayView1<f64>, y: ArrayView1<f64>) -> f64 {
    let series = [x.slice(s![..-1]), y.slice(s![..-1]), x.slice(s![1..]), y.slice(s![1..])].map(|row| {
        let centred = &row - row.mean().expect("windows are not empty");
        let length = centred.dot(&centred).sqrt();
        centred / length
    });
    let [x, y, a, b] = &series;
    let (p, q) = (x.dot(y), a.dot(b));
    let [xa, xb, ya, yb] = [x.dot(a), x.dot(b), y.dot(a), y.dot(b)];
    let left = |c: f64| (1.0 - c) * (1.0 + c);
    let (past, future) = (left(p), left(q));
    let (to_a, to_b, to_x, to_y) = (ya - p * xa, yb - p * xb, xb - q * xa, yb - q * ya);
    let (va, vb) = (left(xa) - to_a * to_a / past, left(xb) - to_b * to_b / past);
    let (vx, vy) = (left(xa) - to_x * to_x / future, left(ya) - to_y * to_y / future);
    let w = (q - xa * xb) - to_a * to_b / past;
    let information = |variance: f64| -0.5 * variance.ln();
    let [ixa, ixb, iya, iyb] = [xa, xb, ya, yb].map(|c| information(left(c)));
    let (ixya, ixyb, ixab, iyab) = (information(va), information(vb), information(vx), information(vy));
    let all = information((va * vb - w * w) / future);
    let (to_ab, of_xy) = (ixab.min(iyab), ixya.min(ixyb));
    let (to_a, to_b, of_x, of_y) = (ixa.min(iya), ixb.min(iyb), ixa.min(ixb), iya.min(iyb));
    all - ixab - iyab - ixya - ixyb + ixa + ixb + iya + iyb + to_ab + of_xy - to_a - to_b - of_x - of_y + to_a.min(to_b)
}

/// `count` multiply-adds on registers, by the widest instructions that the library uses.
fn multiply_adds(count: usize) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: detected.
        return unsafe { on_registers_512(count) };
    } else if is_x86_feature_detected!("fma") {
        // SAFETY: detected.
        return unsafe { on_registers_256(count) };
    }
    on_registers(count, |a, b, c| a * b + c)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn on_registers_512(count: usize) -> f64 {
    use std::arch::x86_64::*;
    let (by, mut sums) = (_mm512_set1_pd(black_box(0.999)), [_mm512_set1_pd(black_box(1.0)); 16]);
    for _ in 0..count / (8 * 16) {
        for sum in &mut sums {
            *sum = _mm512_fmadd_pd(*sum, by, by);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_pd(sum)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn on_registers_256(count: usize) -> f64 {
    on_registers(count, f64::mul_add)
}

#[inline(always)]
fn on_registers(count: usize, fma: impl Fn(f64, f64, f64) -> f64) -> f64 {
    let (by, mut sums) = (black_box(0.999), [black_box(1.0); 48]);
    for _ in 0..count / 48 {
        for sum in &mut sums {
            *sum = fma(*sum, by, by);
        }
    }
    sums.iter().sum()
}
