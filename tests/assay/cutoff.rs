//! Early cutoff: where new inputs turn out to hold the old bytes, nothing below runs. And its opposite: an entry that
//! was computed from other bytes is never taken for a hit.

use std::fs;

use assay_cache::Digest;
use serde_json::Value;

use crate::{
    interruption::{entry, noise},
    sandbox::{Sandbox, in_state, states},
};

pub const TABLES: &str = r#"
[study]
name = "tables"

[stages.table]
kind = "load-table"
file = "table.csv"

[stages.summary]
kind   = "summarize"
inputs = { table = "table" }
by     = ["group"]
of     = ["x"]

[stages.whole]
kind   = "summarize"
inputs = { table = "summary" }
of     = ["mean_x"]
"#;

pub fn tables() -> Sandbox {
    let sandbox = Sandbox::with(TABLES);
    sandbox.write("table.csv", "group,x\na,1.0\nb,2.5\na,3.0\n");
    sandbox
}

/// The key of a stage in the JSON of a run.
pub fn key<'a>(document: &'a Value, stage: &str) -> &'a str {
    let stages = document["stages"].as_array().unwrap();
    stages.iter().find(|own| own["id"] == stage).unwrap()["key"].as_str().unwrap()
}

/// Makes the entry of a stage one that another machine might have made: its only output, a short table, says `to`
/// where it said `from`.
pub fn change_output(sandbox: &Sandbox, key: &str, from: &str, to: &str) {
    let mut entry = entry(&sandbox.path("store"), key);
    let (_, output) = entry["outputs"].as_object_mut().unwrap().iter_mut().next().unwrap();
    let text = output["inline"].as_str().unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    let text = text.replacen(from, to, 1);
    output["bytes"] = text.len().into();
    output["digest"] = Digest::of(text.as_bytes()).to_string().into();
    output["inline"] = text.into();
    sandbox.write(&format!("store/entries/{}/{key}.json", &key[..2]), entry.to_string());
}

/// The files of the store's entries whose names end so.
pub fn entries_named(sandbox: &Sandbox, ending: &str) -> Vec<std::path::PathBuf> {
    let shards = fs::read_dir(sandbox.path("store/entries")).unwrap().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten().map(|file| file.path()));
    files.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn equal_bytes_upstream_leave_everything_below_as_it_was() {
    let sandbox = tables();
    let first = sandbox.run(&[]);
    let made = entry(&sandbox.path("store"), key(&first, "whole"))["made"].clone();
    // Another file, the same table.
    sandbox.write("table.csv", "group,x\na,1.00\nb,2.50\na,3\n");
    let second = sandbox.run(&[]);
    assert_eq!(states(&second), [("table", "ran"), ("summary", "same"), ("whole", "same")]);
    assert_ne!(key(&first, "whole"), key(&second, "whole"));
    let alias = entry(&sandbox.path("store"), key(&second, "whole"));
    assert_eq!(alias["made"], made, "it says who computed it");
    assert_eq!(second["stages"][2]["seconds"], 0.0);
    assert_eq!(in_state(&sandbox.run(&[]), "cached").len(), 3);
    let shown = sandbox.assay(&["show", "study.toml", "whole", "--json"]).json();
    assert_eq!(shown["mean_mean_x"], serde_json::json!([2.25]), "(2 + 2.5) / 2");
}

#[test]
fn a_parameter_that_changes_nothing_cuts_off_too() {
    let sandbox = tables();
    sandbox.run(&[]);
    sandbox.edit("by     = [\"group\"]", "by     = [\"group\"]\nwhere  = { group = [\"a\", \"b\"] }");
    assert_eq!(states(&sandbox.run(&[])), [("table", "cached"), ("summary", "ran"), ("whole", "same")]);
}

#[test]
fn what_was_computed_from_other_bytes_is_no_hit() {
    let sandbox = tables();
    let first = sandbox.run(&[]);
    change_output(&sandbox, key(&first, "table"), "2.5", "4.5");
    let second = sandbox.run(&[]);
    assert_eq!(states(&second), [("table", "cached"), ("summary", "ran"), ("whole", "ran")]);
    let shown = sandbox.assay(&["show", "study.toml", "whole", "--json"]).json();
    assert_eq!(shown["mean_mean_x"], serde_json::json!([3.25]), "(2 + 4.5) / 2");
    assert_eq!(entries_named(&sandbox, ".superseded-1").len(), 2, "the old entries were set aside");
    assert_eq!(in_state(&sandbox.run(&[]), "cached").len(), 3);
}

#[test]
fn what_is_the_same_but_gone_is_computed() {
    let sandbox = Sandbox::with(
        r#"
[study]
name = "pairs"

[stages.activations]
kind = "load-tensor"
file = "activations.npy"
axes = ["prompt", "node", "step"]

[stages.phiid]
kind   = "phiid"
inputs = { activations = "activations" }
"#,
    );
    let file = noise(2, 8, 40);
    sandbox.write("activations.npy", &file);
    let first = sandbox.run(&[]);
    let digest = entry(&sandbox.path("store"), key(&first, "phiid"))["outputs"]["sts"]["digest"].clone();
    let digest = digest.as_str().unwrap();
    fs::remove_file(sandbox.path(&format!("store/blobs/{}/{digest}", &digest[..2]))).unwrap();
    // The same numbers under a header with another space in it.
    let at = file.windows(3).position(|bytes| bytes == b", }").unwrap();
    let mut other = file.clone();
    other[at..at + 3].copy_from_slice(b",} ");
    sandbox.write("activations.npy", other);
    assert_eq!(states(&sandbox.run(&[])), [("activations", "ran"), ("phiid", "ran")]);
    assert!(sandbox.path(&format!("store/blobs/{}/{digest}", &digest[..2])).is_file());
}

#[test]
fn two_stages_with_one_key_are_computed_once() {
    let twin =
        TABLES.replace("[stages.whole]", "[stages.twin]\nkind = \"load-table\"\nfile = \"copy.csv\"\n\n[stages.whole]");
    let sandbox = Sandbox::with(&twin);
    sandbox.write("table.csv", "group,x\na,1.0\n");
    sandbox.write("copy.csv", "group,x\na,1.0\n");
    let document = sandbox.run(&[]);
    assert_eq!(key(&document, "table"), key(&document, "twin"));
    assert_eq!((in_state(&document, "ran").len(), in_state(&document, "cached").len()), (3, 1));
    // Under two keys, but from the same bytes.
    sandbox.write("table.csv", "group,x\na,2.0\n");
    sandbox.write("copy.csv", "group,x\na,2.00\n");
    sandbox.edit("[stages.whole]", "[stages.other]\nkind = \"summarize\"\ninputs = { table = \"twin\" }\nby = [\"group\"]\nof = [\"x\"]\n\n[stages.whole]");
    let document = sandbox.run(&["--keep-going"]);
    assert_ne!(key(&document, "summary"), key(&document, "other"));
    let state = |stage| states(&document).into_iter().find(|(id, _)| *id == stage).unwrap().1;
    let mut both = [state("summary"), state("other")];
    both.sort_unstable();
    assert_eq!(both, ["ran", "same"]);
}
