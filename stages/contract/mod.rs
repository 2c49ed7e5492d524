//! What a stage is: typed parameters, typed ports, files, and a function from inputs to outputs.
//!
//! A kind is one file: a parameters struct whose doc comments are the manifest's documentation, and an `impl Stage`.
//! Everything else (defaults, keys, schema, help) follows from it.

mod context;
mod devices;
mod failure;
mod kind;
mod made;
mod params;
mod port;
mod random;
mod select;
mod session;
mod source;
#[cfg(test)]
pub mod testing;

pub use context::{Ctx, Inputs, Loaded, Outputs};
pub use devices::{DeviceFacts, Devices};
pub use failure::Failure;
pub use kind::{DynStage, Kind, Lane, Stage};
pub use made::{DOCUMENT, MADE_FIELDS, MadeField};
pub use params::{File, OneOrMany, Seed, Source};
pub use port::{Accept, Arrived, Facts, Given, InputPort, Mistake, OutputPort, PortType, Ports};
pub use random::{Purpose, below, normal_pair, rng, shuffle};
pub use select::Select;
pub use session::Session;
pub use source::{Fetch, Resolved, SourceError, user_cache};
