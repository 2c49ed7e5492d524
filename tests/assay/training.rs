//! A model that is trained in the study: used like a loaded one, and its run goes on where it was killed.

use std::{fs, thread, time::Duration};

use crate::sandbox::{Sandbox, in_state, states};

const STUDY: &str = r#"
[study]
name = "trained"
seed = 7

[stages.task]
kind = "repeated-patterns"
vocab = 8
length = 12
pattern-length = [3, 3]
train = 64
test = 16

[stages.learned]
kind   = "train"
inputs = { train = "task.train", test = "task.test" }
steps  = 40
batch  = 16
model  = { num-hidden-layers = 2, num-attention-heads = 2, hidden-size = 16, intermediate-size = 0 }
checkpoint-every = 5

[stages.inside]
kind    = "forward"
inputs  = { model = "learned", prompts = "task.test" }
capture = [{ site = "pattern", layers = 1 }]
"#;

#[test]
fn a_trained_model_is_used_like_a_loaded_one_and_its_weights_are_a_checkpoint() {
    let sandbox = Sandbox::with(STUDY);
    assert_eq!(in_state(&sandbox.run(&[]), "ran").len(), 3);
    assert_eq!(in_state(&sandbox.run(&[]), "cached").len(), 3);
    let log = fs::read_to_string(sandbox.path("results/trained/learned/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 3, "a header, step 0 and step 40: {log}");

    // What `export` writes is a checkpoint that the runner, or any other program, reads.
    assert_eq!(sandbox.assay(&["export", "study.toml", "out"]).code, Some(0));
    let shown = sandbox.assay(&["show", "study.toml", "learned.weights"]);
    assert!(shown.stdout.contains("model.layers.1.self_attn.o_proj.weight  [16, 16]"), "{}", shown.stdout);
    let bytes = fs::read(sandbox.path("out/learned/weights.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&bytes[8..200]).contains("\"dtype\":\"F32\""));
}

/// What an export writes of a trained model is a folder that `load-model` takes, and the same model.
#[test]
fn an_exported_model_is_loaded_again() {
    let export = "\n[export]\n\"small/model.safetensors\" = \"learned.weights\"\n";
    let trained = Sandbox::with(&format!("{STUDY}{export}"));
    trained.run(&[]);
    assert_eq!(trained.assay(&["export", "study.toml", "out"]).code, Some(0));
    let captured = fs::read(trained.path("out/inside/pattern.safetensors")).unwrap();
    for (folder, weights) in [("small", "model"), ("learned", "weights")] {
        let (task, rest) = STUDY.split_once("[stages.learned]").unwrap();
        let (_, inside) = rest.split_once("[stages.inside]").unwrap();
        let load = "[stages.learned]\nkind = \"load-model\"\nsource = \"./model\"\n\n[stages.inside]";
        let loaded = Sandbox::with(&[task, load, inside].concat());
        for file in ["config.json", &format!("{weights}.safetensors")] {
            loaded.write(&format!("model/{file}"), fs::read(trained.path(&format!("out/{folder}/{file}"))).unwrap());
        }
        loaded.run(&[]);
        assert_eq!(loaded.assay(&["export", "study.toml", "out"]).code, Some(0));
        assert!(fs::read(loaded.path("out/inside/pattern.safetensors")).unwrap() == captured, "{folder}");
    }
}

#[test]
fn two_models_cannot_be_exported_to_one_folder() {
    let lines = "\n[export]\n\"m/a.safetensors\" = \"learned.weights\"\n\"m/b.safetensors\" = \"learned.weights\"\n";
    let plan = Sandbox::with(&format!("{STUDY}{lines}")).assay(&["plan", "study.toml"]);
    assert_eq!(plan.code, Some(2), "{}", plan.stdout);
    assert!(plan.stderr.contains("config.json is written beside weights, and \"m/a.safetensors\" writes it there too"));
}

#[test]
fn weights_that_are_lost_are_trained_again() {
    let sandbox = Sandbox::with(STUDY);
    sandbox.run(&[]);
    let weights = largest_blob(&sandbox);
    fs::write(&weights, b"damaged").unwrap();
    sandbox.edit("site = \"pattern\"", "site = \"z\"");
    let run = sandbox.run(&[]);
    assert_eq!(states(&run), [("task", "cached"), ("learned", "ran"), ("inside", "ran")]);
    assert!(fs::metadata(weights).unwrap().len() > 1000);
}

#[test]
fn a_killed_run_goes_on_and_ends_in_the_same_bytes() {
    let whole = Sandbox::with(STUDY);
    whole.run(&[]);
    let long = STUDY.replace("steps  = 40", "steps  = 4000").replace("checkpoint-every = 5", "checkpoint-every = 50");
    let (killed, undisturbed) = (Sandbox::with(&long), Sandbox::with(&long));
    undisturbed.run(&[]);
    let mut child = killed.command(&["study.toml", "--json"]).spawn().unwrap();
    let units = killed.path("store/units");
    while child.try_wait().unwrap().is_none() && !has_a_checkpoint(&units) {
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the run was over before it could be killed");
    killed.run(&[]);
    let log = |sandbox: &Sandbox| fs::read(sandbox.path("results/trained/learned/log.csv")).unwrap();
    assert!(log(&killed) == log(&undisturbed));
    assert_eq!(fs::read(largest_blob(&killed)).unwrap(), fs::read(largest_blob(&undisturbed)).unwrap());
}

fn has_a_checkpoint(units: &std::path::Path) -> bool {
    let folders = fs::read_dir(units).into_iter().flatten().flatten();
    folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten()).next().is_some()
}

/// Of this study, that is the trained weights.
fn largest_blob(sandbox: &Sandbox) -> std::path::PathBuf {
    let shards = fs::read_dir(sandbox.path("store/blobs")).unwrap();
    let blobs = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap()).map(|blob| blob.unwrap().path());
    let weights = blobs.filter(|blob| fs::read(blob).unwrap().windows(7).any(|bytes| bytes == b"lm_head"));
    weights.max_by_key(|blob| fs::metadata(blob).unwrap().len()).expect("the weights are a blob")
}
