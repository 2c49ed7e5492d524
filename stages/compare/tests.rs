//! The kind `compare`: SciPy's numbers from tables, pairs found by their labels, and what is refused.

use std::sync::Arc;

use super::*;
use crate::{Arrived, Loaded};

/// The groups of one of SciPy's cases as rows with a condition and a seed, b's in reverse.
fn case(name: &str) -> (Table, Value) {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    let case = fixture["effect"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone();
    let floats = |key: &str| serde_json::from_value::<Vec<f64>>(case[key].clone()).unwrap();
    let (a, mut b) = (floats("a"), floats("b"));
    b.reverse();
    let conditions = a.iter().map(|_| "clamped".to_owned()).chain(b.iter().map(|_| "free".to_owned()));
    let seeds = (0..a.len()).chain((0..b.len()).rev()).map(|seed| Some(seed as i64));
    let table = Table::default()
        .with("condition", Values::Text(conditions.collect()))
        .with("seed", Values::Int(seeds.collect()))
        .with("accuracy", Values::Float([a, b].concat()));
    (table, case)
}

fn compared(params: Value, table: Table) -> Result<Table, String> {
    let loaded = Loaded { labels: vec![], from: "up.t".into(), artifact: Arc::new(Artifact::Table(table)) };
    let inputs = Inputs(BTreeMap::from([("table".to_owned(), vec![loaded])]));
    let stage: Compare = serde_json::from_value(params).unwrap();
    stage.comparison(&inputs).map_err(|failure| failure.to_string())
}

fn params() -> Value {
    json!({ "of": ["accuracy"], "groups": { "column": "condition", "a": "clamped", "b": "free" } })
}

fn float(table: &Table, name: &str) -> f64 {
    numbers(table, name, "comparison").unwrap()[0]
}

fn close(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9 * expected.abs(), "{found}, not {expected}");
}

#[test]
fn numbers_are_scipys() {
    for name in ["three seeds", "two and five", "forty and thirty"] {
        let (table, case) = case(name);
        let out = compared(params(), table).unwrap();
        close(float(&out, "cohens_d"), &case["cohens_d"]);
        close(float(&out, "hedges_g"), &case["hedges_g"]);
        close(float(&out, "welch_t"), &case["welch"]["t"]);
        close(float(&out, "welch_p"), &case["welch"]["p"]);
    }
}

#[test]
fn pairs_are_found_by_their_seed_whatever_the_order() {
    let (table, case) = case("pairs");
    let mut params = params();
    params["paired-by"] = json!("seed");
    let out = compared(params.clone(), table.clone()).unwrap();
    close(float(&out, "welch_t"), &case["paired"]["t"]);
    close(float(&out, "welch_p"), &case["paired"]["p"]);
    assert_eq!((float(&out, "n_a"), float(&out, "n_b")), (12.0, 12.0));
    params["where"] = json!({ "seed": [0, 1, 2] });
    assert_eq!(float(&compared(params.clone(), table.clone()).unwrap(), "n_a"), 3.0);
    params["paired-by"] = json!("condition");
    assert!(compared(params, table).unwrap_err().contains("two rows of one group are paired by `free`"));
}

/// Means 2 and 4: by hand.
#[test]
fn means_difference_and_ratio() {
    let table = Table::default()
        .with("layer", Values::Int([0, 0, 0, 0, 1, 1].map(Some).to_vec()))
        .with("dose", Values::Float(vec![0.0, 0.0, 0.1, 0.2, 0.0, 0.1]))
        .with("si", Values::Float(vec![1.0, 3.0, 4.0, 9.0, 5.0, f64::NAN]));
    let groups = json!([{ "column": "dose", "a": 0.0, "b": 0.1 }, { "column": "dose", "a": 0.0, "b": [0.1, 0.2] }]);
    let out = compared(json!({ "of": ["si"], "groups": groups, "by": ["layer"] }), table).unwrap();
    let column = |name: &str| numbers(&out, name, "comparison").unwrap();
    assert_eq!(column("layer"), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(column("difference")[..2], [-2.0, -4.5]);
    assert_eq!(column("ratio")[..2], [0.5, 2.0 / 6.5]);
    assert_eq!((column("n_a"), column("n_b")), (vec![2.0, 2.0, 1.0, 1.0], vec![1.0, 2.0, 0.0, 0.0]));
    assert!(column("cohens_d")[0].is_nan() && column("welch_p")[2].is_nan() && column("mean_b")[2].is_nan());
    assert_eq!(texts(&out.column("b").unwrap().values), ["0.1", "0.1|0.2", "0.1", "0.1|0.2"]);
}

#[test]
fn a_label_that_no_row_has_is_a_slip() {
    let (table, _) = case("three seeds");
    let groups = json!({ "column": "condition", "a": "clampd", "b": "free" });
    let said = compared(json!({ "of": ["accuracy"], "groups": groups }), table).unwrap_err();
    assert_eq!(said, "no row has `clampd` in `condition`; there is clamped, free");
}

#[test]
fn mistakes_are_found_at_plan_time_and_facts_are_the_columns_that_come() {
    let plan = |params: Value| {
        let facts = json!({ "columns": ["condition", "seed", "accuracy"] });
        let arrived = Arrived { from: "up.t".into(), ty: PortType::of("table"), facts };
        let inputs = BTreeMap::from([("table".to_owned(), vec![arrived])]);
        serde_json::from_value::<Compare>(params).unwrap().ports(&Given { inputs, ..Given::default() })
    };
    let wrong = json!({
        "of": ["acuracy"], "groups": [{ "column": "conditon", "a": 1, "b": 2 }], "paired-by": "sede", "by": ["seed"],
    });
    let said: Vec<_> = plan(wrong).unwrap_err().into_iter().map(|mistake| mistake.at).collect();
    assert_eq!(said, ["of[0]", "groups[0].column", "paired-by"]);
    let facts = plan(params()).unwrap().outputs.remove(0).facts;
    let names: Vec<_> =
        compared(params(), case("three seeds").0).unwrap().columns.into_iter().map(|column| column.name).collect();
    assert_eq!(facts["columns"], json!(names));
}
