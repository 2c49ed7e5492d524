//! Documents and `[export]`: files of a study's own names and layouts, with what is known of how they were made.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, contents, in_state};

const STUDY: &str = r#"
[study]
name = "audit"
seed = 42

[axes]
condition = ["control", "constraint"]
seed      = [42, 123]

[stages.log]
kind = "load-table"
file = "log.csv"

[stages.audit]
kind   = "document"
over   = ["condition", "seed"]
inputs = { log = "log" }

[stages.audit.content]
metadata = { experiment = "exp_a_${condition}", seed = "${seed}", start_time = { made = "log", field = "started" }, git_commit = { made = "log", field = "git-commit" } }
metrics  = { rows = "= rows(log)", with = { on = { made = "log", field = "device" } } }
summary  = { total_steps = "= max(log.step)", file = { made = "log", field = "run-stamp", text = "log_{}.json" } }

[stages.line]
kind    = "document"
inputs  = { log = "log" }
content = { steps = "= count(log.step)", seconds = { made = "log", field = "seconds" } }

[export]
"data/audit_log_exp_a_{condition}_seed_{seed}.json" = "audit"
"artifacts.jsonl"                                   = "line"
"log_{run-stamp}.json"                              = "log"
"#;

const LOG: &str = "step,accuracy\n0,0.25\n10,NaN\n";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn study() -> Sandbox {
    let sandbox = Sandbox::with(STUDY);
    sandbox.write("log.csv", LOG);
    sandbox.write(".git/HEAD", "ref: refs/heads/main\n");
    sandbox.write(".git/refs/heads/main", format!("{COMMIT}\n"));
    sandbox.run(&[]);
    sandbox
}

fn export(sandbox: &Sandbox) {
    let run = sandbox.assay(&["export", "study.toml", "out"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

fn read(sandbox: &Sandbox, name: &str) -> Value {
    let text = fs::read_to_string(sandbox.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

/// The entry of a stage without axes, and where it lies.
fn entry(sandbox: &Sandbox, stage: &str) -> (String, Value) {
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    let stages = plan["stages"].as_array().unwrap();
    let key = stages.iter().find(|found| found["id"] == stage).unwrap()["key"].as_str().unwrap().to_owned();
    let place = format!("store/entries/{}/{key}.json", &key[..2]);
    let entry = read(sandbox, &place);
    (place, entry)
}

/// `2026-01-31T23:59:59Z` as `20260131_235959`.
fn as_stamp(iso: &str) -> String {
    iso.trim_end_matches('Z').replace(['-', ':'], "").replace('T', "_")
}

#[test]
fn each_cell_has_a_file_with_its_labels_and_the_facts_of_its_making() {
    let sandbox = study();
    export(&sandbox);
    for (condition, seed) in [("control", 42), ("control", 123), ("constraint", 42), ("constraint", 123)] {
        let document = read(&sandbox, &format!("out/data/audit_log_exp_a_{condition}_seed_{seed}.json"));
        assert_eq!(document["metadata"]["experiment"], format!("exp_a_{condition}"));
        assert_eq!(
            (&document["metadata"]["seed"], &document["metadata"]["git_commit"]),
            (&json!(seed), &json!(COMMIT))
        );
        let rows = json!([
            { "step": 0, "accuracy": 0.25, "on": "host" },
            { "step": 10, "accuracy": "NaN", "on": "host" },
        ]);
        assert_eq!(document["metrics"], rows);
        let (_, log) = entry(&sandbox, "log");
        let file = document["summary"]["file"].as_str().unwrap();
        assert_eq!(document["summary"]["total_steps"].as_f64(), Some(10.0));
        assert_eq!(read(&sandbox, &format!("out/{file}"))[1], json!({ "step": 10, "accuracy": "NaN" }));
        // A clock of its own: the test's, by coreutils' calendar.
        let run = log["made"]["run"].as_u64().unwrap();
        let date = std::process::Command::new("date").args(["-u", "-d", &format!("@{run}"), "+%Y%m%d_%H%M%S"]).output();
        let stamp = String::from_utf8(date.unwrap().stdout).unwrap();
        assert_eq!(file, format!("log_{}.json", stamp.trim()));
    }
}

#[test]
fn a_document_is_the_same_whenever_and_wherever_it_is_made() {
    let (one, other) = (study(), Sandbox::with(STUDY));
    other.write("log.csv", LOG);
    other.run(&[]);
    let digest = |sandbox: &Sandbox| {
        let index = read(sandbox, "results/audit/index.json");
        index["audit/condition=control,seed=42/document.json"]["digest"].clone()
    };
    assert!(digest(&one).is_string());
    assert_eq!(digest(&one), digest(&other));
    let shown = read(&one, "results/audit/audit/condition=control,seed=42/document.json");
    assert_eq!(shown["metadata"]["git_commit"], COMMIT, "what people read has it all the same");
    export(&other);
    let document = read(&other, "out/data/audit_log_exp_a_control_seed_42.json");
    assert_eq!(document["metadata"]["git_commit"], Value::Null, "no checkout is no error");
}

#[test]
fn a_second_export_changes_nothing_and_a_log_grows_by_what_is_new() {
    let sandbox = study();
    export(&sandbox);
    let first = contents(&sandbox.path("out"));
    export(&sandbox);
    assert!(first == contents(&sandbox.path("out")), "a second export changed something");
    let line = fs::read_to_string(sandbox.path("out/artifacts.jsonl")).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    sandbox.write("log.csv", format!("{LOG}20,0.5\n"));
    sandbox.run(&[]);
    export(&sandbox);
    let lines = fs::read_to_string(sandbox.path("out/artifacts.jsonl")).unwrap();
    assert!(lines.starts_with(&line) && lines.lines().count() == 2, "{lines}");
    assert!(lines.ends_with("\"steps\":3}\n"), "{lines}");
}

#[test]
fn an_entry_from_before_runs_were_noted_still_serves() {
    let sandbox = study();
    let (place, mut old) = entry(&sandbox, "log");
    let made = old["made"].as_object_mut().unwrap();
    made.remove("run").expect("a new entry has it");
    made.remove("git_commit").expect("a new entry has it");
    made.insert("at".to_owned(), json!(951_827_697));
    made.insert("seconds".to_owned(), json!(1.2));
    sandbox.write(&place, format!("{old}\n"));
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
    export(&sandbox);
    let metadata = &read(&sandbox, "out/data/audit_log_exp_a_control_seed_42.json")["metadata"];
    assert_eq!((&metadata["start_time"], &metadata["git_commit"]), (&json!("2000-02-29T12:34:56Z"), &Value::Null));
    assert!(sandbox.path(&format!("out/log_{}.json", as_stamp("2000-02-29T12:34:56Z"))).is_file());
}

#[test]
fn mistakes_in_a_document_are_told_with_their_lines() {
    let sandbox = study();
    sandbox.edit("total_steps = \"= max(log.step)\"", "total_steps = \"= max(lgo.step)\"");
    sandbox.edit("field = \"git-commit\"", "field = \"git-comit\"");
    let run = sandbox.assay(&["plan", "study.toml", "--json"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    for said in ["nothing is called `lgo`", "nothing called `git-comit` is known"] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
}
