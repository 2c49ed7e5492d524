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
    /// When the run (the process) that computed it began, in seconds since 1970-01-01 UTC. Entries that were made
    /// before this was noted have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The commit that was checked out where the manifest lies, if that is a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
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

impl Made {
    /// When the computation began: when it was committed, less the time that it took.
    pub fn started(&self) -> u64 {
        self.at.saturating_sub(self.seconds.max(0.0).round() as u64)
    }

    /// When its run began, as far as that is known: not after the computation did.
    pub fn run_started(&self) -> u64 {
        self.run.unwrap_or_else(|| self.started())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_that_knows_nothing_of_its_run_still_reads() {
        let old = json!({ "at": 100, "seconds": 7.4, "host": "h", "device": "host", "assay": "0.1.0", "machine": "m" });
        let made: Made = serde_json::from_value(old.clone()).unwrap();
        assert_eq!((made.run, made.git_commit.as_ref(), made.started(), made.run_started()), (None, None, 93, 93));
        assert_eq!(serde_json::to_value(&made).unwrap(), old, "and says no more when it is written again");
        let made = Made { run: Some(50), ..made };
        assert_eq!((made.started(), made.run_started()), (93, 50));
    }
}
