//! `assay new`: a manifest that runs as it is, and no file that was there is touched.

use std::{env, fs, io, io::Write};

use crate::sandbox::{Run, Sandbox, in_state, states};

#[test]
fn a_new_study_plans() {
    let sandbox = Sandbox::with("");
    let run = sandbox.assay(&["new", "my-study"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("assay run my-study.toml"), "{}", run.stdout);
    let text = fs::read_to_string(sandbox.path("my-study.toml")).unwrap();
    assert!(text.contains("name     = \"my-study\"") && !text.contains("NAME.toml"), "{text}");
    let plan = sandbox.assay(&["plan", "my-study.toml", "--json"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
    assert_eq!(plan.json()["study"], "my-study");
    assert_eq!(states(&plan.json()).len(), 14, "five stages, and three over three lags");
}

#[test]
fn what_is_there_stays_and_names_are_checked() {
    let sandbox = Sandbox::with("mine");
    let refused = |name: &str, what: &str| {
        let run = sandbox.assay(&["new", name]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(run.stderr.contains(what) && run.stderr.contains("help:"), "{}", run.stderr);
    };
    refused("study", "study.toml is there already");
    refused("study.toml", "study.toml is there already");
    refused("a b", "cannot be the name of a study");
    refused("..", "cannot be the name of a study");
    refused("nowhere/a", "there is no folder");
    assert_eq!(fs::read(sandbox.path("study.toml")).unwrap(), b"mine");
}

#[test]
fn a_new_study_runs() {
    if env::var_os("ASSAY_TEST_MODELS").is_none_or(|wanted| wanted != "1") {
        // Past the test harness, which swallows what a passing test prints.
        let _ = writeln!(io::stderr(), "SKIPPED: ASSAY_TEST_MODELS=1 fetches the model that this needs");
        return;
    }
    let sandbox = Sandbox::with("");
    assert_eq!(sandbox.assay(&["new", "first"]).code, Some(0));
    // The model goes where the user's other runs find it.
    let mut command = sandbox.command(&["run", "first.toml", "--set", "new-tokens=8", "--json"]);
    let run = Run::of(command.env_remove("ASSAY_CACHE_HOME").output().unwrap());
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(in_state(&run.json(), "ran").len(), 14);
    let results = sandbox.path("results/first+new-tokens=8");
    assert!(fs::read_to_string(results.join("tau-means/summary.csv")).unwrap().lines().count() == 4);
}
