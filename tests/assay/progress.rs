//! What a run says where lines cannot be rewritten: plain lines, in the order of events, without a control character.

use crate::{cutoff::tables, sandbox::Sandbox};

#[test]
fn a_pipe_gets_plain_lines() {
    let sandbox = tables();
    let run = sandbox.assay(&["study.toml", "--jobs", "1"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.is_empty() && !run.stderr.contains(['\u{1b}', '\r']), "{:?}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().map(|line| line.split(" in ").next().unwrap()).collect();
    let told = ["table …", "table  done", "summary …", "summary  done", "whole …", "whole  done"];
    assert_eq!(lines[..6], told);
    assert_eq!(lines[6], "tables: 3 ran; report");
    sandbox.edit("of     = [\"mean_x\"]", "of     = [\"std_x\"]");
    let run = sandbox.assay(&["study.toml"]);
    let lines: Vec<_> = run.stderr.lines().map(|line| line.split(" in ").next().unwrap()).collect();
    assert_eq!(lines, ["2 of 3 stages: 2 cached", "whole …", "whole  done", "tables: 1 ran, 2 cached; report"]);
}

#[test]
fn a_document_alone_goes_to_stdout_and_nothing_to_stderr() {
    let sandbox = tables();
    let run = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(run.json()["ok"], true);
}

#[test]
fn what_is_skipped_is_told_in_the_order_of_the_plan() {
    let mut manifest = r#"
[study]
name = "broken"

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind       = "phiid"
inputs     = { activations = "activations" }
degenerate = "strict"

[stages.a]
kind   = "rank"
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
"#
    .to_owned();
    for (name, above) in [("b", "a"), ("c", "b"), ("d", "a")] {
        manifest += &format!(
            "\n[stages.{name}]\nkind = \"summarize\"\ninputs = {{ table = \"{above}\" }}\nof = [\"{}\"]\n",
            if above == "a" { "syn_rank" } else { "mean_syn_rank" }
        );
    }
    let sandbox = Sandbox::with(&manifest);
    sandbox.fixture("stages/fixtures/phiid/job_activations.npy", "activations.npy");
    sandbox.spoil_activations();
    let run = sandbox.assay(&["study.toml"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let skipped: Vec<_> =
        run.stderr.lines().filter_map(|line| line.strip_suffix("  skipped: `phiid` failed")).collect();
    assert_eq!(skipped, ["a", "b", "c", "d"], "{}", run.stderr);
}
