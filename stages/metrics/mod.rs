//! Pure functions over arrays: no I/O, no burn, no `Ctx`.

pub mod adjust;
pub mod attention;
pub mod attribution;
pub mod correlation;
pub mod divergence;
pub mod effect;
pub mod entropy;
pub mod gradient;
pub mod logits;
pub mod network;
pub mod participation;
pub mod phiid;
pub mod quantile;
pub mod rank;
pub mod resample;
pub mod similarity;
pub mod specialization;
pub mod spread;
pub mod summary;
pub mod vector;

#[cfg(test)]
mod reference_tests;
