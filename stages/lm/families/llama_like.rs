//! What Llama and its descendants share: the fields of their configs, the names of their tensors, and one layer of RMS
//! norms, rotary embeddings, grouped queries and a gated MLP.
//!
//! A family takes these parts and changes in them what is its own.

use serde::Deserialize;
use serde_json::Value;

use super::{
    architecture::{Architecture, BlockSpec, Residual},
    share,
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

/// The fields that the configs have in common.
#[derive(Deserialize)]
pub struct LlamaLike {
    vocab_size: usize,
    pub hidden_size: usize,
    intermediate_size: usize,
    pub num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<i64>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
}

pub fn default_initializer_range() -> f64 {
    0.02
}

/// Which of an attention's projections have biases.
#[derive(Clone, Copy)]
pub struct Biases {
    pub qkv: bool,
    pub out: bool,
}

impl LlamaLike {
    fn linear(&self, path: String, dims: [usize; 2], bias: bool) -> LinearSpec {
        LinearSpec::new(&path, dims, bias, self.initializer_range)
    }

    fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    pub fn d_head(&self) -> Result<usize, String> {
        self.head_dim.map_or_else(|| share(self.hidden_size, self.num_attention_heads, "heads"), Ok)
    }

    /// The path of a layer.
    pub fn path(layer: usize) -> String {
        format!("model.layers.{layer}")
    }

    /// An RMS norm over the residual stream.
    pub fn norm(&self, path: &str) -> NormSpec {
        self.norm_of(path, self.hidden_size)
    }

    /// An RMS norm over this many values.
    pub fn norm_of(&self, path: &str, width: usize) -> NormSpec {
        NormSpec::rms(path, width, self.rms_norm_eps)
    }

    /// The attention of a layer: every key before a query, scores over √d, the first rotary embedding.
    pub fn attention(&self, layer: usize, biases: Biases) -> Result<HeadsSpec, String> {
        let (heads, kv_heads, d_head) = (self.num_attention_heads, self.kv_heads(), self.d_head()?);
        share(heads, kv_heads, "groups")?;
        let path = format!("{}.self_attn", Self::path(layer));
        let to = |name, heads| self.linear(format!("{path}.{name}"), [self.hidden_size, heads * d_head], biases.qkv);
        Ok(HeadsSpec {
            d_head,
            qkv: QkvSpec::Separate(Box::new([to("q_proj", heads), to("k_proj", kv_heads), to("v_proj", kv_heads)])),
            norms: None,
            rope: Some(0),
            scoring: Scoring::new(heads, kv_heads, d_head),
            out: self.linear(format!("{path}.o_proj"), [heads * d_head, self.hidden_size], biases.out),
        })
    }

    /// The norms over each head's queries and keys, in families that have them.
    pub fn head_norms(&self, layer: usize) -> Result<(NormSpec, NormSpec), String> {
        let (path, d_head) = (Self::path(layer), self.d_head()?);
        let norm = |name| self.norm_of(&format!("{path}.self_attn.{name}"), d_head);
        Ok((norm("q_norm"), norm("k_norm")))
    }

    /// The MLP of a layer.
    pub fn mlp(&self, layer: usize, activation: Activation, bias: bool) -> MlpSpec {
        let (path, outer, inner) = (Self::path(layer), self.hidden_size, self.intermediate_size);
        let to = |name, dims| self.linear(format!("{path}.mlp.{name}"), dims, bias);
        MlpSpec::Dense(DenseSpec {
            activation,
            gate: Some(to("gate_proj", [outer, inner])),
            up: to("up_proj", [outer, inner]),
            down: to("down_proj", [inner, outer]),
        })
    }

    /// A layer: attention, then the MLP, each behind its norm.
    pub fn block(&self, layer: usize, attention: AttentionSpec, mlp: MlpSpec) -> BlockSpec {
        let path = Self::path(layer);
        BlockSpec {
            residual: Residual::Sequential,
            ln1: Some(self.norm(&format!("{path}.input_layernorm"))),
            attention,
            ln1_post: None,
            ln2: Some(self.norm(&format!("{path}.post_attention_layernorm"))),
            mlp: Some(mlp),
            ln2_post: None,
        }
    }

    /// A rotary embedding of the whole of each head, as a config (or a part of one) gives it.
    pub fn rotary(&self, config: &Value) -> Result<RotarySpec, String> {
        let (query_heads, key_heads, d_head) = (self.num_attention_heads, self.kv_heads(), self.d_head()?);
        Ok(RotarySpec { rope: RopeSpec::of(config, d_head, 1.0)?, query_heads, key_heads, d_head })
    }

    fn embedding(&self) -> Param {
        let (path, shape) = ("model.embed_tokens.weight".to_owned(), [self.vocab_size, self.hidden_size]);
        // Counted from the end where it is negative, as PyTorch does; one beyond the table has no row.
        let row = |pad: i64| {
            if pad < 0 { self.vocab_size.checked_sub(pad.unsigned_abs() as usize) } else { Some(pad as usize) }
        };
        let zero_row = self.pad_token_id.and_then(row).filter(|row| *row < self.vocab_size);
        Param { zero_row, ..Param::normal(path, &shape, self.initializer_range) }
    }

    /// The whole, with a layer for each number, in order.
    pub fn architecture(
        &self,
        family: &'static str,
        rotary: Vec<RotarySpec>,
        layer: impl Fn(usize) -> Result<BlockSpec, String>,
    ) -> Result<Architecture, String> {
        let unembed = match self.tie_word_embeddings {
            true => UnembedSpec::Tied,
            false => UnembedSpec::Own(self.linear("lm_head".to_owned(), [self.hidden_size, self.vocab_size], false)),
        };
        Ok(Architecture {
            family,
            prefix: "model.",
            layers_path: "layers.",
            d_model: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: self.kv_heads(),
            d_head: self.d_head()?,
            vocab: self.vocab_size,
            context: self.max_position_embeddings,
            embed: EmbedSpec::tokens(self.embedding()),
            rotary,
            blocks: (0..self.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            norm: Some(self.norm("model.norm")),
            unembed,
            logit_cap: None,
            causal: true,
        })
    }
}
