//! Stand-ins for models that are too large to have: of the right family, with the layers and heads that a study counts on, and
//! random weights of next to no width. What a study says of one means nothing; that it runs on one, from its manifest as it
//! is shipped to its exports, is what tests want to know.
//!
//! Files are laid out as checkpoints on the hub are, sharded and in halves where those are. The tokenizer knows all bytes, and
//! as single words those that studies need to be one.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// Words that are one token after a space.
const WORDS: [&str; 8] = ["Amy", "Dan", "James", "John", "Martin", "Mary", "Sid", "Tom"];

/// A checkpoint with random weights: its configuration, and the names and shapes of its tensors.
pub struct StandIn {
    config: Value,
    tensors: BTreeMap<String, Vec<usize>>,
    vocabulary: usize,
    /// The token that marks a beginning, and what else there is to know of texts.
    begin: (&'static str, usize),
    tokenizer_config: Value,
    halves: bool,
}

impl StandIn {
    /// GPT-2 small: 12 layers of 12 heads, and a vocabulary of its size, of which the last marks a beginning.
    pub fn gpt2() -> Self {
        const D: usize = 24;
        const VOCABULARY: usize = 50257;
        let mut tensors = Tensors::default();
        tensors.put("wte.weight", &[VOCABULARY, D]);
        tensors.put("wpe.weight", &[1024, D]);
        for layer in 0..12 {
            let name = |rest: &str| format!("h.{layer}.{rest}");
            tensors.norm(&name("ln_1"), D);
            tensors.biased(&name("attn.c_attn"), &[D, 3 * D], 3 * D);
            tensors.biased(&name("attn.c_proj"), &[D, D], D);
            tensors.norm(&name("ln_2"), D);
            tensors.biased(&name("mlp.c_fc"), &[D, 4 * D], 4 * D);
            tensors.biased(&name("mlp.c_proj"), &[4 * D, D], D);
        }
        tensors.norm("ln_f", D);
        Self {
            config: json!({
                "model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": D, "n_positions": 1024, "n_ctx": 1024,
                "vocab_size": VOCABULARY, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
                "bos_token_id": VOCABULARY - 1, "eos_token_id": VOCABULARY - 1,
            }),
            tensors: tensors.0,
            vocabulary: VOCABULARY,
            begin: ("<|endoftext|>", VOCABULARY - 1),
            tokenizer_config: json!({ "model_max_length": 1024 }),
            halves: false,
        }
    }

    /// Pythia-1B: 16 layers of 8 heads.
    pub fn pythia() -> Self {
        const D: usize = 32;
        const VOCABULARY: usize = 300;
        let mut tensors = Tensors::default();
        tensors.put("gpt_neox.embed_in.weight", &[VOCABULARY, D]);
        tensors.put("embed_out.weight", &[VOCABULARY, D]);
        for layer in 0..16 {
            let name = |rest: &str| format!("gpt_neox.layers.{layer}.{rest}");
            tensors.norm(&name("input_layernorm"), D);
            tensors.norm(&name("post_attention_layernorm"), D);
            tensors.biased(&name("attention.query_key_value"), &[3 * D, D], 3 * D);
            tensors.biased(&name("attention.dense"), &[D, D], D);
            tensors.biased(&name("mlp.dense_h_to_4h"), &[2 * D, D], 2 * D);
            tensors.biased(&name("mlp.dense_4h_to_h"), &[D, 2 * D], D);
        }
        tensors.norm("gpt_neox.final_layer_norm", D);
        Self {
            config: json!({
                "model_type": "gpt_neox", "num_hidden_layers": 16, "num_attention_heads": 8, "hidden_size": D,
                "intermediate_size": 2 * D, "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "rotary_pct": 0.5,
                "rotary_emb_base": 10000, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "use_parallel_residual": true,
                "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0,
            }),
            tensors: tensors.0,
            vocabulary: VOCABULARY,
            begin: ("<|endoftext|>", 0),
            tokenizer_config: json!({ "bos_token": "<|endoftext|>", "tokenizer_class": "GPTNeoXTokenizer" }),
            halves: true,
        }
    }

    /// Llama-3.1-8B: 32 layers of 32 query heads and 8 key/value heads; with a chat template, which writes the token that marks
    /// a beginning itself.
    pub fn llama() -> Self {
        let scaling = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        });
        let template = "{{- bos_token }}{%- for message in messages %}{{- '[' + message['role'] + ']' + message['content'] | \
                        trim }}{%- endfor %}{%- if add_generation_prompt %}{{- '[assistant]' }}{%- endif %}";
        let mut llama = Self::grouped("llama", "<|begin_of_text|>");
        llama.config["rope_theta"] = json!(500000.0);
        llama.config["rope_scaling"] = scaling;
        llama.tokenizer_config["chat_template"] = json!(template);
        llama
    }

    /// Mistral-7B: the same numbers of layers and heads.
    pub fn mistral() -> Self {
        let mut mistral = Self::grouped("mistral", "<s>");
        mistral.config["rope_theta"] = json!(1000000.0);
        mistral.config["sliding_window"] = Value::Null;
        mistral
    }

    fn grouped(family: &str, begin: &'static str) -> Self {
        const D: usize = 64;
        const HEAD: usize = 2;
        const VOCABULARY: usize = 300;
        let mut tensors = Tensors::default();
        tensors.put("model.embed_tokens.weight", &[VOCABULARY, D]);
        tensors.put("lm_head.weight", &[VOCABULARY, D]);
        for layer in 0..32 {
            let name = |rest: &str| format!("model.layers.{layer}.{rest}.weight");
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                tensors.put(&name(norm), &[D]);
            }
            for (part, shape) in [
                ("self_attn.q_proj", [32 * HEAD, D]),
                ("self_attn.k_proj", [8 * HEAD, D]),
                ("self_attn.v_proj", [8 * HEAD, D]),
                ("self_attn.o_proj", [D, 32 * HEAD]),
                ("mlp.gate_proj", [D, D]),
                ("mlp.up_proj", [D, D]),
                ("mlp.down_proj", [D, D]),
            ] {
                tensors.put(&name(part), &shape);
            }
        }
        tensors.put("model.norm.weight", &[D]);
        Self {
            config: json!({
                "model_type": family, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                "hidden_size": D, "head_dim": HEAD, "intermediate_size": D, "vocab_size": VOCABULARY,
                "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false,
                "bos_token_id": 0, "eos_token_id": 0,
            }),
            tensors: tensors.0,
            vocabulary: VOCABULARY,
            begin: (begin, 0),
            tokenizer_config: json!({ "bos_token": begin, "eos_token": begin }),
            halves: true,
        }
    }

    /// Writes the checkpoint into a folder; other seeds are other weights.
    pub fn write(&self, folder: &Path, seed: u64) {
        fs::create_dir_all(folder).unwrap();
        let json = |name: &str, value: &Value| fs::write(folder.join(name), value.to_string()).unwrap();
        json("config.json", &self.config);
        json("tokenizer.json", &self.tokenizer());
        json("tokenizer_config.json", &self.tokenizer_config);
        if !self.halves {
            return fs::write(folder.join("model.safetensors"), self.shard(self.tensors.keys(), seed)).unwrap();
        }
        let names: Vec<_> = self.tensors.keys().collect();
        let (mut map, shards) = (BTreeMap::new(), names.chunks(names.len().div_ceil(2)));
        for (i, names) in shards.enumerate() {
            let file = format!("model-{:05}-of-00002.safetensors", i + 1);
            fs::write(folder.join(&file), self.shard(names.iter().copied(), seed + i as u64)).unwrap();
            map.extend(names.iter().map(|name| (*name, file.clone())));
        }
        json("model.safetensors.index.json", &json!({ "weight_map": map }));
    }

    /// Some tensors as a safetensors file.
    fn shard<'a>(&self, names: impl Iterator<Item = &'a String>, seed: u64) -> Vec<u8> {
        let (mut header, mut data, mut drawn) = (serde_json::Map::new(), vec![], Drawn(seed));
        for name in names {
            let shape = &self.tensors[name];
            let begin = data.len();
            // Norms near one; all else of a size at which attention is neither even nor on one token alone.
            let is_norm = (name.contains("norm") || name.contains("ln_")) && name.ends_with("weight");
            let (middle, spread) = if is_norm { (1.0, 0.2) } else { (0.0, 0.4) };
            for _ in 0..shape.iter().product::<usize>() {
                let value = middle + spread * drawn.next();
                match self.halves {
                    true => data.extend(half_bits(value).to_le_bytes()),
                    false => data.extend(value.to_le_bytes()),
                }
            }
            let dtype = if self.halves { "BF16" } else { "F32" };
            header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] }));
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
    }

    /// All bytes as letters, the words, and tokens that no text has, up to the size of the vocabulary.
    fn tokenizer(&self) -> Value {
        let (begin, at) = self.begin;
        let mut tokens: Vec<String> = (0..=255).map(|byte| letter(byte).to_string()).collect();
        let mut merges = vec![];
        for word in WORDS {
            let mut known = letter(b' ').to_string();
            for next in word.chars() {
                let longer = format!("{known}{next}");
                if !tokens.contains(&longer) {
                    merges.push(json!([known, next.to_string()]));
                    tokens.push(longer.clone());
                }
                known = longer;
            }
        }
        tokens.insert(at.min(tokens.len()), begin.to_owned());
        let spare = (tokens.len()..self.vocabulary).map(|id| format!("<{id}>"));
        tokens.extend(spare.collect::<Vec<_>>());
        tokens.truncate(self.vocabulary);
        let place = tokens.iter().position(|token| token == begin).expect("it was put there");
        tokens.swap(place, at);
        let vocabulary: BTreeMap<_, _> = tokens.iter().enumerate().map(|(id, token)| (token, id)).collect();
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
            "added_tokens": [{
                "id": at, "content": begin, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false,
            }],
            "pre_tokenizer": bytes, "decoder": bytes,
            "model": { "type": "BPE", "vocab": vocabulary, "merges": merges },
        })
    }
}

/// Names and shapes.
#[derive(Default)]
struct Tensors(BTreeMap<String, Vec<usize>>);

impl Tensors {
    fn put(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), shape.to_vec());
    }

    fn biased(&mut self, name: &str, shape: &[usize], out: usize) {
        self.put(&format!("{name}.weight"), shape);
        self.put(&format!("{name}.bias"), &[out]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.biased(name, &[width], width);
    }
}

/// Numbers from −1 to 1 that look random (splitmix64).
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// The upper half of a float, which is a bf16.
fn half_bits(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16
}

/// The letter by which byte-level tokenizers write a byte: itself where it can be seen, else one further up.
fn letter(byte: u8) -> char {
    let seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match seen(byte) {
        true => char::from(byte),
        false => {
            let before = (0..byte).filter(|other| !seen(*other)).count() as u32;
            char::from_u32(256 + before).expect("a letter below 512")
        }
    }
}
