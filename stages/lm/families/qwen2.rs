//! Qwen2 (and 2.5): a Llama whose queries, keys and values have biases, with windows in its upper layers where the
//! config asks for them.

use serde::Deserialize;
use serde_json::Value;

use super::{
    architecture::Architecture,
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
    #[serde(flatten)]
    windows: UpperWindows,
}

/// The architecture of a Qwen2.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let c: Config = parsed(config)?;
    let windows = c.windows.by_layer(c.base.num_hidden_layers)?;
    c.base.architecture("qwen2", vec![c.base.rotary(config)?], |layer| {
        let plain = c.base.attention(layer, Biases { qkv: true, out: false })?;
        let attention = HeadsSpec { scoring: plain.scoring.within(windows[layer]), ..plain };
        Ok(c.base.block(layer, AttentionSpec::Heads(attention), c.base.mlp(layer, c.hidden_act, false)))
    })
}
