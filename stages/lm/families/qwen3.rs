//! Qwen3: a Llama with norms over each head's queries and keys, and heads whose size does not follow from their number.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    architecture::Architecture,
    filled,
    llama_like::{Biases, LlamaLike},
    parsed,
    windows::UpperWindows,
};
use crate::lm::layers::{activation::Activation, attention::AttentionSpec, heads::HeadsSpec};

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    base: LlamaLike,
    hidden_act: Activation,
    #[serde(default)]
    attention_bias: bool,
    #[serde(flatten)]
    windows: UpperWindows,
}

/// The architecture of a Qwen3.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let config = filled(config, json!({ "head_dim": 128 }));
    let c: Config = parsed(&config)?;
    let windows = c.windows.by_layer(c.base.num_hidden_layers)?;
    let biases = Biases { qkv: c.attention_bias, out: c.attention_bias };
    c.base.architecture("qwen3", vec![c.base.rotary(&config)?], |layer| {
        let plain = c.base.attention(layer, biases)?;
        let (norms, scoring) = (Some(c.base.head_norms(layer)?), plain.scoring.within(windows[layer]));
        let attention = AttentionSpec::Heads(HeadsSpec { norms, scoring, ..plain });
        Ok(c.base.block(layer, attention, c.base.mlp(layer, c.hidden_act, false)))
    })
}
