//! Tokenizers made by hand, whose ids can be checked by eye, and the real one of SmolLM2 where it is at hand.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::lm::{
    smollm2,
    weights::gguf::{
        Gguf,
        writer::{Writer, integers, numbers, text, texts},
    },
};

const AUTO: Bos = Bos::Auto(Auto::Auto);

/// `<s>` `</s>` a b Ġ ab Ġab 1 2 12
const TOKENS: [&str; 10] = ["<s>", "</s>", "a", "b", "Ġ", "ab", "Ġab", "1", "2", "12"];
const MERGES: [&str; 3] = ["a b", "Ġ ab", "1 2"];

fn gguf(pre: &str) -> Writer {
    Writer::default()
        .meta("general.architecture", 8, text("llama"))
        .u32("llama.attention.head_count", 2)
        .meta("tokenizer.ggml.model", 8, text("gpt2"))
        .meta("tokenizer.ggml.pre", 8, text(pre))
        .meta("tokenizer.ggml.tokens", 9, texts(&TOKENS))
        .meta("tokenizer.ggml.token_type", 9, integers(&[3, 3, 1, 1, 1, 1, 1, 1, 1, 1]))
        .meta("tokenizer.ggml.merges", 9, texts(&MERGES))
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 1)
}

fn opened(writer: Writer) -> Result<Tokenizer, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, writer.finish()).unwrap();
    let gguf = Gguf::open(&path).map_err(|error| error.0)?;
    Tokenizer::from_gguf(&gguf).map_err(|error| error.0)
}

/// A tokenizer that puts `<s>` first, with a chat template.
pub fn opened_with_template(template: &str) -> Tokenizer {
    opened(gguf("llama-bpe").meta("tokenizer.chat_template", 8, text(template))).unwrap()
}

#[test]
fn smollm_takes_digits_one_by_one_and_gpt2_merges_them() {
    let ids = |pre| opened(gguf(pre)).unwrap().encode("ab ab12<s>", AUTO, None).unwrap();
    assert_eq!(ids("smollm"), [5, 6, 7, 8, 0]);
    assert_eq!(ids("gpt-2"), [5, 6, 9, 0]);
}

#[test]
fn llama_marks_the_beginning_unless_the_file_says_no() {
    let file = |said: Option<u8>| {
        let writer = gguf("llama-bpe");
        said.into_iter().fold(writer, |writer, said| writer.meta("tokenizer.ggml.add_bos_token", 7, vec![said]))
    };
    let ids = |said, bos| opened(file(said)).unwrap().encode("ab 12", bos, None).unwrap();
    assert_eq!(ids(None, AUTO), [0, 5, 4, 9]);
    assert_eq!(ids(Some(0), AUTO), [5, 4, 9]);
    assert_eq!(ids(None, Bos::Given(false)), [5, 4, 9]);
    assert_eq!(ids(Some(0), Bos::Given(true)), [0, 5, 4, 9]);
}

#[test]
fn one_beginning_is_enough_when_asked_for_one() {
    let tokenizer = opened(gguf("llama-bpe")).unwrap();
    assert_eq!(tokenizer.encode("<s>ab", Bos::Given(true), None).unwrap(), [0, 5]);
    assert_eq!(tokenizer.encode("<s>ab", AUTO, None).unwrap(), [0, 0, 5]); // as Hugging Face does
}

#[test]
fn truncation_spares_what_the_tokenizer_adds() {
    let file = gguf("llama-bpe").meta("tokenizer.ggml.add_eos_token", 7, vec![1]);
    let tokenizer = opened(file).unwrap();
    assert_eq!(tokenizer.encode("ab ab ab", AUTO, None).unwrap(), [0, 5, 6, 6, 1]);
    assert_eq!(tokenizer.encode("ab ab ab", AUTO, Some(3)).unwrap(), [0, 5, 1]);
    assert_eq!(tokenizer.encode("ab ab ab", Bos::Given(false), Some(2)).unwrap(), [5, 6]);
}

#[test]
fn what_the_file_lacks_is_named() {
    let refused = |writer| opened(writer).err().expect("must be refused");
    assert!(refused(gguf("deepseek-llm")).contains("`deepseek-llm`"));
    assert!(refused(gguf("smollm").u32("tokenizer.ggml.bos_token_id", 99)).contains("is 99, but there are 10 tokens"));
    assert!(refused(gguf("smollm").meta("tokenizer.ggml.merges", 9, texts(&["ab"]))).contains("merge \"ab\""));
    assert!(refused(gguf("smollm").meta("tokenizer.ggml.token_type", 9, integers(&[1]))).contains("token_type"));
    assert!(refused(gguf("smollm").meta("tokenizer.ggml.model", 8, text("bert"))).contains("kind `bert`"));
}

/// A `tokenizer.json` with a post-processor that puts `<s>` first.
fn tokenizer_json() -> Value {
    let vocabulary: serde_json::Map<_, _> =
        TOKENS.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let special = |id: u32, token: &str| {
        json!({ "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    json!({
        "version": "1.0",
        "truncation": { "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 },
        "padding": null,
        "added_tokens": [special(0, "<s>"), special(1, "</s>")],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] } }
        },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                   "vocab": vocabulary, "merges": MERGES }
    })
}

#[test]
fn a_tokenizer_json_and_what_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, tokenizer_json().to_string()).unwrap();
    let settings = json!({
        "bos_token": { "content": "<s>" }, "eos_token": "</s>",
        "chat_template": [
            { "name": "tools", "template": "wrong" },
            { "name": "default", "template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" }
        ]
    });
    let tokenizer = Tokenizer::from_json(&path, Beside { settings: settings.clone(), ..Beside::default() }).unwrap();
    assert_eq!(tokenizer.encode("ab ab12", AUTO, None).unwrap(), [0, 5, 6, 9], "the file's truncation is not ours");
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.vocabulary()), (Some(0), Some(1), 10));
    assert_eq!(tokenizer.decode(&[0, 5, 6], false).unwrap(), "<s>ab ab");
    assert_eq!(tokenizer.decode(&[0, 5, 6], true).unwrap(), "ab ab");
    let turn = [Message { role: "user", content: "ab" }];
    assert_eq!(tokenizer.chat(&turn).unwrap(), "<s>ab</s>");

    let beside = Beside { settings, template: Some("[{{ messages[0].content }}]".to_owned()), begin: None };
    assert_eq!(Tokenizer::from_json(&path, beside).unwrap().chat(&turn).unwrap(), "[ab]");
    let bare = Tokenizer::from_json(&path, Beside::default()).unwrap();
    assert!(bare.chat(&turn).unwrap_err().0.contains("no chat template"));
    assert!(bare.encode("a", Bos::Given(true), None).unwrap_err().0.contains("knows no such token"));
    let begins = |settings: Value, begin| {
        let beside = Beside { settings, begin, ..Beside::default() };
        Tokenizer::from_json(&path, beside).unwrap().encode("ab", Bos::Given(true), None).ok()
    };
    assert_eq!(
        begins(json!({ "model_max_length": 1024 }), Some(1)),
        Some(vec![1, 5]),
        "as GPT-2's, by its configuration"
    );
    assert_eq!(begins(json!({ "bos_token": "<s>" }), Some(1)), Some(vec![0, 5]), "the tokenizer's own word goes first");
    assert_eq!(begins(json!({ "bos_token": null }), Some(1)), None, "it is said to have none");
    assert_eq!(begins(json!({}), Some(99)), None, "no such token");
    fs::write(&path, "{").unwrap();
    assert!(Tokenizer::from_json(&path, Beside::default()).err().unwrap().0.contains("tokenizer.json"));
}

/// Vocabularies and ids that `fixtures/gguf/vocabularies.py` made with other people's programs.
fn reference() -> Value {
    serde_json::from_str(include_str!("../../../fixtures/gguf/vocabularies.json")).unwrap()
}

/// The strings, numbers or integers of a reference.
fn listed<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A file with the tokens of a reference, of this architecture and kind of tokenizer.
fn with_tokens(reference: &Value, architecture: &str, model: &str) -> Writer {
    let tokens: Vec<&str> =
        reference["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    Writer::default()
        .meta("general.architecture", 8, text(architecture))
        .u32(&format!("{architecture}.attention.head_count"), 1)
        .meta("tokenizer.ggml.model", 8, text(model))
        .meta("tokenizer.ggml.tokens", 9, texts(&tokens))
        .meta("tokenizer.ggml.token_type", 9, integers(&listed::<i32>(&reference["types"])))
}

fn assert_ids(tokenizer: &Tokenizer, texts: &Value, expected: &Value, what: &str) {
    for (text, ids) in listed::<String>(texts).iter().zip(listed::<Vec<u32>>(expected)) {
        let found = tokenizer.encode(text, Bos::Given(false), None).unwrap();
        assert_eq!(found, ids, "{what}: {text:?}");
        assert_eq!(tokenizer.decode(&found, true).unwrap(), *text, "{what}");
    }
}

#[test]
fn byte_level_ids_are_those_of_transformers() {
    let reference = &reference()["byte_level"];
    let merges: Vec<&str> =
        reference["merges"].as_array().unwrap().iter().map(|merge| merge.as_str().unwrap()).collect();
    for (rule, ids) in reference["ids"].as_object().unwrap() {
        let file = with_tokens(reference, "llama", "gpt2").meta("tokenizer.ggml.pre", 8, text(rule)).meta(
            "tokenizer.ggml.merges",
            9,
            texts(&merges),
        );
        assert_ids(&opened(file).unwrap(), &reference["texts"], ids, rule);
    }
}

#[test]
fn sentence_piece_ids_are_those_of_sentencepiece() {
    let reference = reference();
    for (name, architecture) in [("llama", "llama"), ("gemma", "gemma2")] {
        let reference = &reference[name];
        let file = with_tokens(reference, architecture, "llama")
            .meta("tokenizer.ggml.scores", 9, numbers(&listed::<f32>(&reference["scores"])))
            .u32("tokenizer.ggml.bos_token_id", 1)
            .u32("tokenizer.ggml.unknown_token_id", 0);
        let tokenizer = opened(file).unwrap();
        assert_ids(&tokenizer, &reference["texts"], &reference["ids"], name);
        assert_eq!(tokenizer.vocabulary(), reference["tokens"].as_array().unwrap().len(), "no token was added");
        assert_eq!(tokenizer.encode("a", AUTO, None).unwrap()[0], 1, "{name}: a text begins with its mark");
    }
}

#[test]
fn sentence_piece_vocabularies_that_do_not_fit_are_refused() {
    let reference = &reference()["llama"];
    let file = || with_tokens(reference, "llama", "llama");
    let refused = |file: Writer| opened(file).err().expect("must be refused");
    assert!(refused(file()).contains("`tokenizer.ggml.scores` does not have one number"));
    let scores = listed::<f32>(&reference["scores"]);
    assert!(refused(file().meta("tokenizer.ggml.scores", 9, numbers(&scores[1..]))).contains("one number for each"));
    let nan = vec![f32::NAN; scores.len()];
    assert!(refused(file().meta("tokenizer.ggml.scores", 9, numbers(&nan))).contains("one number for each"));
    let scored = || file().meta("tokenizer.ggml.scores", 9, numbers(&scores));
    let wrong = refused(scored().meta("tokenizer.ggml.add_eos_token", 7, vec![1]));
    assert!(wrong.contains("`tokenizer.ggml.add_eos_token` is set, but there is no such token"), "{wrong}");
    assert!(refused(scored().u32("tokenizer.ggml.bos_token_id", 600)).contains("is 600, but there are 600 tokens"));
    let rewritten = scored().meta("tokenizer.ggml.precompiled_charsmap", 9, integers(&[1]));
    assert!(refused(rewritten).contains("precompiled_charsmap"));
}

#[test]
fn two_tokens_of_one_spelling_are_refused() {
    let file = gguf("gpt-2").meta("tokenizer.ggml.tokens", 9, texts(&["a", "b", "a"])).meta(
        "tokenizer.ggml.token_type",
        9,
        integers(&[1, 1, 1]),
    );
    let refused = opened(file).err().unwrap();
    assert!(refused.contains("tokens 0 and 2 are both \"a\""), "{refused}");
}

/// Ids from Hugging Face's tokenizers and from an independent PyTorch run.
#[test]
fn smollm2_gives_the_reference_ids() {
    let Some(path) = smollm2::file() else { return };
    let tokenizer = Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
    let reference: Value = serde_json::from_str(include_str!("../../../fixtures/smollm2/tokens.json")).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let ids = tokenizer.encode(text, AUTO, None).unwrap();
        assert_eq!(json!(ids), case["ids"], "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    let chat = tokenizer.chat(&[Message { role: "user", content: "What is the capital of France?" }]).unwrap();
    assert_eq!(chat, cases[16]["text"].as_str().unwrap());
    assert_eq!(tokenizer.vocabulary(), 49152);
}
