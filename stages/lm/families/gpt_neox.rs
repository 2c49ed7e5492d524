//! GPT-NeoX (Pythia): layer norms, rotary embeddings on a part of each head, a plain MLP, attention and MLP side by
//! side.

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
    hidden_act: Activation,
    layer_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default = "yes")]
    attention_bias: bool,
    #[serde(default = "yes")]
    use_parallel_residual: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
}

fn yes() -> bool {
    true
}

fn default_initializer_range() -> f64 {
    0.02
}

impl Config {
    fn linear(&self, path: String, dims: [usize; 2], bias: bool) -> LinearSpec {
        LinearSpec::new(&path, dims, bias, self.initializer_range)
    }

    fn norm(&self, path: String) -> NormSpec {
        NormSpec::layer(&path, self.hidden_size, self.layer_norm_eps)
    }

    fn d_head(&self) -> Result<usize, String> {
        share(self.hidden_size, self.num_attention_heads, "heads")
    }

    fn attention(&self, path: &str) -> Result<HeadsSpec, String> {
        let (heads, width) = (self.num_attention_heads, self.hidden_size);
        let fused = self.linear(format!("{path}.query_key_value"), [width, 3 * width], self.attention_bias);
        let d_head = self.d_head()?;
        Ok(HeadsSpec {
            d_head,
            qkv: QkvSpec::ByHead(Box::new(fused)),
            norms: None,
            rope: Some(0),
            scoring: Scoring::new(heads, heads, d_head),
            out: self.linear(format!("{path}.dense"), [width, width], self.attention_bias),
        })
    }

    fn rotary(&self, config: &Value) -> Result<RotarySpec, String> {
        let (heads, d_head) = (self.num_attention_heads, self.d_head()?);
        Ok(RotarySpec { rope: RopeSpec::of(config, d_head, 0.25)?, query_heads: heads, key_heads: heads, d_head })
    }

    fn mlp(&self, path: &str) -> DenseSpec {
        let (outer, inner) = (self.hidden_size, self.intermediate_size);
        DenseSpec {
            activation: self.hidden_act,
            gate: None,
            up: self.linear(format!("{path}.dense_h_to_4h"), [outer, inner], true),
            down: self.linear(format!("{path}.dense_4h_to_h"), [inner, outer], true),
        }
    }

    fn layer(&self, layer: usize) -> Result<BlockSpec, String> {
        let path = format!("gpt_neox.layers.{layer}");
        Ok(BlockSpec {
            residual: if self.use_parallel_residual { Residual::Parallel } else { Residual::Sequential },
            ln1: Some(self.norm(format!("{path}.input_layernorm"))),
            attention: AttentionSpec::Heads(self.attention(&format!("{path}.attention"))?),
            ln1_post: None,
            ln2: Some(self.norm(format!("{path}.post_attention_layernorm"))),
            mlp: Some(MlpSpec::Dense(self.mlp(&format!("{path}.mlp")))),
            ln2_post: None,
        })
    }
}

/// The architecture of a GPT-NeoX.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let c: Config = parsed(config)?;
    let unembed = match c.tie_word_embeddings {
        true => UnembedSpec::Tied,
        false => UnembedSpec::Own(c.linear("embed_out".to_owned(), [c.hidden_size, c.vocab_size], false)),
    };
    let embed = "gpt_neox.embed_in.weight".to_owned();
    Ok(Architecture {
        family: "gpt_neox",
        prefix: "gpt_neox.",
        layers_path: "layers.",
        d_model: c.hidden_size,
        heads: c.num_attention_heads,
        kv_heads: c.num_attention_heads,
        d_head: c.d_head()?,
        vocab: c.vocab_size,
        context: c.max_position_embeddings,
        embed: EmbedSpec::tokens(Param::normal(embed, &[c.vocab_size, c.hidden_size], c.initializer_range)),
        rotary: vec![c.rotary(config)?],
        blocks: (0..c.num_hidden_layers).map(|layer| c.layer(layer)).collect::<Result<_, _>>()?,
        norm: Some(c.norm("gpt_neox.final_layer_norm".to_owned())),
        unembed,
        logit_cap: None,
        causal: true,
    })
}
