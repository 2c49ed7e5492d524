//! Pure functions over arrays: no I/O, no burn, no `Ctx`.

pub mod phiid;
pub mod rank;
