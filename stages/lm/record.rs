//! What stands in a port of the type `model`: a description that says which files to load, and no weights.

use std::collections::BTreeMap;

use assay_cache::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dtype, source::role};
use crate::contract::Failure;

/// A model, by the digests of its files.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelRecord {
    /// In the form of a Hugging Face `config.json`.
    pub config: Value,
    /// The number type that the model computes in.
    pub dtype: Dtype,
    /// Role → digest: `config`, `tokenizer`, `weights/00000`, …
    pub files: BTreeMap<String, Digest>,
    /// Random weights under this seed instead of weights from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<u64>,
}

impl ModelRecord {
    /// Whether texts can be made of its tokens.
    pub fn has_tokenizer(&self) -> bool {
        role::OF_TOKENIZERS.iter().any(|role| self.files.contains_key(*role))
    }

    pub fn read(record: &Value) -> Result<Self, Failure> {
        serde_json::from_value(record.clone())
            .map_err(|error| Failure::fatal(format!("the input `model` is no description of a model: {error}")))
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a record is plain data")
    }
}
