//! The metadata of a GGUF file as a Hugging Face `config.json`.
//!
//! GGUF leaves out what its reader knows by heart: Gemma's attention scale, Llama 3's rotary scaling (of which it keeps
//! only the result). What cannot be had back from the file is refused, not guessed.

use serde_json::{Map, Value, json};

use super::{
    header::{Header, Meta, TensorInfo, number, size},
    names::{Family, ROTARY_FACTORS},
};

/// Metadata of one family's file, by the names behind the architecture's.
struct Metadata<'a> {
    family: Family,
    header: &'a Header,
    bytes: &'a [u8],
}

/// The configuration in the form of a Hugging Face `config.json`.
pub fn config(family: Family, header: &Header, bytes: &[u8]) -> Result<Value, String> {
    let meta = Metadata { family, header, bytes };
    let mut config = meta.shared()?;
    config.extend(meta.special(&config)?);
    if let Some(scaling) = meta.scaling(&config)? {
        config.insert("rope_scaling".to_owned(), scaling);
    }
    for (field, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("eos_token_id", "tokenizer.ggml.eos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        if let Some(id) = header.meta.get(key).and_then(Meta::as_u64) {
            config.insert(field.to_owned(), id.into());
        }
    }
    Ok(Value::Object(config))
}

impl Metadata<'_> {
    fn has(&self, tensor: &str) -> bool {
        self.tensor(tensor).is_some()
    }

    fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.header.tensors.iter().find(|tensor| tensor.name == name)
    }

    fn size(&self, name: &str) -> Result<Option<usize>, String> {
        size(self.header, &self.family.key(name))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        number(self.header, &self.family.key(name))
    }

    fn needed(&self, name: &str) -> Result<usize, String> {
        self.size(name)?.ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> String {
        format!("`{}` is missing", self.family.key(name))
    }

    /// The fields that every family has.
    fn shared(&self) -> Result<Map<String, Value>, String> {
        let (query_heads, key_heads) = self.family.heads(self.header)?;
        let hidden = self.needed("embedding_length")?;
        let vocabulary = self.tensor("token_embd.weight").and_then(|tensor| tensor.shape().first().copied());
        let config = json!({
            "hidden_size": hidden,
            "intermediate_size": self.needed("feed_forward_length")?,
            "num_hidden_layers": self.needed("block_count")?,
            "num_attention_heads": query_heads,
            "num_key_value_heads": key_heads,
            "head_dim": self.head_size(hidden, query_heads)?,
            "max_position_embeddings": self.needed("context_length")?,
            "rms_norm_eps": self.number("attention.layer_norm_rms_epsilon")?
                .ok_or_else(|| self.missing("attention.layer_norm_rms_epsilon"))?,
            "rope_theta": self.number("rope.freq_base")?.unwrap_or(10_000.0),
            "vocab_size": vocabulary.ok_or("there is no tensor `token_embd.weight`")?,
            "tie_word_embeddings": !self.has("output.weight"),
        });
        Ok(config.as_object().expect("a JSON object was just written").clone())
    }

    /// The size of a head, which keys, values and rotary embeddings must share.
    fn head_size(&self, hidden: usize, heads: usize) -> Result<usize, String> {
        let size = self.size("attention.key_length")?.unwrap_or(hidden / heads);
        for name in ["attention.value_length", "rope.dimension_count"] {
            match self.size(name)? {
                Some(other) if other != size => {
                    return Err(format!(
                        "`{}` is {other}, but a head has {size} dimensions: not supported",
                        self.family.key(name)
                    ));
                }
                _ => {}
            }
        }
        Ok(size)
    }

    /// The fields of this family alone.
    fn special(&self, shared: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let special = match self.family {
            Family::Llama => json!({
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "hidden_act": "silu",
                "attention_bias": self.has("blk.0.attn_q.bias"),
                "mlp_bias": self.has("blk.0.ffn_gate.bias"),
            }),
            Family::Qwen2 => json!({
                "architectures": ["Qwen2ForCausalLM"],
                "model_type": "qwen2",
                "hidden_act": "silu",
                "use_sliding_window": false,
            }),
            Family::Qwen3 => json!({
                "architectures": ["Qwen3ForCausalLM"],
                "model_type": "qwen3",
                "hidden_act": "silu",
                "attention_bias": self.has("blk.0.attn_q.bias"),
                "use_sliding_window": false,
            }),
            // Early files lack the last three; these were the only values then.
            Family::Gemma2 => json!({
                "architectures": ["Gemma2ForCausalLM"],
                "model_type": "gemma2",
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_activation": "gelu_pytorch_tanh",
                "query_pre_attn_scalar": self.attention_scale(shared, 46),
                "sliding_window": self.size("attention.sliding_window")?.unwrap_or(4096),
                "attn_logit_softcapping": self.number("attn_logit_softcapping")?.unwrap_or(50.0),
                "final_logit_softcapping": self.number("final_logit_softcapping")?.unwrap_or(30.0),
            }),
            Family::Gemma3 => json!({
                "architectures": ["Gemma3ForCausalLM"],
                "model_type": "gemma3_text",
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_activation": "gelu_pytorch_tanh",
                "query_pre_attn_scalar": self.attention_scale(shared, 62),
                "sliding_window": self.needed("attention.sliding_window")?,
                "sliding_window_pattern": self.size("attention.sliding_window_pattern")?.unwrap_or(6),
                "rope_local_base_freq": self.number("rope.freq_base_swa")?.unwrap_or(10_000.0),
                "attn_logit_softcapping": self.number("attn_logit_softcapping")?,
                "final_logit_softcapping": self.number("final_logit_softcapping")?,
            }),
        };
        Ok(special.as_object().expect("a JSON object was just written").clone())
    }

    /// `query_pre_attn_scalar`, which no file holds: the size of a head, except in the 27B models, which are told by
    /// their number of layers (as llama.cpp does).
    fn attention_scale(&self, shared: &Map<String, Value>, layers_of_27b: u64) -> u64 {
        let field = |name: &str| shared[name].as_u64().unwrap_or(1);
        match field("num_hidden_layers") == layers_of_27b {
            true => field("hidden_size") / field("num_attention_heads"),
            false => field("head_dim"),
        }
    }

    /// `rope_scaling`, from the metadata or from the factors that the file holds instead.
    fn scaling(&self, config: &Map<String, Value>) -> Result<Option<Value>, String> {
        if let Some(tensor) = self.tensor(ROTARY_FACTORS) {
            return llama3_scaling(&self.factors(tensor), config).map(Some);
        }
        let factor = || self.number("rope.scaling.factor")?.ok_or_else(|| self.missing("rope.scaling.factor"));
        match self.header.meta.get(&self.family.key("rope.scaling.type")).and_then(Meta::as_str) {
            None | Some("none") => Ok(None),
            Some("linear") => Ok(Some(json!({ "rope_type": "linear", "factor": factor()? }))),
            Some("yarn") => Ok(Some(json!({
                "rope_type": "yarn", "factor": factor()?,
                "original_max_position_embeddings": self.needed("rope.scaling.original_context_length")?,
            }))),
            Some(other) => Err(format!("rotary scaling `{other}` is not supported in a GGUF file")),
        }
    }

    fn factors(&self, tensor: &TensorInfo) -> Vec<f32> {
        let mut factors = vec![0.0; tensor.dims.iter().product()];
        tensor.format.widen(&self.bytes[tensor.range.clone()], &mut factors);
        factors
    }
}

/// The parameters of Llama 3's scaling that give these factors. GGUF keeps only the result: every Llama 3.x has the
/// same three constants, and the factor is the largest of them; if they do not reproduce the file, it is refused.
fn llama3_scaling(stored: &[f32], config: &Map<String, Value>) -> Result<Value, String> {
    const LOW: f64 = 1.0;
    const HIGH: f64 = 4.0;
    const ORIGINAL: f64 = 8192.0;
    let factor = stored.iter().copied().fold(1.0f32, f32::max).to_string().parse().unwrap_or(1.0);
    let theta = config["rope_theta"].as_f64().unwrap_or(10_000.0);
    let pairs = config["head_dim"].as_u64().unwrap_or(0) / 2;
    let same = stored.iter().enumerate().all(|(pair, stored)| {
        let wavelength = std::f64::consts::TAU * theta.powf(pair as f64 / pairs as f64);
        let smooth = ((ORIGINAL / wavelength - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        let expected = 1.0 / ((1.0 - smooth) / factor + smooth);
        (f64::from(*stored) - expected).abs() <= 1e-3 * expected
    });
    if !same || stored.len() as u64 != pairs {
        return Err(format!(
            "the rotary factors in `{ROTARY_FACTORS}` are not those of Llama 3: use the safetensors form"
        ));
    }
    Ok(json!({
        "rope_type": "llama3", "factor": factor, "low_freq_factor": LOW, "high_freq_factor": HIGH,
        "original_max_position_embeddings": ORIGINAL as u64,
    }))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::lm::weights::gguf::{
        Gguf,
        writer::{Writer, floats, opened, text},
    };

    fn llama() -> Writer {
        Writer::default()
            .meta("general.architecture", 8, text("llama"))
            .u32("llama.attention.head_count", 2)
            .u32("llama.embedding_length", 8)
            .u32("llama.feed_forward_length", 16)
            .u32("llama.block_count", 1)
            .u32("llama.context_length", 64)
            .meta("llama.attention.layer_norm_rms_epsilon", 6, 1e-5f32.to_le_bytes().to_vec())
            .tensor("token_embd.weight", &[8, 3], 0, &floats(&[0.5; 24]))
    }

    /// The configurations that `models.py` gave the `gguf` package to write.
    #[test]
    fn metadata_of_every_architecture_becomes_its_config() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
        let configs: Value = serde_json::from_slice(&fs::read(folder.join("configs.json")).unwrap()).unwrap();
        for (architecture, expected) in configs.as_object().unwrap() {
            let found = Gguf::open(&folder.join(format!("{architecture}.gguf"))).unwrap().config().unwrap();
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(&found[field], value, "{architecture}: {field}");
            }
        }
    }

    #[test]
    fn what_a_file_leaves_out_is_what_its_readers_assume() {
        let config = opened(llama()).unwrap().config().unwrap();
        for (field, value) in [
            ("rope_theta", json!(10_000.0)),
            ("num_key_value_heads", json!(2)),
            ("head_dim", json!(4)),
            ("rms_norm_eps", json!(1e-5)),
            ("tie_word_embeddings", json!(true)),
            ("rope_scaling", Value::Null),
        ] {
            assert_eq!(config[field], value, "{field}");
        }
    }

    #[test]
    fn rotary_factors_become_parameters_or_an_error() {
        // The second pair's wavelength is 2π·√θ: 14050 for θ = 5e6, beyond 8192, where the whole factor applies; and
        // 4443 for θ = 5e5, between 2048 and 8192, where only a part of it does.
        let with = |theta: f32, factors: &[f32]| {
            let writer = llama().meta("llama.rope.freq_base", 6, theta.to_le_bytes().to_vec());
            opened(writer.tensor(ROTARY_FACTORS, &[factors.len() as u64], 0, &floats(factors))).unwrap().config()
        };
        let scaling = &with(5e6, &[1.0, 8.0]).unwrap()["rope_scaling"];
        assert_eq!((&scaling["rope_type"], &scaling["factor"]), (&json!("llama3"), &json!(8.0)));
        assert!(with(5e5, &[1.0, 8.0]).unwrap_err().0.contains("not those of Llama 3"));
        assert!(with(5e6, &[1.0, 2.0, 8.0]).is_err());
    }

    #[test]
    fn scalings_have_their_parameters_or_are_refused() {
        let with = |kind: &str| llama().meta("llama.rope.scaling.type", 8, text(kind));
        let factor = |writer: Writer| writer.meta("llama.rope.scaling.factor", 6, 4f32.to_le_bytes().to_vec());
        let config = |writer| opened(writer).unwrap().config().map_err(|error| error.0);
        assert_eq!(config(factor(with("linear"))).unwrap()["rope_scaling"]["factor"], 4.0);
        let yarn = config(factor(with("yarn")).u32("llama.rope.scaling.original_context_length", 32)).unwrap();
        assert_eq!(
            yarn["rope_scaling"],
            json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32 })
        );
        assert!(config(with("linear")).unwrap_err().contains("`llama.rope.scaling.factor` is missing"));
        assert!(config(factor(with("longrope"))).unwrap_err().contains("`longrope`"));
    }

    #[test]
    fn metadata_that_does_not_fit_together_is_named() {
        let refused = |writer| opened(writer).unwrap().config().unwrap_err().0;
        assert!(refused(llama().u32("llama.rope.dimension_count", 2)).contains("`llama.rope.dimension_count` is 2"));
        assert!(refused(llama().u32("llama.attention.value_length", 8)).contains("value_length"));
        assert!(refused(llama().u32("llama.attention.key_length", 0)).contains("key_length` is Unsigned(0)"));
        let bare = Writer::default()
            .meta("general.architecture", 8, text("gemma2"))
            .u32("gemma2.attention.head_count", 2)
            .u32("gemma2.embedding_length", 8);
        assert!(refused(bare).contains("`gemma2.feed_forward_length` is missing"));
    }
}
