//! End-to-end tests: the real binary on real manifests. One binary, so that the tensor framework is linked once.

mod browser;
mod cutoff;
mod diff;
mod force;
mod graph;
mod interruption;
mod layering;
mod lifecycle;
mod mistakes;
mod progress;
mod quickstart;
mod readme;
mod report;
mod runners;
mod sandbox;
mod selection;
mod status;
mod training;
mod why;
