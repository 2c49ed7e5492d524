//! From a manifest's parameters to a loaded model, with files of the fixtures and with the real one.

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use assay_cache::{Digest, Unit, canonical};
use serde_json::from_value;

use super::*;
use crate::{
    Session,
    lm::{
        batch::Batch,
        pass::{self, Pass},
        probe::Probe,
        smollm2,
        text::{
            prompts::{Content, Prompt, Prompts},
            tokenizer::Bos,
        },
    },
};

/// An engine that knows the files of one stage.
struct Engine {
    digests: BTreeMap<String, Digest>,
    places: BTreeMap<Digest, PathBuf>,
    session: crate::lm::Session,
}

impl Engine {
    fn of(files: &BTreeMap<String, PathBuf>) -> Self {
        let digest = |path: &PathBuf| Digest::of_file(path).unwrap();
        Self {
            digests: files.iter().map(|(role, path)| (role.clone(), digest(path))).collect(),
            places: files.values().map(|path| (digest(path), path.clone())).collect(),
            session: crate::lm::Session::on("cpu"),
        }
    }
}

impl Ctx for Engine {
    fn unit(&self, _: &str) -> Result<Option<Unit>, Failure> {
        Ok(None)
    }

    fn save(&self, _: &[(String, Unit)]) -> Result<(), Failure> {
        Ok(())
    }

    fn checkpoint(&self, _: u64, _: &Unit) -> Result<(), Failure> {
        Ok(())
    }

    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure> {
        Ok(None)
    }

    fn stopping(&self) -> bool {
        false
    }

    fn progress(&self, _: u64, _: u64, _: &str) {}

    fn warn(&self, message: &str) {
        panic!("an unexpected warning: {message}");
    }

    fn files(&self) -> &BTreeMap<String, Digest> {
        &self.digests
    }

    fn place(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        Ok(self.places[digest].clone())
    }

    fn session(&self) -> &dyn Session {
        &self.session
    }
}

fn stage(params: Value) -> LoadModel {
    from_value(params).unwrap()
}

fn fixture(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(family)
}

fn mistakes(params: Value) -> Vec<String> {
    let found = stage(params).ports(&Given::default()).unwrap_err();
    found.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
}

/// The `model` record that a stage makes, and the engine that made it.
fn ran(params: Value) -> Result<(Value, Engine), String> {
    let stage = stage(params);
    let files = stage.resolve(Fetch::Never).map_err(|error| error.to_string())?;
    let engine = Engine::of(&files.files);
    let mut outputs = stage.run(&Inputs::default(), &engine).map_err(|error| error.to_string())?;
    match outputs.artifacts.remove("model") {
        Some(Artifact::Record(record)) => Ok((record, engine)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_is_known_at_plan_time_and_small_as_an_artifact() {
    let stage = stage(json!({ "source": fixture("llama") }));
    let files = stage.resolve(Fetch::Never).unwrap();
    let ports = stage.ports(&Given { files: Some(&files), ..Given::default() }).unwrap();
    let facts = &ports.outputs[0].facts;
    assert_eq!((&facts["family"], &facts["heads"], &facts["kv_heads"]), (&json!("llama"), &json!(4), &json!(2)));

    let (record, engine) = ran(json!({ "source": fixture("llama") })).unwrap();
    assert!(record.to_string().len() < 2000);
    assert_eq!(record["files"].as_object().unwrap().keys().collect::<Vec<_>>(), ["config", "weights/00000"]);
    let model = engine.session.model(&record, &engine).unwrap();
    assert_eq!(model.facts.layers, 3);
    assert!(std::sync::Arc::ptr_eq(&model, &engine.session.model(&record, &engine).unwrap()), "loaded twice");
}

#[test]
fn what_nobody_holds_or_needs_is_forgotten() {
    let (record, engine) = ran(json!({ "source": fixture("llama") })).unwrap();
    let held = engine.session.model(&record, &engine).unwrap();
    let weak = std::sync::Arc::downgrade(&held);
    engine.session.keep_only(&BTreeSet::new());
    assert!(std::sync::Arc::ptr_eq(&held, &engine.session.model(&record, &engine).unwrap()));
    drop(held);
    let needed = Digest::of(canonical(&record).as_bytes());
    engine.session.keep_only(&BTreeSet::from([needed]));
    assert!(weak.upgrade().is_some());
    engine.session.keep_only(&BTreeSet::new());
    assert!(weak.upgrade().is_none());
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("llama").join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(fixture("llama").join("config.json")).unwrap()).unwrap();
    config["intermediate_size"] = json!(1000);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let error = ran(json!({ "source": folder.path() })).err().unwrap();
    assert!(error.contains("mlp.") && error.contains("1000") && error.contains("model.safetensors"), "{error}");
}

#[test]
fn random_weights_follow_their_seed() {
    let params = |seed| json!({ "source": "init", "config": fixture("llama"), "seed": seed });
    let logits = |seed: u64| {
        let (record, engine) = ran(params(seed)).unwrap();
        assert_eq!(record["init"], seed);
        assert!(!record["files"].as_object().unwrap().keys().any(|role| role.starts_with("weights")));
        last_logits(&record, &engine, vec![1, 2, 3])
    };
    assert_eq!(logits(7), logits(7));
    assert_ne!(logits(7), logits(8));
}

/// In a number type of its own a model is another artifact, and computes other numbers.
#[test]
fn the_number_type_is_recorded_and_obeyed() {
    let logits = |dtype: &str| {
        let (record, engine) = ran(json!({ "source": fixture("llama"), "dtype": dtype })).unwrap();
        assert_eq!(record["dtype"], dtype);
        last_logits(&record, &engine, vec![1, 2, 3])
    };
    let (plain, bf16) = (logits("f32"), logits("bf16"));
    assert_ne!(plain, bf16);
    assert!(bf16.iter().all(|x| x.to_bits() & 0xffff == 0), "each is a number of the type");
    assert!(plain.iter().zip(&bf16).all(|(a, b)| (a - b).abs() < 0.5));
    assert_ne!(logits("f16"), bf16);
}

#[test]
fn parameters_that_do_not_fit_together_are_all_named() {
    let found = mistakes(json!({ "source": "init" }));
    assert_eq!(found, ["source: random weights need a `config`", "source: random weights need a `seed`"]);
    let found = mistakes(json!({ "source": "./x", "config": "./y", "seed": 1 }));
    assert!(found[0].starts_with("config: `config` is for random weights") && found[1].starts_with("seed:"));
    assert!(from_value::<LoadModel>(json!({ "source": "./x", "dtype": "int8" })).is_err());
}

/// How the engine tells what enters a key and what the study's seed fills in.
#[test]
fn the_schema_marks_what_stays_out_of_the_key() {
    let schema = schemars::schema_for!(LoadModel).to_value();
    let format = |name: &str| schema["properties"][name]["format"].clone();
    assert_eq!([format("source"), format("config"), format("revision")], ["source", "source", "provenance"]);
    assert_ne!(format("seed"), "seed", "a study's seed must not change its models");
}

#[test]
fn sources_without_a_model_say_what_there_is() {
    let refused = |params: Value| stage(params).resolve(Fetch::Never).unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), "{\"model_type\": \"bert\"}").unwrap();
    assert!(refused(json!({ "source": folder.path() })).contains("no weights"));
    assert!(refused(json!({ "source": "init" })).contains("needs `config`"));
    let hub = stage(json!({ "source": "no-such-org/no-such-model" })).resolve(Fetch::Never).unwrap_err();
    assert!(matches!(hub, SourceError::NotFetched(_)), "{hub}");
    let bert = stage(json!({ "source": "init", "config": folder.path(), "seed": 1 }));
    let files = bert.resolve(Fetch::Never).unwrap();
    let mistakes = bert.ports(&Given { files: Some(&files), ..Given::default() }).unwrap_err();
    assert!(mistakes[0].message.contains("bert") && mistakes[0].message.contains("llama"), "{}", mistakes[0].message);
}

/// What a folder with the fixture's files is told at plan time, `weights` being the bytes of its safetensors.
fn planned(weights: &[u8], also: &[&str]) -> Result<Value, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("llama").join("config.json"), folder.path().join("config.json")).unwrap();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    also.iter().for_each(|name| fs::write(folder.path().join(name), "{}").unwrap());
    let stage = stage(json!({ "source": folder.path() }));
    let files = stage.resolve(Fetch::Never).unwrap();
    let ports = stage.ports(&Given { files: Some(&files), ..Given::default() });
    let said = |mistakes: Vec<Mistake>| format!("{}: {}", mistakes[0].at, mistakes[0].message);
    ports.map(|mut ports| ports.outputs.remove(0).facts).map_err(said)
}

#[test]
fn weights_that_are_not_whole_are_told_at_plan_time() {
    let whole = fs::read(fixture("llama").join("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    assert_eq!(planned(&whole, &[]).unwrap()["layers"], 3);
    for (length, what) in [
        (whole.len() - 1, "lie outside the"),
        (header, "lie outside the 0 bytes of data"),
        (header - 1, "it was not downloaded to its end"),
        (3, "too short for a safetensors header"),
    ] {
        let said = planned(&whole[..length], &[]).unwrap_err();
        assert!(said.starts_with("source: ") && said.contains("model.safetensors"), "{length}: {said}");
        assert!(said.contains(what), "{length}: {said}");
    }
}

#[test]
fn whether_there_is_a_tokenizer_is_known_at_plan_time() {
    let whole = fs::read(fixture("llama").join("model.safetensors")).unwrap();
    assert_eq!(planned(&whole, &[]).unwrap()["tokenizer"], false);
    assert_eq!(planned(&whole, &["tokenizer.json"]).unwrap()["tokenizer"], true);
}

fn last_logits(record: &Value, engine: &Engine, ids: Vec<u32>) -> Vec<f32> {
    let model = engine.session.model(record, engine).unwrap();
    let batch = Batch::right_padded(&[(0, &ids)]);
    let probe = Probe::default();
    let logits = model.forward(&mut Pass::new(&batch, &probe, pass::Wanted::Newest), None); // [1, vocab]
    logits.into_data().to_vec().unwrap()
}

/// The reference is an independent PyTorch run: " Paris" (7042) follows with probability 0.77254.
#[test]
fn smollm2_knows_the_capital_of_france() {
    if smollm2::file().is_none() {
        return;
    }
    let (record, engine) = ran(json!({ "source": smollm2::SOURCE })).unwrap();
    let prompt = Prompt { id: "0".into(), category: None, content: Content::Text("The capital of France is".into()) };
    let prompts = Prompts { prompts: vec![prompt], chat_template: false, max_length: None, bos: Bos::default() };
    let ids = prompts.token_ids(&record, &engine).unwrap().remove(0);
    assert_eq!(ids, [504, 3575, 282, 4649, 314]);
    let started = Instant::now();
    engine.session.model(&record, &engine).unwrap();
    println!("SmolLM2 was loaded in {:?}", started.elapsed());
    let logits = last_logits(&record, &engine, ids);
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    let probability = f64::from(logits[7042]).exp() / total;
    assert!((probability - 0.772_539).abs() < 1e-4, "{probability}");
    assert!((logits[7042] - 17.371_265).abs() < 1e-3, "{}", logits[7042]);
}
