//! `plan --why`: every cause of a run, told where it was made.

use std::{collections::BTreeMap, fs};

use assay_cache::{Entry, Key, Store};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, contents, in_state};

const STUDY: &str = r#"[study]
name = "small"
seed = 42

[params]
label = "synergy"
ties  = "index"

[axes]
tau  = [1, 2, 5]
form = { plain = "mmi" }

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind       = "phiid"
over       = ["tau", "form"]
inputs     = { activations = "activations" }
tau        = "${tau}"
redundancy = "${form}"

[stages.ranking]
kind   = "rank"
over   = ["tau", "form"]
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
ties   = "${params.ties}"

[stages.scores]
kind   = "summarize"
inputs = { table = "ranking" }
by     = ["layer"]
of     = ["syn_red_score"]

[stages.figure]
kind   = "plot"
inputs = { scores = "scores" }
series = [{ from = "scores", x = "layer", y = "mean_syn_red_score", label = "${params.label}" }]
"#;

fn small() -> Sandbox {
    let sandbox = Sandbox::with(STUDY);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "activations.npy");
    sandbox
}

/// A study that has run once.
fn ran() -> Sandbox {
    let sandbox = small();
    sandbox.run(&[]);
    sandbox
}

fn why(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.assay(&[&["plan", "study.toml", "--why"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
        .replace(&format!("{}/", fs::canonicalize(sandbox.path("")).unwrap().display()), "FOLDER/")
        .replace(&format!("{}/", sandbox.path("").display().to_string().trim_end_matches('/')), "FOLDER/")
}

/// The reasons of one cell in `plan --why --json`.
fn reasons(sandbox: &Sandbox, id: &str, arguments: &[&str]) -> Value {
    let run = sandbox.assay(&[&["plan", "study.toml", "--why", "--json"], arguments].concat());
    let document = run.json();
    let stage = document["stages"].as_array().unwrap().iter().find(|stage| stage["id"] == id);
    stage.unwrap_or_else(|| panic!("no {id} in {document:#}"))["why"].clone()
}

#[test]
fn a_study_that_never_ran_is_new() {
    assert_snapshot!(why(&small(), &[]));
}

#[test]
fn nothing_to_do_has_no_reasons() {
    assert_snapshot!(why(&ran(), &[]));
}

#[test]
fn a_parameter_is_told_with_its_field_values_and_line() {
    let sandbox = ran();
    sandbox.edit("by     = [\"layer\"]", "by     = [\"layer\"]\ntake   = [\"mean\", \"median\"]");
    sandbox.edit("y = \"mean_syn_red_score\"", "y = \"mean_syn_red_score\", style = \"dashed\"");
    sandbox.edit("label = \"synergy\"", "label = \"synergy − redundancy\"");
    sandbox.edit("\"index\"", "\"difference\"");
    sandbox.edit("\"mmi\"", "\"ccs\"");
    assert_snapshot!(why(&sandbox, &[]));
    let expected = json!([
        {"cause": "param", "field": "ties", "was": {"value": "index", "default": true},
         "now": {"value": "difference", "default": false}, "at": {"line": 7, "by": "param", "name": "ties"}},
        {"cause": "upstream", "cells": ["phiid[tau=2,form=plain]"]},
    ]);
    assert_eq!(reasons(&sandbox, "ranking[tau=2,form=plain]", &[]), expected);
}

#[test]
fn a_file_is_told_with_its_digests() {
    let sandbox = ran();
    let was = blake3_of(&sandbox, "activations.npy");
    let mut bytes = fs::read(sandbox.path("activations.npy")).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    sandbox.write("activations.npy", bytes);
    let reason = &reasons(&sandbox, "activations", &[])[0];
    assert_eq!(reason["cause"], "file");
    assert_eq!((&reason["role"], &reason["line"]), (&json!("file"), &json!(15)));
    assert_eq!((&reason["was"], &reason["now"]), (&json!(was), &json!(blake3_of(&sandbox, "activations.npy"))));
    assert_snapshot!(why(&sandbox, &[]));
}

fn blake3_of(sandbox: &Sandbox, name: &str) -> String {
    assay_cache::Digest::of(&fs::read(sandbox.path(name)).unwrap()).to_string()
}

#[test]
fn inputs_are_told_that_were_wired_elsewhere_or_gather_other_cells() {
    let sandbox = ran();
    sandbox.edit(
        "inputs = { sts = \"phiid.sts\", rtr = \"phiid.rtr\" }",
        "inputs = { sts = \"phiid.rtr\", rtr = \"phiid.rtr\" }",
    );
    sandbox.edit("tau  = [1, 2, 5]", "tau  = [1, 2, 3]");
    sandbox.edit(
        "kind   = \"plot\"\ninputs = { scores = \"scores\" }",
        "kind   = \"plot\"\ninputs = { scores = \"scores\", more = \"scores\" }",
    );
    assert_snapshot!(why(&sandbox, &[]));
}

#[test]
fn another_kind_is_told_and_its_parameters_are_not() {
    let sandbox = ran();
    sandbox.write("table.csv", "layer,syn_red_score\n0,0.5\n");
    sandbox.edit(
        "kind   = \"summarize\"\ninputs = { table = \"ranking\" }\nby     = [\"layer\"]\nof     = [\"syn_red_score\"]",
        "kind = \"load-table\"\nfile = \"table.csv\"",
    );
    sandbox.edit("y = \"mean_syn_red_score\"", "y = \"syn_red_score\"");
    assert_snapshot!(why(&sandbox, &[]));
}

const EDITS: &str = r#"[study]
name = "edits"
seed = 1

[params]
noise = { site = "resid_post", layers = [0] }

[axes]
sigma = { low = 0.1, high = 0.2 }

[stages.model]
kind   = "load-model"
source = "init"
config = "config.json"
seed   = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, 2, 3, 4]]

[stages.forward]
kind    = "forward"
over    = ["sigma"]
inputs  = { model = "model", prompts = "prompts" }
edits   = [{ op = "noise", site = "${params.noise.site}", layers = "${params.noise.layers}", std = "${sigma}" }]
capture = [{ site = "resid_post", reduce = "norm" }]
"#;

#[test]
fn fields_deep_inside_are_told_where_their_values_stand() {
    let sandbox = Sandbox::with(EDITS);
    sandbox.fixture("stages/fixtures/llama/config.json", "config.json");
    sandbox.run(&["--device", "cpu"]);
    sandbox.edit("seed = 1\n", "seed = 2\n");
    sandbox.edit("layers = [0]", "layers = [0, 1]");
    sandbox.edit("high = 0.2", "high = 0.3");
    sandbox.edit("tokens = [[1, 2, 3, 4]]", "tokens = [[1, 2, 3, 5]]");
    assert_snapshot!(why(&sandbox, &[]));
}

/// Makes the study remember `cell` as an older version of its kind has left it.
fn as_by_version(sandbox: &Sandbox, cell: &str, version: &str) {
    let store = Store::at(sandbox.path("store"));
    let mut keys = store.study("small").unwrap().unwrap();
    let mut entry: Entry = store.entry(keys[cell]).unwrap().unwrap();
    entry.recipe.version = version.to_owned();
    entry.key = entry.recipe.key();
    keys.insert(cell.to_owned(), entry.key);
    fs::remove_file(entry_file(sandbox, store.study("small").unwrap().unwrap()[cell])).unwrap();
    store.commit_same(entry).unwrap();
    store.remember_study("small", &keys).unwrap();
}

fn entry_file(sandbox: &Sandbox, key: Key) -> std::path::PathBuf {
    let key = key.to_string();
    sandbox.path("store/entries").join(&key[..2]).join(format!("{key}.json"))
}

fn keys(sandbox: &Sandbox) -> BTreeMap<String, Key> {
    Store::at(sandbox.path("store")).study("small").unwrap().expect("the study has run")
}

#[test]
fn versions_are_told_part_by_part() {
    let sandbox = ran();
    as_by_version(&sandbox, "scores", "old-part=4,summarize=0");
    assert_snapshot!(why(&sandbox, &[]));
}

#[test]
fn what_the_store_has_lost_is_told() {
    let sandbox = ran();
    let keys = keys(&sandbox);
    fs::remove_file(entry_file(&sandbox, keys["ranking[tau=1,form=plain]"])).unwrap();
    fs::write(entry_file(&sandbox, keys["ranking[tau=2,form=plain]"]), "{").unwrap();
    Store::at(sandbox.path("store")).set_aside(keys["ranking[tau=5,form=plain]"]).unwrap();
    // Of what they need, the blob of one output is gone as well: the run would have to make it anew.
    let phiid = Store::at(sandbox.path("store")).entry(keys["phiid[tau=1,form=plain]"]).unwrap().unwrap();
    let sts = phiid.outputs["sts"].digest.to_string();
    fs::remove_file(sandbox.path("store/blobs").join(&sts[..2]).join(&sts)).unwrap();
    assert_snapshot!(why(&sandbox, &[]));
    let ran = sandbox.run(&[]);
    assert!(in_state(&ran, "ran").contains(&"phiid[tau=1,form=plain]"), "the plan was right: {ran:#}");
    assert!(!in_state(&ran, "ran").contains(&"phiid[tau=2,form=plain]"), "and not too cautious: {ran:#}");
}

#[test]
fn an_old_record_that_is_gone_is_said_to_be_gone() {
    let sandbox = ran();
    fs::remove_file(entry_file(&sandbox, keys(&sandbox)["figure"])).unwrap();
    sandbox.edit("label = \"synergy\"", "label = \"other\"");
    assert_eq!(reasons(&sandbox, "figure", &[]), json!([{"cause": "forgotten"}]));
}

#[test]
fn inputs_with_other_bytes_are_named() {
    let sandbox = ran();
    // An upstream entry of the same key with other bytes, as another machine may have made it.
    let key = keys(&sandbox)["ranking[tau=1,form=plain]"];
    let file = entry_file(&sandbox, key);
    let mut entry = Store::at(sandbox.path("store")).entry(key).unwrap().unwrap();
    let output = entry.outputs.get_mut("ranking").expect("rank has the output `ranking`");
    let text = output.inline.take().expect("a ranking of 24 heads is short").replacen("0.", "0.0", 1);
    output.digest = assay_cache::Digest::of(text.as_bytes());
    output.inline = Some(text);
    fs::write(file, serde_json::to_string(&entry).unwrap()).unwrap();
    assert_eq!(reasons(&sandbox, "scores", &[]), json!([{"cause": "other-inputs", "ports": ["table"]}]));
    assert_eq!(reasons(&sandbox, "figure", &[]), json!([{"cause": "upstream", "cells": ["scores"]}]));
}

#[test]
fn what_is_not_fetched_is_told_with_all_that_hangs_on_it() {
    let study = "[study]\nname = \"far\"\n\n[stages.model]\nkind = \"load-model\"\nsource = \"nobody/nothing\"\n\n\
                 [stages.prompts]\nkind = \"prompts\"\ntexts = [\"a\"]\n\n[stages.generate]\nkind = \"generate\"\n\
                 inputs = { model = \"model\", prompts = \"prompts\" }\n";
    let sandbox = Sandbox::with(study);
    let mut plan = sandbox.command(&["plan", "study.toml", "--why", "--json"]);
    let run = crate::sandbox::Run::of(plan.env("HF_HOME", sandbox.path("hub")).output().unwrap()).json();
    let why: Vec<_> = run["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["id"].as_str().unwrap(), stage["why"][0]["cause"].as_str().unwrap()))
        .collect();
    assert_eq!(why, [("model", "not-fetched"), ("prompts", "new-stage"), ("generate", "upstream")]);
}

#[test]
fn variants_are_compared_with_the_study_until_they_have_run_themselves() {
    let sandbox = ran();
    let set = ["--set", "ties=difference"];
    assert_snapshot!("variant_that_has_not_run", why(&sandbox, &set));
    sandbox.run(&set);
    assert_eq!(reasons(&sandbox, "ranking[tau=1,form=plain]", &set), json!([]));
    assert_eq!(reasons(&sandbox, "ranking[tau=1,form=plain]", &[]), json!([]), "the study's own memory is untouched");
    sandbox.edit("tau  = [1, 2, 5]", "tau  = [1, 2]");
    sandbox.edit("of     = [\"syn_red_score\"]", "of     = [\"avg_synergy\"]");
    sandbox.edit("y = \"mean_syn_red_score\"", "y = \"mean_avg_synergy\"");
    assert_snapshot!("variant_that_has_run", why(&sandbox, &set));
}

#[test]
fn a_renamed_study_is_a_study_that_never_ran() {
    let sandbox = ran();
    sandbox.edit("name = \"small\"", "name = \"renamed\"");
    sandbox.edit("label = \"synergy\"", "label = \"other\"");
    assert_eq!(reasons(&sandbox, "figure", &[]), json!([{"cause": "new-stage"}]));
    assert_eq!(reasons(&sandbox, "scores", &[]), json!([]), "what is cached is cached");
}

#[test]
fn a_run_that_fails_does_not_forget_what_was_finished_before() {
    let sandbox = ran();
    sandbox.edit("label = \"synergy\"", "label = \"other\"");
    sandbox.edit("tau        = \"${tau}\"", "tau        = \"${tau}\"\ndegenerate = \"strict\"");
    let mut bytes = fs::read(sandbox.path("activations.npy")).unwrap();
    let last = bytes.len() - 8;
    bytes[last..].copy_from_slice(&f64::NAN.to_le_bytes());
    sandbox.write("activations.npy", bytes);
    let failed = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let causes = |id: &str| -> Vec<String> {
        let reasons = reasons(&sandbox, id, &[]);
        reasons.as_array().unwrap().iter().map(|reason| reason["cause"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(causes("activations"), [""; 0], "it was finished");
    assert_eq!(causes("phiid[tau=1,form=plain]"), ["param", "upstream"], "it is compared with when it was finished");
    assert_eq!(causes("figure"), ["param", "upstream"]);
}

#[test]
fn asking_why_writes_nothing() {
    let sandbox = ran();
    sandbox.edit("tau  = [1, 2, 5]", "tau  = [1, 2, 3]");
    let before = contents(&sandbox.path("store"));
    why(&sandbox, &[]);
    assert!(before == contents(&sandbox.path("store")));
}
