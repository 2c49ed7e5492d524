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

/// It can be read; to predict a text token by token, a token must not see those behind it.
#[test]
fn a_model_that_is_not_causal_writes_nothing() {
    let blind = STUDY.replace("intermediate-size = 0 }", "intermediate-size = 0, causal = false }");
    assert_eq!(Sandbox::with(&blind).assay(&["plan", "study.toml"]).code, Some(0));
    let written = "[stages.written]\nkind = \"generate\"\nnew-tokens = 2\n\
                   inputs = { model = \"learned\", prompts = \"task.test\" }\n";
    assert_eq!(Sandbox::with(&format!("{STUDY}\n{written}")).assay(&["plan", "study.toml"]).code, Some(0));
    let refused = Sandbox::with(&format!("{blind}\n{written}")).assay(&["plan", "study.toml"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stderr.contains("its tokens see those behind them"), "{}", refused.stderr);
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

/// Elsewhere no result may depend on what shares a batch, and what a clamp aims at must be there: both are told before
/// anything runs.
#[test]
fn a_clamp_over_a_batch_is_for_training_alone_and_its_column_must_be_there() {
    let clamp = "edits = [{ op = \"clamp\", site = \"ln_final.normalized\", over = \"batch\", norm = SIZE }]\n";
    let inside = STUDY.replace("capture = [", &format!("{clamp}capture = [").replace("SIZE", "1.0"));
    let refused = Sandbox::with(&inside).assay(&["plan", "study.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("only `train` does"), "{}", refused.stderr);

    let column = clamp.replace("SIZE", "{ from = \"control\", column = \"normalised_norm\" }");
    let clamped = format!(
        "{STUDY}\n[stages.clamped]\nkind = \"train\"\nsteps = 2\n{column}\
         inputs = {{ train = \"task.train\", test = \"task.test\", control = \"learned.log\" }}\n\
         model = {{ num-hidden-layers = 1, num-attention-heads = 2, hidden-size = 16, intermediate-size = 0 }}\n"
    );
    let sandbox = Sandbox::with(&clamped);
    let refused = sandbox.assay(&["plan", "study.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("has no column `normalised_norm`"), "{}", refused.stderr);
    sandbox.edit("normalised_norm", "normalized_norm");
    assert_eq!(in_state(&sandbox.run(&[]), "ran").len(), 4);
}

/// Two runs of one study leave the same log and other times; a document puts the times beside the rows.
#[test]
fn seconds_are_noted_beside_a_log_that_does_not_hold_them() {
    let study = format!(
        "{STUDY}\n[stages.audit]\nkind = \"document\"\ninputs = {{ log = \"learned.log\", digests = \"learned.checkpoints\" }}\n\
         content = {{ metrics = {{ rows = \"= rows(log)\", with = {{ timestamp = {{ made = \"log\", field = \"times\" }} }} }}, checkpoints = \"= digests\" }}\n\
         [export]\n\"audit.json\" = \"audit\"\n"
    );
    let audit = |sandbox: &Sandbox| -> serde_json::Value {
        sandbox.run(&[]);
        assert_eq!(sandbox.assay(&["export", "study.toml", "out"]).code, Some(0));
        serde_json::from_slice(&fs::read(sandbox.path("out/audit.json")).unwrap()).unwrap()
    };
    let (one, other) = (Sandbox::with(&study), Sandbox::with(&study));
    let (audited, again) = (audit(&one), audit(&other));
    let log = |sandbox: &Sandbox| fs::read(sandbox.path("results/trained/learned/log.csv")).unwrap();
    assert_eq!(log(&one), log(&other));
    assert_eq!(audited["checkpoints"], again["checkpoints"]);
    assert!(audited["checkpoints"]["40"].as_str().is_some_and(|digest| digest.starts_with("blake3:")), "{audited}");
    let rows = audited["metrics"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "step 0 and step 40");
    assert!(rows.iter().all(|row| row["timestamp"].as_str().is_some_and(|time| time.starts_with("20"))), "{audited}");
}

/// A file of bytes is a task like any other.
#[test]
fn a_text_file_is_learned() {
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(40);
    let task = "kind = \"text-windows\"\nfile = \"fox.txt\"\nlength = 24\n";
    let (head, rest) = STUDY.split_once("kind = \"repeated-patterns\"").unwrap();
    let (_, tail) = rest.split_once("[stages.learned]").unwrap();
    let sandbox = Sandbox::with(&format!("{head}{task}\n[stages.learned]{tail}"));
    fs::write(sandbox.path("fox.txt"), &text).unwrap();
    assert_eq!(in_state(&sandbox.run(&[]), "ran").len(), 3);
    // 1800 bytes are 75 windows of 24, of which a tenth is held out.
    assert_eq!(sandbox.assay(&["export", "study.toml", "out"]).code, Some(0));
    let held_out: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.path("out/task/test.json")).unwrap()).unwrap();
    let windows = held_out["sequences"].as_array().unwrap();
    assert_eq!((windows.len(), &windows[0]["id"]), (7, &serde_json::json!("68")));
    assert_eq!(windows[0]["prompt"][0], text.as_bytes()[68 * 24]);
    sandbox.edit("length = 24", "length = 2400");
    let failed = sandbox.assay(&["run", "study.toml"]);
    assert!(failed.stderr.contains("0 windows of 2400: too few"), "{}", failed.stderr);
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
