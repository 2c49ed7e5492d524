//! Text to token ids and back, whatever file the tokenizer came from.
//!
//! A thin layer over the `tokenizers` crate: what it adds is the choice of a first token, truncation as Hugging Face
//! does it, and the model's chat template. It trains nothing and pads nothing.

mod byte_level;
mod chat;
mod from_gguf;
mod sentence_piece;
#[cfg(test)]
pub(super) mod tests;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::{PostProcessor, utils::truncation::TruncationDirection};

pub use crate::lm::text::tokenizer::chat::{ChatTemplate, Message};

/// A tokenizer or chat template that cannot be used, or text that it cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(pub String);

/// Whether a text begins with the token that marks a beginning (BOS).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"auto\", true or false")]
pub enum Bos {
    /// `"auto"`: whatever the tokenizer does by itself, even where a chat template has written one already.
    Auto(Auto),
    /// `true`: exactly one; `false`: none is added.
    Given(bool),
}

/// The word `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    Auto,
}

impl Default for Bos {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

/// A model's tokenizer.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<String>,
    eos: Option<String>,
    /// The token that marks a beginning, by the model's configuration: for a tokenizer that names none.
    begin: Option<u32>,
    template: Option<String>,
}

/// What stands beside a `tokenizer.json`.
#[derive(Default)]
pub struct Beside {
    /// `tokenizer_config.json`.
    pub settings: Value,
    /// `chat_template.jinja`, which goes before the template in the settings.
    pub template: Option<String>,
    /// `bos_token_id` of `config.json`. GPT-2's settings say nothing of such a token.
    pub begin: Option<u32>,
}

impl Tokenizer {
    /// From a `tokenizer.json`.
    pub fn from_json(path: &Path, beside: Beside) -> Result<Self, TokenizerError> {
        let inner = tokenizers::Tokenizer::from_file(path)
            .map_err(|error| TokenizerError(format!("{}: {error}", path.display())))?;
        let special = |name: &str| special_token(&beside.settings[name]);
        let template = beside.template.or_else(|| default_template(&beside.settings["chat_template"]));
        let (bos, eos) = (special("bos_token"), special("eos_token"));
        let unsaid = beside.settings.get("bos_token").is_none();
        let begin = beside.begin.filter(|id| unsaid && inner.id_to_token(*id).is_some());
        Ok(Self { begin, ..Self::new(inner, bos, eos, template)? })
    }

    fn new(
        mut inner: tokenizers::Tokenizer,
        bos: Option<String>,
        eos: Option<String>,
        template: Option<String>,
    ) -> Result<Self, TokenizerError> {
        inner.with_truncation(None).map_err(|error| TokenizerError(error.to_string()))?;
        inner.with_padding(None); // a file may hold settings of somebody's training run
        Ok(Self { inner, bos, eos, begin: None, template })
    }

    /// Token ids of `text`; at most `longest`, cut at the end as Hugging Face does: a token that the tokenizer adds
    /// after the text survives.
    pub fn encode(&self, text: &str, bos: Bos, longest: Option<usize>) -> Result<Vec<u32>, TokenizerError> {
        let failed = |error: tokenizers::Error| TokenizerError(format!("the tokenizer refuses {text:?}: {error}"));
        let plain = self.inner.encode_fast(text, false).map_err(failed)?;
        let mut ids = match bos {
            Bos::Auto(_) => {
                let mut plain = plain;
                let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
                if let Some(longest) = longest {
                    plain.truncate(longest.saturating_sub(added), 0, TruncationDirection::Right);
                }
                self.inner.post_process(plain, None, true).map_err(failed)?.get_ids().to_vec()
            }
            Bos::Given(false) => plain.get_ids().to_vec(),
            Bos::Given(true) => {
                let bos = self.bos_id().ok_or_else(|| {
                    TokenizerError("`bos = true`, but this tokenizer knows no such token: use \"auto\"".to_owned())
                })?;
                let already = plain.get_ids().first() == Some(&bos);
                std::iter::once(bos).filter(|_| !already).chain(plain.get_ids().iter().copied()).collect()
            }
        };
        ids.truncate(longest.unwrap_or(usize::MAX));
        Ok(ids)
    }

    /// The text of `ids`. Special tokens are written out unless `skip_special`.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        self.inner.decode(ids, skip_special).map_err(|error| TokenizerError(format!("cannot decode {ids:?}: {error}")))
    }

    /// The text of a conversation, ready for the model's answer.
    pub fn chat(&self, messages: &[Message]) -> Result<String, TokenizerError> {
        let source = self
            .template
            .as_deref()
            .ok_or_else(|| TokenizerError("this model has no chat template: set `chat-template = false`".to_owned()))?;
        let special = |token: &Option<String>| token.clone().unwrap_or_default();
        ChatTemplate::parse(source)?.render(messages, &special(&self.bos), &special(&self.eos))
    }

    /// The id of the token that marks a beginning.
    pub fn bos_id(&self) -> Option<u32> {
        match &self.bos {
            Some(bos) => self.inner.token_to_id(bos),
            None => self.begin,
        }
    }

    /// The id of the token that marks an end.
    pub fn eos_id(&self) -> Option<u32> {
        self.inner.token_to_id(self.eos.as_deref()?)
    }

    /// How many tokens there are, added ones included.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// A special token is written as a string or as an object with its `content`.
fn special_token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
}

/// A chat template is a string, or a list of named ones of which `default` is meant.
fn default_template(value: &Value) -> Option<String> {
    let listed = || value.as_array()?.iter().find(|item| item["name"] == "default")?["template"].as_str();
    value.as_str().or_else(listed).map(str::to_owned)
}
