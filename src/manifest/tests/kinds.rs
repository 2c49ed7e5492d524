//! Parameters as kinds have them: every construct of schemars that a manifest can meet.

use std::collections::BTreeMap;

use assay_stages::{File, Seed, Select, Source};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

/// Loads a model.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Load {
    /// Where the model comes from: a folder, a file or a repository.
    pub source: Source,
    pub revision: Option<String>,
    #[serde(default)]
    pub dtype: Dtype,
    #[serde(default)]
    pub vocabulary: Option<File>,
    #[serde(default)]
    pub shards: Vec<File>,
    #[serde(default)]
    pub adapters: BTreeMap<String, File>,
    #[serde(default)]
    pub scale: Option<Data>,
}

/// Numbers, or a file of them.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Data {
    Here(Vec<f64>),
    There(File),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// Half of it.
    Bf16,
}

/// Runs a model.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Forward {
    /// What is recorded.
    pub capture: Vec<Capture>,
    #[serde(default)]
    pub edits: Vec<Edit>,
    #[serde(default)]
    pub batch: Batch,
    /// How far apart the two times are,
    /// in tokens.
    ///
    /// Longer than this, the first paragraph is.
    #[serde(default = "one")]
    pub tau: u32,
    #[serde(default)]
    pub noise: Noise,
    #[serde(default)]
    pub more: Option<Box<Noise>>,
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    #[serde(default)]
    pub window: Option<(u32, f64)>,
    #[serde(default)]
    pub flag: bool,
}

fn one() -> u32 {
    1
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capture {
    /// The site, by TransformerLens's name.
    pub site: String,
    #[serde(default)]
    pub layers: Select,
    #[serde(default)]
    pub reduce: Option<Reduce>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    Mean,
    ReceivedEntropy,
    TopK(u32),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "op")]
pub enum Edit {
    /// Sets activations to zero.
    Zero {
        site: String,
    },
    /// Adds Gaussian noise.
    Noise {
        site: String,
        /// Standard deviation of the noise.
        std: f64,
        seed: Seed,
    },
    Scale(Scale),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    #[schemars(range(min = 0.0, max = 2.0))]
    pub by: f32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Batch {
    Chosen(Auto),
    Size(std::num::NonZeroU32),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auto {
    Auto,
}

impl Default for Batch {
    fn default() -> Self {
        Self::Chosen(Auto::Auto)
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    #[serde(default)]
    pub std: f64,
    #[serde(default)]
    pub single: f32,
    #[serde(default)]
    pub seed: Option<Seed>,
    /// A tree, to have a type that contains itself.
    #[serde(default)]
    pub parts: Vec<Noise>,
}

/// An enum and a struct flattened into a struct. (serde cannot refuse unknown keys then; lowering does.)
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flat {
    pub heads: Vec<u32>,
    #[serde(flatten)]
    pub change: Change,
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum Change {
    Zero,
    Noise { std: f64, seed: Seed },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    pub site: String,
}

pub fn schema(kind: &str) -> Option<Schema> {
    match kind {
        "load" => Some(schema_for!(Load)),
        "forward" => Some(schema_for!(Forward)),
        "flat" => Some(schema_for!(Flat)),
        _ => None,
    }
}
