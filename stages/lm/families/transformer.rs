//! A transformer described field by field: what the kind `train` makes.
//!
//! Small models for experiments differ in just these choices: norms or none, how positions are told apart, with an MLP
//! or of attention alone. It has no Hugging Face form; its config is the description itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

/// The `model_type` of such a config.
pub const NAME: &str = "transformer";

/// A transformer, by Hugging Face's names for what it has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Transformer {
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// The width of the residual stream.
    pub hidden_size: usize,
    /// Hidden units of each MLP; 0 for a model of attention alone.
    pub intermediate_size: usize,
    #[serde(default = "relu")]
    pub hidden_act: Activation,
    /// Norms before attention, before the MLP and before the unembedding.
    #[serde(default)]
    pub norm: NormKind,
    #[serde(default)]
    pub positions: Positions,
    /// Whether a token sees no token behind it. Without this, every token sees the whole text that is given, and the model
    /// can be read (`forward`) but writes nothing (`generate`).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub causal: bool,
    /// Whether the projections of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the maps of the MLP have biases.
    #[serde(default = "yes")]
    pub mlp_bias: bool,
    /// Whether the unembedding is the transposed embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// The standard deviation of weights before training; without it, one over the root of a map's inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initializer_range: Option<f64>,
    /// Tokens that there are; without it, those of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// The longest text that it can read, where positions are learned; without it, the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_position_embeddings: Option<usize>,
}

/// What is done to the residual stream before it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    #[default]
    Layer,
    Rms,
    None,
}

/// How positions are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    #[default]
    Learned,
    Rotary,
    None,
}

/// Added to the variance under the root of a norm.
const EPS: f64 = 1e-5;

fn relu() -> Activation {
    Activation::Relu
}

fn yes() -> bool {
    true
}

/// Left out of a config, so that configs of before there was a choice stay as they were.
fn is_yes(flag: &bool) -> bool {
    *flag
}

impl Transformer {
    /// The config of a model for a task of so many tokens, in texts up to so long; what is given goes before the task's.
    pub fn config(&self, vocab: Option<usize>, longest: Option<usize>) -> Result<Value, String> {
        let whole = Self {
            vocab_size: self.vocab_size.or(vocab),
            max_position_embeddings: self.max_position_embeddings.or(longest),
            ..self.clone()
        };
        if whole.vocab_size.is_none() {
            return Err("the task does not say how many tokens there are: give `vocab-size`".to_owned());
        }
        if whole.positions == Positions::Learned && whole.max_position_embeddings.is_none() {
            return Err("the task does not say how long its texts are: give `max-position-embeddings`".to_owned());
        }
        let mut config = json!(whole);
        config["model_type"] = json!(NAME);
        architecture(&config).map(|_| config)
    }

    fn linear(&self, path: String, dims: [usize; 2], bias: bool) -> LinearSpec {
        LinearSpec::new(&path, dims, bias, self.std(dims[0]))
    }

    fn std(&self, inputs: usize) -> f64 {
        self.initializer_range.unwrap_or(1.0 / (inputs as f64).sqrt())
    }

    fn norm(&self, path: &str) -> Option<NormSpec> {
        match self.norm {
            NormKind::Layer => Some(NormSpec::layer(path, self.hidden_size, EPS)),
            NormKind::Rms => Some(NormSpec::rms(path, self.hidden_size, EPS)),
            NormKind::None => None,
        }
    }

    fn d_head(&self) -> Result<usize, String> {
        share(self.hidden_size, self.num_attention_heads, "heads")
    }

    fn attention(&self, path: &str) -> Result<HeadsSpec, String> {
        let (heads, width, d_head) = (self.num_attention_heads, self.hidden_size, self.d_head()?);
        let to = |name| self.linear(format!("{path}.{name}"), [width, width], self.attention_bias);
        Ok(HeadsSpec {
            d_head,
            qkv: QkvSpec::Separate(Box::new([to("q_proj"), to("k_proj"), to("v_proj")])),
            norms: None,
            rope: (self.positions == Positions::Rotary).then_some(0),
            scoring: Scoring::new(heads, heads, d_head),
            out: to("o_proj"),
        })
    }

    fn mlp(&self, path: &str) -> Option<MlpSpec> {
        let (outer, inner) = (self.hidden_size, self.intermediate_size);
        let to = |name, dims| self.linear(format!("{path}.{name}"), dims, self.mlp_bias);
        let (up, down) = (to("up_proj", [outer, inner]), to("down_proj", [inner, outer]));
        (inner > 0).then_some(MlpSpec::Dense(DenseSpec { activation: self.hidden_act, gate: None, up, down }))
    }

    fn layer(&self, layer: usize) -> Result<BlockSpec, String> {
        let path = format!("model.layers.{layer}");
        let mlp = self.mlp(&format!("{path}.mlp"));
        let ln2 = self.norm(&format!("{path}.post_attention_layernorm")).filter(|_| mlp.is_some());
        Ok(BlockSpec {
            residual: Residual::Sequential,
            ln1: self.norm(&format!("{path}.input_layernorm")),
            attention: AttentionSpec::Heads(self.attention(&format!("{path}.self_attn"))?),
            ln1_post: None,
            ln2,
            mlp,
            ln2_post: None,
        })
    }

    fn embed(&self, vocab: usize) -> EmbedSpec {
        let std = self.std(self.hidden_size);
        let table = |name: &str, rows| Param::normal(format!("model.{name}.weight"), &[rows, self.hidden_size], std);
        let positions = self.max_position_embeddings.filter(|_| self.positions == Positions::Learned);
        EmbedSpec {
            positions: positions.map(|rows| table("embed_positions", rows)),
            ..EmbedSpec::tokens(table("embed_tokens", vocab))
        }
    }

    fn rotary(&self) -> Result<Vec<RotarySpec>, String> {
        let (heads, d_head) = (self.num_attention_heads, self.d_head()?);
        let spec = |rope| RotarySpec { rope, query_heads: heads, key_heads: heads, d_head };
        match self.positions {
            Positions::Rotary => Ok(vec![spec(RopeSpec::of(&json!({}), d_head, 1.0)?)]),
            Positions::Learned | Positions::None => Ok(vec![]),
        }
    }
}

/// The architecture of a described transformer.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let mut fields = config.clone();
    fields.as_object_mut().map(|fields| fields.remove("model_type"));
    let c: Transformer = parsed(&fields)?;
    let vocab = c.vocab_size.ok_or("missing field `vocab-size`")?;
    let unembed = match c.tie_word_embeddings {
        true => UnembedSpec::Tied,
        false => UnembedSpec::Own(c.linear("lm_head".to_owned(), [c.hidden_size, vocab], false)),
    };
    Ok(Architecture {
        family: NAME,
        prefix: "model.",
        layers_path: "layers.",
        d_model: c.hidden_size,
        heads: c.num_attention_heads,
        kv_heads: c.num_attention_heads,
        d_head: c.d_head()?,
        vocab,
        context: c.max_position_embeddings,
        embed: c.embed(vocab),
        rotary: c.rotary()?,
        blocks: (0..c.num_hidden_layers).map(|layer| c.layer(layer)).collect::<Result<_, _>>()?,
        norm: c.norm("model.norm"),
        unembed,
        logit_cap: None,
        causal: c.causal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::{
        Model,
        capture::Take,
        fixture::{device, distance},
        probe::Probe,
        read::read,
        site::Site,
        weights::initial::InitialWeights,
    };

    fn described(toml: &str) -> Transformer {
        toml::from_str(&format!("num-attention-heads = 4\nhidden-size = 32\n{toml}")).unwrap()
    }

    /// Embedding 10 × 32, positions 6 × 32, per layer 4 × 32² and two norms of 64, MLP 2 · 32 · 128 + 128 + 32, final norm
    /// 64, unembedding 320.
    #[test]
    fn its_weights_are_those_described() {
        let config = described("num-hidden-layers = 2\nintermediate-size = 128").config(Some(10), Some(6)).unwrap();
        let made = architecture(&config).unwrap();
        let count: usize = made.params().iter().map(|param| param.shape.iter().product::<usize>()).sum();
        assert_eq!(count, 320 + 192 + 2 * (4096 + 128 + 8192 + 160) + 64 + 320);
    }

    #[test]
    fn attention_alone_has_no_sites_of_mlps_or_norms() {
        let toml = "num-hidden-layers = 1\nintermediate-size = 0\nnorm = \"none\"\npositions = \"rotary\"";
        let sites = architecture(&described(toml).config(Some(10), None).unwrap()).unwrap().sites();
        let norms = [Site::Ln1Scale, Site::Ln2Scale, Site::LnFinalScale, Site::LnFinalNormalized];
        for lacking in [Site::MlpIn, Site::MlpOut, Site::ResidMid].into_iter().chain(norms) {
            assert!(!sites.contains(&lacking), "{lacking:?}");
        }
        assert!(sites.contains(&Site::Z) && sites.contains(&Site::RotQ) && sites.contains(&Site::ResidPost));
    }

    /// The patterns and the logits of texts that are read together, in random weights.
    fn seen(causal: bool, texts: &[&[u32]]) -> Vec<[Vec<f32>; 2]> {
        let toml = format!("num-hidden-layers = 2\nintermediate-size = 16\ncausal = {causal}");
        let config = described(&toml).config(Some(10), Some(6)).unwrap();
        let model = Model::load(&config, &InitialWeights::new(&config, 3).unwrap(), &device()).unwrap();
        let takes = vec![Take::raw(Site::Pattern, vec![0]), Take::raw(Site::Logits, vec![0])];
        let texts: Vec<(usize, &[u32])> = texts.iter().copied().enumerate().collect();
        let made = read(&model, &texts, &Probe { changes: vec![], takes }).unwrap();
        let values = |take: usize, text: usize| made[take][text].iter().copied().collect::<Vec<f32>>();
        (0..texts.len()).map(|text| [values(0, text), values(1, text)]).collect()
    }

    #[test]
    fn tokens_of_a_model_that_is_not_causal_see_those_behind_them_and_no_padding() {
        let (long, short): (&[u32], &[u32]) = (&[1, 2, 3, 4, 5], &[6, 7, 8]);
        for causal in [true, false] {
            let together = seen(causal, &[long, short]);
            for (text, together) in [long, short].into_iter().zip(&together) {
                let alone = seen(causal, &[text]).remove(0);
                (0..2).for_each(|take| assert!(distance(&together[take], &alone[take]) < 1e-5));
                let keys = text.len();
                for (row, weights) in alone[0].chunks_exact(keys).enumerate() {
                    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    let behind = &weights[row % keys + 1..];
                    assert!(behind.iter().all(|weight| (*weight > 0.0) != causal), "{behind:?}");
                }
            }
            let other = seen(causal, &[&[1, 2, 3, 4, 9]]).remove(0);
            assert_eq!(other[1][..10] == seen(causal, &[long])[0][1][..10], causal, "the first token sees the last");
        }
    }

    #[test]
    fn what_a_task_does_not_say_is_asked_for() {
        let plain = described("num-hidden-layers = 1\nintermediate-size = 0");
        assert!(plain.config(None, Some(6)).unwrap_err().contains("`vocab-size`"));
        assert!(plain.config(Some(10), None).unwrap_err().contains("`max-position-embeddings`"));
        let odd = Transformer { num_attention_heads: 5, ..plain };
        assert!(odd.config(Some(10), Some(6)).unwrap_err().contains("32 cannot be divided into 5 heads"));
    }
}
