//! `diff`: two variants, two studies, two folders of results.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, small_study};

const HEAD: &str = r#"[study]
name = "small"

[params]
ties      = "index"
threshold = 0.5

[axes]
tau = [1, 2]
"#;

const REST: &str = r#"
[stages.table]
kind = "load-table"
file = "${params.table}"

[stages.means]
kind   = "summarize"
inputs = { table = "table" }
by     = ["group"]
of     = ["score"]

[stages.judged]
kind   = "verdict"
inputs = { table = "table" }
values = [{ name = "top", is = "max(table.score)" }]
rules  = [{ when = "top > ${params.threshold}", then = "HIGH" }, { then = "LOW" }]

[stages.figure]
kind   = "plot"
inputs = { table = "table" }
series = [{ from = "table", x = "step", y = "score", label = "score" }, { from = "table", x = "step", y = "step", label = "step" }]
"#;

const ONE: &str = "step,group,score\n1,a,0.25\n2,a,0.5\n3,b,1.0\n";
const OTHER: &str = "step,group,score\n1,a,0.25\n2,a,0.25\n4,b,1.0\n";

/// A study, and another whose table has other rows.
fn studies() -> Sandbox {
    let study = small_study(HEAD, REST).replace("ties      = \"index\"", "table     = \"one.csv\"");
    let sandbox = Sandbox::with(&study);
    sandbox.write("other.toml", study.replace("one.csv", "other.csv").replace("\"small\"", "\"other\""));
    sandbox.write("one.csv", ONE);
    sandbox.write("other.csv", OTHER);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "activations.npy");
    sandbox
}

fn both_ran() -> Sandbox {
    let sandbox = studies();
    sandbox.run(&[]);
    let run = sandbox.assay(&["run", "other.toml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    sandbox
}

fn diff(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let run = sandbox.assay(&[&["diff"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run
}

#[test]
fn two_studies_differ_in_files_rows_and_figures() {
    let sandbox = both_ran();
    assert_snapshot!("two_studies", diff(&sandbox, &["study.toml", "other.toml"]).stdout);
    assert_snapshot!("two_studies_in_full", diff(&sandbox, &["study.toml", "other.toml", "--all"]).stdout);
}

#[test]
fn numbers_have_their_differences() {
    let sandbox = both_ran();
    let document = diff(&sandbox, &["study.toml", "other.toml", "--json"]).json();
    let output = |cell: &str| -> Value {
        let outputs = document["outputs"].as_array().unwrap();
        outputs.iter().find(|output| output["cell"] == cell).unwrap_or_else(|| panic!("{cell}: {document:#}"))["difference"].clone()
    };
    let table = output("table");
    assert_eq!((&table["key"], &table["rows"]), (&json!(["step"]), &json!(2)));
    assert_eq!((&table["rows_only_a"], &table["rows_only_b"]), (&json!([[3]]), &json!([[4]])));
    let cell = json!({"row": [2], "a": 0.5, "b": 0.25, "delta": -0.25, "relative": -0.5});
    assert_eq!(table["columns"], json!([{"column": "score", "cells": [cell]}]));
    // The mean of group a: (0.25 + 0.5) / 2 and (0.25 + 0.25) / 2.
    let means = output("means");
    let mean = means["columns"].as_array().unwrap().iter().find(|column| column["column"] == "mean_score").unwrap();
    assert_eq!((&mean["cells"][0]["a"], &mean["cells"][0]["delta"]), (&json!(0.375), &json!(-0.125)));
    assert_eq!(document["equal"], json!(8), "activations, three outputs of each PhiID, and the verdict");
}

#[test]
fn a_study_is_compared_with_its_variant() {
    let sandbox = studies();
    sandbox.run(&[]);
    let set = ["--set", "threshold=2.0"];
    assert_snapshot!("variant_that_is_not_finished", diff(&sandbox, &[&["study.toml"], &set[..]].concat()).stdout);
    sandbox.run(&set);
    assert_snapshot!("variant", diff(&sandbox, &[&["study.toml"], &set[..]].concat()).stdout);
    let verdicts = diff(&sandbox, &[&["study.toml", "--json"], &set[..]].concat()).json()["verdicts"].clone();
    assert_eq!(verdicts, json!([{"cell": "judged", "a": "HIGH", "b": "LOW"}]));
}

#[test]
fn folders_of_results_are_compared_like_their_manifests() {
    let sandbox = both_ran();
    let by_manifest = diff(&sandbox, &["study.toml", "other.toml", "--json"]).json();
    let by_folder = diff(&sandbox, &["results/small", "results/other", "--json"]).json();
    for part in ["parameters", "verdicts", "equal"] {
        assert_eq!(by_manifest[part], by_folder[part], "{part}");
    }
    assert_eq!(by_folder["outputs"].as_array().unwrap().len(), by_manifest["outputs"].as_array().unwrap().len());
}

#[test]
fn a_page_has_the_figures_side_by_side_and_runs_nothing() {
    let sandbox = both_ran();
    sandbox.edit("name = \"small\"", "name = \"small\"\nquestion = \"<script>alert(1)</script>\"");
    sandbox.write("evil.csv", "step,group,score\n1,<script>alert(2)</script>,0.5\n2,a,0.75\n3,b,1.0\n");
    let set = ["--set", "table=\"evil.csv\""];
    sandbox.run(&set);
    let run = diff(&sandbox, &[&["study.toml", "--html", "page.html"], &set[..]].concat());
    assert!(run.stderr.contains("page.html"), "{}", run.stderr);
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), 2, "the figure of each side");
    assert_eq!(page.matches("src=\"data:image/svg+xml,%3Csvg").count(), 2);
    assert!(page.contains("&lt;script&gt;alert(2)"), "values are escaped");
    assert!(
        !page.contains("<script") && !page.contains("http://") && !page.contains("https://"),
        "self-contained, and runs nothing"
    );
}

#[test]
fn equal_sides_are_said_to_be_equal() {
    let sandbox = both_ran();
    let same = diff(&sandbox, &["study.toml", "study.toml", "--exit-code"]);
    assert!(same.stdout.contains("what both have is equal: 11 outputs"), "{}", same.stdout);
    let differ = sandbox.assay(&["diff", "study.toml", "other.toml", "--exit-code"]);
    assert_eq!(differ.code, Some(1));
}

#[test]
fn what_cannot_be_compared_is_a_mistake_of_usage() {
    let sandbox = studies();
    let says = |arguments: &[&str]| {
        let run = sandbox.assay(&[&["diff"], arguments].concat());
        assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
        run.stderr
    };
    assert!(says(&["study.toml"]).contains("nothing to compare with"));
    fs::create_dir_all(sandbox.path("results/empty")).unwrap();
    assert!(says(&["study.toml", "results/empty"]).contains("no folder of results"));
    assert!(says(&["study.toml", "results/empty", "--set", "threshold=1.0"]).contains("is a folder of results"));
    assert!(says(&["study.toml", "missing.toml"]).contains("missing.toml"));
}

#[test]
fn a_lost_blob_is_told_and_the_rest_compared() {
    let sandbox = both_ran();
    let mut largest: Vec<_> = crate::sandbox::contents(&sandbox.path("store/blobs")).into_iter().collect();
    largest.retain(|(_, bytes)| bytes.starts_with(b"<svg"));
    assert!(!largest.is_empty(), "a figure is too long to stand in its entry");
    fs::remove_file(sandbox.path("store/blobs").join(&largest[0].0)).unwrap();
    let page = diff(&sandbox, &["study.toml", "other.toml"]).stdout;
    assert!(page.contains("not readable\n  figure.figure: "), "{page}");
    assert!(page.contains("means.summary"), "{page}");
}
