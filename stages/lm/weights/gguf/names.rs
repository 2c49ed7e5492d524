//! From GGUF's names and layout to those of the Hugging Face form of a family.
//!
//! Llama files hold the rows of Q and K permuted: their rotary embedding turns neighbouring pairs, Hugging Face's turns
//! pairs half a head apart. [`Rows`] says how to undo it. Tensors that hold no weights of ours (precomputed rotary
//! frequencies) become configuration.

use serde_json::{Map, Value, json};

use super::header::{Header, Meta, TensorInfo};

/// A model family as far as GGUF is concerned.
pub struct Family {
    query_heads: usize,
    key_heads: usize,
}

/// How the rows of a stored tensor are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    AsTheyAre,
    /// In each head, row `i` of the first half and row `i` of the second stand side by side.
    Interleaved {
        heads: usize,
    },
}

impl Rows {
    /// Where row `row` of `count` rows, in Hugging Face's order, is stored.
    pub fn stored_at(self, row: usize, count: usize) -> usize {
        match self {
            Self::AsTheyAre => row,
            Self::Interleaved { heads } => {
                let size = count / heads;
                let (head, within) = (row / size, row % size);
                let half = size / 2;
                head * size + 2 * (within % half) + within / half
            }
        }
    }
}

/// Factors that Llama 3's rotary scaling applies, one for each pair of dimensions.
const ROTARY_FACTORS: &str = "rope_freqs.weight";

impl Family {
    pub fn of(header: &Header) -> Result<Self, String> {
        match header.meta.get("general.architecture").and_then(Meta::as_str) {
            Some("llama") => {}
            Some(other) => {
                return Err(format!(
                    "GGUF files of the architecture `{other}` are not read yet, only `llama` (Llama, Mistral, SmolLM): \
                     use the safetensors form of the model"
                ));
            }
            None => return Err("the file does not say its architecture (`general.architecture`)".to_owned()),
        }
        if header.meta.get("llama.expert_count").and_then(Meta::as_u64).unwrap_or(0) > 0 {
            return Err("this Llama has experts, which are not supported".to_owned());
        }
        let query_heads = size(header, "llama.attention.head_count")?;
        let key_heads = optional_size(header, "llama.attention.head_count_kv")?.unwrap_or(query_heads);
        Ok(Self { query_heads, key_heads })
    }

    /// The Hugging Face name of a tensor and the order of its rows; none where it is no weight.
    pub fn place(&self, name: &str) -> Result<Option<(String, Rows)>, String> {
        let whole = match name {
            "token_embd.weight" => Some("model.embed_tokens.weight"),
            "output_norm.weight" => Some("model.norm.weight"),
            "output.weight" => Some("lm_head.weight"),
            _ => None,
        };
        if let Some(whole) = whole {
            return Ok(Some((whole.to_owned(), Rows::AsTheyAre)));
        }
        if name == ROTARY_FACTORS {
            return Ok(None);
        }
        let unknown = || format!("tensor `{name}` belongs to no Llama that is known here");
        let mut parts = name.splitn(4, '.');
        let (Some("blk"), Some(layer), Some(part), Some(kind @ ("weight" | "bias"))) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        let (path, rows) = match part {
            "attn_norm" => ("input_layernorm", Rows::AsTheyAre),
            "attn_q" => ("self_attn.q_proj", Rows::Interleaved { heads: self.query_heads }),
            "attn_k" => ("self_attn.k_proj", Rows::Interleaved { heads: self.key_heads }),
            "attn_v" => ("self_attn.v_proj", Rows::AsTheyAre),
            "attn_output" => ("self_attn.o_proj", Rows::AsTheyAre),
            "ffn_norm" => ("post_attention_layernorm", Rows::AsTheyAre),
            "ffn_gate" => ("mlp.gate_proj", Rows::AsTheyAre),
            "ffn_up" => ("mlp.up_proj", Rows::AsTheyAre),
            "ffn_down" => ("mlp.down_proj", Rows::AsTheyAre),
            _ => return Err(unknown()),
        };
        Ok(Some((format!("model.layers.{layer}.{path}.{kind}"), rows)))
    }

    /// The metadata as a `config.json`.
    pub fn config(&self, header: &Header, bytes: &[u8]) -> Result<Value, String> {
        let has = |name: &str| header.tensors.iter().any(|tensor| tensor.name == name);
        let hidden = size(header, "llama.embedding_length")?;
        let head_size = match optional_size(header, "llama.attention.key_length")? {
            Some(size) => size,
            None => hidden / self.query_heads.max(1),
        };
        let vocabulary = header
            .tensors
            .iter()
            .find(|tensor| tensor.name == "token_embd.weight")
            .and_then(|tensor| tensor.shape().first().copied())
            .ok_or("there is no tensor `token_embd.weight`")?;
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": hidden,
            "intermediate_size": size(header, "llama.feed_forward_length")?,
            "num_hidden_layers": size(header, "llama.block_count")?,
            "num_attention_heads": self.query_heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": head_size,
            "max_position_embeddings": size(header, "llama.context_length")?,
            "rms_norm_eps": number(header, "llama.attention.layer_norm_rms_epsilon")?
                .ok_or("`llama.attention.layer_norm_rms_epsilon` is missing")?,
            "rope_theta": number(header, "llama.rope.freq_base")?.unwrap_or(10_000.0),
            "vocab_size": vocabulary,
            "tie_word_embeddings": !has("output.weight"),
            "attention_bias": has("blk.0.attn_q.bias"),
            "mlp_bias": has("blk.0.ffn_gate.bias"),
        });
        let fields = config.as_object_mut().expect("a JSON object was just written");
        for (field, key) in [
            ("bos_token_id", "tokenizer.ggml.bos_token_id"),
            ("eos_token_id", "tokenizer.ggml.eos_token_id"),
            ("pad_token_id", "tokenizer.ggml.padding_token_id"),
        ] {
            if let Some(id) = header.meta.get(key).and_then(Meta::as_u64) {
                fields.insert(field.to_owned(), id.into());
            }
        }
        check_rotary(header, head_size)?;
        if let Some(scaling) = scaling(header, bytes, fields)? {
            fields.insert("rope_scaling".to_owned(), scaling);
        }
        Ok(config)
    }
}

/// Rotary embeddings of a part of the head exist in GGUF, but not in a Llama of Hugging Face's.
fn check_rotary(header: &Header, head_size: usize) -> Result<(), String> {
    match optional_size(header, "llama.rope.dimension_count")? {
        Some(rotated) if rotated != head_size => {
            Err(format!("rotary embeddings turn {rotated} of the {head_size} dimensions of a head: not supported"))
        }
        _ => Ok(()),
    }
}

/// `rope_scaling`, from the metadata or from the factors that the file holds instead.
fn scaling(header: &Header, bytes: &[u8], config: &Map<String, Value>) -> Result<Option<Value>, String> {
    if let Some(tensor) = header.tensors.iter().find(|tensor| tensor.name == ROTARY_FACTORS) {
        return llama3_scaling(&factors(tensor, bytes), config).map(Some);
    }
    match header.meta.get("llama.rope.scaling.type").and_then(Meta::as_str) {
        None | Some("none") => Ok(None),
        Some("linear") => {
            let factor = number(header, "llama.rope.scaling.factor")?
                .ok_or("`llama.rope.scaling.type` is linear, but `llama.rope.scaling.factor` is missing")?;
            Ok(Some(json!({ "rope_type": "linear", "factor": factor })))
        }
        Some(other) => Err(format!("rotary scaling `{other}` is not supported in a GGUF file")),
    }
}

fn factors(tensor: &TensorInfo, bytes: &[u8]) -> Vec<f32> {
    let mut factors = vec![0.0; tensor.dims.iter().product()];
    tensor.format.widen(&bytes[tensor.range.clone()], &mut factors);
    factors
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

fn number(header: &Header, key: &str) -> Result<Option<f64>, String> {
    match header.meta.get(key) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{key}` is {value:?}, not a number")),
    }
}

fn optional_size(header: &Header, key: &str) -> Result<Option<usize>, String> {
    match header.meta.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| *value > 0)
            .map(Some)
            .ok_or_else(|| format!("`{key}` is {value:?}, not a positive integer")),
    }
}

fn size(header: &Header, key: &str) -> Result<usize, String> {
    optional_size(header, key)?.ok_or_else(|| format!("`{key}` is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::weights::checkpoint::Checkpoint;
    use crate::lm::weights::gguf::{
        Gguf,
        writer::{Writer, floats, text},
    };

    /// Two query heads of four rows, one key head; every row holds its number.
    fn llama() -> Writer {
        let rows = |order: &[f32]| floats(&order.iter().flat_map(|row| [*row; 2]).collect::<Vec<_>>());
        // Hugging Face's rows 0 1 | 2 3 of a head (first and second half) lie as 0 2 1 3.
        Writer::default()
            .meta("general.architecture", 8, text("llama"))
            .u32("llama.attention.head_count", 2)
            .u32("llama.attention.head_count_kv", 1)
            .u32("llama.embedding_length", 8)
            .u32("llama.feed_forward_length", 16)
            .u32("llama.block_count", 1)
            .u32("llama.context_length", 64)
            .u32("llama.rope.dimension_count", 4)
            .u32("tokenizer.ggml.eos_token_id", 2)
            .meta("llama.attention.layer_norm_rms_epsilon", 6, 1e-5f32.to_le_bytes().to_vec())
            .tensor("token_embd.weight", &[8, 3], 0, &floats(&[0.5; 24]))
            .tensor("blk.0.attn_q.weight", &[2, 8], 0, &rows(&[0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]))
            .tensor("blk.0.attn_k.weight", &[2, 4], 0, &rows(&[0.0, 2.0, 1.0, 3.0]))
            .tensor("blk.0.attn_k.bias", &[4], 0, &floats(&[0.0, 2.0, 1.0, 3.0]))
            .tensor("blk.0.attn_v.weight", &[2, 4], 0, &rows(&[0.0, 2.0, 1.0, 3.0]))
    }

    fn opened(writer: Writer) -> Result<Gguf, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        std::fs::write(&path, writer.finish()).unwrap();
        Gguf::open(&path).map_err(|error| error.0)
    }

    #[test]
    fn q_and_k_come_back_in_order_and_v_stays() {
        let gguf = opened(llama()).unwrap();
        let firsts = |name: &str| gguf.read(name).unwrap().chunks(2).map(|row| row[0]).collect::<Vec<_>>();
        assert_eq!(gguf.shape("model.layers.0.self_attn.q_proj.weight"), Some(vec![8, 2]));
        assert_eq!(firsts("model.layers.0.self_attn.q_proj.weight"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(firsts("model.layers.0.self_attn.k_proj.weight"), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(firsts("model.layers.0.self_attn.v_proj.weight"), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(gguf.read("model.layers.0.self_attn.k_proj.bias").unwrap(), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn metadata_becomes_a_config() {
        let config = opened(llama()).unwrap().config().unwrap();
        for (field, value) in [
            ("model_type", json!("llama")),
            ("rms_norm_eps", json!(1e-5)),
            ("rope_theta", json!(10_000.0)),
            ("num_key_value_heads", json!(1)),
            ("head_dim", json!(4)),
            ("vocab_size", json!(3)),
            ("eos_token_id", json!(2)),
            ("tie_word_embeddings", json!(true)),
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
        assert_eq!(opened(llama()).unwrap().config().unwrap().get("rope_scaling"), None);
    }

    #[test]
    fn what_is_not_a_known_llama_is_refused() {
        let refused = |writer| opened(writer).err().expect("must be refused");
        assert!(refused(Writer::default().meta("general.architecture", 8, text("bert"))).contains("`bert`"));
        assert!(
            refused(llama().tensor("blk.0.ffn_gate_exps.weight", &[1], 0, &floats(&[1.0]))).contains("ffn_gate_exps")
        );
        assert!(refused(llama().tensor("blk.1.attn_q.weight", &[2, 7], 0, &floats(&[0.0; 14]))).contains("7 rows"));
        assert!(refused(Writer::default()).contains("general.architecture"));
    }
}
