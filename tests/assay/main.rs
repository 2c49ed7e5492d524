//! End-to-end tests: the real binary on real manifests. One binary, so that the tensor framework is linked once.

mod browser;
mod circuits;
mod cutoff;
mod diff;
mod documents;
mod force;
mod full_size;
mod golden;
mod graph;
mod housekeeping;
mod hub;
mod interruption;
mod layering;
mod lifecycle;
mod mistakes;
mod models;
mod new;
mod pairs;
mod progress;
mod quickstart;
mod readme;
mod report;
mod runners;
mod sandbox;
mod schema;
mod selection;
#[path = "../../stages/lm/source/hub/server.rs"]
mod server;
mod standins;
mod statistics;
mod status;
mod training;
mod treatments;
mod why;
