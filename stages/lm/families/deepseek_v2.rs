//! DeepSeek-V2: latent attention, rotary embeddings on neighbouring dimensions of a part of each head, and mixtures of
//! experts after the first layers.
//!
//! Where the implementation that DeepSeek published and Hugging Face's differ, in what configs of the released models
//! do not ask for, this follows DeepSeek's: `norm_topk_prob` takes the place of `routed_scaling_factor`, and layers
//! whose number `moe_layer_freq` does not divide are dense. (Hugging Face's ignores both.)

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
    experts::ExpertsSpec,
    latent::{LatentSpec, QueriesSpec, SqueezeSpec},
    linear::{LinearSpec, UnembedSpec},
    mlp::MlpSpec,
    norm::NormSpec,
    param::Param,
    rope_scaling::mscale,
    rotary::{Pairs, RopeSpec, scaling},
    routing::{Groups, Routing, Weighting},
    scoring::Scoring,
    surroundings::RotarySpec,
};

/// What the norms over latents add to the variance, whatever the config says of the others.
const LATENT_EPS: f64 = 1e-6;

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
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

    q_lora_rank: Option<usize>,
    kv_lora_rank: usize,
    qk_nope_head_dim: usize,
    qk_rope_head_dim: usize,
    v_head_dim: usize,

    n_routed_experts: Option<usize>,
    #[serde(default)]
    n_shared_experts: usize,
    num_experts_per_tok: Option<usize>,
    moe_intermediate_size: Option<usize>,
    #[serde(default)]
    first_k_dense_replace: usize,
    #[serde(default = "one")]
    moe_layer_freq: usize,
    #[serde(default)]
    scoring_func: ScoringFunc,
    #[serde(default)]
    topk_method: TopkMethod,
    n_group: Option<usize>,
    topk_group: Option<usize>,
    #[serde(default)]
    norm_topk_prob: bool,
    #[serde(default = "unscaled")]
    routed_scaling_factor: f32,
}

/// What the router's scores become.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScoringFunc {
    #[default]
    Softmax,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TopkMethod {
    #[default]
    Greedy,
    GroupLimitedGreedy,
}

fn default_initializer_range() -> f64 {
    0.02
}

fn one() -> usize {
    1
}

fn unscaled() -> f32 {
    1.0
}

impl Config {
    fn linear(&self, path: String, dims: [usize; 2], bias: bool) -> LinearSpec {
        LinearSpec::new(&path, dims, bias, self.initializer_range)
    }

    /// The size of a head's queries and keys.
    fn d_key(&self) -> usize {
        self.qk_nope_head_dim + self.qk_rope_head_dim
    }

    fn attention(&self, path: &str, scoring: Scoring) -> LatentSpec {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        let norm = |name: &str, width| NormSpec::rms(&format!("{path}.{name}"), width, LATENT_EPS);
        let to = |name: &str, dims, bias| self.linear(format!("{path}.{name}"), dims, bias);
        let queries = match self.q_lora_rank {
            None => QueriesSpec::Direct(Box::new(to("q_proj", [width, heads * self.d_key()], false))),
            Some(rank) => QueriesSpec::Squeezed(Box::new(SqueezeSpec {
                down: to("q_a_proj", [width, rank], self.attention_bias),
                norm: norm("q_a_layernorm", rank),
                up: to("q_b_proj", [rank, heads * self.d_key()], false),
            })),
        };
        let rank = self.kv_lora_rank;
        let keys = SqueezeSpec {
            down: to("kv_a_proj_with_mqa", [width, rank + self.qk_rope_head_dim], self.attention_bias),
            norm: norm("kv_a_layernorm", rank),
            up: to("kv_b_proj", [rank, heads * (self.qk_nope_head_dim + self.v_head_dim)], false),
        };
        LatentSpec {
            still: self.qk_nope_head_dim,
            turning: self.qk_rope_head_dim,
            d_value: self.v_head_dim,
            queries,
            keys,
            rope: 0,
            scoring,
            out: to("o_proj", [heads * self.v_head_dim, width], self.attention_bias),
        }
    }

    /// Scores are divided by √d, and multiplied by the square of what yarn makes of `mscale_all_dim`.
    fn scoring(&self, config: &Value) -> Scoring {
        let scaling = scaling(config);
        let number = |key: &str| scaling[key].as_f64().filter(|number| *number != 0.0);
        let stretched = match (number("factor"), number("mscale_all_dim")) {
            (Some(factor), Some(weight)) => mscale(factor, weight).powi(2),
            _ => 1.0,
        };
        let heads = self.num_attention_heads;
        let divisor = (self.d_key() as f64).sqrt() / stretched;
        Scoring { heads, kv_heads: heads, divisor, cap: None, window: None }
    }

    fn rotary(&self, config: &Value) -> Result<RotarySpec, String> {
        let rope = RopeSpec::of(config, self.qk_rope_head_dim, 1.0)?;
        let rope = RopeSpec { pairs: Pairs::Neighbours, skipped: self.qk_nope_head_dim, ..rope };
        let heads = self.num_attention_heads;
        Ok(RotarySpec { rope, query_heads: heads, key_heads: heads, d_head: self.d_key() })
    }

    fn dense(&self, path: &str, inner: usize, bias: bool) -> DenseSpec {
        let outer = self.hidden_size;
        DenseSpec {
            activation: self.hidden_act,
            gate: Some(self.linear(format!("{path}.gate_proj"), [outer, inner], bias)),
            up: self.linear(format!("{path}.up_proj"), [outer, inner], bias),
            down: self.linear(format!("{path}.down_proj"), [inner, outer], bias),
        }
    }

    fn is_mixture(&self, layer: usize) -> bool {
        let listed = layer >= self.first_k_dense_replace && layer.is_multiple_of(self.moe_layer_freq);
        listed && self.n_routed_experts.is_some()
    }

    fn experts(&self, path: &str, count: usize) -> Result<ExpertsSpec, String> {
        let inner = self.moe_intermediate_size.ok_or("routed experts need `moe_intermediate_size`")?;
        let shared = || self.dense(&format!("{path}.shared_experts"), inner * self.n_shared_experts, self.mlp_bias);
        let expert = |i| self.dense(&format!("{path}.experts.{i}"), inner, false);
        Ok(ExpertsSpec {
            router: self.linear(format!("{path}.gate"), [self.hidden_size, count], false),
            routing: self.routing(count)?,
            routed: (0..count).map(expert).collect(),
            shared: (self.n_shared_experts > 0).then(shared),
        })
    }

    fn routing(&self, experts: usize) -> Result<Routing, String> {
        let ScoringFunc::Softmax = self.scoring_func;
        let groups = match self.topk_method {
            TopkMethod::Greedy => None,
            TopkMethod::GroupLimitedGreedy => Some(self.groups(experts)?),
        };
        let open = groups.map_or(experts, |groups| experts / groups.count * groups.kept);
        let top = self.num_experts_per_tok.ok_or("routed experts need `num_experts_per_tok`")?;
        if top == 0 || top > open {
            return Err(format!("a token cannot go to {top} of {open} experts"));
        }
        let normalised = self.norm_topk_prob && top > 1;
        let weighting = if normalised { Weighting::Normalised } else { Weighting::Scaled(self.routed_scaling_factor) };
        Ok(Routing { top, groups, weighting })
    }

    fn groups(&self, experts: usize) -> Result<Groups, String> {
        let count = self.n_group.ok_or("group-limited routing needs `n_group`")?;
        let kept = self.topk_group.ok_or("group-limited routing needs `topk_group`")?;
        share(experts, count, "groups of experts")?;
        if kept == 0 || kept > count {
            return Err(format!("group-limited routing cannot keep {kept} of {count} groups"));
        }
        Ok(Groups { count, kept })
    }

    fn layer(&self, layer: usize, scoring: Scoring) -> Result<BlockSpec, String> {
        let path = format!("model.layers.{layer}");
        let norm = |name| NormSpec::rms(&format!("{path}.{name}"), self.hidden_size, self.rms_norm_eps);
        let mlp = match self.n_routed_experts.filter(|_| self.is_mixture(layer)) {
            Some(count) => MlpSpec::Experts(self.experts(&format!("{path}.mlp"), count)?),
            None => MlpSpec::Dense(self.dense(&format!("{path}.mlp"), self.intermediate_size, self.mlp_bias)),
        };
        Ok(BlockSpec {
            residual: Residual::Sequential,
            ln1: Some(norm("input_layernorm")),
            attention: AttentionSpec::Latent(self.attention(&format!("{path}.self_attn"), scoring)),
            ln1_post: None,
            ln2: Some(norm("post_attention_layernorm")),
            mlp: Some(mlp),
            ln2_post: None,
        })
    }
}

/// The architecture of a DeepSeek-V2.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    // Queries are squeezed unless the config says that they are not, by null.
    let c: Config = parsed(&filled(config, json!({ "q_lora_rank": 1536 })))?;
    if c.moe_layer_freq == 0 {
        return Err("`moe_layer_freq` must be 1 or more".to_owned());
    }
    let unembed = match c.tie_word_embeddings {
        true => UnembedSpec::Tied,
        false => UnembedSpec::Own(c.linear("lm_head".to_owned(), [c.hidden_size, c.vocab_size], false)),
    };
    let embed = "model.embed_tokens.weight".to_owned();
    let scoring = c.scoring(config);
    Ok(Architecture {
        family: "deepseek_v2",
        prefix: "model.",
        layers_path: "layers.",
        d_model: c.hidden_size,
        heads: c.num_attention_heads,
        kv_heads: c.num_attention_heads,
        d_head: c.v_head_dim,
        vocab: c.vocab_size,
        context: c.max_position_embeddings,
        embed: EmbedSpec::tokens(Param::normal(embed, &[c.vocab_size, c.hidden_size], c.initializer_range)),
        rotary: vec![c.rotary(config)?],
        blocks: (0..c.num_hidden_layers).map(|layer| c.layer(layer, scoring.clone())).collect::<Result<_, _>>()?,
        norm: Some(NormSpec::rms("model.norm", c.hidden_size, c.rms_norm_eps)),
        unembed,
        logit_cap: None,
        causal: true,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::*;
    use crate::{
        Inputs, Select,
        lm::{
            Model,
            batch::Batch,
            capture::Capture,
            edit::Edit,
            fixture::{Fixture, distance},
            generate::generate,
            layers::linear::host,
            pass::{Pass, Wanted},
            probe::{Material, Probe},
            read::read,
            sampling::Sampling,
            site::Site,
        },
    };

    fn probe(model: &Model, edits: &[&str], captures: &[&str]) -> Probe {
        let edits: Vec<Edit> = edits.iter().map(|edit| toml::from_str(edit).unwrap()).collect();
        let captures: Vec<Capture> = captures.iter().map(|capture| toml::from_str(capture).unwrap()).collect();
        let (inputs, prompts) = (Inputs::default(), vec![]);
        Probe::new(&edits, &captures, &model.facts, &Material { inputs: &inputs, prompts: &prompts }).unwrap()
    }

    fn logits(model: &Model, ids: &[u32], probe: &Probe, wanted: Wanted) -> Vec<f32> {
        host(model.forward(&mut Pass::new(&Batch::right_padded(&[(0, ids)]), probe, wanted), None))
    }

    /// `fixtures/deepseek_v2.py` made it: q_lora, groups of experts, a scale on the routed ones, two shared ones.
    #[test]
    fn group_limited_routing_and_q_lora_agree_with_transformers() {
        let fixture = Fixture::of("deepseek_v2_grouped");
        let model = fixture.model();
        let ids = fixture.ids("a");
        let ours = logits(&model, &ids, &Probe::default(), Wanted::All);
        assert!(distance(&ours, fixture.expected.get("a.logits")) < 1e-4);
        let made = generate(&model, &[(0, &ids)], 12, &Probe::default(), Sampling::Greedy, |_| Ok(())).unwrap();
        assert_eq!(made[0].new, fixture.expected.ids("a.greedy"));
    }

    /// Norms and logits are those that `fixtures/deepseek_v2.py` computed expert by expert.
    #[test]
    fn experts_are_nodes_that_can_be_read_and_silenced() {
        let reference: Value = serde_json::from_str(include_str!("../../fixtures/deepseek_v2/experts.json")).unwrap();
        let fixture = Fixture::of("deepseek_v2");
        let (model, ids) = (fixture.model(), fixture.ids("a"));
        let captures = [
            "site = \"expert_out\"\nreduce = \"norm\"",
            "site = \"expert_out\"",
            "site = \"mlp_out\"\nlayers = [1, 2]",
        ];
        let made = read(&model, &[(0, &ids)], &probe(&model, &[], &captures)).unwrap();
        let [norms, nodes, out] = [0, 1, 2].map(|capture| made[capture][0].clone());
        assert_eq!(norms.shape(), [2, 21, 5]);
        let theirs: Vec<Vec<Vec<f32>>> = serde_json::from_value(reference["norms"].clone()).unwrap();
        assert!(
            distance(norms.as_slice().unwrap(), &theirs.into_iter().flatten().flatten().collect::<Vec<_>>()) < 1e-4
        );
        let idle = norms.iter().filter(|norm| **norm == 0.0).count();
        assert_eq!(idle, 2 * 21 * 2, "two of four routed experts have nothing to do with a token");
        let sum = nodes.sum_axis(Axis(2));
        assert!((&sum - &out).iter().all(|d| d.abs() < 1e-6), "a layer's nodes sum to its MLP's output");

        let silence = "op = \"zero\"\nsite = \"expert_out\"\nlayers = [1]\nheads = [2]";
        let silenced = logits(&model, &ids, &probe(&model, &[silence], &[]), Wanted::Newest);
        let theirs: Vec<f32> = serde_json::from_value(reference["silenced"].clone()).unwrap();
        assert!(distance(&silenced, &theirs) < 1e-4);
        let nothing = "op = \"zero\"\nsite = \"expert_out\"\npositions = \"90..95\"";
        let plain = logits(&model, &ids, &Probe::default(), Wanted::All);
        assert_eq!(logits(&model, &ids, &probe(&model, &[nothing], &[]), Wanted::All), plain);
    }

    #[test]
    fn sites_are_those_of_the_layers_that_have_them() {
        let model = Fixture::of("deepseek_v2").model();
        let mistakes = |site, layers| model.facts.site_mistakes("capture[0]", site, &layers, &Select::All);
        assert!(mistakes(Site::ExpertOut, Select::All).is_empty());
        assert!(mistakes(Site::ExpertOut, Select::Range(1, Some(3))).is_empty());
        let dense = mistakes(Site::ExpertOut, Select::Range(0, Some(2)));
        assert_eq!(dense.len(), 1);
        assert_eq!(dense[0].message, "layer 0 has no `expert_out`: it is in the layers 1, 2");
        assert_eq!(model.facts.layers_at(Site::ExpertOut, &Select::All), Ok(vec![1, 2]));
        assert_eq!(model.facts.layers_at(Site::MlpPost, &Select::All), Ok(vec![0]));
        assert_eq!(model.facts.layers_at(Site::MlpOut, &Select::All), Ok(vec![0, 1, 2]));
        assert_eq!(mistakes(Site::MlpPost, Select::Range(2, Some(3))).len(), 1);
    }

    #[test]
    fn what_no_router_can_do_is_refused() {
        let refused = |change: Value| {
            let mut config = Fixture::of("deepseek_v2").config;
            change.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
            architecture(&config).unwrap_err()
        };
        assert!(refused(json!({ "num_experts_per_tok": 5 })).contains("5 of 4 experts"));
        assert!(refused(json!({ "scoring_func": "sigmoid" })).contains("sigmoid"));
        assert!(refused(json!({ "topk_method": "noaux_tc" })).contains("noaux_tc"));
        assert!(refused(json!({ "moe_layer_freq": 0 })).contains("moe_layer_freq"));
        let grouped = |groups: usize, kept: usize| {
            refused(json!({ "topk_method": "group_limited_greedy", "n_group": groups, "topk_group": kept }))
        };
        assert!(grouped(3, 1).contains("4 cannot be divided into 3 groups"));
        assert!(grouped(2, 3).contains("3 of 2 groups"));
        assert!(grouped(4, 1).contains("2 of 1 experts"));
    }

    #[test]
    fn dense_layers_are_those_that_the_config_leaves() {
        let dense = |change: Value| -> Vec<bool> {
            let mut config = Fixture::of("deepseek_v2").config;
            change.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
            architecture(&config).unwrap().blocks.iter().map(BlockSpec::is_dense).collect()
        };
        assert_eq!(dense(json!({})), [true, false, false]);
        assert_eq!(dense(json!({ "moe_layer_freq": 2 })), [true, true, false]);
        assert_eq!(dense(json!({ "first_k_dense_replace": 0, "moe_layer_freq": 2 })), [false, true, false]);
        assert_eq!(dense(json!({ "n_routed_experts": null })), [true; 3]);
    }
}
