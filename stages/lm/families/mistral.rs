//! Mistral: a Llama without biases, whose queries see a window of keys where the config has one.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    architecture::Architecture,
    filled,
    llama_like::{Biases, LlamaLike},
    parsed,
    windows::width,
};
use crate::lm::layers::{activation::Activation, attention::AttentionSpec, heads::HeadsSpec};

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    base: LlamaLike,
    hidden_act: Activation,
    sliding_window: Option<usize>,
}

/// The architecture of a Mistral.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let config = filled(config, json!({ "sliding_window": 4096, "hidden_act": "silu" }));
    let c: Config = parsed(&config)?;
    let window = c.sliding_window.map(width).transpose()?;
    c.base.architecture("mistral", vec![c.base.rotary(&config)?], |layer| {
        let plain = c.base.attention(layer, Biases { qkv: false, out: false })?;
        let attention = HeadsSpec { scoring: plain.scoring.within(window), ..plain };
        Ok(c.base.block(layer, AttentionSpec::Heads(attention), c.base.mlp(layer, c.hidden_act, false)))
    })
}
