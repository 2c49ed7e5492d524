//! All pairs, in blocks of head rows: what a stage computes, saves and goes on from.

use std::ops::Range;

use ndarray::{Array2, Array3, s};
use rayon::prelude::*;

use super::{
    ccs::CommonSurprisal,
    tile::{Cell, EDGE, Instructions, Measure, Tile},
    variances::{Balance, Everything, MIRRORED, Products, atoms, informations},
    windows::Windows,
};

/// What the redundancy of two sources about a target is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redundancy {
    /// Minimum mutual information.
    Mmi,
    /// Common change in surprisal.
    Ccs,
}

/// What is computed for each pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// `sts` and `rtr`, in two logarithms a pair where the redundancy is MMI.
    Balance,
    /// All sixteen atoms, in the order of [`ATOMS`](super::ATOMS).
    Atoms,
}

impl Wanted {
    pub fn count(self) -> usize {
        match self {
            Self::Balance => 2,
            Self::Atoms => 16,
        }
    }
}

/// The pairs of a block of rows with all heads from its first row on; those above the diagonal.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Sums over the valid prompts, in nats. The first column is the first row's head.
    pub sums: Array3<f64>, // [row, column, atom]
    /// Valid prompts.
    pub counts: Array2<i64>, // [row, column]
    /// Moments of a pair at which rounding would decide a CCS redundancy: some local information counts as 0.
    pub zeros: u64,
    /// Pairs that are singular in a prompt where both heads are sound: how many, and the first.
    pub singular: u64,
    pub first_singular: Option<Cell>,
}

/// The blocks that all pairs of `heads` heads are computed in: a function of nothing else.
pub fn blocks(heads: usize) -> Vec<Range<usize>> {
    (0..heads).step_by(EDGE).map(|start| start..heads.min(start + EDGE)).collect()
}

/// Multiplications of a block, to share out work by.
pub fn cost(windows: &Windows, redundancy: Redundancy, rows: &Range<usize>) -> u64 {
    let a_moment = match redundancy {
        Redundancy::Mmi => 4,
        Redundancy::Ccs => 120,
    };
    let cells = rows.len() as u64 * (windows.heads - rows.start) as u64;
    a_moment * cells * windows.prompts as u64 * windows.samples as u64
}

/// Computes several blocks on all threads of the current pool.
pub fn compute(windows: &Windows, redundancy: Redundancy, wanted: Wanted, rows: &[Range<usize>]) -> Vec<Block> {
    match (redundancy, wanted) {
        (Redundancy::Mmi, Wanted::Balance) => {
            compute_with::<Products<Balance, 2>, 4>(windows, wanted, rows, |slots, sums| {
                sums.copy_from_slice(&informations::<2, 4>(slots));
                0
            })
        }
        (Redundancy::Mmi, Wanted::Atoms) => {
            compute_with::<Products<Everything, 16>, 32>(windows, wanted, rows, |slots, sums| {
                sums.copy_from_slice(&atoms(&informations(slots)));
                0
            })
        }
        (Redundancy::Ccs, _) => compute_with::<CommonSurprisal, 17>(windows, wanted, rows, |slots, sums| {
            let [informations @ .., zeros] = slots;
            let all = atoms(&informations);
            match wanted {
                Wanted::Balance => sums.copy_from_slice(&[all[15], all[0]]),
                Wanted::Atoms => sums.copy_from_slice(&all),
            }
            zeros as u64
        }),
    }
}

/// `finish` writes the atoms of a pair, summed over prompts, from its accumulators, and returns its zeros.
fn compute_with<M: Measure, const SLOTS: usize>(
    windows: &Windows,
    wanted: Wanted,
    rows: &[Range<usize>],
    finish: impl Fn([f64; SLOTS], &mut [f64]) -> u64 + Sync,
) -> Vec<Block> {
    let instructions = Instructions::detect();
    let places: Vec<_> = rows.iter().flat_map(|rows| tiles_of(rows, windows.heads)).collect();
    let tiles: Vec<Tile> = places
        .into_par_iter()
        .with_max_len(1)
        .map(|(rows, columns)| Tile::of::<M>(instructions, windows, rows, columns))
        .collect();
    let block = |rows: &Range<usize>| {
        let mine: Vec<_> = tiles.iter().filter(|tile| tile.rows == *rows).collect();
        gather(windows, wanted, rows, &mine, &finish)
    };
    rows.par_iter().map(block).collect()
}

fn tiles_of(rows: &Range<usize>, heads: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let columns = (rows.start..heads).step_by(EDGE).map(move |start| start..heads.min(start + EDGE));
    columns.map(|columns| (rows.clone(), columns))
}

/// Finishes the pairs and puts the tiles of a block side by side.
fn gather<const SLOTS: usize>(
    windows: &Windows,
    wanted: Wanted,
    rows: &Range<usize>,
    tiles: &[&Tile],
    finish: impl Fn([f64; SLOTS], &mut [f64]) -> u64,
) -> Block {
    let (height, width) = (rows.len(), windows.heads - rows.start);
    let mut sums = Array3::zeros((height, width, wanted.count()));
    let mut counts = Array2::zeros((height, width));
    let mut zeros = 0;
    for tile in tiles {
        for row in rows.clone() {
            for column in tile.columns.clone().filter(|&column| column > row) {
                let (i, j) = (row - rows.start, column - rows.start);
                let sums = sums.slice_mut(s![i, j, ..]).into_slice().expect("the last axis is contiguous");
                zeros += finish(tile.accumulated(row, column), sums);
                counts[[i, j]] = (windows.prompts - tile.excluded(row, column)) as i64;
            }
        }
    }
    Block {
        sums,
        counts,
        zeros,
        singular: tiles.iter().map(|tile| tile.singular).sum(),
        first_singular: tiles.iter().filter_map(|tile| tile.first_singular).min(),
    }
}

/// Means over prompts of all pairs.
#[derive(Clone, PartialEq, Debug)]
pub struct Means {
    pub atoms: Array3<f64>,  // [atom, node, node]; 0 on the diagonal, NaN where no prompt is valid
    pub counts: Array2<i64>, // [node, node]: the prompts that a mean is over
}

/// Puts the blocks together. `over_all` divides by all prompts, as if a degenerate cell were 0: the public pipeline.
pub fn assemble(windows: &Windows, wanted: Wanted, blocks: &[(Range<usize>, Block)], over_all: bool) -> Means {
    let heads = windows.heads;
    let mut means =
        Means { atoms: Array3::zeros((wanted.count(), heads, heads)), counts: Array2::zeros((heads, heads)) };
    for (rows, block) in blocks {
        for row in rows.clone() {
            for column in row + 1..heads {
                let (i, j) = (row - rows.start, column - rows.start);
                let count = if over_all { windows.prompts as i64 } else { block.counts[[i, j]] };
                (means.counts[[row, column]], means.counts[[column, row]]) = (count, count);
                for (k, &sum) in block.sums.slice(s![i, j, ..]).iter().enumerate() {
                    let mirrored = if wanted == Wanted::Atoms { MIRRORED[k] } else { k };
                    let mean = if count == 0 { f64::NAN } else { sum / count as f64 };
                    (means.atoms[[k, row, column]], means.atoms[[mirrored, column, row]]) = (mean, mean);
                }
            }
        }
    }
    means
}
