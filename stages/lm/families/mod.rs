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
mod windows;

use serde::de::DeserializeOwned;
use serde_json::Value;

use architecture::Architecture;

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
    describe(config).map_err(|problem| format!("config of a {model_type}: {problem}"))
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
    if part == 0 || !whole.is_multiple_of(part) {
        return Err(format!("{whole} cannot be divided into {part} {what}"));
    }
    Ok(whole / part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::{
        Initial, ModelFacts, facts,
        fixture::{self, Fixture},
        site::Site,
    };

    #[test]
    fn a_config_that_no_family_takes_says_which_there_are() {
        let refused = |config| architecture(&config).unwrap_err();
        let unknown = refused(serde_json::json!({ "model_type": "bert" }));
        assert!(unknown.contains("`bert`") && unknown.contains("gpt_neox, llama, mistral"), "{unknown}");
        assert!(refused(serde_json::json!({})).contains("no model_type"));
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
        assert!(refused(config).contains("unknown variant `tanh`"));
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
    fn facts_and_initial_weights_follow_from_the_config() {
        let neox = Fixture::of("gpt_neox").config;
        let facts = ModelFacts::of(&neox).unwrap();
        assert_eq!((facts.layers, facts.heads, facts.kv_heads, facts.d_head), (3, 4, 4, 16));
        assert!(!facts.sites.contains(&Site::ResidMid), "a parallel block has nothing between attention and MLP");
        let llama = ModelFacts::of(&Fixture::of("llama").config).unwrap();
        assert_eq!((llama.heads, llama.kv_heads, llama.vocab), (4, 2, 257));
        assert!(llama.sites.contains(&Site::ResidMid));
        let initial = |name: &str| facts::initial(&neox, name).unwrap();
        assert_eq!(initial("embed_out.weight"), Initial::Normal(0.02));
        assert_eq!(initial("gpt_neox.layers.2.attention.dense.bias"), Initial::Zeros);
        assert_eq!(initial("gpt_neox.final_layer_norm.weight"), Initial::Ones);
        assert!(facts::initial(&neox, "x").unwrap_err().contains("`x`"));
    }

    #[test]
    fn biases_and_ties_are_as_the_config_says() {
        let names = |change: serde_json::Value| {
            let mut config = Fixture::of("llama").config;
            change.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
            facts::tensor_shapes(&config).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let has = |names: &[String], part: &str| names.iter().filter(|name| name.contains(part)).count();
        let both = names(serde_json::json!({ "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true }));
        assert_eq!((has(&both, "self_attn"), has(&both, "mlp"), has(&both, "lm_head")), (3 * 8, 3 * 6, 0));
        let neither = names(serde_json::json!({}));
        assert_eq!((has(&neither, "self_attn"), has(&neither, "mlp"), has(&neither, "lm_head")), (3 * 4, 3 * 3, 1));
    }
}
