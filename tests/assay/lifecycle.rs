//! What is cached and what runs again: nothing the second time, and after a change exactly what depends on it.

use std::fs;

use serde_json::Value;

use crate::sandbox::{RANKING, Run, Sandbox, contents, in_state, states};

const HEAD: &str = r#"
[study]
name = "spine"
seed = 42

[axes]
tau = [1, 2]
"#;

fn spine() -> Sandbox {
    Sandbox::small(HEAD, RANKING)
}

const ALL: [&str; 5] = ["activations", "phiid[tau=1]", "phiid[tau=2]", "ranking[tau=1]", "ranking[tau=2]"];

fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

#[test]
fn a_second_run_does_nothing_and_says_so() {
    let sandbox = spine();
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ALL);
    let store = contents(&sandbox.path("store"));
    let results = contents(&sandbox.path("results"));
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "cached")), ALL);
    let run = sandbox.assay(&["study.toml"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("nothing to do, all 5 stages are cached"), "{}", run.stderr);
    assert!(store == contents(&sandbox.path("store")), "the store changed");
    assert!(results == contents(&sandbox.path("results")), "the results changed");
}

#[test]
fn results_stand_under_human_names() {
    let sandbox = spine();
    let document = sandbox.run(&[]);
    assert_eq!(document["results"], "results/spine");
    let ranking = fs::read_to_string(sandbox.path("results/spine/ranking/tau=1/ranking.csv")).unwrap();
    assert!(ranking.starts_with("head_idx,layer,head_in_layer,avg_synergy,"), "{ranking}");
    let index: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("results/spine/index.json")).unwrap()).unwrap();
    let behind = &index["ranking/tau=1/ranking.csv"];
    let key = document["stages"].as_array().unwrap().iter().find(|stage| stage["id"] == "ranking[tau=1]").unwrap();
    assert_eq!((&behind["key"], &behind["device"]), (&key["key"], &Value::from("host")));
}

#[test]
fn a_changed_axis_value_runs_its_cells_only() {
    let sandbox = spine();
    sandbox.run(&[]);
    sandbox.edit("tau = [1, 2]", "tau = [1, 3]");
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ["phiid[tau=3]", "ranking[tau=3]"]);
    sandbox.edit("tau = [1, 3]", "tau = [1, 2]");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
}

#[test]
fn a_changed_parameter_runs_what_depends_on_it() {
    let sandbox = spine();
    sandbox.run(&[]);
    sandbox.edit("rtr = \"phiid.rtr\" }", "rtr = \"phiid.rtr\" }\nties = \"difference\"");
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ["ranking[tau=1]", "ranking[tau=2]"]);
}

#[test]
fn a_parameter_written_out_at_its_default_changes_nothing() {
    let sandbox = spine();
    sandbox.run(&[]);
    sandbox.edit("rtr = \"phiid.rtr\" }", "rtr = \"phiid.rtr\" }\nties = \"index\"");
    sandbox.edit("kind = \"load-tensor\"", "title = \"Norms\"\nkind = \"load-tensor\"");
    sandbox.edit("name = \"spine\"", "name = \"renamed\"");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
    assert!(sandbox.path("results/renamed/ranking/tau=1/ranking.csv").is_file());
}

#[test]
fn a_changed_file_runs_everything_and_a_moved_one_nothing() {
    let sandbox = spine();
    sandbox.run(&[]);
    fs::rename(sandbox.path("activations.npy"), sandbox.path("moved.npy")).unwrap();
    sandbox.edit("file = \"activations.npy\"", "file = \"moved.npy\"");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
    let mut bytes = fs::read(sandbox.path("moved.npy")).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    sandbox.write("moved.npy", bytes);
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ALL);
}

#[test]
fn plan_tells_what_would_run_and_writes_nothing() {
    let sandbox = spine();
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert_eq!(sorted(in_state(&plan, "run")), ALL);
    assert!(!sandbox.path("store").exists() && !sandbox.path("results").exists());
    let document = sandbox.run(&[]);
    let keys = |document: &Value| -> Vec<Value> {
        document["stages"].as_array().unwrap().iter().map(|stage| stage["key"].clone()).collect()
    };
    assert_eq!(keys(&plan), keys(&document), "keys are known before anything runs");
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert_eq!(sorted(in_state(&plan, "cached")), ALL);
}

#[test]
fn one_stage_and_what_it_needs() {
    let sandbox = spine();
    let document = sandbox.run(&["phiid"]);
    assert_eq!(sorted(states(&document).into_iter().map(|(id, _)| id).collect()), &ALL[..3]);
    let run = sandbox.assay(&["run", "study.toml", "phid"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("did you mean `phiid`"), "{}", run.stderr);
}

#[test]
fn a_damaged_blob_is_set_aside_and_its_stage_runs_again() {
    let sandbox = spine();
    sandbox.run(&[]);
    let blobs = contents(&sandbox.path("store/blobs"));
    let (largest, bytes) = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    sandbox.write(&format!("store/blobs/{}", largest.display()), damaged);
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0], "a run with nothing to do reads no blob");
    sandbox.edit("tau = [1, 2]", "tau = [1, 2, 3]");
    let run = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("set aside"), "{}", run.stderr);
    assert_eq!(sorted(in_state(&run.json(), "ran")), ["activations", "phiid[tau=3]", "ranking[tau=3]"]);
    assert_eq!(&fs::read(sandbox.path("store/blobs").join(largest)).unwrap(), bytes);
}

#[test]
fn a_failed_stage_is_logged_and_what_needs_it_is_skipped() {
    let sandbox = spine();
    sandbox.edit(
        "inputs = { activations = \"activations\" }",
        "inputs = { activations = \"activations\" }\ndegenerate = \"strict\"",
    );
    sandbox.spoil_activations();
    let run = sandbox.assay(&["run", "study.toml", "--json", "--jobs", "1"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(in_state(&run.json(), "failed").len(), 1);
    let log = fs::read_to_string(sandbox.path("results/spine/errors.log")).unwrap();
    assert!(log.contains("\tphiid\tphiid[tau=1]\t"), "{log}");
    let run = sandbox.assay(&["run", "study.toml", "--json", "--keep-going"]);
    assert_eq!(run.code, Some(1));
    assert_eq!((in_state(&run.json(), "failed").len(), in_state(&run.json(), "skipped").len()), (2, 2));
}

#[test]
fn a_store_that_fails_is_tried_again_and_every_failure_is_logged() {
    let sandbox = spine();
    sandbox.write("store/units", "a file where a folder belongs");
    let run = sandbox.assay(&["run", "study.toml", "--json", "--jobs", "1", "--retries", "1"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("attempt 2 follows"), "{}", run.stderr);
    let log = fs::read_to_string(sandbox.path("results/spine/errors.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("\tactivations\tactivations\t")).count(), 2, "{log}");
    fs::remove_file(sandbox.path("store/units")).unwrap();
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ALL);
}

#[test]
fn an_expectation_that_fails_exits_with_3() {
    let expecting = |equals: &str| {
        let expect = format!(
            "\n[[expect]]\nthat = \"ranking.syn_red_score\"\ncell = {{ tau = \"1\" }}\nwhere = {{ head_idx = 23 }}\nequals = {equals}\n"
        );
        let sandbox = Sandbox::small(HEAD, &(RANKING.to_owned() + &expect));
        sandbox.assay(&["run", "study.toml", "--json"])
    };
    let held = |run: &Run| run.json()["expectations"][0]["held"].clone();
    // The reference implementation's score of head 23 (shared data `job_MMI_ranks.json`) is 1.
    let (right, wrong) = (expecting("1.0"), expecting("0.9"));
    assert_eq!((right.code, held(&right)), (Some(0), Value::from("pass")), "{}", right.stderr);
    assert_eq!((wrong.code, held(&wrong)), (Some(3), Value::from("fail")), "{}", wrong.stderr);
}

#[test]
fn show_and_export_give_the_results_out() {
    let sandbox = spine();
    let unfinished = sandbox.assay(&["show", "study.toml", "ranking[tau=1]"]);
    assert_eq!(unfinished.code, Some(1));
    assert!(unfinished.stderr.contains("is not finished"), "{}", unfinished.stderr);
    sandbox.run(&[]);
    let table = sandbox.assay(&["show", "study.toml", "ranking[tau=1]"]).stdout;
    assert!(table.contains("syn_red_score"), "{table}");
    let tensor = sandbox.assay(&["show", "study.toml", "phiid[tau=2].rtr", "--json"]).json();
    assert_eq!(tensor["data"].as_array().unwrap().len(), 24);
    let export = sandbox.assay(&["export", "study.toml", "out", "--npz"]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    for file in ["phiid/tau=1/sts.safetensors", "phiid/tau=1/sts.npz", "ranking/tau=2/ranking.csv"] {
        assert!(sandbox.path("out").join(file).is_file(), "{file}");
    }
}

/// A stage without an output is all its tensors; with one, that alone.
#[test]
fn an_archive_holds_what_it_names() {
    let sandbox = spine();
    let exports = "\n[export]\n\"all_{tau}.npz\" = \"phiid\"\n\"one_{tau}.npz\" = \"phiid.rtr\"\n";
    sandbox.edit("[stages.ranking]", &format!("{exports}\n[stages.ranking]"));
    sandbox.run(&[]);
    let export = sandbox.assay(&["export", "study.toml", "out"]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    let arrays = |file: &str| {
        let archive = std::fs::read(sandbox.path("out").join(file)).unwrap();
        ["sts.npy", "rtr.npy"].map(|name| archive.windows(name.len()).any(|window| window == name.as_bytes()))
    };
    assert_eq!((arrays("all_2.npz"), arrays("one_2.npz")), ([true, true], [false, true]));
}

#[test]
fn a_manifest_that_cannot_run_exits_with_2_and_runs_nothing() {
    let sandbox = spine();
    sandbox.edit("kind   = \"rank\"", "kind   = \"rnak\"");
    sandbox.edit("tau    = \"${tau}\"", "tua    = \"${tau}\"");
    let run = sandbox.assay(&["study.toml"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("study.toml:"), "{}", run.stderr);
    assert!(run.stderr.contains("`rnak`") && run.stderr.contains("`tua`"), "both are reported: {}", run.stderr);
    assert!(!sandbox.path("store").exists());
}

#[test]
fn variants_made_with_set_do_not_collide() {
    let sandbox = spine();
    sandbox.edit("[axes]", "[params]\nties = \"index\"\n\n[axes]");
    sandbox.edit("rtr = \"phiid.rtr\" }", "rtr = \"phiid.rtr\" }\nties = \"${params.ties}\"");
    sandbox.run(&[]);
    let variant = sandbox.run(&["--set", "ties=difference"]);
    assert_eq!(variant["results"], "results/spine+ties=difference");
    assert_eq!(sorted(in_state(&variant, "ran")), ["ranking[tau=1]", "ranking[tau=2]"]);
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
}

/// A study of a tiny model with random weights.
const MODEL: &str = r#"
[study]
name = "tiny"

[stages.model]
kind   = "load-model"
source = "init"
config = "config.json"
seed   = 1

[stages.prompts]
kind   = "prompts"
tokens = [[1, 2, 3, 4], [5, 6, 7]]

[stages.other]
kind   = "prompts"
tokens = [[8, 9]]

[stages.capture]
kind       = "generate"
inputs     = { model = "model", prompts = "prompts" }
new-tokens = 12
capture    = [{ site = "z", reduce = "norm" }]

[stages.phiid]
kind   = "phiid"
inputs = { activations = "capture.z" }

[stages.reading]
kind    = "forward"
inputs  = { model = "model", prompts = "other" }
capture = [{ site = "resid_post" }]
"#;

#[test]
fn a_changed_prompt_runs_what_reads_it() {
    let sandbox = Sandbox::with(MODEL);
    sandbox.fixture("stages/fixtures/llama/config.json", "config.json");
    assert_eq!(in_state(&sandbox.run(&[]), "ran").len(), 6);
    sandbox.edit("[5, 6, 7]", "[5, 6, 8]");
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ["capture", "phiid", "prompts"]);
    sandbox.edit("new-tokens = 12", "new-tokens = 13");
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ["capture", "phiid"]);
}

#[test]
fn the_seed_of_the_study_matters_only_to_what_draws() {
    let sandbox = Sandbox::with(MODEL);
    sandbox.fixture("stages/fixtures/llama/config.json", "config.json");
    sandbox.run(&[]);
    sandbox.edit("name = \"tiny\"", "name = \"tiny\"\nseed = 7");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0], "greedy decoding draws nothing");
    sandbox.edit("new-tokens = 12", "new-tokens = 12\ntemperature = 0.5");
    assert_eq!(sorted(in_state(&sandbox.run(&[]), "ran")), ["capture", "phiid"]);
    sandbox.edit("seed = 7", "seed = 8");
    assert!(in_state(&sandbox.run(&[]), "ran").contains(&"capture"));
}

#[test]
fn pairs_and_ranks_of_data_made_elsewhere_equal_the_reference() {
    let sandbox = spine();
    sandbox.run(&[]);
    let reference =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/stages/fixtures/phiid/job_MMI_ranks.json"));
    let reference: Value = serde_json::from_str(&reference.unwrap()).unwrap();
    let table = sandbox.assay(&["show", "study.toml", "ranking[tau=1]", "--json"]).json();
    let numbers = |values: &Value| -> Vec<f64> {
        values.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
    };
    for (column, name, tolerance) in [
        ("avg_synergy", "avg_synergy", 1e-12),
        ("avg_redundancy", "avg_redundancy", 1e-12),
        ("syn_rank", "syn_rank", 0.0),
        ("red_rank", "red_rank", 0.0),
        ("syn_red_score", "syn_red_score", 1e-15),
    ] {
        for (ours, theirs) in numbers(&table[column]).into_iter().zip(numbers(&reference[name])) {
            assert!((ours - theirs).abs() <= tolerance, "{column}: {ours} is not {theirs}");
        }
    }
    // `order` says when each head goes; the reference lists the heads in that order.
    let order = numbers(&table["order"]);
    for (place, head) in numbers(&reference["ablation_order_desc_ties_by_index"]).into_iter().enumerate() {
        assert_eq!(order[head as usize], place as f64);
    }
}

/// Nothing that runs needs the blob, so only who reads it finds out; then the next run makes it again.
#[test]
fn an_output_that_is_found_lost_when_it_is_read_is_made_again() {
    for command in [&["show", "study.toml", "activations"][..], &["export", "study.toml", "out"]] {
        let sandbox = spine();
        sandbox.run(&[]);
        fs::remove_dir_all(sandbox.path("store/blobs")).unwrap();
        let why = sandbox.assay(&["plan", "study.toml", "--why"]).stdout;
        assert!(why.contains("is gone from the store: `assay verify`"), "{why}");
        assert_eq!(sandbox.assay(command).code, Some(1));
        assert!(in_state(&sandbox.run(&[]), "ran").contains(&"activations"));
        assert_eq!(sandbox.assay(&["show", "study.toml", "activations"]).code, Some(0));
    }
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let sandbox = spine();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox.command(&["plan", "study.toml"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));
}
