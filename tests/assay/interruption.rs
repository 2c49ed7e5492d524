//! A run that is killed, terminated or interrupted in the middle goes on from its last saved unit, and ends with the
//! same digests as one that was left alone.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sandbox::{Run, Sandbox, in_state};

/// How a run is ended, and the exit code it must leave with.
const ENDINGS: [(Signal, Option<i32>); 3] = [(Signal::KILL, None), (Signal::TERM, Some(75)), (Signal::INT, Some(130))];

/// The longest that any of these runs may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn phiid_goes_on_where_it_was_stopped() {
    each_ending(&phiid(), "phiid");
}

#[test]
fn generate_goes_on_where_it_was_stopped() {
    each_ending(&language_model(), "capture");
}

#[test]
fn ablate_goes_on_where_it_was_stopped() {
    each_ending(&language_model(), "ablation");
}

/// A study of many heads: enough pairs that the stage saves many units.
pub fn phiid() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "pairs"

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind   = "phiid"
inputs = { activations = "activations" }
atoms  = "all"
"#,
    );
    sandbox.write("activations.npy", noise(6, 1200, 1000));
    sandbox
}

/// A study of a small model with random weights.
fn language_model() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "small"

[stages.model]
kind   = "load-model"
source = "init"
config = "config.json"
seed   = 1

[stages.prompts]
kind = "prompts"
tokens = [[1,2,3,4,5,6,7,8],[3,4,5,6],[5,6,7,8,9,10,11],[7,8,9],[9,10],[11,12,13,14,15],[13,14],[15,16,17],
          [2,2,3,4,5,6,7,8],[4,4,5,6],[6,6,7,8,9,10,11],[8,8,9],[10,10],[12,12,13,14,15],[14,14],[16,16,17]]

[stages.capture]
kind       = "generate"
inputs     = { model = "model", prompts = "prompts" }
new-tokens = 60
batch      = 2
capture    = [{ site = "z", reduce = "norm" }]

[stages.phiid]
kind   = "phiid"
inputs = { activations = "capture.z" }

[stages.ranking]
kind   = "rank"
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }

[stages.ablation]
kind   = "ablate"
inputs = { model = "model", tokens = "capture.tokens", ranking = "ranking" }
step   = 4
seeds  = [1, 2, 3]
"#,
    );
    sandbox.write("config.json", CONFIG);
    sandbox
}

/// Large enough that a batch takes a while, small enough that a test does not.
const CONFIG: &str = r#"{
  "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 512, "hidden_size": 256,
  "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 704,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
  "tie_word_embeddings": false, "initializer_range": 0.05
}"#;

fn each_ending(sandbox: &Sandbox, stage: &str) {
    let whole = digests(&sandbox.run(&["--store", "whole"]), &sandbox.path("whole"));
    for (signal, code) in ENDINGS {
        let store = format!("ended-{}", signal.as_raw());
        let ended = end_in_the_middle(sandbox, &store, stage, signal);
        assert_eq!(ended.code, code, "{signal:?} in `{stage}`: {}", ended.stderr);
        let saved = units(&sandbox.path(&store));
        assert!(saved > 0, "units are there after {signal:?}");
        let resumed = sandbox.run(&["--store", &store]);
        assert!(in_state(&resumed, "ran").contains(&stage), "`{stage}` was finished by the second run");
        assert_eq!(digests(&resumed, &sandbox.path(&store)), whole, "{signal:?} in `{stage}`");
        assert_eq!(units(&sandbox.path(&store)), 0, "units are dropped after the commit");
    }
}

/// Starts a run and sends `signal` as soon as `stage` has saved a unit.
fn end_in_the_middle(sandbox: &Sandbox, store: &str, stage: &str, signal: Signal) -> Run {
    let mut command = sandbox.command(&["run", "study.toml", "--store", store, "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let key = inputs_key(sandbox, stage);
    let folder = sandbox.path(store).join("units").join(key);
    let begun = Instant::now();
    while !has_files(&folder) {
        assert!(child.try_wait().unwrap().is_none(), "`{stage}` ended before it could be stopped: make it longer");
        assert!(begun.elapsed() < PATIENCE, "`{stage}` saved no unit");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), signal).expect("the run is still there");
    wait(child)
}

/// The name of the folder of a stage's units: in the entry that the uninterrupted run has left.
fn inputs_key(sandbox: &Sandbox, stage: &str) -> String {
    let plan = sandbox.assay(&["plan", "study.toml", "--json", "--store", "whole"]).json();
    let stages = plan["stages"].as_array().unwrap();
    let key =
        stages.iter().find(|own| own["id"] == stage).expect("the stage is planned")["key"].as_str().unwrap().to_owned();
    entry(&sandbox.path("whole"), &key)["inputs_key"].as_str().unwrap().to_owned()
}

fn wait(mut child: Child) -> Run {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the run did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Run::of(child.wait_with_output().unwrap())
}

/// The digests of all outputs of a finished run, by stage.
fn digests(document: &Value, store: &Path) -> Vec<(String, Value)> {
    let mut digests = Vec::new();
    for stage in document["stages"].as_array().unwrap() {
        let entry = entry(store, stage["key"].as_str().unwrap());
        for (port, output) in entry["outputs"].as_object().unwrap() {
            digests.push((format!("{}.{port}", stage["id"].as_str().unwrap()), output["digest"].clone()));
        }
    }
    digests.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!digests.is_empty());
    digests
}

fn entry(store: &Path, key: &str) -> Value {
    let path = store.join("entries").join(&key[..2]).join(format!("{key}.json"));
    serde_json::from_str(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// How many files of units a store holds.
fn units(store: &Path) -> usize {
    let folders = fs::read_dir(store.join("units")).into_iter().flatten().flatten();
    folders.map(|folder| fs::read_dir(folder.path()).map_or(0, Iterator::count)).sum()
}

fn has_files(folder: &Path) -> bool {
    fs::read_dir(folder)
        .is_ok_and(|files| files.flatten().any(|file| !file.file_name().to_string_lossy().starts_with('.')))
}

/// A `.npy` file of f64 from a small generator: series with some memory, so that no head is constant.
fn noise(prompts: usize, nodes: usize, steps: usize) -> Vec<u8> {
    let shape = format!("({prompts}, {nodes}, {steps})");
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    let mut state = 1_u64;
    let mut value = 0.0;
    for _ in 0..prompts * nodes * steps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value = 0.5 * value + (state >> 11) as f64 / (1_u64 << 53) as f64;
        file.extend(value.to_le_bytes());
    }
    file
}
