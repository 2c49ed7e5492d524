//! A model's files by role, opened: its configuration, its weights, its tokenizer.
//!
//! Both at plan time (from a source) and at run time (from a `model` record) there is a map of roles to paths; this is
//! what it means.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use super::{
    Weights,
    checkpoint::{Checkpoint, WeightsError},
    gguf::Gguf,
    safetensors::Safetensors,
};
use crate::lm::{
    Device, Dtype, families,
    source::role,
    text::tokenizer::{Beside, Tokenizer, TokenizerError},
};

/// The files of one model.
#[derive(Clone, Copy, Debug)]
pub struct ModelFiles<'a>(pub &'a BTreeMap<String, PathBuf>);

impl ModelFiles<'_> {
    /// The configuration in the form of a Hugging Face `config.json`.
    pub fn config(&self) -> Result<Value, WeightsError> {
        match (self.gguf()?, self.path(role::CONFIG)) {
            (Some(gguf), _) => gguf.config(),
            (None, Some(path)) => json(path).map_err(WeightsError),
            (None, None) => Err(WeightsError(format!("the model has no configuration, only {}", self.roles()))),
        }
    }

    /// The weights.
    pub fn checkpoint(&self) -> Result<Box<dyn Checkpoint>, WeightsError> {
        if let Some(gguf) = self.gguf()? {
            return Ok(Box::new(gguf));
        }
        let shards = self.0.iter().filter(|(name, _)| name.starts_with(role::WEIGHTS));
        let shards: Vec<_> = shards.map(|(_, path)| path.clone()).collect();
        if shards.is_empty() {
            return Err(WeightsError(format!("the model has no weights, only {}", self.roles())));
        }
        Ok(Box::new(Safetensors::open(&shards)?))
    }

    /// The configuration, of weights that have every tensor that it asks for, in its shape, and all of its bytes: judged by
    /// headers alone.
    pub fn checked_config(&self) -> Result<Value, WeightsError> {
        let (config, checkpoint): (_, Box<dyn Checkpoint>) = match self.gguf()? {
            Some(gguf) => (gguf.config()?, Box::new(gguf)),
            None => (self.config()?, self.checkpoint()?),
        };
        let architecture = families::architecture(&config).map_err(WeightsError)?;
        let device = Device::Flex(Default::default()); // nothing is put on it
        Weights::new(&*checkpoint, &architecture, Dtype::F32, &device).map(drop).map_err(|error| {
            let paths: Vec<_> = self.0.values().map(|path| path.display().to_string()).collect();
            WeightsError(format!("{} ({})", error.0, paths.join(", ")))
        })?;
        Ok(config)
    }

    /// Whether there is a file that a tokenizer is read from.
    pub fn has_tokenizer(&self) -> bool {
        role::OF_TOKENIZERS.iter().any(|role| self.0.contains_key(*role))
    }

    /// The tokenizer, with its chat template.
    pub fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        if let Some(gguf) = self.gguf().map_err(|error| TokenizerError(error.0))? {
            return Tokenizer::from_gguf(&gguf);
        }
        let Some(tokenizer) = self.path(role::TOKENIZER) else {
            return Err(TokenizerError(format!(
                "the model has no tokenizer.json, only {}: give prompts as `tokens`, or put the file beside the weights",
                self.roles()
            )));
        };
        let settings = self.path(role::TOKENIZER_CONFIG).map(json).transpose().map_err(TokenizerError)?;
        let template = self.path(role::TEMPLATE).map(text).transpose().map_err(TokenizerError)?;
        let config = self.path(role::CONFIG).map(json).transpose().map_err(TokenizerError)?.unwrap_or_default();
        let begin = config["bos_token_id"].as_u64().and_then(|id| u32::try_from(id).ok());
        Tokenizer::from_json(tokenizer, Beside { settings: settings.unwrap_or_default(), template, begin })
    }

    fn gguf(&self) -> Result<Option<Gguf>, WeightsError> {
        self.path(role::GGUF).map(|path| Gguf::open(path)).transpose()
    }

    fn path(&self, role: &str) -> Option<&PathBuf> {
        self.0.get(role)
    }

    fn roles(&self) -> String {
        let roles: Vec<_> = self.0.keys().map(String::as_str).collect();
        if roles.is_empty() { "no files at all".to_owned() } else { roles.join(", ") }
    }
}

fn text(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn json(path: &PathBuf) -> Result<Value, String> {
    serde_json::from_str(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}
