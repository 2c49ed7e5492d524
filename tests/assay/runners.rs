//! Several runners of one study on one store: they share the work, take over from the dead, and wait for the living.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    interruption::{PATIENCE, inputs_key, noise, phiid, units, wait},
    sandbox::{Run, Sandbox, in_state, states},
};

/// Eight decompositions that take a while, each with a ranking, of one tensor: seventeen cells.
fn sweep() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "sweep"

[axes]
tau = [1, 2, 3, 4, 5, 6, 7, 8]

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind   = "phiid"
over   = ["tau"]
inputs = { activations = "activations" }
atoms  = "all"
tau    = "${tau}"

[stages.ranking]
kind   = "rank"
over   = ["tau"]
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
"#,
    );
    sandbox.write("activations.npy", noise(3, 400, 500));
    sandbox
}

fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = sandbox.command(&[&["run", "study.toml", "--json"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// A runner whose plain lines go to a file, so that a test can read them while it runs.
fn start_telling(sandbox: &Sandbox, file: &str, heartbeat_ms: u64) -> Child {
    let mut command = sandbox.command(&["run", "study.toml"]);
    command.env("ASSAY_HEARTBEAT_MS", heartbeat_ms.to_string());
    command.stdout(Stdio::null()).stderr(File::create(sandbox.path(file)).unwrap());
    command.spawn().expect("the binary starts")
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a runner has said something.
fn heard(sandbox: &Sandbox, file: &str, words: &str) {
    until(&format!("it says `{words}`"), || fs::read_to_string(sandbox.path(file)).unwrap().contains(words));
}

fn leases(sandbox: &Sandbox) -> usize {
    fs::read_dir(sandbox.path("store/leases")).map_or(0, Iterator::count)
}

fn share(runners: usize) {
    let sandbox = sweep();
    let mut children = vec![start(&sandbox, &["--jobs", "1"])];
    until("the first computes", || leases(&sandbox) > 0);
    children.extend((1..runners).map(|_| start(&sandbox, &["--jobs", "1"])));
    let runs: Vec<Run> = children.into_iter().map(wait).collect();
    let mut ran = vec![];
    for run in &runs {
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let document = run.json();
        assert!(states(&document).iter().all(|(_, state)| ["ran", "cached"].contains(state)), "{document:#}");
        ran.push(in_state(&document, "ran").len());
    }
    assert_eq!(ran.iter().sum::<usize>(), 17, "each cell is computed once: {ran:?}");
    assert!(ran.iter().filter(|ran| **ran > 0).count() > 1, "the work is shared: {ran:?}");
    assert_eq!((leases(&sandbox), units(&sandbox.path("store"))), (0, 0), "nothing is left behind");
}

#[test]
fn two_runners_share_the_work() {
    share(2);
}

#[test]
fn eight_runners_share_the_work() {
    share(8);
}

#[test]
fn a_killed_runner_is_taken_over_at_once() {
    let sandbox = phiid();
    let mut first = start(&sandbox, &[]);
    until("the first saves units", || units(&sandbox.path("store")) > 0);
    // Were it not at once, it would be after three hours.
    let second = start_telling(&sandbox, "second", 3_600_000);
    heard(&sandbox, "second", "phiid  waiting for ");
    let said = fs::read_to_string(sandbox.path("second")).unwrap();
    assert!(said.contains(&format!(" pid {}\n", first.id())), "{said}");
    first.kill().unwrap();
    let second = wait(second);
    let said = fs::read_to_string(sandbox.path("second")).unwrap();
    assert_eq!(second.code, Some(0), "{said}");
    assert!(said.contains("phiid …") && said.contains("phiid  done in "), "{said}");
    first.wait().unwrap();
    assert_eq!((leases(&sandbox), units(&sandbox.path("store"))), (0, 0));
}

#[test]
fn what_another_runner_finishes_is_adopted() {
    let sandbox = phiid();
    let first = start(&sandbox, &[]);
    until("the first saves units", || units(&sandbox.path("store")) > 0);
    let second = start_telling(&sandbox, "second", 30_000);
    heard(&sandbox, "second", "phiid  waiting for ");
    let (first, second) = (wait(first), wait(second));
    let said = fs::read_to_string(sandbox.path("second")).unwrap();
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{said}");
    assert_eq!(in_state(&first.json(), "ran").len(), 2);
    assert!(said.contains("phiid  done by ") && said.contains("pairs: nothing to do"), "{said}");
}

/// A study of two stages that do not depend on each other, and the file of the lease of one that a runner on another
/// machine holds.
fn leased_elsewhere() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "elsewhere"

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind   = "phiid"
inputs = { activations = "activations" }

[stages.texts]
kind  = "prompts"
texts = ["one", "two"]
"#,
    );
    sandbox.write("activations.npy", noise(2, 8, 40));
    sandbox.run(&["--store", "whole"]);
    let lease = sandbox.path("store/leases").join(format!("{}.json", inputs_key(&sandbox, "phiid")));
    fs::create_dir_all(lease.parent().unwrap()).unwrap();
    fs::write(&lease, renewed(0)).unwrap();
    (sandbox, lease)
}

fn renewed(count: u64) -> String {
    format!(r#"{{"count":{count},"format":1,"holder":{{"boot":"another","host":"node-7","pid":1,"started":5}}}}"#)
}

#[test]
fn a_runner_elsewhere_is_waited_for_as_long_as_its_lease_moves() {
    let (sandbox, lease) = leased_elsewhere();
    let mut runner = start_telling(&sandbox, "said", 1000);
    heard(&sandbox, "said", "phiid  waiting for node-7 pid 1\n");
    heard(&sandbox, "said", "texts  done in "); // others are done meanwhile
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        assert!(runner.try_wait().unwrap().is_none(), "it took over what moves");
        count += 1;
        let next = lease.with_extension("next");
        fs::write(&next, renewed(count)).unwrap();
        fs::rename(next, &lease).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    let stopped = Instant::now();
    let run = wait(runner);
    let said = fs::read_to_string(sandbox.path("said")).unwrap();
    assert_eq!(run.code, Some(0), "{said}");
    assert!(said.contains("phiid  done in "), "{said}");
    assert!(stopped.elapsed() > Duration::from_secs(2), "it stood still for three heartbeats of a second");
    assert_eq!(said.matches("waiting for").count(), 1, "{said}");
    assert_eq!(leases(&sandbox), 0);
}

#[test]
fn a_signal_ends_the_waiting_at_once() {
    let (sandbox, lease) = leased_elsewhere();
    let runner = start_telling(&sandbox, "said", 3_600_000);
    heard(&sandbox, "said", "texts  done in ");
    heard(&sandbox, "said", "waiting for");
    kill_process(Pid::from_child(&runner), Signal::TERM).unwrap();
    let run = wait(runner);
    let said = fs::read_to_string(sandbox.path("said")).unwrap();
    assert_eq!(run.code, Some(75), "{said}");
    assert_eq!(fs::read_to_string(lease).unwrap(), renewed(0), "it is not ours to remove");
}

#[test]
fn where_no_lease_can_be_written_the_study_runs_all_the_same() {
    let (sandbox, lease) = leased_elsewhere();
    fs::remove_dir_all(lease.parent().unwrap()).unwrap();
    sandbox.write("store/leases", "a file where a folder belongs");
    let run = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(in_state(&run.json(), "ran").len(), 3);
    assert_eq!(run.stderr.matches("shares no work with others").count(), 1, "{}", run.stderr);
    let again = sandbox.assay(&["run", "study.toml", "--json"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""), "what is cached needs no lease");
}
