//! A treatment in many doses, held against the untreated model: cells, nulls, the line of a measured value, through the binary.

use std::{fs, path::Path};

use crate::sandbox::{Sandbox, in_state};

const STUDY: &str = r#"
[study]
name = "noise"
seed = 7

[axes]
sigma = [0.0, 0.5]
draw  = [1, 2]

[stages.model]
kind   = "load-model"
source = "init"
config = "./model"
seed   = 3

[stages.prompts]
kind   = "prompts"
tokens = [[1, 5, 9, 2, 7, 3], [4, 4, 8, 1, 6], [2, 9, 3, 3, 1, 8, 5]]

[stages.plain]
kind    = "forward"
inputs  = { model = "model", prompts = "prompts" }
capture = [
    { site = "pattern", reduce = "received-entropy" },
    { site = "resid_post" },
    { site = "pattern", layers = -1, reduce = ["last", "mean-heads"], as = "focus" },
]

[stages.baseline]
kind   = "specialization"
inputs = { profile = "plain.pattern" }

[stages.treated]
kind    = "forward"
over    = ["sigma", "draw"]
inputs  = { model = "model", prompts = "prompts" }
edits   = [{ op = "noise", site = "attn_out", std = "${sigma}", seed = "${draw}" }]
capture = [{ site = "pattern", reduce = "received-entropy" }]

[stages.specialization]
kind   = "specialization"
over   = ["sigma", "draw"]
inputs = { profile = "treated.pattern" }

[stages.best-of-all]
kind      = "max-statistic"
inputs    = { treated = "treated.pattern", baseline = "plain.pattern" }
statistic = "specialization-index"
mean-over = ["draw"]

[stages.alike]
kind      = "similarity"
inputs    = { activations = "plain.resid_post" }
alignment = "suffix-aligned"

[stages.focus]
kind   = "overlap"
inputs = { weights = "plain.focus" }
k      = 2
align  = "end"

[stages.figure]
kind   = "plot"
inputs = { cells = "specialization", baseline = "baseline" }
series = [{ from = "cells", where = { draw = 1 }, x = "sigma", y = "specialization_index" }]
lines  = [{ y-from = "baseline.specialization_index", label = "untreated" }]

[[expect]]
that   = "best-of-all.cells.difference"
where  = { sigma = 0.0 }
equals = 0.0
within = 1e-12
"#;

fn study() -> Sandbox {
    let sandbox = Sandbox::with(STUDY);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("stages/fixtures/llama/config.json");
    sandbox.write("model/config.json", fs::read(config).unwrap());
    sandbox
}

#[test]
fn a_dose_of_nothing_is_the_baseline_and_the_best_of_all_is_judged_as_such() {
    let sandbox = study();
    let run = sandbox.run(&[]);
    // Without noise the treated profiles are the baseline's, so that nothing is computed from them again.
    let reused: Vec<_> = in_state(&run, "same").into_iter().chain(in_state(&run, "cached")).collect();
    assert_eq!(reused.iter().filter(|id| id.starts_with("specialization[sigma=0.0")).count(), 2, "{reused:?}");
    let cells = fs::read_to_string(sandbox.path("results/noise/best-of-all/cells.csv")).unwrap();
    let rows: Vec<Vec<&str>> = cells.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["sigma", "count", "treated", "baseline", "difference", "p", "p_family_wise"]);
    assert_eq!((rows[1][0], rows[1][1], rows[1][5]), ("0.0", "2", "1.0"), "{cells}");
    let summary = sandbox.assay(&["show", "study.toml", "best-of-all.summary"]).stdout;
    assert!(summary.contains("\"permutations\": 8") || summary.contains("permutations  8"), "{summary}");
    let pairs = fs::read_to_string(sandbox.path("results/noise/alike/pairs.csv")).unwrap();
    assert!(pairs.starts_with("layer,a,b,cosine,positions\n0,0,1,"), "{pairs}");
    let positions = fs::read_to_string(sandbox.path("results/noise/focus/positions.csv")).unwrap();
    assert_eq!(positions.lines().count(), 1 + 3 * 2);
    assert!(fs::read_to_string(sandbox.path("results/noise/figure/figure.svg")).unwrap().contains("untreated"));
    assert!(in_state(&sandbox.run(&[]), "ran").is_empty());
}

#[test]
fn what_is_wrong_with_a_treatment_is_told_where_it_stands() {
    let sandbox = study();
    sandbox.edit("statistic = \"specialization-index\"", "statistic = \"specialisation-index\"");
    sandbox.edit("alignment = \"suffix-aligned\"", "alignment = \"suffix\"");
    sandbox.edit("treated.pattern\" }\n\n[stages.best", "plain.resid_post\" }\n\n[stages.best");
    sandbox.edit("y-from = \"baseline.", "y-from = \"base.");
    sandbox.edit("k      = 2", "k      = 0");
    let plan = sandbox.assay(&["plan", "study.toml"]);
    assert_eq!(plan.code, Some(2), "{}", plan.stdout);
    for said in [
        "specialization-index",
        "suffix-aligned",
        "tensor[prompt, layer, head]",
        "no input port is called `base`",
        "expected a number that is at least 1, found the integer 0",
    ] {
        assert!(plan.stderr.contains(said), "{said} is missing:\n{}", plan.stderr);
    }
}

#[test]
fn an_axis_that_is_not_gathered_fails_with_those_that_are() {
    let sandbox = study();
    sandbox.edit("mean-over = [\"draw\"]", "mean-over = [\"seed\"]");
    let run = sandbox.assay(&["run", "study.toml"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("not gathered over `seed`, but over sigma, draw"), "{}", run.stderr);
}
