//! What a model predicts, which of its parts say so, and the same without the heads that were found: in one study.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, in_state};

const STUDY: &str = r#"
[study]
name     = "circuits"
question = "Which heads write the answer?"
seed     = 1

[axes]
silenced = { best = { from = "heads", where = { rank = [1, 2] } }, least = { from = "heads", where = { rank_from_least = 1 } } }

[stages.model]
kind   = "load-model"
source = "model"

[stages.prompts]
kind   = "prompts"
tokens = [[3, 14, 15, 92, 65], [35, 89, 7]]

[stages.score]
kind    = "score"
inputs  = { model = "model", prompts = "prompts" }
answers = [[17, 101], [3, 200]]
top     = 2

[stages.parts]
kind    = "attribute"
inputs  = { model = "model", prompts = "prompts" }
answers = [[17, 101], [3, 200]]

[stages.without]
kind    = "score"
over    = ["silenced"]
inputs  = { model = "model", prompts = "prompts", heads = "parts.heads" }
answers = [[17, 101], [3, 200]]
edits   = [{ op = "zero", site = "z", nodes = "${silenced}" }]
"#;

fn sandbox(manifest: &str) -> Sandbox {
    let sandbox = Sandbox::with(manifest);
    fs::create_dir(sandbox.path("model")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        sandbox.fixture(&format!("stages/fixtures/gpt2/{file}"), &format!("model/{file}"));
    }
    sandbox
}

fn column(sandbox: &Sandbox, path: &str, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(sandbox.path(&format!("results/circuits/{path}"))).unwrap();
    let mut lines = text.lines();
    let place =
        lines.next().unwrap().split(',').position(|own| own == name).unwrap_or_else(|| panic!("no {name}: {text}"));
    lines.map(|line| line.split(',').nth(place).unwrap().parse().unwrap_or(f64::NAN)).collect()
}

#[test]
fn heads_that_a_stage_finds_are_silenced_by_the_next() {
    let sandbox = sandbox(STUDY);
    assert_eq!(in_state(&sandbox.run(&[]), "ran").len(), 6);
    assert_eq!(in_state(&sandbox.run(&[]), "cached").len(), 6);
    let differences = column(&sandbox, "score/scores.csv", "logit_difference");
    let attributed = column(&sandbox, "parts/totals.csv", "attributed");
    assert!(differences.iter().zip(&attributed).all(|(a, b)| (a - b).abs() < 1e-4), "{differences:?} {attributed:?}");
    assert_eq!(column(&sandbox, "score/next.csv", "rank"), [1.0, 2.0, 1.0, 2.0]);
    let without = |which: &str| column(&sandbox, &format!("without/silenced={which}/scores.csv"), "logit_difference");
    assert_ne!(without("best"), differences);
    assert_ne!(without("best"), without("least"));

    // Another choice of heads computes the answers without them again, and nothing else.
    sandbox.edit("rank = [1, 2]", "rank = [1]");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), ["without[silenced=best]"]);
}

fn refused(from: &str, to: &str) -> String {
    let study = STUDY.replace(from, to);
    assert_ne!(study, STUDY);
    let planned = sandbox(&study).assay(&["plan", "study.toml"]);
    assert_eq!(planned.code, Some(2), "{}", planned.stdout);
    planned.stderr
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    assert!(refused("{ rank = [1, 2] }", "{ rank = [1, 2] }, heads = 3").contains("heads"));
    let listed = refused("nodes = \"${silenced}\"", "nodes = [[1, 9]]");
    assert!(listed.contains("head 9 does not exist: there are 4 (0 to 3)"), "{listed}");
    let column = refused("heads = \"parts.heads\"", "heads = \"parts.totals\"");
    assert!(column.contains("`parts.totals` has no column `layer`"), "{column}");
    let answers = refused("answers = [[17, 101], [3, 200]]\ntop", "answers = [[17, 101]]\ntop");
    assert!(answers.contains("there are 1 pairs of answers, and 2 prompts"), "{answers}");
}

#[test]
fn a_position_that_a_text_lacks_fails_the_stage_and_says_which() {
    let sandbox = sandbox(&STUDY.replace("top     = 2", "position = 4"));
    let run = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("position = 4, but the prompt `1` has 3 tokens"), "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(in_state(&document, "failed"), ["score"]);
}
