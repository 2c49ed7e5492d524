//! The families there are, by the `model_type` of their configs.

pub mod architecture;
mod deepseek_v2;
mod gemma2;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod llama;
pub mod llama_like;
mod mistral;
mod qwen2;
mod qwen3;
mod transformer;
mod windows;

use serde::de::DeserializeOwned;
use serde_json::Value;

use architecture::Architecture;

pub use transformer::Transformer;

type Describe = fn(&Value) -> Result<Architecture, String>;

/// `model_type` and what makes an architecture of such a config, in alphabetical order.
const FAMILIES: &[(&str, Describe)] = &[
    ("deepseek_v2", deepseek_v2::architecture),
    ("gemma2", gemma2::architecture),
    ("gemma3_text", gemma3::architecture),
    ("gpt2", gpt2::architecture),
    ("gpt_neox", gpt_neox::architecture),
    ("llama", llama::architecture),
    ("mistral", mistral::architecture),
    ("qwen2", qwen2::architecture),
    ("qwen3", qwen3::architecture),
    (transformer::NAME, transformer::architecture),
];

/// The architecture that a Hugging Face `config.json` describes.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let known = || FAMILIES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(model_type) = config["model_type"].as_str() else {
        return Err(format!("the config names no model_type; there are {}", known()));
    };
    let Some((_, describe)) = FAMILIES.iter().find(|(name, _)| *name == model_type) else {
        return Err(format!("no family for the model_type `{model_type}`; there are {}", known()));
    };
    plausible(config).and_then(|()| describe(config)).map_err(|problem| format!("config of a {model_type}: {problem}"))
}

/// Refuses sizes that no model has, before anything is made for each layer or multiplied.
fn plausible(config: &Value) -> Result<(), String> {
    const LAYERS: u64 = 10_000;
    const SIZE: u64 = 1 << 26;
    for (key, value) in config.as_object().into_iter().flatten() {
        let most = if matches!(key.as_str(), "num_hidden_layers" | "n_layer") { LAYERS } else { SIZE };
        let sized = key.ends_with("_size") || key.starts_with("num_") || key.starts_with("n_") || key == "head_dim";
        if sized && value.as_u64().is_some_and(|value| value > most) {
            return Err(format!("`{key}` is {value}, and the most that is taken is {most}"));
        }
    }
    Ok(())
}

/// A config with the checkpoint's own field names.
pub fn parsed<C: DeserializeOwned>(config: &Value) -> Result<C, String> {
    // A field that is null is as good as none.
    let given = config.as_object().ok_or("it is no JSON object")?;
    let given: serde_json::Map<_, _> =
        given.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(given)).map_err(|problem| problem.to_string())
}

/// A config with these fields where it says nothing of them; one that is null says something.
pub fn filled(config: &Value, defaults: Value) -> Value {
    match (config, defaults) {
        (Value::Object(config), Value::Object(mut fields)) => {
            fields.extend(config.clone());
            Value::Object(fields)
        }
        (config, _) => config.clone(),
    }
}

/// `whole / part`, where that is a whole number.
pub fn share(whole: usize, part: usize, what: &str) -> Result<usize, String> {
    if part == 0 || whole == 0 || !whole.is_multiple_of(part) {
        return Err(format!("{whole} cannot be divided into {part} {what}"));
    }
    Ok(whole / part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lm::{
        Initial, ModelFacts, facts,
        fixture::{self, Fixture},
        layers::{attention::AttentionSpec, scoring::Scoring},
        site::Site,
    };

    #[test]
    fn a_config_that_no_family_takes_says_which_there_are() {
        let refused = |config| architecture(&config).unwrap_err();
        let unknown = refused(json!({ "model_type": "bert" }));
        assert!(unknown.contains("`bert`") && unknown.contains("gpt_neox, llama, mistral"), "{unknown}");
        assert!(refused(json!({})).contains("no model_type"));
        let mut config = Fixture::of("llama").config;
        config["hidden_size"] = Value::Null;
        assert!(refused(config.clone()).contains("missing field `hidden_size`"));
        config["hidden_size"] = 66.into();
        assert!(refused(config.clone()).contains("66 cannot be divided into 4 heads"));
        config["head_dim"] = 16.into();
        assert!(architecture(&config).is_ok(), "where heads have a size of their own");
        config["rope_scaling"]["rope_type"] = "longrope".into();
        assert!(refused(config.clone()).contains("`longrope`"));
        config["hidden_act"] = "tanh".into();
        assert!(refused(config.clone()).contains("unknown variant `tanh`"));
        config["num_hidden_layers"] = 1_000_000_000_000_u64.into();
        assert!(refused(config).contains("`num_hidden_layers` is 1000000000000"));
    }

    /// Every tensor that the fixtures' checkpoints have is described, and no other.
    #[test]
    fn descriptions_list_the_tensors_of_checkpoints() {
        for family in fixture::FAMILIES {
            let fixture = Fixture::of(family);
            let mut ours = facts::tensor_shapes(&fixture.config).unwrap();
            ours.sort();
            let theirs: Vec<_> =
                fixture.weights.0.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect();
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn facts_follow_from_the_config() {
        let facts = |family| ModelFacts::of(&Fixture::of(family).config).unwrap();
        let (neox, llama, gpt2, qwen3) = (facts("gpt_neox"), facts("llama"), facts("gpt2"), facts("qwen3"));
        assert_eq!((neox.layers, neox.heads, neox.kv_heads, neox.d_head), (3, 4, 4, 16));
        assert!(!neox.sites.contains(&Site::ResidMid), "a parallel block has nothing between attention and MLP");
        assert_eq!((llama.heads, llama.kv_heads, llama.vocab, llama.positions), (4, 2, 257, None));
        assert!(llama.sites.contains(&Site::ResidMid) && llama.sites.contains(&Site::RotQ));
        assert_eq!((gpt2.d_model, gpt2.context, gpt2.positions), (64, Some(64), Some(64)));
        assert!(
            !gpt2.sites.contains(&Site::RotQ) && !gpt2.sites.contains(&Site::RotK),
            "learned positions turn nothing"
        );
        assert_eq!((qwen3.d_model, qwen3.heads, qwen3.d_head), (64, 4, 32));
    }

    /// As `_init_weights` of transformers 5 does: linear maps and embeddings are normal, biases zero, norms one, and
    /// what departs from that is the family's own.
    #[test]
    fn initial_weights_are_those_of_the_family() {
        let of = |family: &str, name: &str| facts::initial(&Fixture::of(family).config, name).unwrap();
        let into_stream = Initial::Normal(0.02 / 6f64.sqrt()); // two maps into the stream in each of three layers
        for (family, name, expected) in [
            ("gpt_neox", "embed_out.weight", Initial::Normal(0.02)),
            ("gpt_neox", "gpt_neox.layers.2.attention.dense.bias", Initial::Zeros),
            ("gpt_neox", "gpt_neox.final_layer_norm.weight", Initial::Ones),
            ("gpt2", "transformer.h.1.attn.c_attn.weight", Initial::Normal(0.02)),
            ("gpt2", "transformer.h.1.attn.c_proj.weight", into_stream),
            ("gpt2", "transformer.h.1.mlp.c_fc.weight", Initial::Normal(0.02)),
            ("gpt2", "transformer.h.1.mlp.c_proj.weight", into_stream),
            ("gpt2", "transformer.wpe.weight", Initial::Normal(0.02)),
            ("gpt2", "transformer.ln_f.weight", Initial::Ones),
            ("qwen2", "model.layers.0.self_attn.q_proj.bias", Initial::Zeros),
            ("qwen3", "model.layers.0.self_attn.q_norm.weight", Initial::Ones),
            ("gemma2", "model.layers.0.post_feedforward_layernorm.weight", Initial::Zeros),
            ("gemma3", "model.layers.0.self_attn.k_norm.weight", Initial::Zeros),
            ("gemma3", "model.norm.weight", Initial::Zeros),
        ] {
            assert_eq!(of(family, name), expected, "{family} {name}");
        }
        let unknown = facts::initial(&Fixture::of("gpt_neox").config, "x").unwrap_err();
        assert!(unknown.contains("`x`"), "{unknown}");
    }

    /// The fixture's architecture under a config with some fields changed.
    fn changed(family: &str, change: Value) -> Result<Architecture, String> {
        let mut config = Fixture::of(family).config;
        change.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        architecture(&config)
    }

    fn without(family: &str, fields: &[&str]) -> Architecture {
        let mut config = Fixture::of(family).config;
        fields.iter().for_each(|field| drop(config.as_object_mut().unwrap().remove(*field)));
        architecture(&config).unwrap()
    }

    fn scorings(architecture: &Architecture) -> Vec<Scoring> {
        let of = |block: &architecture::BlockSpec| match &block.attention {
            AttentionSpec::Heads(heads) => heads.scoring.clone(),
            AttentionSpec::Latent(latent) => latent.scoring.clone(),
        };
        architecture.blocks.iter().map(of).collect()
    }

    /// A field that is null says that there is none; one that is absent leaves the family's default.
    #[test]
    fn windows_and_caps_tell_null_from_absent() {
        let windows = |a: &Architecture| scorings(a).iter().map(|scoring| scoring.window).collect::<Vec<_>>();
        assert_eq!(windows(&changed("mistral", json!({ "sliding_window": null })).unwrap()), [None; 3]);
        assert_eq!(windows(&without("mistral", &["sliding_window"])), [Some(4096); 3]);
        let capless = json!({ "attn_logit_softcapping": null, "final_logit_softcapping": null });
        let capless = changed("gemma2", capless).unwrap();
        assert_eq!((scorings(&capless)[0].cap, capless.logit_cap), (None, None));
        let usual = without("gemma2", &["attn_logit_softcapping", "final_logit_softcapping", "sliding_window"]);
        assert_eq!((scorings(&usual)[0].cap, usual.logit_cap), (Some(50.0), Some(30.0)));
        assert_eq!(windows(&usual), [Some(4096), None, Some(4096)]);
        assert_eq!(
            windows(&without("gemma3", &["sliding_window_pattern"])),
            [Some(5); 3],
            "one in six sees everything"
        );
        assert!(changed("mistral", json!({ "sliding_window": 0 })).unwrap_err().contains("of 0 keys"));
        assert!(changed("gemma3", json!({ "use_bidirectional_attention": true })).unwrap_err().contains("directions"));
    }

    #[test]
    fn gpt2_is_as_its_config_says_under_either_name() {
        let divisors =
            |change| scorings(&changed("gpt2", change).unwrap()).iter().map(|s| s.divisor).collect::<Vec<_>>();
        assert_eq!(divisors(json!({})), [4.0; 3]); // √16
        assert_eq!(divisors(json!({ "scale_attn_weights": false })), [1.0; 3]);
        assert_eq!(divisors(json!({ "scale_attn_by_inverse_layer_idx": true })), [4.0, 8.0, 12.0]);
        let newer = json!({ "n_embd": null, "hidden_size": 64 });
        assert!(changed("gpt2", newer).unwrap_err().contains("missing field `n_embd`"), "null is no size");
        let mut newer = Fixture::of("gpt2").config;
        let fields = newer.as_object_mut().unwrap();
        for (old, new) in
            [("n_embd", "hidden_size"), ("n_head", "num_attention_heads"), ("n_layer", "num_hidden_layers")]
        {
            let value = fields.remove(old).unwrap();
            fields.insert(new.to_owned(), value);
        }
        assert_eq!(architecture(&newer), changed("gpt2", json!({})));
        assert!(changed("gpt2", json!({ "add_cross_attention": true })).unwrap_err().contains("`add_cross_attention`"));
    }

    /// θ = 1e6 and 1e4 in the fixture's nested form; a scaling is of the layers without a window alone.
    #[test]
    fn gemma3_turns_its_layers_in_two_ways() {
        let rotary = |a: Architecture| a.rotary.iter().map(|rotary| rotary.rope.clone()).collect::<Vec<_>>();
        let plain = rotary(changed("gemma3", json!({})).unwrap());
        let v5 = rotary(architecture(&Fixture::config_v5("gemma3")).unwrap());
        assert_eq!(plain, v5);
        assert_ne!(plain[0], plain[1]);
        assert_eq!(rotary(without("gemma3", &["rope_theta", "rope_local_base_freq"])), plain, "these are the defaults");
        let scaled = json!({ "rope_scaling": { "rope_type": "linear", "factor": 8.0 } });
        let scaled = rotary(changed("gemma3", scaled).unwrap());
        assert_ne!(scaled[0], plain[0]);
        assert_eq!(scaled[1], plain[1]);
        let half = json!({ "rope_parameters": { "full_attention": { "rope_type": "default" } } });
        assert!(changed("gemma3", half).unwrap_err().contains("`sliding_attention`"));
    }

    #[test]
    fn biases_and_ties_are_as_the_config_says() {
        let names = |change| {
            let architecture = changed("llama", change).unwrap();
            architecture.params().into_iter().map(|param| param.path.clone()).collect::<Vec<_>>()
        };
        let has = |names: &[String], part: &str| names.iter().filter(|name| name.contains(part)).count();
        let both = names(json!({ "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true }));
        assert_eq!((has(&both, "self_attn"), has(&both, "mlp"), has(&both, "lm_head")), (3 * 8, 3 * 6, 0));
        let neither = names(json!({}));
        assert_eq!((has(&neither, "self_attn"), has(&neither, "mlp"), has(&neither, "lm_head")), (3 * 4, 3 * 3, 1));
    }
}
