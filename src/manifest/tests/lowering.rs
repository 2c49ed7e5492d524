//! Nodes to JSON: what a kind's own parser then reads, and what its key depends on.

use std::{fs, path::Path};

use assay_stages::Seed;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    kinds::{Auto, Batch, Change, Dtype, Edit, Flat, Forward, Load, Scale, schema},
    lowering, node,
};
use crate::manifest::{Base, Shape, canonical_params, lower::lower};

fn lowered(kind: &str, text: &str, folder: &Path) -> Value {
    let shape = Shape::of(&schema(kind).unwrap());
    lower(&node(text), &shape, &lowering(folder)).unwrap()
}

fn parsed<T: DeserializeOwned>(kind: &str, text: &str) -> T {
    serde_json::from_value(lowered(kind, text, Path::new("/nowhere"))).unwrap()
}

/// What the key sees, of the parameters as the kind itself writes them.
fn keyed<T: DeserializeOwned + serde::Serialize>(kind: &str, text: &str) -> Value {
    let params = serde_json::to_value(parsed::<T>(kind, text)).unwrap();
    canonical_params(&params, &Shape::of(&schema(kind).unwrap()))
}

/// Each problem as `what it points at: message`.
fn wrong(kind: &str, text: &str) -> Vec<String> {
    let shape = Shape::of(&schema(kind).unwrap());
    let problems = lower(&node(text), &shape, &lowering(Path::new("/nowhere"))).unwrap_err();
    problems.into_iter().map(|problem| format!("{}: {}", &text[problem.span], problem.message)).collect()
}

#[test]
fn what_is_lowered_is_what_the_kind_reads() {
    let forward: Forward = parsed(
        "forward",
        r#"
        capture = [{ site = "z", layers = "2..4", reduce = { top-k = 5 } }, { site = "q", reduce = "mean" }]
        edits = [{ op = "noise", site = "z", std = 1 }, { op = "scale", by = 2 }, { op = "zero", site = "q" }]
        batch = 8
        noise.parts = [{ std = 3, parts = [{}] }]
        weights = { a = 1, b = 2.5 }
        window = [3, 4]
        "#,
    );
    assert_eq!(forward.batch, Batch::Size(8.try_into().unwrap()));
    assert_eq!(forward.edits[1], Edit::Scale(Scale { by: 2.0 }));
    assert_eq!(forward.window, Some((3, 4.0)));
    assert_eq!(forward.weights["a"], 1.0);
    assert_eq!(forward.noise.parts[0].std, 3.0);
    assert_eq!(forward.capture.len(), 2);
    let flat: Flat = parsed("flat", "heads = [1, 2]\nop = 'noise'\nsite = 'z'\nstd = 1");
    assert_eq!(flat.change, Change::Noise { std: 1.0, seed: Seed(42) });
    assert_eq!(wrong("flat", "heads = []\nop = 'zero'\nst = 1"), [": `site` is missing", "st: `st` is an unknown key"]);
}

#[test]
fn every_seed_that_is_left_out_is_the_studys() {
    let value = lowered(
        "forward",
        r#"
        capture = []
        edits = [{ op = "noise", site = "z", std = 1.0 }, { op = "noise", site = "z", std = 1.0, seed = 7 }]
        noise.parts = [{}]
        "#,
        Path::new("/nowhere"),
    );
    let seeds = ["/edits/0/seed", "/edits/1/seed", "/noise/seed", "/noise/parts/0/seed"];
    assert_eq!(seeds.map(|at| value.pointer(at).and_then(Value::as_u64)), [42, 7, 42, 42].map(Some));
}

#[test]
fn one_number_has_one_text() {
    let one = |number| keyed::<Forward>("forward", &format!("capture = []\nnoise = {{ std = {number}, seed = 1 }}"));
    assert_eq!(one("1"), one("1.0"));
    assert_eq!(one("1").to_string(), r#"{"capture":[],"noise":{"seed":1,"std":1.0}}"#);
    let single = lowered("forward", "capture = []\nnoise.single = 0.1", Path::new("/nowhere"));
    assert_eq!(single["noise"]["single"], json!(f64::from(0.1f32)));
}

#[test]
fn defaults_stay_out_of_the_key_at_every_depth() {
    let bare = keyed::<Forward>("forward", r#"capture = [{ site = "z" }]"#);
    assert_eq!(bare, json!({ "capture": [{ "site": "z" }] }));
    let spelt = r#"
        capture = [{ site = "z", layers = "all" }]
        batch = "auto"
        tau = 1
        edits = []
        weights = {}
        flag = false
    "#;
    assert_eq!(keyed::<Forward>("forward", spelt), bare);
    let other = keyed::<Forward>("forward", "capture = []\ntau = 2\nnoise = { seed = 1, parts = [] }");
    assert_eq!(other, json!({ "capture": [], "tau": 2, "noise": { "seed": 1 } }));
}

#[test]
fn an_auto_batch_and_a_number_are_told_apart() {
    assert_eq!(parsed::<Forward>("forward", "capture = []").batch, Batch::Chosen(Auto::Auto));
    assert_eq!(keyed::<Forward>("forward", "capture = []\nbatch = 4"), json!({ "capture": [], "batch": 4 }));
}

#[test]
fn what_names_files_is_absolute_and_never_in_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("models/tiny")).unwrap();
    fs::write(folder.join("models/vocab.txt"), "").unwrap();
    let text = r#"source = "models/tiny"
        vocabulary = "./models/vocab.txt"
        shards = ["models/vocab.txt"]
        adapters = { a = "models/vocab.txt" }
        dtype = "bf16""#;
    let value = lowered("load", text, folder);
    let absolute = |path: &str| json!(folder.join(path).to_str().unwrap());
    assert_eq!(value["source"], absolute("models/tiny"));
    assert_eq!(value["vocabulary"], absolute("models/vocab.txt"));
    assert_eq!(value["shards"][0], absolute("models/vocab.txt"));
    assert_eq!(canonical_params(&value, &Shape::of(&schema("load").unwrap())), json!({ "dtype": "bf16" }));
}

#[test]
fn what_may_be_a_file_or_a_value_enters_a_key_as_the_value() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scale.csv"), "").unwrap();
    let key = |scale: &str| {
        let value = lowered("load", &format!("source = 'x'\nscale = {scale}"), folder.path());
        canonical_params(&value, &Shape::of(&schema("load").unwrap()))
    };
    assert_eq!(key("[1, 2.5]"), json!({ "scale": [1.0, 2.5] }));
    assert_eq!(key("'scale.csv'"), json!({}));
}

#[test]
fn a_source_that_is_no_path_stays_as_it_is() {
    let source = |text: &str| parsed::<Load>("load", &format!("source = {text:?}")).source.0;
    assert_eq!(source("openai-community/gpt2"), "openai-community/gpt2");
    assert_eq!(source("pip:a==1#b.gguf"), "pip:a==1#b.gguf");
    assert_eq!(source("./not-yet"), "/nowhere/not-yet");
    assert_eq!(source("/a/b"), "/a/b");
}

#[test]
fn a_path_from_the_command_line_is_relative_to_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    fs::write(folder.path().join("elsewhere/vocab.txt"), "").unwrap();
    let shape = Shape::of(&schema("load").unwrap());
    let written = node("source = 'x'\nvocabulary = 'vocab.txt'");
    assert!(lower(&written, &shape, &lowering(folder.path())).is_err());
    let set = lower(&written.based_on(Base::WorkingDir), &shape, &lowering(folder.path())).unwrap();
    assert_eq!(set["vocabulary"], json!(folder.path().join("elsewhere/vocab.txt").to_str().unwrap()));
}

#[test]
fn a_missing_file_names_its_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vocab.txt"), "").unwrap();
    let shape = Shape::of(&schema("load").unwrap());
    let at = lowering(folder.path());
    let problems = lower(&node("source = 'x'\nvocabulary = 'vocb.txt'\nshards = ['']"), &shape, &at).unwrap_err();
    assert_eq!(problems[0].message, format!("no such file: {}", folder.path().join("vocb.txt").display()));
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `vocab.txt`?"));
    assert!(problems[1].message.ends_with("is a folder, and a file is wanted"), "{problems:?}");
}

#[test]
fn every_problem_is_found_where_it_stands() {
    let text = r#"capture = [{ sit = "z" }, { site = 3, layers = "5-7" }, 4]
edits = [{ op = "nois" }, { std = 1 }, { op = "noise", site = "z", std = "x" }]
tau = 1.0
batch = 0
window = [1]"#;
    assert_eq!(
        wrong("forward", text),
        [
            "sit: `sit` is an unknown key",
            "3: expected a string, found the integer 3",
            "\"5-7\": the string \"5-7\" does not have the form ^(all|-?\\d*\\.\\.-?\\d*)$",
            "4: expected a table, found the integer 4",
            "\"nois\": expected \"zero\", \"noise\" or \"scale\", found the string \"nois\"",
            "{ std = 1 }: `op` is missing",
            "\"x\": expected a number, found the string \"x\"",
            "1.0: expected an integer, found the float 1.0",
            "0: expected a number that is at least 1, found the integer 0",
            "[1]: expected a list of exactly 2, found one of 1",
        ]
    );
}

#[test]
fn numbers_outside_their_bounds_are_refused() {
    let by = |number: &str| wrong("forward", &format!("capture = []\nedits = [{{ op = 'scale', by = {number} }}]"));
    assert_eq!(by("2.5"), ["2.5: expected a number that is at most 2, found the float 2.5"]);
    assert_eq!(by("-1"), ["-1: expected a number that is at least 0, found the integer -1"]);
    assert_eq!(
        wrong("forward", "capture = []\ntau = 4294967296"),
        ["4294967296: expected a number that is at most 4294967295, found the integer 4294967296"]
    );
    assert_eq!(
        wrong("forward", "capture = []\nnoise.seed = -1"),
        ["-1: expected a number that is at least 0, found the integer -1"]
    );
}

#[test]
fn an_untagged_choice_names_all_that_it_takes() {
    assert_eq!(
        wrong("forward", "capture = []\nbatch = 'atuo'"),
        ["'atuo': expected \"auto\" or an integer, found the string \"atuo\""]
    );
    assert_eq!(
        wrong("forward", "capture = [{ site = 'z', reduce = { top-q = 1 } }]"),
        ["top-q: `top-q` is an unknown key"]
    );
}

#[test]
fn a_default_type_is_read_by_its_kind() {
    assert_eq!(parsed::<Load>("load", "source = 'x'\ndtype = 'bf16'").dtype, Dtype::Bf16);
}
