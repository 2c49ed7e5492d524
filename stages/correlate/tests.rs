//! The kind `correlate`: SciPy's numbers in each group, adjusted p, missing values, and what is refused.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::Column;
use serde_json::Value;

use super::*;
use crate::{Arrived, Loaded};

/// Every case of SciPy's table as a group of rows, one below the other.
fn cases() -> (Table, Vec<Value>) {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/correlation.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap().clone();
    let (mut names, mut x, mut y) = (vec![], vec![], vec![]);
    for case in &cases {
        let floats = |key: &str| serde_json::from_value::<Vec<f64>>(case[key].clone()).unwrap();
        names.extend(floats("x").iter().map(|_| case["name"].as_str().unwrap().to_owned()));
        x.extend(floats("x"));
        y.extend(floats("y"));
    }
    let table = Table::default()
        .with("case", Values::Text(names))
        .with("depth", Values::Float(x))
        .with("score", Values::Float(y));
    (table, cases)
}

fn correlated(params: Value, table: Table) -> Table {
    let loaded = Loaded { labels: vec![], from: "up.t".into(), artifact: Arc::new(Artifact::Table(table)) };
    let inputs = Inputs(BTreeMap::from([("table".to_owned(), vec![loaded])]));
    serde_json::from_value::<Correlate>(params).unwrap().correlations(&inputs).unwrap()
}

fn floats(table: &Table, name: &str) -> Vec<f64> {
    numbers(table, name, "correlations").unwrap()
}

#[test]
fn each_group_has_scipys_numbers() {
    let (table, cases) = cases();
    let out = correlated(json!({ "x": ["depth"], "y": ["score"], "by": ["case"], "adjust": "bonferroni" }), table);
    assert_eq!(out.rows(), cases.len());
    for name in ["pearson", "spearman"] {
        let (r, p, adjusted) =
            (floats(&out, name), floats(&out, &format!("{name}_p")), floats(&out, &format!("{name}_p_adjusted")));
        for (row, case) in cases.iter().enumerate() {
            assert!((r[row] - case[name]["r"].as_f64().unwrap()).abs() < 1e-12);
            let expected = case[name]["p"].as_f64().unwrap();
            assert!((p[row] - expected).abs() < 1e-9 * expected.max(1e-3));
            assert!((adjusted[row] - (expected * cases.len() as f64).min(1.0)).abs() < 1e-9);
        }
    }
}

/// Spearman's p of the two depths profiles, 0.29994 and 0.00010, doubled for the smaller one by Holm and by Benjamini
/// and Hochberg alike.
#[test]
fn p_is_adjusted_over_all_rows_that_are_tests() {
    let (table, cases) = cases();
    let wanted: Vec<&Value> = cases[..2].iter().map(|case| &case["name"]).collect();
    let p: Vec<f64> = cases[..2].iter().map(|case| case["spearman"]["p"].as_f64().unwrap()).collect();
    for adjust in ["benjamini-hochberg", "holm"] {
        let mut table = table.clone();
        let constant = Values::Float(vec![1.0; table.rows()]);
        table.columns.push(Column { name: "constant".into(), unit: None, values: constant });
        let params = json!({
            "x": ["depth", "constant"], "y": ["score"], "by": ["case"], "where": { "case": wanted }, "adjust": adjust,
        });
        let out = correlated(params, table);
        let adjusted = floats(&out, "spearman_p_adjusted");
        assert!((adjusted[0] - p[0]).abs() < 1e-9 && (adjusted[2] - 2.0 * p[1]).abs() < 1e-9, "{adjusted:?}");
        assert!(adjusted[1].is_nan() && adjusted[3].is_nan());
    }
}

#[test]
fn missing_values_are_left_out_and_not_counted() {
    let table = Table::default()
        .with("x", Values::Int([Some(1), Some(2), None, Some(4), Some(5)].to_vec()))
        .with("y", Values::Float(vec![2.0, 4.0, 6.0, f64::NAN, 10.0]));
    let out = correlated(json!({ "x": ["x"], "y": ["y"] }), table);
    assert_eq!((floats(&out, "n"), floats(&out, "pearson")), (vec![3.0], vec![1.0]));
}

#[test]
fn mistakes_are_found_at_plan_time_and_facts_are_the_columns_that_come() {
    let plan = |params: Value| {
        let arrived = Arrived {
            from: "up.t".into(),
            ty: PortType::of("table"),
            facts: json!({ "columns": ["case", "depth", "score"] }),
        };
        let inputs = BTreeMap::from([("table".to_owned(), vec![arrived])]);
        serde_json::from_value::<Correlate>(params).unwrap().ports(&Given { inputs, ..Given::default() })
    };
    let said: Vec<_> = plan(json!({ "x": ["dept"], "y": [], "by": ["n"], "where": { "scoer": 1 } }))
        .unwrap_err()
        .into_iter()
        .map(|mistake| format!("{}: {}", mistake.at, mistake.message))
        .collect();
    assert_eq!(
        said,
        [
            "y: there is nothing to correlate",
            "x[0]: `up.t` has no column `dept`; it has depth, case, score",
            "by[0]: `up.t` has no column `n`; it has case, depth, score",
            "where.scoer: `up.t` has no column `scoer`; it has score, case, depth",
            "by[0]: the output has a column `n` of its own",
        ]
    );
    let params = json!({ "x": ["depth"], "y": ["score"], "by": ["case"] });
    let facts = plan(params.clone()).unwrap().outputs.remove(0).facts;
    let names: Vec<_> = correlated(params, cases().0).columns.into_iter().map(|column| column.name).collect();
    assert_eq!(facts["columns"], json!(names));
}
