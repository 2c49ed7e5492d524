//! The fused pass: a tile of head pairs, over all prompts, without ever writing a correlation to memory.
//!
//! For each prompt and each strip of one head by a few lanes of heads, four dot products a pair stay in registers and
//! go straight into the closed form; what is kept a pair is a handful of accumulators, which a [`Measure`] defines (for
//! MMI running products of variances: no logarithm is taken here). Nothing is allocated a pair. A window that is too long
//! for a cache is gone over in runs of moments, between which the products are kept, a tile's in all; their bits are those
//! of one run.

use std::ops::Range;

use super::{
    lanes::{Lanes, Plain},
    spectrum,
    variances::{Correlations, Variances},
    windows::{PANEL, Windows},
};

#[cfg(target_arch = "x86_64")]
use super::lanes::{Has256, Has512, Wide256, Wide512};

/// Heads along an edge of a tile: a run of the windows of two such groups fits into a second-level cache.
pub const EDGE: usize = 64;

/// Moments of a window that are gone over before the next strip's turn.
const RUN: usize = 128;

/// The instructions that the pass uses.
#[derive(Clone, Copy, Debug)]
pub enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(Has512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Has256),
    Plain,
}

impl Instructions {
    /// All that this processor has, the widest first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Has512::detect().map(Self::Avx512));
            all.extend(Has256::detect().map(Self::Avx2));
        }
        all.push(Self::Plain);
        all
    }

    /// The widest that this processor has.
    pub fn detect() -> Self {
        Self::all()[0]
    }

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Plain => "plain",
        }
    }
}

/// A pair of heads in a prompt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell {
    pub prompt: usize,
    pub first: usize,
    pub second: usize,
}

/// What is accumulated over prompts for each pair.
pub trait Measure {
    /// Accumulators a pair.
    const SLOTS: usize;
    /// An accumulator before the first prompt.
    fn initial(slot: usize) -> f64;
    /// Adds one prompt to the accumulators of a strip (slot `s` stands at `s · EDGE`), except for the lanes in `out`.
    fn absorb<V: Lanes>(strip: &Strip<V>, slots: &mut [f64], out: u32);
}

/// One head against a few lanes of heads, in one prompt.
pub struct Strip<'a, V: Lanes> {
    proof: V::Proof,
    pub correlations: Correlations<V>,
    pub variances: Variances<V>,
    rows: &'a [f64],
    row: usize,
    columns: &'a [f64],
    lane: usize,
}

impl<V: Lanes> Strip<'_, V> {
    #[inline(always)]
    pub fn splat(&self, value: f64) -> V {
        V::splat(self.proof, value)
    }

    /// Samples in a window.
    #[inline(always)]
    pub fn moments(&self) -> usize {
        self.rows.len() / (2 * PANEL)
    }

    /// x, y, a and b at a moment, in windows of mean 0 and length 1.
    #[inline(always)]
    pub fn moment(&self, at: usize) -> [V; 4] {
        let rows = &self.rows[at * 2 * PANEL..][..2 * PANEL];
        let columns = &self.columns[at * 2 * PANEL..][..2 * PANEL];
        let (x, a) = (V::splat(self.proof, rows[self.row]), V::splat(self.proof, rows[PANEL + self.row]));
        let (y, b) = (V::load(self.proof, &columns[self.lane..]), V::load(self.proof, &columns[PANEL + self.lane..]));
        [x, y, a, b]
    }

    /// Adds to an accumulator.
    #[inline(always)]
    pub fn add(&self, value: V, slots: &mut [f64], slot: usize) {
        (V::load(self.proof, &slots[slot * EDGE..]) + value).store(&mut slots[slot * EDGE..]);
    }

    /// Multiplies into an accumulator that is kept as mantissa and exponent.
    #[inline(always)]
    pub fn multiply(&self, factor: V, slots: &mut [f64], mantissa: usize, exponent: usize) {
        let (rest, power) = (V::load(self.proof, &slots[mantissa * EDGE..]) * factor).split();
        rest.store(&mut slots[mantissa * EDGE..]);
        self.add(power, slots, exponent);
    }

    /// `values` with those of some lanes replaced.
    #[cold]
    pub fn replace(&self, values: V, lanes: u32, by: f64) -> V {
        self.by_lane(values, |lane, value| if lanes >> lane & 1 == 1 { by } else { value })
    }

    pub fn minus_half_ln(&self, values: V) -> V {
        self.by_lane(values, |_, value| -0.5 * value.ln())
    }

    #[inline(always)]
    fn by_lane(&self, values: V, f: impl Fn(usize, f64) -> f64) -> V {
        let mut all = [0.0; PANEL];
        values.store(&mut all);
        for (lane, value) in all.iter_mut().enumerate().take(V::N) {
            *value = f(lane, *value);
        }
        V::load(self.proof, &all)
    }
}

/// The accumulators of a tile of pairs, those above the diagonal.
pub struct Tile {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    slots: usize,
    state: Vec<f64>,    // [row, slot, EDGE]
    excluded: Vec<u32>, // [row, EDGE]: prompts that are not in the accumulators
    /// Pairs that are singular in a prompt where both heads are sound: how many, and the first.
    pub singular: u64,
    pub first_singular: Option<Cell>,
}

impl Tile {
    /// The tile of these heads by those.
    pub fn of<M: Measure>(
        instructions: Instructions,
        windows: &Windows,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Self {
        let height = rows.len().next_multiple_of(PANEL);
        let initial = (0..height * M::SLOTS).flat_map(|at| [M::initial(at % M::SLOTS); EDGE]);
        let mut tile = Self {
            rows,
            columns,
            slots: M::SLOTS,
            state: initial.collect(),
            excluded: vec![0; height * EDGE],
            singular: 0,
            first_singular: None,
        };
        match instructions {
            // SAFETY: the proofs say that the instructions are there.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(proof) => unsafe { fill_avx512::<M>(&mut tile, proof, windows) },
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(proof) => unsafe { fill_avx2::<M>(&mut tile, proof, windows) },
            Instructions::Plain => fill::<Plain<2>, 2, M>(&mut tile, (), windows),
        }
        tile
    }

    /// How many prompts are not in the accumulators of a pair.
    pub fn excluded(&self, row: usize, column: usize) -> usize {
        self.excluded[(row - self.rows.start) * EDGE + column - self.columns.start] as usize
    }

    /// The accumulators of a pair.
    pub fn accumulated<const SLOTS: usize>(&self, row: usize, column: usize) -> [f64; SLOTS] {
        let at = self.at(row) + column - self.columns.start;
        std::array::from_fn(|slot| self.state[at + slot * EDGE])
    }

    /// Where the accumulators of a row begin.
    #[inline(always)]
    fn at(&self, row: usize) -> usize {
        (row - self.rows.start) * self.slots * EDGE
    }

    /// Whether the pairs of `row` with the lanes from `column` on count in this prompt: one bit for each that does
    /// not. Asked only where the determinant does not clear all of them.
    #[cold]
    #[inline(never)]
    fn judge<V: Lanes>(&mut self, windows: &Windows, cell: Cell, clear: u32, correlations: &Correlations<V>) -> u32 {
        let (prompt, row) = (cell.prompt, cell.first);
        let mut out = 0;
        for lane in (0..V::N).filter(|lane| clear >> lane & 1 == 0) {
            let column = cell.second + lane;
            if column <= row || !self.rows.contains(&row) || !self.columns.contains(&column) {
                out |= 1 << lane;
                continue;
            }
            let sound = windows.status(prompt, row).is_none() && windows.status(prompt, column).is_none();
            if sound && !spectrum::is_singular(matrix(correlations, lane)) {
                continue;
            }
            out |= 1 << lane;
            self.excluded[(row - self.rows.start) * EDGE + column - self.columns.start] += 1;
            if sound {
                self.singular += 1;
                let cell = Cell { second: column, ..cell };
                self.first_singular = Some(self.first_singular.map_or(cell, |first| first.min(cell)));
            }
        }
        out
    }
}

/// The correlation matrix of x, y, a, b in one lane.
fn matrix<V: Lanes>(correlations: &Correlations<V>, lane: usize) -> [[f64; 4]; 4] {
    let Correlations { xy, ab, xa, xb, ya, yb } = *correlations;
    let [xy, ab, xa, xb, ya, yb] = [xy, ab, xa, xb, ya, yb].map(|lanes| {
        let mut values = [0.0; PANEL];
        lanes.store(&mut values);
        values[lane]
    });
    [[1.0, xy, xa, xb], [xy, 1.0, ya, yb], [xa, ya, 1.0, ab], [xb, yb, ab, 1.0]]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fill_avx512<M: Measure>(tile: &mut Tile, proof: Has512, windows: &Windows) {
    fill::<Wide512, 4, M>(tile, proof, windows);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fill_avx2<M: Measure>(tile: &mut Tile, proof: Has256, windows: &Windows) {
    fill::<Wide256, 2, M>(tile, proof, windows);
}

/// Adds every prompt to the tile, `R` rows by `V::N` columns at a time.
#[inline(always)]
fn fill<V: Lanes, const R: usize, M: Measure>(tile: &mut Tile, proof: V::Proof, windows: &Windows) {
    let panels = |heads: &Range<usize>| heads.start / PANEL..heads.end.div_ceil(PANEL);
    let (row_panels, column_panels) = (panels(&tile.rows), panels(&tile.columns));
    let mut partial = Partial::of(tile, windows.samples);
    for prompt in 0..windows.prompts {
        for start in (0..windows.samples.max(1)).step_by(RUN) {
            let run = start..windows.samples.min(start + RUN);
            for column_panel in column_panels.clone() {
                for row_panel in row_panels.clone().filter(|&panel| panel <= column_panel) {
                    let panels = Cell { prompt, first: row_panel * PANEL, second: column_panel * PANEL };
                    go_over::<V, R, M>(tile, &mut partial, proof, windows, panels, &run);
                }
            }
        }
    }
}

/// Goes over a run of moments of two panels, and adds the prompt to the tile where it is the last.
#[inline(always)]
fn go_over<V: Lanes, const R: usize, M: Measure>(
    tile: &mut Tile,
    partial: &mut Partial,
    proof: V::Proof,
    windows: &Windows,
    panels: Cell,
    run: &Range<usize>,
) {
    for row in (0..PANEL).step_by(R) {
        for lane in (0..PANEL).step_by(V::N) {
            let cell = Cell { first: panels.first + row, second: panels.second + lane, ..panels };
            let before = partial.before::<V, R>(proof, cell, run.start);
            let products = dot_products::<V, R>(proof, windows, cell, run, before);
            match run.end == windows.samples {
                true => absorb::<V, R, M>(tile, proof, windows, cell, products),
                false => partial.keep(cell, products),
            }
        }
    }
}

/// The dot products of a tile's pairs over the moments before a run: none are kept where one run is all.
struct Partial {
    first: usize,
    second: usize,
    sums: Vec<f64>, // [row, xy | ab | xb | ya, EDGE]
}

impl Partial {
    fn of(tile: &Tile, samples: usize) -> Self {
        let rows = if samples > RUN { tile.rows.len().next_multiple_of(PANEL) } else { 0 };
        Self { first: tile.rows.start, second: tile.columns.start, sums: vec![0.0; rows * 4 * EDGE] }
    }

    /// Where product `k` of row `r` of the strips at `cell` begins.
    #[inline(always)]
    fn at(&self, cell: Cell, r: usize, k: usize) -> usize {
        ((cell.first + r - self.first) * 4 + k) * EDGE + cell.second - self.second
    }

    /// What the run that begins at `start` goes on from.
    #[inline(always)]
    fn before<V: Lanes, const R: usize>(&self, proof: V::Proof, cell: Cell, start: usize) -> [[V; R]; 4] {
        let mut products = [[V::splat(proof, 0.0); R]; 4];
        if start > 0 {
            for (k, products) in products.iter_mut().enumerate() {
                for (r, product) in products.iter_mut().enumerate() {
                    *product = V::load(proof, &self.sums[self.at(cell, r, k)..]);
                }
            }
        }
        products
    }

    #[inline(always)]
    fn keep<V: Lanes, const R: usize>(&mut self, cell: Cell, products: [[V; R]; 4]) {
        for (k, products) in products.into_iter().enumerate() {
            for (r, product) in products.into_iter().enumerate() {
                let at = self.at(cell, r, k);
                product.store(&mut self.sums[at..]);
            }
        }
    }
}

/// Adds to the tile the `R` strips at `cell`, of which these are the correlations.
#[inline(always)]
fn absorb<V: Lanes, const R: usize, M: Measure>(
    tile: &mut Tile,
    proof: V::Proof,
    windows: &Windows,
    cell: Cell,
    [xy, ab, xb, ya]: [[V; R]; 4],
) {
    let Cell { prompt, first, second } = cell;
    let (rows, columns) = (windows.panel(prompt, first / PANEL), windows.panel(prompt, second / PANEL));
    let (row, lane) = (first % PANEL, second % PANEL);
    let (one, clear) = (V::splat(proof, 1.0), V::splat(proof, spectrum::CLEAR));
    let yb = V::load(proof, &windows.own(prompt)[second..]);
    for r in 0..R {
        let cell = Cell { first: first + r, ..cell };
        let xa = V::splat(proof, windows.own(prompt)[cell.first]);
        let correlations = Correlations { xy: xy[r], ab: ab[r], xa, xb: xb[r], ya: ya[r], yb };
        let variances = Variances::of(&correlations, one);
        let cleared = variances.determinant.above(clear);
        let out = if cleared == (1 << V::N) - 1 { 0 } else { tile.judge(windows, cell, cleared, &correlations) };
        let at = tile.at(cell.first) + cell.second - tile.columns.start;
        let strip = Strip { proof, correlations, variances, rows, row: row + r, columns, lane };
        M::absorb(&strip, &mut tile.state[at..], out);
    }
}

/// The products of `R` rows with `V::N` columns over a run of moments, added to those before it.
#[inline(always)]
fn dot_products<V: Lanes, const R: usize>(
    proof: V::Proof,
    windows: &Windows,
    cell: Cell,
    run: &Range<usize>,
    [mut xy, mut ab, mut xb, mut ya]: [[V; R]; 4],
) -> [[V; R]; 4] {
    let of = |head: usize| &windows.panel(cell.prompt, head / PANEL)[run.start * 2 * PANEL..run.end * 2 * PANEL];
    let (rows, columns) = (of(cell.first), of(cell.second));
    let (strip, lane) = (cell.first % PANEL / R, cell.second % PANEL);
    assert!(strip < PANEL / R && lane + V::N <= PANEL, "within a panel");
    for (row, column) in rows.as_chunks::<{ 2 * PANEL }>().0.iter().zip(columns.as_chunks::<{ 2 * PANEL }>().0) {
        let (y, b) = (V::load(proof, &column[lane..]), V::load(proof, &column[PANEL + lane..]));
        let (past, future) = row.split_at(PANEL);
        for r in 0..R {
            let (x, a) = (V::splat(proof, past[strip * R + r]), V::splat(proof, future[strip * R + r]));
            xy[r] = x.fma(y, xy[r]);
            ab[r] = a.fma(b, ab[r]);
            xb[r] = x.fma(b, xb[r]);
            ya[r] = a.fma(y, ya[r]);
        }
    }
    [xy, ab, xb, ya]
}
