//! The record of one finished recipe. Its existence in the store *is* the commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Form, InputDigests, InputsKey, Key, Recipe};

/// One finished recipe: what it was, what it read, what it made, and when, where and how.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub key: Key,
    pub inputs_key: InputsKey,
    pub recipe: Recipe,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: InputDigests,
    pub outputs: BTreeMap<String, Output>,
    pub made: Made,
    /// Where files came from: paths, repositories, revisions. Never part of a key.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub provenance: Value,
}

/// One output: the digest of its canonical bytes, and how to read them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Output {
    pub digest: Digest,
    pub bytes: u64,
    #[serde(flatten)]
    pub form: Form,
    /// The bytes themselves, where they are text of at most 4 KiB; then there is no blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

/// The circumstances of a computation.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Made {
    /// When it was committed, in seconds since 1970-01-01 UTC.
    pub at: u64,
    pub seconds: f64,
    pub host: String,
    pub device: String,
    /// Version of the program.
    pub assay: String,
    /// Instruction sets and the like that may move last digits.
    pub machine: String,
    /// What the stage chose for itself: the batch it used, warnings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Value>,
}
