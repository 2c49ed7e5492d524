//! Llama: RMS norms, rotary embeddings, grouped queries, a gated MLP, one after the other.
//!
//! Also what SmolLM2 and others of `model_type = "llama"` are.

use serde::Deserialize;
use serde_json::Value;

use super::{
    architecture::{Architecture, BlockSpec, Residual},
    parsed, share,
};
use crate::lm::layers::{
    activation::Activation,
    attention::AttentionSpec,
    dense::DenseSpec,
    embed::EmbedSpec,
    heads::{HeadsSpec, QkvSpec},
    linear::{LinearSpec, UnembedSpec},
    mlp::MlpSpec,
    norm::NormSpec,
    param::Param,
    rotary::RopeSpec,
    scoring::Scoring,
    surroundings::RotarySpec,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Activation,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
}

fn default_initializer_range() -> f64 {
    0.02
}

impl Config {
    fn linear(&self, path: String, dims: [usize; 2], bias: bool) -> LinearSpec {
        LinearSpec::new(&path, dims, bias, self.initializer_range)
    }

    fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn d_head(&self) -> Result<usize, String> {
        self.head_dim.map_or_else(|| share(self.hidden_size, self.num_attention_heads, "heads"), Ok)
    }

    fn attention(&self, path: &str) -> Result<HeadsSpec, String> {
        let (heads, kv_heads, d_head) = (self.num_attention_heads, self.kv_heads(), self.d_head()?);
        share(heads, kv_heads, "groups")?;
        let to = |name, heads| {
            self.linear(format!("{path}.{name}"), [self.hidden_size, heads * d_head], self.attention_bias)
        };
        Ok(HeadsSpec {
            d_head,
            qkv: QkvSpec::Separate(Box::new([to("q_proj", heads), to("k_proj", kv_heads), to("v_proj", kv_heads)])),
            norms: None,
            rope: Some(0),
            scoring: Scoring { heads, kv_heads, divisor: (d_head as f64).sqrt(), cap: None, window: None },
            out: self.linear(format!("{path}.o_proj"), [heads * d_head, self.hidden_size], self.attention_bias),
        })
    }

    fn rotary(&self, config: &Value) -> Result<RotarySpec, String> {
        let (query_heads, key_heads, d_head) = (self.num_attention_heads, self.kv_heads(), self.d_head()?);
        Ok(RotarySpec { rope: RopeSpec::of(config, d_head, 1.0)?, query_heads, key_heads, d_head })
    }

    fn mlp(&self, path: &str) -> DenseSpec {
        let (outer, inner) = (self.hidden_size, self.intermediate_size);
        DenseSpec {
            activation: self.hidden_act,
            gate: Some(self.linear(format!("{path}.gate_proj"), [outer, inner], self.mlp_bias)),
            up: self.linear(format!("{path}.up_proj"), [outer, inner], self.mlp_bias),
            down: self.linear(format!("{path}.down_proj"), [inner, outer], self.mlp_bias),
        }
    }

    fn layer(&self, layer: usize) -> Result<BlockSpec, String> {
        let path = format!("model.layers.{layer}");
        let norm = |name| NormSpec::rms(&format!("{path}.{name}"), self.hidden_size, self.rms_norm_eps);
        Ok(BlockSpec {
            residual: Residual::Sequential,
            ln1: norm("input_layernorm"),
            attention: AttentionSpec::Heads(self.attention(&format!("{path}.self_attn"))?),
            ln1_post: None,
            ln2: norm("post_attention_layernorm"),
            mlp: MlpSpec::Dense(self.mlp(&format!("{path}.mlp"))),
            ln2_post: None,
        })
    }
}

/// The architecture of a Llama.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let c: Config = parsed(config)?;
    let unembed = match c.tie_word_embeddings {
        true => UnembedSpec::Tied,
        false => UnembedSpec::Own(c.linear("lm_head".to_owned(), [c.hidden_size, c.vocab_size], false)),
    };
    let embed = "model.embed_tokens.weight".to_owned();
    Ok(Architecture {
        family: "llama",
        prefix: "model.",
        layers_path: "layers.",
        d_model: c.hidden_size,
        heads: c.num_attention_heads,
        kv_heads: c.kv_heads(),
        d_head: c.d_head()?,
        vocab: c.vocab_size,
        context: c.max_position_embeddings,
        embed: EmbedSpec::tokens(Param::normal(embed, &[c.vocab_size, c.hidden_size], c.initializer_range)),
        rotary: vec![c.rotary(config)?],
        blocks: (0..c.num_hidden_layers).map(|layer| c.layer(layer)).collect::<Result<_, _>>()?,
        norm: NormSpec::rms("model.norm", c.hidden_size, c.rms_norm_eps),
        unembed,
        logit_cap: None,
    })
}
