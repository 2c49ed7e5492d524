//! A study of pairs, as a user runs it: what is wrong with the data of a pair stays in its row, windows are what both texts
//! have, and a patched window is the source's.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, in_state};

const STUDY: &str = r#"
[study]
name     = "pairs"
question = "What becomes of values that are patched?"
seed     = 1

[params]
pairs = 5

[stages.model]
kind   = "load-model"
source = "model"

[stages.pairs]
kind   = "prompt-pairs"
inputs = { model = "model" }
pairs  = "pairs.csv"
bank   = "bank.toml"
first  = "${params.pairs}"
bos    = true

[stages.base]
kind    = "forward"
inputs  = { model = "model", prompts = "pairs.base", window = "pairs.window" }
capture = [
    { site = "v", positions = "-16..", window = "window", reduce = "participation-ratio" },
    { site = "resid_post", positions = "-16..", as = "stream" },
]

[stages.recursive]
kind    = "forward"
inputs  = { model = "model", prompts = "pairs.recursive", window = "pairs.window" }
capture = [
    { site = "v", positions = "-16..", window = "window", reduce = "participation-ratio" },
    { site = "v", layers = 1, positions = "-16..", window = "window", as = "source" },
]

[stages.shuffled]
kind    = "surrogate"
inputs  = { data = "recursive.source" }
method  = "shuffle"
axis    = "position"
by      = ["prompt"]

[stages.patched]
kind    = "forward"
inputs  = { model = "model", prompts = "pairs.base", window = "pairs.window", source = "recursive.source", stream = "base.stream" }
edits   = [{ op = "patch", site = "v", layers = 1, positions = "-16..", from = "source", align = "end" }]
capture = [
    { site = "v", positions = "-16..", window = "window", reduce = "participation-ratio" },
    { site = "resid_post", positions = "-16..", window = "window", minus = "stream", reduce = ["norm", "mean"], as = "moved" },
]

[stages.reordered]
kind    = "forward"
inputs  = { model = "model", prompts = "pairs.base", window = "pairs.window", source = "shuffled" }
edits   = [{ op = "patch", site = "v", layers = 1, positions = "-16..", from = "source", align = "end" }]
capture = [{ site = "v", positions = "-16..", window = "window", reduce = "participation-ratio" }]

[stages.values]
kind    = "derive"
inputs  = { v = ["base.v", "recursive.v", "patched.v", "reordered.v"] }
columns = [{ name = "run", is = "['base', 'recursive', 'patched', 'reordered'][from]" }]
keep    = ["run", "prompt", "layer", "value"]

[stages.results]
kind    = "derive"
inputs  = { pairs = "pairs.pairs", v = "values", moved = "patched.moved" }
from    = "pairs"
rename  = { pair_idx = "prompt" }
join    = [
    { port = "v", where = { run = "base", layer = 0 }, on = ["prompt"], prefix = "early_", missing = "nan" },
    { port = "v", where = { run = "recursive", layer = 1 }, on = ["prompt"], prefix = "source_", missing = "nan" },
    { port = "v", where = { run = "patched", layer = 1 }, on = ["prompt"], prefix = "patched_", missing = "nan" },
    { port = "v", where = { run = "patched", layer = 0 }, on = ["prompt"], prefix = "first_", missing = "nan" },
    { port = "v", where = { run = "reordered", layer = 1 }, on = ["prompt"], prefix = "reordered_", missing = "nan" },
    { port = "moved", where = { layer = 0 }, on = ["prompt"], prefix = "before_", missing = "nan" },
    { port = "moved", where = { layer = 2 }, on = ["prompt"], prefix = "behind_", missing = "nan" },
]
columns = [
    { name = "rv", is = "patched_value / first_value" },
    { name = "arithmetic", is = "source_value / early_value" },
]
keep    = ["prompt", "base_id", "base_tokens", "rec_tokens", "window", "status", "error", "rv", "arithmetic", "source_value", "reordered_value", "before_value", "behind_value"]

[export]
"results.json" = "results"
"#;

/// A model of three layers whose tokens are words: w1, w2, …
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(STUDY);
    fs::create_dir(sandbox.path("model")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        sandbox.fixture(&format!("stages/fixtures/llama/{file}"), &format!("model/{file}"));
    }
    let vocab: BTreeMap<String, u32> = (1..250).map(|i| (format!("w{i}"), i)).chain([("<s>".to_owned(), 0)]).collect();
    let beginning = json!({ "id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true });
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [beginning], "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<s>" },
    });
    sandbox.write("model/tokenizer.json", tokenizer.to_string());
    sandbox.write("model/tokenizer_config.json", json!({ "bos_token": "<s>" }).to_string());
    let text = |first: usize, count: usize, step: usize| {
        let words: Vec<_> = (0..count).map(|i| format!("w{}", 1 + (first + i * step) % 240)).collect();
        words.join(" ")
    };
    let bank = format!(
        "one = \"{}\"\ntwo = \"{}\"\nlong = \"{}\"\nbrief = \"{}\"\nshort = \"{}\"\n",
        text(3, 20, 7),
        text(9, 24, 11),
        text(40, 30, 13),
        text(5, 6, 3),
        text(8, 9, 5)
    );
    sandbox.write("bank.toml", bank);
    sandbox.write("pairs.csv", "base_id,rec_id\none,long\none,gone\nshort,long\ntwo,brief\ntwo,one\none,two\n");
    sandbox
}

fn rows(sandbox: &Sandbox) -> Vec<Value> {
    let exported = sandbox.assay(&["export", "study.toml", "out"]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    serde_json::from_slice(&fs::read(sandbox.path("out/results.json")).unwrap()).unwrap()
}

/// A number of a row; NaN where it is missing.
fn number(row: &Value, name: &str) -> f64 {
    assert!(row.get(name).is_some(), "{name} of {row}");
    row[name].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn the_patched_window_is_the_sources_and_what_is_wrong_with_a_pair_stays_in_its_row() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let rows = rows(&sandbox);
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("status"), ["ok", "error", "skipped", "ok", "ok"]);
    assert_eq!(column("error")[1], "the bank has no text `gone`");
    assert_eq!(column("error")[2], "the base text has 10 tokens, fewer than 16");
    assert_eq!(column("base_tokens"), [21, 21, 10, 25, 25], "with the token that marks a beginning");
    let windows: Vec<_> = rows.iter().map(|row| number(row, "window")).collect();
    assert_eq!((windows[0], windows[3], windows[4]), (16.0, 7.0, 16.0), "the brief source has seven tokens");
    assert!(windows[1].is_nan() && windows[2].is_nan());
    for row in rows.iter().filter(|row| row["status"] == "ok") {
        let number = |name: &str| number(row, name);
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-5;
        // R_V of the patched layer is PR(source) / PR(base, early), whatever the model does: it follows from the patch.
        assert!(near(number("rv"), number("arithmetic")), "{row}");
        assert!(near(number("reordered_value"), number("source_value")), "the order of tokens is not in it: {row}");
        assert_eq!(number("before_value"), 0.0, "nothing moves before the patch");
        assert!(number("behind_value") > 0.0);
    }
    assert!(rows.iter().filter(|row| row["status"] != "ok").all(|row| number(row, "rv").is_nan()), "{rows:?}");
}

#[test]
fn a_second_run_does_nothing_and_more_pairs_leave_the_first_as_they_were() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let first = rows(&sandbox);
    let second = sandbox.run(&[]);
    assert_eq!(in_state(&second, "cached").len(), second["stages"].as_array().unwrap().len());
    sandbox.edit("pairs = 5", "pairs = 6");
    sandbox.run(&[]);
    let more = rows(&sandbox);
    assert_eq!(more.len(), 6);
    for (row, again) in first.iter().zip(&more) {
        assert_eq!((&row["error"], &row["window"]), (&again["error"], &again["window"]));
        let (moved, now) = (number(row, "behind_value"), number(again, "behind_value"));
        assert!(moved.is_nan() && now.is_nan() || (moved / now - 1.0).abs() < 1e-4, "{row} {again}");
    }
}

#[test]
fn pairs_of_which_none_can_be_used_stop_the_study_and_say_why() {
    let sandbox = sandbox();
    sandbox.write("pairs.csv", "base_id,rec_id\none,gone\nshort,long\n");
    let run = sandbox.assay(&["run", "study.toml"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("none of the 2 pairs can be used: of the first, the bank has no text `gone`"),
        "{}",
        run.stderr
    );

    sandbox.write("pairs.csv", "base_id,text\none,gone\n");
    let planned = sandbox.assay(&["plan", "study.toml"]);
    assert_eq!(planned.code, Some(2));
    assert!(planned.stderr.contains("no column `rec_id`; it has base_id, text"), "{}", planned.stderr);
}
