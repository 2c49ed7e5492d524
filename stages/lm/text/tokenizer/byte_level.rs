//! Byte-level BPE in a GGUF file (`gpt2`): GPT-2's, Llama 3's, Qwen's.
//!
//! The file holds tokens, merges and the *name* of the rule that splits text into words before merging; the rules
//! themselves are the ones of each model's `tokenizer.json`.

use tokenizers::{
    NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    models::bpe::BPE,
    normalizers::NFC,
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::{
    TokenizerError,
    from_gguf::{Bare, Vocabulary, key, not_built},
};

const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN_WORDS: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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

pub fn tokenizer(vocabulary: &Vocabulary) -> Result<Bare, TokenizerError> {
    use tokenizers::decoders::byte_level::ByteLevel as Decoder;
    let rule = Rule::named(vocabulary.text("pre")?.unwrap_or("gpt-2"))?;
    let spellings: Vec<String> = vocabulary.tokens.iter().map(|token| (*token).to_owned()).collect();
    let tokens = vocabulary.ids(&spellings)?;
    let merges = vocabulary.merges()?.ok_or_else(|| TokenizerError(format!("`{}` is missing", key("merges"))))?;
    let model = BPE::builder().vocab_and_merges(tokens, merges).ignore_merges(rule.whole_words).build();
    let mut inner = tokenizers::Tokenizer::new(model.map_err(not_built)?);
    if rule.compose {
        inner.with_normalizer(Some(NormalizerWrapper::NFC(NFC))).map_err(not_built)?;
    }
    inner.with_pre_tokenizer(Some(rule.split));
    inner.with_decoder(Some(Decoder::new(false, true, true)));
    Ok(Bare { inner, bos: rule.bos })
}

impl Rule {
    fn named(name: &str) -> Result<Self, TokenizerError> {
        let gpt2 = || ByteLevel::new(false, true, true);
        let plain = |split| Self { split, compose: false, whole_words: false, bos: false };
        Ok(match name {
            "gpt-2" | "gpt2" | "default" | "olmo" | "mpt" => plain(gpt2().into()),
            "smollm" | "starcoder" | "refact" | "command-r" => {
                plain(Sequence::new(vec![Digits::new(true).into(), gpt2().into()]).into())
            }
            "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" => {
                Self { whole_words: true, bos: true, ..plain(by_pattern(LLAMA3_WORDS)?) }
            }
            "tekken" => Self { whole_words: true, bos: true, ..plain(by_pattern(TEKKEN_WORDS)?) },
            "qwen2" | "deepseek-r1-qwen" => Self { compose: true, ..plain(by_pattern(QWEN2_WORDS)?) },
            _ => {
                return Err(TokenizerError(format!(
                    "the splitting rule `{name}` (`{}`) is not known; known are gpt-2, smollm, llama-bpe, tekken and \
                     qwen2: use the safetensors form of the model, which has a tokenizer.json",
                    key("pre")
                )));
            }
        })
    }
}

fn by_pattern(pattern: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(not_built)?;
    Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
}
