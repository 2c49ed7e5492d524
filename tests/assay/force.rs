//! `--force`: computed again and compared. What is reproduced stays, what differs is told and set aside, and a forced
//! run that is killed has changed nothing.

use std::{fs, process::Stdio, time::Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cutoff::{change_output, entries_named, key, tables},
    interruption::{PATIENCE, entry, has_files, inputs_key, phiid, units, wait},
    sandbox::{contents, in_state, states},
};

#[test]
fn what_is_reproduced_stays_as_it_is() {
    let sandbox = tables();
    sandbox.run(&[]);
    let before = contents(&sandbox.path("store/entries"));
    let forced = sandbox.run(&["--force", "summary"]);
    assert_eq!(states(&forced), [("table", "cached"), ("summary", "reproduced"), ("whole", "cached")]);
    assert!(before == contents(&sandbox.path("store/entries")), "the entries changed");
    assert_eq!(units(&sandbox.path("store")), 0);
    let run = sandbox.assay(&["study.toml", "--force", "summary", "--force", "table"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("summary  reproduced in "), "{}", run.stderr);
    assert!(run.stderr.contains("tables: 2 reproduced, 1 cached; report in"), "{}", run.stderr);
}

#[test]
fn what_differs_is_told_and_set_aside_and_what_hangs_on_it_runs() {
    let sandbox = tables();
    let key_of = |stage: &str| key(&sandbox.run(&[stage]), stage).to_owned();
    let outputs = |key: &str| entry(&sandbox.path("store"), key)["outputs"].clone();
    let summary = key_of("summary");
    let truth = outputs(&summary);
    change_output(&sandbox, &summary, "2.5", "7.5");
    let whole = key_of("whole");
    let forced = sandbox.assay(&["run", "study.toml", "--json", "--force", "summary"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert_eq!(states(&forced.json()), [("table", "cached"), ("summary", "ran"), ("whole", "ran")]);
    let aside = entries_named(&sandbox, &format!("{summary}.superseded-1"));
    assert!(fs::read_to_string(&aside[0]).unwrap().contains("7.5"), "the old entry is kept");
    assert!(
        forced.stderr.contains("warning: summary: not reproduced: `summary` differs from its old entry, which is now ")
            && forced.stderr.contains(&format!("{summary}.superseded-1")),
        "{}",
        forced.stderr
    );
    assert_eq!(outputs(&summary), truth, "the truth is in force again");
    assert_eq!(entries_named(&sandbox, &format!("{whole}.superseded-1")).len(), 1);
    assert_eq!(in_state(&sandbox.run(&[]), "cached").len(), 3);
}

#[test]
fn stages_with_one_key_are_forced_together_and_computed_once() {
    let sandbox = tables();
    sandbox.edit("[stages.whole]", "[stages.twin]\nkind = \"load-table\"\nfile = \"table.csv\"\n\n[stages.whole]");
    sandbox.run(&[]);
    let forced = sandbox.run(&["--force", "twin"]);
    assert_eq!((in_state(&forced, "reproduced").len(), in_state(&forced, "cached").len()), (1, 3));
}

#[test]
fn a_stage_that_was_never_computed_may_be_forced() {
    let sandbox = tables();
    assert_eq!(in_state(&sandbox.run(&["--force", "whole"]), "ran").len(), 3);
}

#[test]
fn an_unknown_stage_is_a_mistake_of_usage() {
    let sandbox = tables();
    let run = sandbox.assay(&["study.toml", "--force", "sumary"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("did you mean `summary`"), "{}", run.stderr);
    let run = sandbox.assay(&["run", "study.toml", "table", "--force", "summary"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("`summary` is forced, but nothing that is asked for needs it"), "{}", run.stderr);
    assert!(!sandbox.path("store").exists());
}

#[test]
fn a_forced_run_that_is_stopped_has_changed_nothing_and_begins_anew() {
    let sandbox = phiid();
    sandbox.run(&["--store", "whole"]);
    let before = contents(&sandbox.path("whole/entries"));
    let mut command = sandbox.command(&["run", "study.toml", "--store", "whole", "--force", "phiid"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while units(&sandbox.path("whole")) == 0 {
        assert!(begun.elapsed() < PATIENCE, "it saves units");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("the run is still there");
    let run = wait(child);
    assert_eq!(run.code, Some(75), "{}", run.stderr);
    assert!(run.stderr.contains("phiid  stopped; forced again, it begins anew"), "{}", run.stderr);
    assert_eq!(units(&sandbox.path("whole")), 0);
    assert!(before == contents(&sandbox.path("whole/entries")), "the old entry is in force");
}

#[test]
fn a_forced_run_that_is_killed_has_changed_nothing() {
    let sandbox = phiid();
    sandbox.run(&["--store", "whole"]);
    let before = contents(&sandbox.path("whole/entries"));
    let plain = sandbox.path("whole/units").join(inputs_key(&sandbox, "phiid"));
    let mut command = sandbox.command(&["run", "study.toml", "--store", "whole", "--force", "phiid", "--json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while units(&sandbox.path("whole")) == 0 {
        assert!(begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "it saves units");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!has_files(&plain), "units of a forced run stand apart");
    assert!(before == contents(&sandbox.path("whole/entries")), "the old entry is in force");
    assert_eq!(in_state(&sandbox.run(&["--store", "whole"]), "cached").len(), 2);
    let again = sandbox.run(&["--store", "whole", "--force", "phiid"]);
    assert_eq!(in_state(&again, "reproduced"), ["phiid"]);
    assert_eq!(units(&sandbox.path("whole")), 0, "what the killed run left is gone too");
}
