//! Pure functions over arrays: no I/O, no burn, no `Ctx`.

pub mod correlation;
pub mod entropy;
pub mod participation;
pub mod phiid;
pub mod rank;
pub mod spread;
pub mod summary;
