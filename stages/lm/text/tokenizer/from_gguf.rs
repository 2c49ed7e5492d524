//! The tokenizer in a GGUF file: byte-level BPE, from the metadata `tokenizer.ggml.*`.
//!
//! The file holds tokens, merges and the *name* of the rule that splits text into words before merging; the rules
//! themselves are the ones of each model's `tokenizer.json`. SentencePiece vocabularies (`llama`) are not read.

use serde_json::json;
use tokenizers::{
    AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    models::bpe::{BPE, Vocab},
    normalizers::NFC,
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    processors::template::TemplateProcessing,
};

use super::{Tokenizer, TokenizerError};
use crate::lm::weights::gguf::{Gguf, Meta};

/// `token_type` of tokens that are matched whole: control tokens, and those that users added.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How text is cut into words before merging, and what else comes with the rule of that name.
struct Rule {
    split: PreTokenizerWrapper,
    /// Unicode is composed first.
    compose: bool,
    /// A word that is a token is taken whole, without merging.
    whole_words: bool,
    /// Whether a beginning is marked where the file does not say.
    bos: bool,
}

impl Tokenizer {
    /// From the metadata of a GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
        match text(gguf, "model")? {
            Some("gpt2") => {}
            Some(other) => {
                return Err(TokenizerError(format!(
                    "tokenizers of the kind `{other}` are not read from GGUF, only byte-level BPE (`gpt2`): use the \
                     safetensors form of the model, which has a tokenizer.json"
                )));
            }
            None => return Err(TokenizerError("the file holds no tokenizer (`tokenizer.ggml.model`)".to_owned())),
        }
        let rule = Rule::named(text(gguf, "pre")?.unwrap_or("gpt-2"))?;
        let tokens = texts(gguf, "tokens")?;
        let vocabulary: Vocab = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id)).collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges(gguf)?)
            .ignore_merges(rule.whole_words)
            .build()
            .map_err(wrong)?;

        let mut inner = tokenizers::Tokenizer::new(model);
        if rule.compose {
            inner.with_normalizer(Some(NormalizerWrapper::NFC(NFC))).map_err(wrong)?;
        }
        inner.with_pre_tokenizer(Some(rule.split));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        inner.add_tokens(added(gguf, &tokens)?).map_err(wrong)?;

        let special = |name: &str| -> Result<Option<(u64, &str)>, TokenizerError> {
            let Some(id) = gguf.meta(&key(name)).and_then(Meta::as_u64) else { return Ok(None) };
            let token = usize::try_from(id).ok().and_then(|id| tokens.get(id)).ok_or_else(|| {
                TokenizerError(format!("`{}` is {id}, but there are {} tokens", key(name), tokens.len()))
            })?;
            Ok(Some((id, token)))
        };
        let (bos, eos) = (special("bos_token_id")?, special("eos_token_id")?);
        let wanted = |name: &str, unsaid| gguf.meta(&key(name)).and_then(Meta::as_bool).unwrap_or(unsaid);
        let first = bos.filter(|_| wanted("add_bos_token", rule.bos));
        let last = eos.filter(|_| wanted("add_eos_token", false));
        if first.is_some() || last.is_some() {
            inner.with_post_processor(Some(framed(first, last)?));
        }
        let named = |token: Option<(u64, &str)>| token.map(|(_, token)| token.to_owned());
        let template = gguf.meta("tokenizer.chat_template").and_then(Meta::as_str).map(str::to_owned);
        Self::new(inner, named(bos), named(eos), template)
    }
}

impl Rule {
    fn named(name: &str) -> Result<Self, TokenizerError> {
        let gpt2 = || ByteLevel::new(false, true, true);
        let plain = |split| Self { split, compose: false, whole_words: false, bos: false };
        Ok(match name {
            "gpt-2" | "gpt2" | "default" => plain(gpt2().into()),
            "smollm" => plain(Sequence::new(vec![Digits::new(true).into(), gpt2().into()]).into()),
            "llama-bpe" | "llama3" => Self { whole_words: true, bos: true, ..plain(by_pattern(LLAMA3_WORDS)?) },
            "qwen2" => Self { compose: true, ..plain(by_pattern(QWEN2_WORDS)?) },
            _ => {
                return Err(TokenizerError(format!(
                    "the splitting rule `{name}` (`tokenizer.ggml.pre`) is not known; known are gpt-2, smollm, \
                     llama-bpe and qwen2: use the safetensors form of the model, which has a tokenizer.json"
                )));
            }
        })
    }
}

fn by_pattern(pattern: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(wrong)?;
    Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
}

/// `a b` → (`a`, `b`).
fn merges(gguf: &Gguf) -> Result<Vec<(String, String)>, TokenizerError> {
    texts(gguf, "merges")?
        .into_iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(TokenizerError(format!("the merge {merge:?} is not two tokens with a space between them"))),
        })
        .collect()
}

/// The tokens that are matched whole in a text.
fn added(gguf: &Gguf, tokens: &[&str]) -> Result<Vec<AddedToken>, TokenizerError> {
    let Some(types) = gguf.meta(&key("token_type")) else { return Ok(vec![]) };
    let types = types.as_array().filter(|types| types.len() == tokens.len()).ok_or_else(|| {
        TokenizerError(format!("`{}` does not have one number for each of {} tokens", key("token_type"), tokens.len()))
    })?;
    let added = |(kind, token): (&Meta, &&str)| match kind.as_u64()? {
        CONTROL => Some(AddedToken::from(*token, true)),
        USER_DEFINED => Some(AddedToken::from(*token, false).normalized(false)),
        _ => None,
    };
    Ok(types.iter().zip(tokens).filter_map(added).collect())
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

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn text<'a>(gguf: &'a Gguf, name: &str) -> Result<Option<&'a str>, TokenizerError> {
    match gguf.meta(&key(name)) {
        None => Ok(None),
        Some(value) => {
            value.as_str().map(Some).ok_or_else(|| TokenizerError(format!("`{}` is {value:?}, no text", key(name))))
        }
    }
}

fn texts<'a>(gguf: &'a Gguf, name: &str) -> Result<Vec<&'a str>, TokenizerError> {
    gguf.meta(&key(name))
        .and_then(Meta::as_array)
        .and_then(|items| items.iter().map(Meta::as_str).collect())
        .ok_or_else(|| TokenizerError(format!("`{}` is missing or is no list of texts", key(name))))
}

fn wrong(error: tokenizers::Error) -> TokenizerError {
    TokenizerError(format!("the tokenizer in the file cannot be built: {error}"))
}
