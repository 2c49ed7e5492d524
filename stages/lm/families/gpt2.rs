//! GPT-2: layer norms, learned positions, a plain MLP, one after the other; weights stored `[in, out]`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    architecture::{Architecture, BlockSpec, Residual},
    filled, parsed, share,
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
    scoring::Scoring,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    activation_function: Activation,
    layer_norm_epsilon: f64,
    initializer_range: f64,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    add_cross_attention: bool,
    tie_word_embeddings: bool,
}

/// Fields by their newer names, and what a config that leaves the others out means.
fn completed(config: &Value) -> Value {
    let defaults = json!({
        "n_embd": config["hidden_size"], "n_layer": config["num_hidden_layers"],
        "n_head": config["num_attention_heads"], "n_positions": config["max_position_embeddings"],
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
        "scale_attn_weights": true, "scale_attn_by_inverse_layer_idx": false, "add_cross_attention": false,
        "tie_word_embeddings": true,
    });
    filled(config, defaults)
}

impl Config {
    fn linear(&self, path: String, dims: [usize; 2]) -> LinearSpec {
        LinearSpec::conv1d(&path, dims, self.initializer_range)
    }

    /// A map into the residual stream, drawn narrower: there are two of them a layer, and their sum should not grow.
    fn residual(&self, path: String, dims: [usize; 2]) -> LinearSpec {
        LinearSpec::conv1d(&path, dims, self.initializer_range / (2.0 * self.n_layer as f64).sqrt())
    }

    fn norm(&self, path: String) -> NormSpec {
        NormSpec::layer(&path, self.n_embd, self.layer_norm_epsilon)
    }

    fn d_head(&self) -> Result<usize, String> {
        share(self.n_embd, self.n_head, "heads")
    }

    fn scoring(&self, layer: usize) -> Result<Scoring, String> {
        let mut scoring = Scoring::new(self.n_head, self.n_head, self.d_head()?);
        if !self.scale_attn_weights {
            scoring.divisor = 1.0;
        }
        if self.scale_attn_by_inverse_layer_idx {
            scoring.divisor *= (layer + 1) as f64;
        }
        Ok(scoring)
    }

    fn attention(&self, path: &str, layer: usize) -> Result<HeadsSpec, String> {
        Ok(HeadsSpec {
            d_head: self.d_head()?,
            qkv: QkvSpec::ByKind(Box::new(self.linear(format!("{path}.c_attn"), [self.n_embd, 3 * self.n_embd]))),
            norms: None,
            rope: None,
            scoring: self.scoring(layer)?,
            out: self.residual(format!("{path}.c_proj"), [self.n_embd, self.n_embd]),
        })
    }

    fn mlp(&self, path: &str) -> DenseSpec {
        let inner = self.n_inner.unwrap_or(4 * self.n_embd);
        DenseSpec {
            activation: self.activation_function,
            gate: None,
            up: self.linear(format!("{path}.c_fc"), [self.n_embd, inner]),
            down: self.residual(format!("{path}.c_proj"), [inner, self.n_embd]),
        }
    }

    fn layer(&self, layer: usize) -> Result<BlockSpec, String> {
        let path = format!("transformer.h.{layer}");
        Ok(BlockSpec {
            residual: Residual::Sequential,
            ln1: Some(self.norm(format!("{path}.ln_1"))),
            attention: AttentionSpec::Heads(self.attention(&format!("{path}.attn"), layer)?),
            ln1_post: None,
            ln2: Some(self.norm(format!("{path}.ln_2"))),
            mlp: Some(MlpSpec::Dense(self.mlp(&format!("{path}.mlp")))),
            ln2_post: None,
        })
    }

    fn embed(&self) -> EmbedSpec {
        let table = |name: &str, rows| {
            Param::normal(format!("transformer.{name}.weight"), &[rows, self.n_embd], self.initializer_range)
        };
        EmbedSpec {
            positions: Some(table("wpe", self.n_positions)),
            ..EmbedSpec::tokens(table("wte", self.vocab_size))
        }
    }
}

/// The architecture of a GPT-2.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let c: Config = parsed(&completed(config))?;
    if c.add_cross_attention {
        return Err("attention to an encoder (`add_cross_attention`) is not built".to_owned());
    }
    let unembed = match c.tie_word_embeddings {
        true => UnembedSpec::Tied,
        false => UnembedSpec::Own(LinearSpec::new("lm_head", [c.n_embd, c.vocab_size], false, c.initializer_range)),
    };
    Ok(Architecture {
        family: "gpt2",
        prefix: "transformer.",
        layers_path: "h.",
        d_model: c.n_embd,
        heads: c.n_head,
        kv_heads: c.n_head,
        d_head: c.d_head()?,
        vocab: c.vocab_size,
        context: Some(c.n_positions),
        embed: c.embed(),
        rotary: vec![],
        blocks: (0..c.n_layer).map(|layer| c.layer(layer)).collect::<Result<_, _>>()?,
        norm: Some(c.norm("transformer.ln_f".to_owned())),
        unembed,
        logit_cap: None,
        causal: true,
    })
}
