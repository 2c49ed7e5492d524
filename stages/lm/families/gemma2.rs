//! Gemma 2: a Llama with norms on both sides of attention and MLP, soft caps on scores and logits, scaled embeddings,
//! and a window in every other layer.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    architecture::{Architecture, BlockSpec},
    filled,
    llama_like::{Biases, LlamaLike},
    parsed,
    windows::{LayerType, by_type, layer_types},
};
use crate::lm::layers::{
    activation::Activation, attention::AttentionSpec, embed::EmbedSpec, heads::HeadsSpec, surroundings::RotarySpec,
};

/// What Gemma 3 has too.
#[derive(Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub base: LlamaLike,
    hidden_activation: Activation,
    query_pre_attn_scalar: f64,
    attention_bias: bool,
    sliding_window: Option<usize>,
    pub layer_types: Option<Vec<LayerType>>,
    attn_logit_softcapping: Option<f64>,
    final_logit_softcapping: Option<f64>,
    #[serde(default)]
    use_bidirectional_attention: bool,
}

/// What a config that leaves these out means.
pub fn defaults() -> Value {
    json!({
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256, "attention_bias": false,
        "sliding_window": 4096, "tie_word_embeddings": true,
    })
}

impl Config {
    /// The layer types: as listed, or by number where nothing is listed.
    pub fn types(&self, slides: impl Fn(usize) -> bool) -> Result<Vec<LayerType>, String> {
        layer_types(self.layer_types.as_deref(), self.base.num_hidden_layers, slides)
    }

    /// The attention of a layer that sees this far back.
    pub fn attention(&self, layer: usize, window: Option<usize>) -> Result<HeadsSpec, String> {
        let biases = Biases { qkv: self.attention_bias, out: self.attention_bias };
        let mut attention = self.base.attention(layer, biases)?;
        attention.scoring.divisor = self.query_pre_attn_scalar.sqrt();
        attention.scoring.cap = self.attn_logit_softcapping;
        attention.scoring.window = window;
        Ok(attention)
    }

    /// A layer: what Llama calls the norm before the MLP is the one after attention here.
    pub fn block(&self, layer: usize, attention: HeadsSpec) -> BlockSpec {
        let mlp = self.base.mlp(layer, self.hidden_activation, false);
        let plain = self.base.block(layer, AttentionSpec::Heads(attention), mlp);
        let norm = |name| self.base.norm(&format!("{}.{name}", LlamaLike::path(layer))).from_one();
        BlockSpec {
            ln1: norm("input_layernorm"),
            ln1_post: Some(norm("post_attention_layernorm")),
            ln2: norm("pre_feedforward_layernorm"),
            ln2_post: Some(norm("post_feedforward_layernorm")),
            ..plain
        }
    }

    /// How far back layers of these types see.
    pub fn windows(&self, types: &[LayerType]) -> Result<Vec<Option<usize>>, String> {
        by_type(types, self.sliding_window)
    }

    /// The whole, with a layer for each number, in order.
    pub fn architecture(
        &self,
        family: &'static str,
        rotary: Vec<RotarySpec>,
        layer: impl Fn(usize) -> Result<BlockSpec, String>,
    ) -> Result<Architecture, String> {
        if self.use_bidirectional_attention {
            return Err("attention in both directions (`use_bidirectional_attention`) is not built".to_owned());
        }
        let plain = self.base.architecture(family, rotary, layer)?;
        Ok(Architecture {
            embed: EmbedSpec { scale: Some((self.base.hidden_size as f64).sqrt() as f32), ..plain.embed },
            norm: plain.norm.from_one(),
            logit_cap: self.final_logit_softcapping,
            ..plain
        })
    }
}

/// The architecture of a Gemma 2.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let config = filled(config, json!({ "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0 }));
    let config = filled(&config, defaults());
    let c: Config = parsed(&config)?;
    let windows = c.windows(&c.types(|layer| layer % 2 == 0)?)?;
    c.architecture("gemma2", vec![c.base.rotary(&config)?], |layer| {
        Ok(c.block(layer, c.attention(layer, windows[layer])?))
    })
}
