//! Integrated information decomposition (ΦID) of pairs of time series: Gaussian, with the redundancy "minimum mutual
//! information" (MMI) or "common change in surprisal" (CCS).
//!
//! What do two series tell about their own joint future, and how: redundantly (both tell it), uniquely, or
//! synergistically (only both together do)? Mediano et al., "Towards an extended taxonomy of information dynamics via
//! Integrated Information Decomposition", PNAS 2025. With MMI the time means of all sixteen atoms have a closed form in
//! six correlations, so a pair costs four dot products; `tile` fuses the two. CCS needs each sample, and costs tens of times as much.
//!
//! Degenerate input is flagged, never silently zero. All information is in nats. This module does no I/O.

mod ccs;
mod lanes;
mod pass;
mod spectrum;
mod tile;
mod variances;
mod windows;

use ndarray::ArrayView3;

pub use pass::{Block, Means, Redundancy, Wanted, assemble, blocks, compute, cost};
pub use tile::Cell;
pub use variances::{ATOMS, MIRRORED};
pub use windows::{SHORTEST, Windows};

/// Raised when a change anywhere in this module moves numbers.
pub const VERSION: (&str, u32) = ("phiid", 1);

/// Why a pair in a prompt has no atoms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Degenerate {
    /// A value of a head is infinite or NaN.
    NonFinite,
    /// A window of a head does not vary beyond rounding.
    Constant,
    /// Fewer than [`SHORTEST`] samples in a window.
    Short,
    /// The two heads and their futures do not span four dimensions.
    Singular,
}

impl Degenerate {
    pub fn name(self) -> &'static str {
        match self {
            Self::NonFinite => "non-finite",
            Self::Constant => "constant",
            Self::Short => "short",
            Self::Singular => "singular",
        }
    }
}

/// The instructions that are used on this machine: others round differently in the last digits.
pub fn instructions() -> &'static str {
    tile::Instructions::detect().name()
}

/// All sixteen atoms of one pair of series, in the order of [`ATOMS`].
///
/// # Panics
/// Where the series differ in length, or `tau` is 0.
pub fn pair(x: &[f64], y: &[f64], tau: usize, redundancy: Redundancy) -> Result<[f64; 16], Degenerate> {
    assert_eq!(x.len(), y.len(), "two series of one length");
    let both = [x, y].concat();
    let activations = ArrayView3::from_shape((1, 2, x.len()), &both).expect("two rows of that length");
    let windows = Windows::of(activations, tau);
    if let Some(status) = windows.status(0, 0).or(windows.status(0, 1)) {
        return Err(status);
    }
    let block = compute(&windows, redundancy, Wanted::Atoms, &blocks(2)).remove(0);
    if block.singular > 0 { Err(Degenerate::Singular) } else { Ok(std::array::from_fn(|k| block.sums[[0, 1, k]])) }
}

#[cfg(test)]
mod tests;
