//! From GGUF's tensor names and layouts to those of the Hugging Face form of a family.
//!
//! Llama files hold the rows of Q and K permuted: their rotary embedding turns neighbouring pairs, Hugging Face's turns
//! pairs half a head apart. Gemma files hold norm weights with the one already added that Hugging Face adds when it
//! uses them. [`Layout`] says how to undo it.

use super::header::{Header, Meta, TensorInfo, size};

/// The architectures of GGUF that are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
    Gemma3,
}

const FAMILIES: [(&str, Family); 5] = [
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("gemma2", Family::Gemma2),
    ("gemma3", Family::Gemma3),
];

/// How a tensor is stored, as against its Hugging Face form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    AsItIs,
    /// In each head, row `i` of the first half and row `i` of the second stand side by side.
    Interleaved {
        heads: usize,
    },
    /// One is added to each value.
    OneAdded,
}

/// Factors that Llama 3's rotary scaling applies, one for each pair of dimensions: configuration, not a weight.
pub const ROTARY_FACTORS: &str = "rope_freqs.weight";

impl Layout {
    /// Where row `row` of `count` rows, in Hugging Face's order, is stored.
    pub fn stored_at(self, row: usize, count: usize) -> usize {
        match self {
            Self::AsItIs | Self::OneAdded => row,
            Self::Interleaved { heads } => {
                let size = count / heads;
                let (head, within) = (row / size, row % size);
                let half = size / 2;
                head * size + 2 * (within % half) + within / half
            }
        }
    }

    /// Permuted rows come in whole heads of an even size; those of a bias are single values, which blocks would tie.
    pub fn check(self, info: &TensorInfo) -> Result<(), String> {
        let Self::Interleaved { heads } = self else { return Ok(()) };
        let (name, count) = (&info.name, info.shape().first().copied().unwrap_or(1));
        if heads.checked_mul(2).is_none_or(|halves| !count.is_multiple_of(halves)) {
            return Err(format!("tensor `{name}` has {count} rows, which {heads} heads of an even size cannot fill"));
        }
        match (info.dims.len(), info.format.block()) {
            (..=1, (2.., _)) => {
                Err(format!("tensor `{name}` is a bias stored as {:?}, which is not supported", info.format))
            }
            _ => Ok(()),
        }
    }
}

impl Family {
    pub fn of(header: &Header) -> Result<Self, String> {
        if let Some(count) = size(header, "split.count")?.filter(|count| *count > 1) {
            return Err(format!(
                "this is one of {count} parts of a model: join them with llama.cpp's `llama-gguf-split --merge`"
            ));
        }
        let Some(name) = header.meta.get("general.architecture").and_then(Meta::as_str) else {
            return Err("the file does not say its architecture (`general.architecture`)".to_owned());
        };
        let Some((_, family)) = FAMILIES.iter().find(|(known, _)| *known == name) else {
            return Err(format!(
                "GGUF files of the architecture `{name}` are not read, only llama (Llama, Mistral, SmolLM), qwen2, \
                 qwen3, gemma2 and gemma3: use the safetensors form of the model"
            ));
        };
        if header.meta.get(&family.key("expert_count")).and_then(Meta::as_u64).unwrap_or(0) > 0 {
            return Err(format!("this {name} has experts, which are not supported"));
        }
        Ok(*family)
    }

    pub fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// The metadata key of this name, which begins with the architecture's.
    pub fn key(self, name: &str) -> String {
        let (architecture, _) = FAMILIES.iter().find(|(_, family)| *family == self).expect("every family is listed");
        format!("{architecture}.{name}")
    }

    /// Query heads, and those of keys and values.
    pub fn heads(self, header: &Header) -> Result<(usize, usize), String> {
        let heads = size(header, &self.key("attention.head_count"))?;
        let queries = heads.ok_or_else(|| format!("`{}` is missing", self.key("attention.head_count")))?;
        let keys = size(header, &self.key("attention.head_count_kv"))?;
        Ok((queries, keys.unwrap_or(queries)))
    }

    /// The Hugging Face name of a tensor and how it is stored; none where it is no weight.
    pub fn place(self, name: &str, (queries, keys): (usize, usize)) -> Result<Option<(String, Layout)>, String> {
        if name == ROTARY_FACTORS {
            return Ok(None);
        }
        let norm = if self.is_gemma() { Layout::OneAdded } else { Layout::AsItIs };
        match name {
            "token_embd.weight" => return Ok(Some(("model.embed_tokens.weight".to_owned(), Layout::AsItIs))),
            "output_norm.weight" => return Ok(Some(("model.norm.weight".to_owned(), norm))),
            "output.weight" => return Ok(Some(("lm_head.weight".to_owned(), Layout::AsItIs))),
            _ => {}
        }
        let unknown = || format!("tensor `{name}` belongs to no {self:?} that is known here");
        let mut parts = name.splitn(4, '.');
        let (Some("blk"), Some(layer), Some(part), Some(kind @ ("weight" | "bias"))) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        let path = self.part(part).ok_or_else(unknown)?;
        let layout = match part {
            "attn_q" if self == Self::Llama => Layout::Interleaved { heads: queries },
            "attn_k" if self == Self::Llama => Layout::Interleaved { heads: keys },
            part if part.ends_with("norm") => norm,
            _ => Layout::AsItIs,
        };
        Ok(Some((format!("model.layers.{layer}.{path}.{kind}"), layout)))
    }

    /// The path, inside its layer, of what GGUF calls `part`.
    fn part(self, part: &str) -> Option<&'static str> {
        Some(match (part, self) {
            ("attn_norm", _) => "input_layernorm",
            ("attn_q", _) => "self_attn.q_proj",
            ("attn_k", _) => "self_attn.k_proj",
            ("attn_v", _) => "self_attn.v_proj",
            ("attn_output", _) => "self_attn.o_proj",
            ("attn_q_norm", Self::Qwen3 | Self::Gemma3) => "self_attn.q_norm",
            ("attn_k_norm", Self::Qwen3 | Self::Gemma3) => "self_attn.k_norm",
            ("ffn_norm", Self::Gemma2 | Self::Gemma3) => "pre_feedforward_layernorm",
            ("ffn_norm", _) => "post_attention_layernorm",
            ("post_attention_norm", Self::Gemma2 | Self::Gemma3) => "post_attention_layernorm",
            ("post_ffw_norm", Self::Gemma2 | Self::Gemma3) => "post_feedforward_layernorm",
            ("ffn_gate", _) => "mlp.gate_proj",
            ("ffn_up", _) => "mlp.up_proj",
            ("ffn_down", _) => "mlp.down_proj",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::lm::{
        fixture::Arrays,
        weights::{
            checkpoint::Checkpoint,
            gguf::{
                Gguf,
                writer::{Writer, floats, opened, text},
            },
        },
    };

    /// Two query heads of four rows, one key head; every row holds its number.
    fn llama() -> Writer {
        let rows = |order: &[f32]| floats(&order.iter().flat_map(|row| [*row; 2]).collect::<Vec<_>>());
        // Hugging Face's rows 0 1 | 2 3 of a head (first and second half) lie as 0 2 1 3.
        Writer::default()
            .meta("general.architecture", 8, text("llama"))
            .u32("llama.attention.head_count", 2)
            .u32("llama.attention.head_count_kv", 1)
            .tensor("blk.0.attn_q.weight", &[2, 8], 0, &rows(&[0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]))
            .tensor("blk.0.attn_k.weight", &[2, 4], 0, &rows(&[0.0, 2.0, 1.0, 3.0]))
            .tensor("blk.0.attn_k.bias", &[4], 0, &floats(&[0.0, 2.0, 1.0, 3.0]))
            .tensor("blk.0.attn_v.weight", &[2, 4], 0, &rows(&[0.0, 2.0, 1.0, 3.0]))
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

    /// Files that `models.py` wrote with the `gguf` package's own names, beside the tensors that it began with.
    #[test]
    fn tensors_of_every_architecture_come_back() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
        for (architecture, _) in FAMILIES {
            let gguf = Gguf::open(&folder.join(format!("{architecture}.gguf"))).unwrap();
            let expected = Arrays::of(&fs::read(folder.join(format!("{architecture}.safetensors"))).unwrap());
            assert_eq!(gguf.names(), expected.0.keys().cloned().collect::<Vec<_>>(), "{architecture}");
            for (name, (shape, values)) in &expected.0 {
                assert_eq!((gguf.shape(name).as_ref(), &gguf.read(name).unwrap()), (Some(shape), values), "{name}");
            }
        }
    }

    #[test]
    fn what_is_not_a_known_architecture_is_refused() {
        let refused = |writer| opened(writer).err().expect("must be refused");
        assert!(refused(Writer::default().meta("general.architecture", 8, text("bert"))).contains("`bert`"));
        assert!(
            refused(llama().tensor("blk.0.ffn_gate_exps.weight", &[1], 0, &floats(&[1.0]))).contains("ffn_gate_exps")
        );
        assert!(refused(llama().tensor("blk.0.attn_q_norm.weight", &[1], 0, &floats(&[1.0]))).contains("no Llama"));
        assert!(refused(llama().tensor("blk.1.attn_q.weight", &[2, 7], 0, &floats(&[0.0; 14]))).contains("7 rows"));
        assert!(refused(llama().u32("llama.expert_count", 8)).contains("experts"));
        assert!(refused(llama().u32("split.count", 3)).contains("one of 3 parts"));
        assert!(refused(llama().tensor("blk.1.attn_q.bias", &[32], 8, &[0; 34])).contains("bias stored as Q8_0"));
        assert!(refused(Writer::default()).contains("general.architecture"));
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let twice = llama().tensor("blk.0.attn_k.bias", &[4], 0, &floats(&[0.0; 4]));
        assert!(opened(twice).err().unwrap().contains("`blk.0.attn_k.bias` twice"));
    }
}
