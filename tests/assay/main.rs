//! End-to-end tests: the real binary on real manifests. One binary, so that the tensor framework is linked once.

mod golden;
mod housekeeping;
mod interruption;
mod layering;
mod lifecycle;
mod mistakes;
mod new;
mod quickstart;
mod readme;
mod sandbox;
mod schema;
