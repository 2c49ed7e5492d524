//! End-to-end tests: the real binary on real manifests. One binary, so that the tensor framework is linked once.

mod browser;
mod graph;
mod interruption;
mod layering;
mod lifecycle;
mod mistakes;
mod quickstart;
mod readme;
mod report;
mod sandbox;
