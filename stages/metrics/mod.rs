//! Pure functions over arrays: no I/O, no burn, no `Ctx`.

pub mod attention;
pub mod correlation;
pub mod entropy;
pub mod participation;
pub mod phiid;
pub mod rank;
pub mod summary;
