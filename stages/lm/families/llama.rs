//! Llama: RMS norms, rotary embeddings, grouped queries, a gated MLP, one after the other.
//!
//! Also what SmolLM2 and others of `model_type = "llama"` are.

use serde::Deserialize;
use serde_json::Value;

use super::{
    architecture::Architecture,
    llama_like::{Biases, LlamaLike},
    parsed,
};
use crate::lm::layers::{activation::Activation, attention::AttentionSpec};

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    base: LlamaLike,
    hidden_act: Activation,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
}

/// The architecture of a Llama.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let c: Config = parsed(config)?;
    let biases = Biases { qkv: c.attention_bias, out: c.attention_bias };
    c.base.architecture("llama", vec![c.base.rotary(config)?], |layer| {
        let attention = AttentionSpec::Heads(c.base.attention(layer, biases)?);
        Ok(c.base.block(layer, attention, c.base.mlp(layer, c.hidden_act, c.mlp_bias)))
    })
}
