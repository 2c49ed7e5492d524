//! The catalogue of Assay: one file a kind, and the models (`lm`) and pure functions (`metrics`) they stand on.
//!
//! `contract` says what a stage is; the engine in `src/` drives stages through it and knows nothing more.

pub mod ablate;
pub mod attribute;
pub mod bootstrap;
pub mod charts;
pub mod compare;
pub mod contract;
pub mod correlate;
pub mod decode;
pub mod derive;
pub mod detect_heads;
pub mod direction;
pub mod document;
pub mod expression;
pub mod forward;
pub mod generate;
pub mod indirect_objects;
pub mod lm;
pub mod load_model;
pub mod load_table;
pub mod load_tensor;
pub mod max_statistic;
pub mod metrics;
pub mod modular_addition;
pub mod network;
pub mod overlap;
pub mod permute;
pub mod phiid;
pub mod plot;
pub mod prompt_pairs;
pub mod prompts;
pub mod random_tokens;
pub mod rank;
pub mod rearrange;
pub mod render;
pub mod repeated_patterns;
pub mod resampling;
pub mod score;
pub mod similarity;
pub mod specialization;
pub mod summarize;
pub mod surrogate;
pub mod tables;
pub mod text_windows;
pub mod train;
pub mod verdict;

pub use contract::*;

/// A session on `wanted`: `auto`, `cpu`, `cuda` or `cuda:N`. No device is touched until a stage asks for it.
pub fn open_session(wanted: &str) -> Box<dyn Session> {
    Box::new(lm::Session::on(wanted))
}

/// Every device that a run can compute on here.
pub fn devices() -> Devices {
    lm::device::all()
}

/// Every kind there is, in alphabetical order.
pub const CATALOGUE: &[Kind] = &[
    Kind::of::<ablate::Ablate>(),
    Kind::of::<attribute::Attribute>(),
    Kind::of::<bootstrap::Bootstrap>(),
    Kind::of::<compare::Compare>(),
    Kind::of::<correlate::Correlate>(),
    Kind::of::<decode::Decode>(),
    Kind::of::<derive::Derive>(),
    Kind::of::<detect_heads::DetectHeads>(),
    Kind::of::<direction::Direction>(),
    Kind::of::<document::Document>(),
    Kind::of::<forward::Forward>(),
    Kind::of::<generate::Generate>(),
    Kind::of::<indirect_objects::IndirectObjects>(),
    Kind::of::<load_model::LoadModel>(),
    Kind::of::<load_table::LoadTable>(),
    Kind::of::<load_tensor::LoadTensor>(),
    Kind::of::<max_statistic::MaxStatistic>(),
    Kind::of::<modular_addition::ModularAddition>(),
    Kind::of::<network::Network>(),
    Kind::of::<overlap::Overlap>(),
    Kind::of::<permute::Permute>(),
    Kind::of::<phiid::Phiid>(),
    Kind::of::<plot::Plot>(),
    Kind::of::<prompt_pairs::PromptPairs>(),
    Kind::of::<prompts::Prompts>(),
    Kind::of::<random_tokens::RandomTokens>(),
    Kind::of::<rank::Rank>(),
    Kind::of::<rearrange::Rearrange>(),
    Kind::of::<repeated_patterns::RepeatedPatterns>(),
    Kind::of::<score::Score>(),
    Kind::of::<similarity::Similarity>(),
    Kind::of::<specialization::Specialization>(),
    Kind::of::<summarize::Summarize>(),
    Kind::of::<surrogate::Surrogate>(),
    Kind::of::<text_windows::TextWindows>(),
    Kind::of::<train::Train>(),
    Kind::of::<verdict::Verdict>(),
];
