//! End-to-end tests: the real binary on real manifests. One binary, so that the tensor framework is linked once.

mod hub;
mod interruption;
mod layering;
mod lifecycle;
mod mistakes;
mod quickstart;
mod readme;
mod sandbox;
#[path = "../../stages/lm/source/hub/server.rs"]
mod server;
