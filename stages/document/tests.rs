//! What a document holds, and that what must not be in a digest is not.

use std::sync::Arc;

use assay_cache::{Table, Values};

use super::*;
use crate::{Arrived, Loaded, testing::TestCtx};

fn log() -> Artifact {
    Artifact::Table(
        Table::default()
            .with("step", Values::Int(vec![Some(0), None, Some(20)]))
            .with("accuracy", Values::Float(vec![0.25, f64::NAN, 0.75]))
            .with("kind", Values::Text(["a", "b", "c"].map(String::from).to_vec())),
    )
}

fn document(content: Value) -> Document {
    serde_json::from_value(json!({ "content": content })).unwrap()
}

fn made(content: Value, ports: &[(&str, Artifact)]) -> Result<Value, String> {
    let loaded = |artifact: &Artifact| {
        vec![Loaded { labels: vec![], from: "up.out".to_owned(), artifact: Arc::new(artifact.clone()) }]
    };
    let inputs = Inputs(ports.iter().map(|(name, artifact)| ((*name).to_owned(), loaded(artifact))).collect());
    let outputs = document(content).run(&inputs, &TestCtx::new()).map_err(|failure| failure.to_string())?;
    match &outputs.artifacts["document"] {
        Artifact::Record(record) => Ok(record.clone()),
        other => panic!("{other:?}"),
    }
}

fn mistakes(content: Value) -> Vec<(String, String)> {
    let arrived = |from: &str, kind, columns: Value| Arrived {
        from: from.to_owned(),
        ty: PortType::of(kind),
        facts: json!({ "columns": columns }),
    };
    let mut given = Given::default();
    given.inputs.insert("log".into(), vec![arrived("train.log", "table", json!(["step", "accuracy"]))]);
    given.inputs.insert("weights".into(), vec![arrived("train.weights", "weights", json!([]))]);
    let mistakes = document(content).ports(&given).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| (mistake.at, mistake.message)).collect()
}

#[test]
fn expressions_stand_for_their_values_and_all_else_for_itself() {
    let content = json!({
        "experiment": "exp_a",
        "best": "= max(finite(log.accuracy))",
        "whole": "= count(log.step) > 2",
        "quoted": "== not an expression",
        "deep": [{ "seed": 42, "x": [1.5, "=1 + 1"] }],
    });
    let record = made(content, &[("log", log())]).unwrap();
    assert_eq!(
        record,
        json!({
            "experiment": "exp_a", "best": 0.75, "whole": true, "quoted": "= not an expression",
            "deep": [{ "seed": 42, "x": [1.5, 2] }],
        })
    );
}

#[test]
fn a_table_is_rows_or_columns_and_what_is_missing_is_said() {
    let record = made(json!({ "rows": "= rows(log)", "columns": "= columns(log)" }), &[("log", log())]).unwrap();
    assert_eq!(record["rows"][0], json!({ "accuracy": 0.25, "kind": "a", "step": 0 }));
    assert_eq!(record["rows"][1], json!({ "accuracy": "NaN", "kind": "b", "step": null }));
    assert_eq!(
        record["columns"],
        json!({ "accuracy": [0.25, "NaN", 0.75], "kind": ["a", "b", "c"], "step": [0, null, 20] })
    );
    let record = made(json!({ "mean": "= mean(log.accuracy)" }), &[("log", log())]).unwrap();
    assert_eq!(record, json!({ "mean": "NaN" }), "a statistic that is not defined");
}

#[test]
fn rows_take_their_part_of_what_is_added() {
    let wish = json!({ "made": "log", "field": "times" });
    let content = json!({
        "metrics": {
            "rows": "= rows(where(log, kind=['a', 'c']))",
            "with": { "time": wish, "unit": "nats", "half": "= [1, 2]", "names": ["x", "y", "z"] },
        },
    });
    let record = made(content, &[("log", log())]).unwrap();
    let time = |item: usize| json!({ "made": "log", "field": "times", "item": item });
    let row = |i: usize, accuracy: f64, kind: &str, step: i64| {
        json!({
            "accuracy": accuracy, "kind": kind, "step": step, "time": time(i), "unit": "nats", "half": i + 1,
            "names": ["x", "y", "z"],
        })
    };
    assert_eq!(record["metrics"], json!([row(0, 0.25, "a", 0), row(1, 0.75, "c", 20)]));
}

#[test]
fn a_wish_stays_a_wish_and_needs_nothing_to_look_into() {
    let wish = json!({ "made": "figure", "field": "run-stamp", "text": "figures/a_{}.png" });
    let record = made(json!({ "file": wish.clone() }), &[("figure", Artifact::Figure("<svg/>".into()))]).unwrap();
    assert_eq!(record["file"], wish);
}

#[test]
fn what_is_not_there_fails_the_stage_with_its_place() {
    let said = made(json!({ "a": { "b": ["= log.acuracy"] } }), &[("log", log())]).unwrap_err();
    assert!(said.contains("`content.a.b[0]` = log.acuracy is not defined"), "{said}");
    assert!(said.contains("`log` has accuracy, kind, step"), "{said}");
}

#[test]
fn every_mistake_is_found_before_anything_runs() {
    let found = mistakes(json!({
        "a": "= logg.step",
        "b": ["= log.stpe", "= mean("],
        "c": { "made": "lag", "field": "startet" },
        "d": { "made": "log", "field": "stamp", "text": "x.json" },
        "e": "= count(weights)",
        "f": { "made": "weights", "field": "notes.batch" },
        "g": { "made": "log", "fild": "started" },
    }));
    let places: Vec<_> = found.iter().map(|(at, _)| at.as_str()).collect();
    let all = ["content.a", "content.b[0]", "content.b[1]", "content.c.made", "content.c.field", "content.d.text"];
    assert_eq!(places, [&all[..], &["content.e", "content.g"]].concat(), "{found:?}");
}
