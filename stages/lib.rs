//! The catalogue of Assay: one file a kind, and the models (`lm`) and pure functions (`metrics`) they stand on.
//!
//! `contract` says what a stage is; the engine in `src/` drives stages through it and knows nothing more.

pub mod contract;

pub use contract::*;

/// Every kind there is, in alphabetical order.
pub const CATALOGUE: &[Kind] = &[];
