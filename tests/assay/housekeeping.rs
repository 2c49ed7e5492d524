//! The store as a whole: what is wrong is found and told, what nobody needs is dropped, and what a study needs never is.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::json;

use crate::sandbox::{Sandbox, contents, in_state};

const HEAD: &str = r#"
[study]
name = "spine"

[axes]
tau = [1, 2]
"#;

fn finished() -> Sandbox {
    let sandbox = Sandbox::small(HEAD, "");
    sandbox.run(&[]);
    sandbox
}

/// The largest blob: the activations.
fn activations(sandbox: &Sandbox) -> PathBuf {
    let blobs = contents(&sandbox.path("store/blobs"));
    let (path, _) = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    sandbox.path("store/blobs").join(path)
}

/// Makes everything in a folder three days old.
fn age(path: &Path) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|item| age(&item.unwrap().path()));
    } else {
        let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
}

#[test]
fn a_whole_store_is_well() {
    let sandbox = finished();
    let before = contents(&sandbox.path("store"));
    let run = sandbox.assay(&["verify"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("3 entries, 6 blobs") && run.stdout.ends_with("all is well\n"), "{}", run.stdout);
    assert!(contents(&sandbox.path("store")) == before);
}

#[test]
fn damage_is_told_with_the_stages_that_it_concerns_and_computed_again() {
    let sandbox = finished();
    let path = activations(&sandbox);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 4;
    fs::write(&path, bytes).unwrap();

    let run = sandbox.assay(&["verify", "--json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let found = run.json();
    assert_eq!((&found["ok"], &found["faults"][0]["wrong"]), (&json!(false), &json!("damaged")));
    assert_eq!(found["faults"][0]["named_by"][0]["stages"], json!(["spine: activations"]));
    let aside = sandbox.path("store").join(found["faults"][0]["aside"].as_str().unwrap());
    assert!(aside.is_file() && !path.exists(), "set aside, not deleted");

    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert!(in_state(&plan, "run").contains(&"activations"), "a plan does not count on it");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), ["activations"]);
    fs::remove_file(&path).unwrap();
    let run = sandbox.assay(&["verify"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("missing\n  it is `tensor` of load-tensor"), "{}", run.stdout);
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), ["activations"]);
    assert_eq!(sandbox.assay(&["verify"]).code, Some(0));
}

#[test]
fn what_no_study_reaches_goes_when_it_is_old() {
    let sandbox = finished();
    sandbox.edit("tau = [1, 2]", "tau = [2, 3]");
    sandbox.run(&[]);
    let gc = |arguments: &[&str]| sandbox.assay(&[&["gc", "--keep-all-studies", "--json"], arguments].concat()).json();
    let entries = |document: &serde_json::Value| document["freed"]["entries"]["files"].as_u64().unwrap();

    assert_eq!(entries(&gc(&[])), 0, "it is young");
    age(&sandbox.path("store"));
    let before = contents(&sandbox.path("store"));
    let mut foretold = gc(&["--dry-run"]);
    assert!(contents(&sandbox.path("store")) == before, "a dry run changes nothing");
    let done = gc(&[]);
    foretold["dry-run"] = json!(false);
    assert_eq!(done, foretold);
    assert_eq!(
        (entries(&done), &done["freed"]["blobs"]["files"]),
        (1, &json!(2)),
        "phiid[tau=1], `sts` and `rtr`; its `count` is that of the others"
    );
    assert_eq!(done["kept-studies"], json!(["spine"]));

    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert_eq!(in_state(&plan, "cached"), ["activations", "phiid[tau=2]", "phiid[tau=3]"]);
    assert_eq!(sandbox.assay(&["verify"]).code, Some(0));
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), [""; 0]);
}

#[test]
fn which_studies_are_kept_must_be_said() {
    let sandbox = finished();
    let wide = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!(wide.code, Some(0));
    age(&sandbox.path("store"));
    let before = contents(&sandbox.path("store"));
    let refused = |arguments: &[&str], what: &str| {
        let run = sandbox.assay(&[&["gc"], arguments].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert!(contents(&sandbox.path("store")) == before, "nothing has gone");
    };
    refused(&[], "say which studies to keep");
    refused(&["--keep", "spin"], "did you mean `spine`?");
    refused(&["--forget", "spin"], "did you mean `spine`?");
    refused(&["--keep", "spine", "--forget", "spine"], "cannot be used with");
    refused(&["--keep-all-studies", "--older-than", "3"], "30m, 12h or 7d");
    refused(&["--keep-all-studies", "--store", "elsewhere"], "there is no store in elsewhere");
    fs::remove_dir_all(sandbox.path("store/studies")).unwrap();
    let before = contents(&sandbox.path("store"));
    let run = sandbox.assay(&["gc", "--keep-all-studies"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("remembers no study"), "{}", run.stderr);
    assert!(contents(&sandbox.path("store")) == before);
}

#[test]
fn a_study_that_is_forgotten_goes_and_the_others_stay() {
    let sandbox = finished();
    sandbox.edit("name = \"spine\"", "name = \"other\"");
    sandbox.edit("tau = [1, 2]", "tau = [2, 3]");
    sandbox.run(&[]);
    age(&sandbox.path("store"));
    let run = sandbox.assay(&["gc", "--forget", "spine"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("forgot spine\nfreed 1 entry,"), "{}", run.stdout);
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert_eq!(in_state(&plan, "run"), [""; 0]);
    let run = sandbox.assay(&["gc", "--keep", "spine"]);
    assert!(run.stderr.contains("there is no remembered study `spine`"), "{}", run.stderr);
}

#[test]
fn a_run_that_is_killed_has_said_what_it_needs() {
    let sandbox = Sandbox::small(HEAD, "");
    sandbox.edit("tau    = \"${tau}\"", "tau    = \"${tau}\"\ndegenerate = \"strict\"");
    sandbox.spoil_activations();
    assert_eq!(sandbox.assay(&["run", "study.toml"]).code, Some(1), "its second stage fails");
    age(&sandbox.path("store"));
    assert_eq!(sandbox.assay(&["gc", "--keep-all-studies"]).code, Some(0));
    let plan = sandbox.assay(&["plan", "study.toml", "--json"]).json();
    assert_eq!(in_state(&plan, "cached"), ["activations"], "what it had finished is still there");
}

#[test]
fn completions_know_every_subcommand() {
    let sandbox = Sandbox::with("");
    let help = sandbox.assay(&["--help"]).stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<_> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for known in ["verify", "gc", "schema", "new", "completions"] {
        assert!(commands.contains(&known), "{commands:?}");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = sandbox.assay(&["completions", shell]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for command in commands.iter().filter(|command| !command.is_empty()) {
            assert!(run.stdout.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn the_help_of_each_subcommand_about_the_store_has_examples() {
    let sandbox = Sandbox::with("");
    for command in ["verify", "gc", "schema", "new", "completions", "run", "show"] {
        let help = sandbox.assay(&[command, "--help"]).stdout;
        assert!(help.contains("Examples:\n  assay "), "{command}: {help}");
    }
}
