//! For tests: tiny random models, and what an independent implementation (PyTorch, float64) computed with them.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use assay_cache::{Artifact, Digest};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::{
    Device, Model, ModelFacts, ModelRecord,
    source::role,
    weights::checkpoint::{Checkpoint, WeightsError},
};
use crate::{Arrived, Given, Inputs, Loaded, PortType, Stage, contract::testing::TestCtx};

/// The families that have a fixture: all of them.
pub const FAMILIES: [&str; 9] =
    ["deepseek_v2", "gemma2", "gemma3", "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"];

/// Named arrays of a safetensors file, as f32.
pub struct Arrays(pub BTreeMap<String, (Vec<usize>, Vec<f32>)>);

pub struct Fixture {
    pub config: Value,
    pub weights: Arrays,
    pub expected: Arrays,
}

impl Arrays {
    pub fn of(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        Self(
            file.tensors()
                .into_iter()
                .map(|(name, tensor)| (name, (tensor.shape().to_vec(), floats(tensor.dtype(), tensor.data()))))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> &[f32] {
        &self.0.get(name).unwrap_or_else(|| panic!("no array `{name}`")).1
    }

    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.get(name).iter().map(|&id| id as u32).collect()
    }
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect(),
        Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
        other => panic!("a fixture of {other:?}"),
    }
}

impl Checkpoint for Arrays {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).map(|(shape, _)| shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        Ok(self.get(name).to_vec())
    }
}

pub fn device() -> Device {
    Device::Flex(Default::default())
}

impl Fixture {
    pub fn of(family: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(family);
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        Self {
            config: serde_json::from_slice(&read("config.json")).unwrap(),
            weights: Arrays::of(&read("model.safetensors")),
            expected: Arrays::of(&read("expected.safetensors")),
        }
    }

    /// The same configuration as transformers 5 writes it.
    pub fn config_v5(family: &str) -> Value {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(family).join("config.v5.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    pub fn model(&self) -> Model {
        Model::load(&self.config, &self.weights, &device()).unwrap()
    }

    pub fn ids(&self, run: &str) -> Vec<u32> {
        self.expected.ids(&format!("{run}.input_ids"))
    }
}

/// The largest absolute difference; infinite where lengths differ or something is not finite.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |worst, d| if d.is_finite() { worst.max(d) } else { f32::INFINITY })
}

/// An artifact that describes a fixture's model, and an engine that finds its weights.
pub fn engine(family: &str) -> (TestCtx, Artifact) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(family);
    let weights = folder.join("model.safetensors");
    let (role, digest) = (format!("{}00000", role::WEIGHTS), Digest::of_file(&weights).unwrap());
    let record = ModelRecord {
        config: Fixture::of(family).config,
        dtype: Default::default(),
        files: BTreeMap::from([(role.clone(), digest)]),
        init: None,
    };
    (TestCtx::new().with_file(&role, digest, weights), Artifact::Record(record.to_value()))
}

/// Artifacts in the ports of a stage.
pub fn inputs(ports: Vec<(&str, Artifact)>) -> Inputs {
    let loaded = |artifact| vec![Loaded { labels: vec![], from: "test".to_owned(), artifact: Arc::new(artifact) }];
    Inputs(ports.into_iter().map(|(port, artifact)| (port.to_owned(), loaded(artifact))).collect())
}

/// What a plan knows of a fixture's model, at the port `model`.
pub fn given(family: &str) -> Given<'static> {
    let facts = ModelFacts::of(&Fixture::of(family).config).unwrap();
    let arrived =
        Arrived { from: "model".to_owned(), ty: PortType::of("model"), facts: serde_json::to_value(facts).unwrap() };
    Given { inputs: BTreeMap::from([("model".to_owned(), vec![arrived])]), ..Given::default() }
}

/// Prompts of given tokens, called by their letters.
pub fn prompts(texts: &[(&str, &[u32])]) -> Artifact {
    let prompts: Vec<_> = texts.iter().map(|(id, tokens)| json!({ "id": id, "tokens": tokens })).collect();
    Artifact::Record(json!({ "prompts": prompts }))
}

/// A stage of these parameters.
pub fn stage<S: Stage>(toml: &str) -> S {
    toml::from_str(toml).unwrap()
}
