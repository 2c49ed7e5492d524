//! The tokenizer in a GGUF file, from the metadata `tokenizer.ggml.*`.
//!
//! Here stands what both kinds share: tokens and their types, what is matched whole, what is put before and after a
//! text. `byte_level` and `sentence_piece` are the kinds; WordPiece and Unigram vocabularies are not read.

use serde_json::json;
use tokenizers::{AddedToken, models::bpe::Vocab, processors::template::TemplateProcessing};

use super::{Tokenizer, TokenizerError, byte_level, sentence_piece};
use crate::lm::weights::gguf::{Gguf, Meta};

/// Values of `tokenizer.ggml.token_type`.
pub mod kind {
    pub const NORMAL: u64 = 1;
    pub const UNKNOWN: u64 = 2;
    pub const CONTROL: u64 = 3;
    pub const USER_DEFINED: u64 = 4;
}

/// The tokens of a file, by id.
pub struct Vocabulary<'a> {
    pub gguf: &'a Gguf,
    pub tokens: Vec<&'a str>,
    /// One of each token's, or none at all.
    kinds: Vec<u64>,
}

/// A tokenizer without its special tokens, and what its kind does where the file does not say.
pub struct Bare {
    pub inner: tokenizers::Tokenizer,
    /// A beginning is marked.
    pub bos: bool,
}

impl Tokenizer {
    /// From the metadata of a GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
        let wrong = |message: String| TokenizerError(format!("{}: {message}", gguf.path().display()));
        Self::from_metadata(gguf).map_err(|error| wrong(error.0))
    }

    fn from_metadata(gguf: &Gguf) -> Result<Self, TokenizerError> {
        let vocabulary = Vocabulary::of(gguf)?;
        let Bare { mut inner, bos: bos_unsaid } = match vocabulary.text("model")? {
            Some("gpt2") => byte_level::tokenizer(&vocabulary)?,
            Some("llama") => sentence_piece::tokenizer(&vocabulary)?,
            Some(other) => {
                return Err(TokenizerError(format!(
                    "tokenizers of the kind `{other}` are not read from GGUF, only byte-level BPE (`gpt2`) and \
                     SentencePiece (`llama`): use the safetensors form of the model, which has a tokenizer.json"
                )));
            }
            None => return Err(TokenizerError("the file holds no tokenizer (`tokenizer.ggml.model`)".to_owned())),
        };
        let whole = vocabulary.matched_whole(&inner);
        inner.add_tokens(whole).map_err(not_built)?;
        let (bos, eos) = (vocabulary.special("bos_token_id")?, vocabulary.special("eos_token_id")?);
        let first = vocabulary.framing("add_bos_token", bos, bos_unsaid)?;
        let last = vocabulary.framing("add_eos_token", eos, false)?;
        if first.is_some() || last.is_some() {
            inner.with_post_processor(Some(framed(first, last)?));
        }
        let named = |token: Option<(u64, &str)>| token.map(|(_, token)| token.to_owned());
        let template = gguf.meta("tokenizer.chat_template").and_then(Meta::as_str).map(str::to_owned);
        Self::new(inner, named(bos), named(eos), template)
    }
}

impl<'a> Vocabulary<'a> {
    fn of(gguf: &'a Gguf) -> Result<Self, TokenizerError> {
        let mut vocabulary = Self { gguf, tokens: vec![], kinds: vec![] };
        vocabulary.tokens = match vocabulary.text("model")? {
            Some(_) => vocabulary.texts("tokens")?,
            None => vec![],
        };
        if let Some(kinds) = gguf.meta(&key("token_type")) {
            let kinds = kinds.as_array().and_then(|kinds| kinds.iter().map(Meta::as_u64).collect::<Option<Vec<_>>>());
            let count = vocabulary.tokens.len();
            vocabulary.kinds = kinds.filter(|kinds| kinds.len() == count).ok_or_else(|| {
                TokenizerError(format!("`{}` does not have one number for each of {count} tokens", key("token_type")))
            })?;
        }
        Ok(vocabulary)
    }

    /// Ids by spelling, which must all differ.
    pub fn ids(&self, spellings: &[String]) -> Result<Vocab, TokenizerError> {
        let mut ids = Vocab::default();
        for (spelling, id) in spellings.iter().zip(0..) {
            if let Some(other) = ids.insert(spelling.clone(), id) {
                return Err(TokenizerError(format!("tokens {other} and {id} are both {spelling:?}")));
            }
        }
        Ok(ids)
    }

    /// The type of a token.
    pub fn kind(&self, id: usize) -> u64 {
        self.kinds.get(id).copied().unwrap_or(kind::NORMAL)
    }

    /// The tokens that are matched whole in a text, as far as the model knows them under the spelling of the file.
    fn matched_whole(&self, model: &tokenizers::Tokenizer) -> Vec<AddedToken> {
        let added = |(id, token): (usize, &&str)| match self.kind(id) {
            _ if token.is_empty() || model.token_to_id(token).is_none() => None,
            kind::CONTROL | kind::UNKNOWN => Some(AddedToken::from(*token, true)),
            kind::USER_DEFINED => Some(AddedToken::from(*token, false).normalized(false)),
            _ => None,
        };
        self.tokens.iter().enumerate().filter_map(added).collect()
    }

    /// The token that the metadata names by its id, if it does.
    pub fn special(&self, name: &str) -> Result<Option<(u64, &'a str)>, TokenizerError> {
        let Some(id) = self.gguf.meta(&key(name)).and_then(Meta::as_u64) else { return Ok(None) };
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id)).ok_or_else(|| {
            TokenizerError(format!("`{}` is {id}, but there are {} tokens", key(name), self.tokens.len()))
        })?;
        Ok(Some((id, token)))
    }

    /// `token`, if the metadata says under `name` that it frames every text.
    fn framing<T>(&self, name: &str, token: Option<T>, unsaid: bool) -> Result<Option<T>, TokenizerError> {
        match (self.flag(name), token) {
            (Some(true), None) => Err(TokenizerError(format!("`{}` is set, but there is no such token", key(name)))),
            (said, token) => Ok(token.filter(|_| said.unwrap_or(unsaid))),
        }
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.gguf.meta(&key(name)).and_then(Meta::as_bool)
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, TokenizerError> {
        match self.gguf.meta(&key(name)) {
            None => Ok(None),
            Some(value) => {
                value.as_str().map(Some).ok_or_else(|| TokenizerError(format!("`{}` is {value:?}, no text", key(name))))
            }
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<&'a str>, TokenizerError> {
        self.gguf
            .meta(&key(name))
            .and_then(Meta::as_array)
            .and_then(|items| items.iter().map(Meta::as_str).collect())
            .ok_or_else(|| TokenizerError(format!("`{}` is missing or is no list of texts", key(name))))
    }

    /// `a b` → (`a`, `b`); none where the file lists no merges.
    pub fn merges(&self) -> Result<Option<Vec<(String, String)>>, TokenizerError> {
        if self.gguf.meta(&key("merges")).is_none() {
            return Ok(None);
        }
        let merges = self.texts("merges")?.into_iter().map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(TokenizerError(format!("the merge {merge:?} is not two tokens with a space between them"))),
        });
        merges.collect::<Result<_, _>>().map(Some)
    }
}

/// Puts `first` before every text and `last` after it.
fn framed(first: Option<(u64, &str)>, last: Option<(u64, &str)>) -> Result<TemplateProcessing, TokenizerError> {
    let special = |(_, token): &(u64, &str)| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    let around = |texts: &[&str]| {
        let texts = texts.iter().map(|id| text(id));
        json!(first.iter().map(special).chain(texts).chain(last.iter().map(special)).collect::<Vec<_>>())
    };
    let tokens: serde_json::Map<_, _> = first
        .iter()
        .chain(&last)
        .map(|(id, token)| ((*token).to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] })))
        .collect();
    let template = json!({
        "type": "TemplateProcessing", "single": around(&["A"]), "pair": around(&["A", "B"]), "special_tokens": tokens,
    });
    serde_json::from_value(template).map_err(|error| TokenizerError(error.to_string()))
}

pub fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

pub fn not_built(error: tokenizers::Error) -> TokenizerError {
    TokenizerError(format!("the tokenizer in the file cannot be built: {error}"))
}
