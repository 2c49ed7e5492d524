//! The kind `indirect-objects` on small tokenizers made here, and on SmolLM2's where it is at hand.

use std::{collections::BTreeMap, fs};

use assay_cache::Digest;
use serde_json::Value;

use super::*;
use crate::{
    contract::testing::TestCtx,
    lm::{
        ModelRecord,
        fixture::{Fixture, inputs, stage},
        smollm2,
        source::role,
        text::tokenizer::Beside,
    },
};

/// A tokenizer of whole words that knows these.
fn words(known: &[&str]) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, described(known).to_string()).unwrap();
    Tokenizer::from_json(&path, Beside::default()).unwrap()
}

fn described(known: &[&str]) -> Value {
    let vocab: BTreeMap<&str, usize> =
        std::iter::once("?").chain(known.iter().copied()).enumerate().map(|(i, word)| (word, i)).collect();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "truncation": null, "padding": null, "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "?" }
    })
}

fn sentences(toml: &str, known: &[&str]) -> Vec<Sentence> {
    let stage: IndirectObjects = stage(toml);
    assert_eq!(stage.mistakes(), []);
    let words = stage.words(&words(known)).unwrap();
    (0..stage.count).map(|i| stage.sentence(i, &words)).collect()
}

const PEOPLE: [&str; 6] = ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay"];
const NAMED: &str = "names = [\"Ann\", \"Bob\", \"Cid\", \"Dan\", \"Eve\", \"Fay\"]\nseed = 5\n";

#[test]
fn the_giver_is_named_twice_and_the_answer_once() {
    for (index, made) in sentences(&format!("count = 200\n{NAMED}"), &PEOPLE).iter().enumerate() {
        let count = |name: &str| made.text.matches(&spaced(name)).count();
        assert_eq!((count(&made.object), count(&made.subject)), (1, 2), "{}", made.text);
        let answer_first = made.text.find(&spaced(&made.object)) < made.text.find(&spaced(&made.subject));
        assert_eq!(answer_first, index % 2 == 0, "{}", made.text);
        assert!(!made.text.contains(['{', '}']) && !made.text.ends_with(' '), "{}", made.text);
        let strangers: Vec<_> = PEOPLE.iter().filter(|name| made.abc.contains(&spaced(name))).collect();
        assert_eq!(strangers.len(), 3, "{}", made.abc);
        assert!(strangers.iter().all(|name| **name != made.object && **name != made.subject), "{}", made.abc);
    }
}

#[test]
fn draws_depend_on_seed_and_number_alone() {
    let texts = |toml: &str| sentences(toml, &PEOPLE).into_iter().map(|made| made.text).collect::<Vec<_>>();
    let (few, many) = (texts(&format!("count = 3\n{NAMED}")), texts(&format!("count = 9\n{NAMED}")));
    assert_eq!(few, many[..3]);
    assert_ne!(few, texts(&format!("count = 3\n{}", NAMED.replace("seed = 5", "seed = 6"))));
    let baba = sentences(&format!("count = 4\norder = \"baba\"\n{NAMED}"), &PEOPLE);
    assert!(baba.iter().all(|made| !made.abba));
}

#[test]
fn words_of_ones_own_are_used() {
    let toml = "count = 5\nplaces = [\"moon\"]\nobjects = [\"stone\"]\n\
                templates = [\"On the {place} were {first} and {second}, and {giver} gave a {object} to\"]\n";
    for made in sentences(&format!("{toml}{NAMED}"), &PEOPLE) {
        assert!(made.text.starts_with("On the moon were ") && made.text.ends_with(" gave a stone to"), "{}", made.text);
    }
}

#[test]
fn names_are_single_tokens() {
    let own: IndirectObjects = stage(&format!("count = 1\n{NAMED}"));
    let refused = own.words(&words(&["Ann", "Bob", "Cid", "Dan", "Eve"])).err().unwrap();
    assert!(refused.contains("\" Fay\" is not a word that this model knows"), "{refused}");
    // Of our own, those that are none are left out.
    let ours: IndirectObjects = stage("count = 1\nseed = 1");
    assert_eq!(ours.words(&words(&["Mary", "John", "Anna", "zebra"])).unwrap().names, ["Anna", "John", "Mary"]);
    assert!(ours.words(&words(&["Mary", "John"])).err().unwrap().contains("`names` of your own"));
}

#[test]
fn templates_and_lists_are_checked() {
    let said = |toml: &str| {
        let stage: IndirectObjects = stage(&format!("seed = 1\n{toml}"));
        Stage::ports(&stage, &Given::default()).unwrap_err().remove(0)
    };
    let template = |text: &str| said(&format!("count = 1\ntemplates = [\"{text}\"]")).message;
    assert!(template("{first} and {second}: {giver} to").contains("no space before {first}"));
    assert!(template("So {first} and {second} gave to").contains("{giver} stands here 0 times"));
    assert!(template("So {first} and {second} and {giver} and {thing} to").contains("nothing else in braces"));
    assert!(template("So {first} and {second} and {giver} to ").contains("ends with a space"));
    assert_eq!(said("count = 0").at, "count");
    assert_eq!(said("count = 1\nnames = [\"Ann\", \"Bob\"]").message, "there must be 3 or more");
    assert_eq!(said("count = 1\nplaces = [\"bar\", \"bar\"]").at, "places");
}

#[test]
fn our_own_words_are_well_formed() {
    for template in corpus::TEMPLATES {
        assert_eq!(template_mistake(template), None);
        assert!(template.contains("{place}") && template.contains("{object}"), "{template}");
    }
    // "a {object}"
    assert!(corpus::OBJECTS.iter().all(|word| !word.starts_with(['a', 'e', 'i', 'o', 'u'])));
    for list in [corpus::NAMES, corpus::PLACES, corpus::OBJECTS, corpus::TEMPLATES] {
        assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
    }
    // No sentence names anybody but its people.
    assert!(corpus::TEMPLATES.iter().all(|text| corpus::NAMES.iter().all(|name| !text.contains(&spaced(name)))));
}

#[test]
fn a_run_gives_prompts_answers_and_a_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, described(&PEOPLE).to_string()).unwrap();
    let digest = Digest::of_file(&path).unwrap();
    let record = ModelRecord {
        config: Fixture::of("llama").config,
        dtype: Default::default(),
        files: BTreeMap::from([(role::TOKENIZER.to_owned(), digest)]),
        init: None,
    };
    let ctx = TestCtx::new().with_file(role::TOKENIZER, digest, path);
    let stage: IndirectObjects = stage(&format!("count = 4\n{NAMED}"));
    let outputs = stage.run(&inputs(vec![("model", Artifact::Record(record.to_value()))]), &ctx).unwrap();
    let Artifact::Table(answers) = &outputs.artifacts["answers"] else { panic!("a table") };
    let ports = Stage::ports(&stage, &Given::default()).unwrap();
    let names: Vec<_> = answers.columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!(ports.outputs[1].facts["columns"], json!(names));
    for port in ["prompts", "abc"] {
        let Artifact::Record(prompts) = &outputs.artifacts[port] else { panic!("a record") };
        assert_eq!(Prompts::read(prompts).unwrap().facts(), ports.outputs[0].facts, "{port}");
    }
}

/// GPT-2 and SmolLM2 have byte-level tokenizers in which common names are one token with their space.
#[test]
fn most_names_are_tokens_of_a_real_model() {
    let Some(file) = smollm2::file() else { return };
    let files = BTreeMap::from([(role::GGUF.to_owned(), file)]);
    let tokenizer = crate::lm::weights::files::ModelFiles(&files).tokenizer().unwrap();
    let stage: IndirectObjects = stage("count = 1\nseed = 1");
    let names = stage.words(&tokenizer).unwrap().names;
    assert!(names.len() > 60 && names.contains(&"Mary".to_owned()), "{names:?}");
}
