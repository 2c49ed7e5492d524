//! Language models: families over shared layers, their weights, tokenizers and sites. The only part of Assay that
//! names burn.
//!
//! | to find | look in |
//! | --- | --- |
//! | a model family | `families/` |
//! | attention, norms, MLPs, rotary embeddings, the KV cache | `layers/` |
//! | safetensors, GGUF, random weights | `weights/` |
//! | where a model comes from: folder, package, hub | `source/` |
//! | prompts, tokens, tokenizers, chat templates | `text/` |
//! | sites, captures, edits and the pass that carries them | `site.rs`, `capture/`, `edit/`, `pass.rs` |
//! | values that edits and captures take from other stages | `donor/` |
//! | generating, reading, forcing texts | `generate.rs`, `read.rs`, `teacher.rs` |
//! | what a text is predicted to be, and what adds to a prediction | `predict.rs`, `model/attribution.rs` |
//! | training | `train/` |
//! | number types, and what they round | `dtype.rs` |
//! | devices, and what is loaded on them | `device.rs`, `session.rs`, `pool.rs` |

pub mod batch;
pub mod batching;
pub mod by_text;
pub mod capture;
pub mod device;
pub mod donor;
pub mod dtype;
pub mod edit;
pub mod facts;
pub mod families;
#[cfg(test)]
pub mod fixture;
pub mod generate;
#[cfg(test)]
mod halves;
pub mod layers;
pub mod model;
#[cfg(test)]
mod parity;
pub mod pass;
pub mod pool;
pub mod predict;
pub mod probe;
pub mod read;
pub mod record;
pub mod sampling;
mod session;
pub mod site;
#[cfg(test)]
pub mod smollm2;
pub mod source;
pub mod teacher;
pub mod text;
pub mod train;
pub mod weights;

pub use dtype::Dtype;
pub use facts::ModelFacts;
pub use layers::param::Initial;
pub use model::Model;
pub use record::ModelRecord;
pub use session::Session;

use burn::tensor::Float;

/// Raised when a change anywhere in `lm` moves numbers.
pub const VERSION: (&str, u32) = ("lm", 2);

/// The one tensor type: its backend is chosen at run time by its device.
pub type Tensor<const D: usize, K = Float> = burn::tensor::Tensor<burn::Dispatch, D, K>;

/// Where a tensor lives.
pub type Device = burn::DispatchDevice;
