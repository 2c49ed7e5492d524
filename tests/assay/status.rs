//! `status`: how far a study is, before, in the middle of and after a run.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::sandbox::{RANKING, Sandbox, contents};

const HEAD: &str = r#"[study]
name = "small"
question = "How far is it?"

[axes]
tau = [1, 2, 3]
"#;

fn small() -> Sandbox {
    Sandbox::small(HEAD, RANKING)
}

/// The page, with every span of time as `TIME`.
fn page(sandbox: &Sandbox) -> String {
    let run = sandbox.assay(&["status", "study.toml"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let spans = regex::Regex::new(r" *\d+(\.\d)? (µs|ms|s|min|h)\b").unwrap();
    let times = regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
    times.replace_all(&spans.replace_all(&run.stdout, " TIME"), "WHEN").into_owned()
}

fn status(sandbox: &Sandbox) -> Value {
    sandbox.assay(&["status", "study.toml", "--json"]).json()
}

#[test]
fn a_study_that_never_ran_is_ready_and_waiting() {
    assert_snapshot!(page(&small()));
}

#[test]
fn a_finished_study_is_done() {
    let sandbox = small();
    sandbox.run(&[]);
    let before = contents(&sandbox.path(""));
    assert_snapshot!(page(&sandbox));
    assert!(before == contents(&sandbox.path("")), "status changes nothing");
    let totals = &status(&sandbox)["totals"];
    assert_eq!((&totals["cells"], &totals["done"], &totals["ready"]), (&json!(7), &json!(7), &json!(0)));
}

#[test]
fn a_failure_is_told_until_its_cell_is_finished() {
    let sandbox = small();
    sandbox.edit("tau    = \"${tau}\"", "tau    = \"${tau}\"\ndegenerate = \"strict\"");
    let whole = fs::read(sandbox.path("activations.npy")).unwrap();
    sandbox.spoil_activations();
    // One after the other, so that the last failure is always the same cell's.
    assert_eq!(sandbox.assay(&["run", "study.toml", "--keep-going", "--jobs", "1"]).code, Some(1));
    assert_snapshot!(page(&sandbox));
    let totals = &status(&sandbox)["totals"];
    let counted = ["done", "failed", "ready", "waiting"].map(|state| totals[state].as_u64().unwrap());
    assert_eq!(counted, [1, 3, 0, 3], "each cell is one of these");
    // With another parameter it is another computation, which nobody has tried.
    sandbox.edit("degenerate = \"strict\"", "degenerate = \"zero\"");
    let totals = &status(&sandbox)["totals"];
    assert_eq!((&totals["failed"], &totals["ready"]), (&json!(0), &json!(3)));
    sandbox.edit("degenerate = \"zero\"", "degenerate = \"strict\"");
    assert_eq!(status(&sandbox)["totals"]["failed"], json!(3));
    sandbox.write("activations.npy", whole);
    sandbox.run(&[]);
    assert_eq!(status(&sandbox)["totals"]["failed"], json!(0));
}

#[test]
fn a_killed_run_has_saved_units_and_its_plan_says_so() {
    let sandbox = Sandbox::with(
        "[study]\nname = \"pairs\"\n\n[stages.activations]\nkind = \"load-tensor\"\nfile = \"activations.npy\"\n\
         axes = [\"prompt\", \"node\", \"step\"]\n\n[stages.phiid]\nkind = \"phiid\"\natoms = \"all\"\n\
         inputs = { activations = \"activations\" }\n",
    );
    sandbox.write("activations.npy", crate::interruption::noise(6, 1200, 1000));
    let mut command = sandbox.command(&["run", "study.toml", "--json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let begun = Instant::now();
    let units = || status(&sandbox)["stages"][1]["units"].as_u64().unwrap();
    while units() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed: make it longer");
        assert!(begun.elapsed() < Duration::from_secs(120), "no unit was saved");
    }
    kill_process(Pid::from_child(&child), Signal::KILL).expect("the run is still there");
    child.wait().unwrap();
    let saved = units();
    assert!(saved > 0);
    let stages = &status(&sandbox)["stages"];
    assert_eq!((&stages[0]["done"], &stages[1]["begun"], &stages[1]["running"]), (&json!(1), &json!(1), &json!(0)));
    let plan = sandbox.assay(&["plan", "study.toml", "--why", "--json"]).json();
    let expected = json!([{"cause": "new-stage"}, {"cause": "saved", "units": saved, "checkpoint": null}]);
    assert_eq!(plan["stages"][1]["why"], expected);
    let page = sandbox.assay(&["status", "study.toml"]).stdout;
    assert!(page.contains("1 ready") && page.contains("saved"), "{page}");
}

#[test]
fn a_sweep_of_a_thousand_cells_takes_one_line_of_80_columns() {
    let words: Vec<_> = (0..1000).map(|word| format!("w{word} = \"word {word}\"")).collect();
    let study = format!(
        "[study]\nname = \"sweep\"\n\n[axes]\nword = {{ {} }}\n\n[stages.a-prompt-for-each-word-of-the-axis]\nkind = \"prompts\"\n\
         over = [\"word\"]\ntexts = [\"${{word}}\"]\n",
        words.join(", ")
    );
    let sandbox = Sandbox::with(&study);
    sandbox.run(&[]);
    let page = sandbox.assay(&["status", "study.toml"]).stdout;
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    assert!(page.contains("1000/1000  ██████████"), "{page}");
}
