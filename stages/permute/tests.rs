//! The kind `permute`: p of hand-made tables, who exchanges labels with whom, and what is refused.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::*;
use crate::{Arrived, Loaded, contract::testing::TestCtx, tables::numbers};

fn inputs(table: Table) -> Inputs {
    let loaded = Loaded { labels: vec![], from: "up.t".into(), artifact: Arc::new(Artifact::Table(table)) };
    Inputs(BTreeMap::from([("t".to_owned(), vec![loaded])]))
}

fn stage(mut params: Value) -> Permute {
    params["seed"] = json!(42);
    serde_json::from_value(params).unwrap()
}

fn null(params: Value, table: Table) -> Result<Table, String> {
    let done = stage(params).tables(&inputs(table), &TestCtx::new());
    done.map(|tables| tables.0).map_err(|failure| failure.to_string())
}

fn cell(table: &Table, name: &str, row: usize) -> f64 {
    numbers(table, name, "null").unwrap()[row]
}

fn labelled(labels: &[&str], values: &[f64]) -> Table {
    Table::default()
        .with("condition", Values::Text(labels.iter().map(|label| (*label).to_owned()).collect()))
        .with("x", Values::Float(values.to_vec()))
}

const DIFFERENCE: &str = "mean(where(t, condition='a').x) - mean(where(t, condition='b').x)";

/// Three against three, the largest three on one side: of the 20 ways to part them one is as large and one as small, so
/// p tends to 1/20 on one side and 1/10 on two.
#[test]
fn p_is_that_of_all_ways_to_part_the_rows() {
    let table = labelled(&["a", "b", "a", "b", "a", "b"], &[6.0, 1.0, 5.0, 2.0, 4.5, 3.0]);
    for (tail, expected) in [("two-sided", 0.1), ("greater", 0.05), ("less", 1.0)] {
        let params = json!({
            "statistics": [{ "name": "d", "is": DIFFERENCE }], "shuffle": { "port": "t", "column": "condition" },
            "resamples": 4000, "tail": tail,
        });
        let found = null(params, table.clone()).unwrap();
        assert!((cell(&found, "p", 0) - expected).abs() < 0.015, "{tail}: {}", cell(&found, "p", 0));
        assert!((cell(&found, "observed", 0) - (15.5 / 3.0 - 2.0)).abs() < 1e-12);
        assert!(cell(&found, "mean", 0).abs() < 0.1 && cell(&found, "undefined", 0) == 0.0);
    }
}

/// One pair in each of eight groups, a always 1 above b: 2⁸ ways, of which one is as large.
#[test]
fn labels_stay_in_their_group() {
    let values: Vec<f64> = (0..8).flat_map(|seed| [f64::from(seed) + 1.0, f64::from(seed)]).collect();
    let mut table = labelled(&["a", "b"].repeat(8), &values);
    table = table.with("seed", Values::Int((0..16).map(|row| Some(row / 2)).collect()));
    let params = json!({
        "statistics": [{ "name": "d", "is": DIFFERENCE }], "tail": "greater", "resamples": 2000,
        "shuffle": { "port": "t", "column": "condition", "within": ["seed"] },
    });
    let found = null(params, table).unwrap();
    assert!((cell(&found, "observed", 0) - 1.0).abs() < 1e-12);
    assert!((cell(&found, "p", 0) - 1.0 / 256.0).abs() < 0.004, "{}", cell(&found, "p", 0));
    assert!((cell(&found, "std", 0) - 8.0_f64.sqrt() / 8.0).abs() < 0.02); // eight signs, their mean
}

/// Two heads of ten rows each exchange their labels as wholes: half of all permutations are as they were.
#[test]
fn rows_of_a_unit_keep_one_label() {
    let labels: Vec<&str> = (0..20).map(|row| if row < 10 { "a" } else { "b" }).collect();
    let values: Vec<f64> = (0..20).map(|row| if row < 10 { 1.0 } else { 0.0 }).collect();
    let heads = Values::Int((0..20).map(|row| Some(row / 10)).collect());
    let table = labelled(&labels, &values).with("head", heads);
    let shuffle = json!({ "port": "t", "column": "condition", "unit": "head" });
    let params = json!({ "statistics": [{ "name": "d", "is": DIFFERENCE }], "shuffle": shuffle, "tail": "greater" });
    let found = null(params.clone(), table.clone()).unwrap();
    assert!((cell(&found, "p", 0) - 0.5).abs() < 0.06);
    let mixed = labelled(&["a", "b", "a"], &[1.0, 2.0, 3.0]).with("head", Values::Int(vec![Some(0), Some(0), Some(1)]));
    let said = null(params, mixed).unwrap_err();
    assert!(said.contains("a unit of `head` has the labels `a` and `b`"), "{said}");
}

/// Ten statistics of nothing: the chance that one of them is as extreme is far above the chance that this one is.
#[test]
fn the_family_is_held_against_its_largest() {
    let labels = ["a", "b"].repeat(20).into_iter().map(String::from).collect();
    let mut table = Table::default().with("condition", Values::Text(labels));
    let noise = |at: usize| ((at * 7919) % 997) as f64 / 997.0;
    let mut statistics = vec![];
    for name in 0..10 {
        let values = (0..40).map(|row| noise(row * 10 + name)).collect();
        table = table.with(&format!("x{name}"), Values::Float(values));
        statistics.push(json!({ "name": format!("d{name}"), "is": DIFFERENCE.replace(".x", &format!(".x{name}")) }));
    }
    let params = json!({
        "statistics": statistics, "shuffle": { "port": "t", "column": "condition" }, "max-over": true, "resamples": 400,
    });
    let found = null(params, table).unwrap();
    for row in 0..10 {
        assert!(cell(&found, "p_max", row) >= cell(&found, "p", row));
    }
    let smallest = (0..10).map(|row| cell(&found, "p", row)).fold(1.0, f64::min);
    let family = (0..10).map(|row| cell(&found, "p_max", row)).fold(1.0, f64::min);
    assert!(family > 2.0 * smallest.min(0.3), "{smallest} {family}");
}

#[test]
fn mistakes_are_found_at_plan_time_and_facts_are_the_columns_that_come() {
    let plan = |params: Value| {
        let facts = json!({ "columns": ["condition", "x"] });
        let arrived = Arrived { from: "up.t".into(), ty: PortType::of("table"), facts };
        stage(params).ports(&Given { inputs: BTreeMap::from([("t".to_owned(), vec![arrived])]), ..Given::default() })
    };
    let wrong = json!({
        "statistics": [{ "name": "d", "is": "mean(t.z)" }], "resamples": 0,
        "shuffle": { "port": "t", "column": "conditoin", "within": ["conditoin"], "unit": "head" },
    });
    let said: Vec<_> = plan(wrong).unwrap_err().into_iter().map(|mistake| mistake.at).collect();
    assert_eq!(
        said,
        ["statistics[0].is", "shuffle.column", "shuffle.within", "shuffle.unit", "shuffle.within", "resamples"]
    );
    let params = json!({
        "statistics": [{ "name": "d", "is": DIFFERENCE }], "shuffle": { "port": "t", "column": "condition" }, "max-over": true,
    });
    let facts = plan(params.clone()).unwrap().outputs.remove(0).facts;
    let table = null(params, labelled(&["a", "b", "b"], &[1.0, 2.0, 3.0])).unwrap();
    let names: Vec<_> = table.columns.into_iter().map(|column| column.name).collect();
    assert_eq!(facts["columns"], json!(names));
    let wrong =
        json!({ "statistics": [{ "name": "d", "is": "1" }], "shuffle": { "port": "u", "column": "condition" } });
    assert_eq!(plan(wrong).unwrap_err()[0].message, "no input port is called `u`");
}
