//! The kind `derive`: joins, computed columns, order and names of tables, and what is refused.

use std::sync::Arc;

use assay_cache::{Data, Tensor, Values};
use ndarray::arr2;

use super::*;
use crate::{Arrived, Loaded, tables::numbers};

fn loaded(artifact: Artifact) -> Vec<Loaded> {
    vec![Loaded { labels: vec![], from: "up.out".to_owned(), artifact: Arc::new(artifact) }]
}

fn text(values: &[&str]) -> Values {
    Values::Text(values.iter().map(|value| (*value).to_owned()).collect())
}

/// A patched run (three prompts at two layers) and the base run, in another order.
fn inputs() -> Inputs {
    let patched = Table::default()
        .with("prompt", text(&["a", "a", "b", "b", "c", "c"]))
        .with("layer", Values::Int([27, 28, 27, 28, 27, 28].map(Some).to_vec()))
        .with("value", Values::Float(vec![1.0, 2.0, 3.0, 5.0, 7.0, 11.0]))
        .unit("nats");
    let base = Table::default()
        .with("layer", Values::Int([28, 27, 28, 27].map(Some).to_vec()))
        .with("prompt", text(&["b", "b", "a", "a"]))
        .with("value", Values::Float(vec![0.5, 0.25, 1.5, 4.0]));
    Inputs(BTreeMap::from([
        ("patched".to_owned(), loaded(Artifact::Table(patched))),
        ("base-run".to_owned(), loaded(Artifact::Table(base))),
    ]))
}

fn derive(params: Value) -> Result<Table, String> {
    let stage: Derive = serde_json::from_value(params).unwrap();
    stage.table(&inputs()).map_err(|failure| failure.to_string())
}

fn floats(table: &Table, name: &str) -> Vec<f64> {
    numbers(table, name, "derived").unwrap()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn a_difference_from_a_baseline_and_a_part_of_the_first() {
    let table = derive(json!({
        "from": "patched",
        "join": [
            { "port": "base-run", "on": ["prompt", "layer"], "prefix": "base_", "missing": "drop" },
            { "port": "patched", "where": { "layer": 27 }, "on": ["prompt"], "prefix": "at_" },
        ],
        "where": { "layer": 28 },
        "columns": [
            { "name": "delta", "is": "value - base_value", "unit": "nats" },
            { "name": "part", "is": "abs(delta) / at_value" },
            { "name": "above", "is": "value > mean(patched.value)" },
        ],
        "keep": ["prompt", "delta", "part", "above"],
    }))
    .unwrap();
    assert_eq!(names(&table), ["prompt", "delta", "part", "above"]);
    assert_eq!((floats(&table, "delta"), floats(&table, "part")), (vec![0.5, 4.5], vec![0.5, 1.5]));
    assert_eq!(table.columns[3].values, Values::Bool(vec![false, true])); // the mean of all six rows is 29/6
    assert_eq!(table.columns[1].unit.as_deref(), Some("nats"));
}

#[test]
fn what_is_missing_is_an_error_or_nan_or_left_out() {
    let join = |missing: &str| {
        json!({ "from": "patched", "join": [{
            "port": "base-run", "on": ["prompt", "layer"], "prefix": "base_", "missing": missing,
        }], "columns": [{ "name": "delta", "is": "value - base_value" }] })
    };
    let said = derive(join("error")).unwrap_err();
    assert!(said.contains("`base-run` has no row for prompt = c, layer = 27"), "{said}");
    assert_eq!(derive(join("drop")).unwrap().rows(), 4);
    let table = derive(join("nan")).unwrap();
    assert!(floats(&table, "delta")[4].is_nan() && floats(&table, "base_value")[5].is_nan());
}

#[test]
fn several_rows_for_one_are_an_error_and_so_are_two_columns_of_one_name() {
    let said = derive(
        json!({ "from": "patched", "join": [{ "port": "base-run", "on": ["prompt"], "missing": "drop", "prefix": "b_" }] }),
    );
    assert!(said.unwrap_err().contains("`base-run` has 2 rows for prompt = a"));
    let said = derive(
        json!({ "from": "patched", "join": [{ "port": "base-run", "on": ["prompt", "layer"], "missing": "drop" }] }),
    );
    assert_eq!(said.unwrap_err(), "two columns would be called `value`");
}

#[test]
fn one_row_without_on_goes_to_all() {
    let table = derive(json!({
        "from": "patched",
        "join": [{ "port": "base-run", "where": { "prompt": "b", "layer": 28 }, "prefix": "b_" }],
    }));
    assert_eq!(floats(&table.unwrap(), "b_value"), [0.5; 6]);
}

#[test]
fn slopes_stay_in_their_series() {
    let table = derive(json!({
        "from": "patched",
        "rename": { "value": "rv" },
        "sort": ["-layer", "prompt"],
        "columns": [
            { "name": "velocity", "gradient": "rv", "by": ["layer"] },
            { "name": "lone", "gradient": "rv", "by": ["layer", "prompt"] },
        ],
    }))
    .unwrap();
    assert_eq!(floats(&table, "layer"), [28.0, 28.0, 28.0, 27.0, 27.0, 27.0]);
    assert_eq!(floats(&table, "rv"), [2.0, 5.0, 11.0, 1.0, 3.0, 7.0]);
    assert_eq!(floats(&table, "velocity"), [3.0, 4.5, 6.0, 2.0, 3.0, 4.0]);
    assert!(floats(&table, "lone").iter().all(|slope| slope.is_nan()));
}

#[test]
fn a_new_column_can_order_the_rows_and_integers_stay_integers() {
    let params =
        json!({ "from": "base-run", "columns": [{ "name": "rest", "is": "layer % 2" }], "sort": ["rest", "-value"] });
    let table = derive(params).unwrap();
    assert_eq!(table.column("rest").unwrap().values, Values::Int([0, 0, 1, 1].map(Some).to_vec()));
    assert_eq!(floats(&table, "value"), [1.5, 0.5, 4.0, 0.25]);
}

#[test]
fn a_tensor_is_rows_too_and_one_port_needs_no_name() {
    let tensor = Tensor::new(&["layer", "head"], Data::F64(arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()));
    let inputs = Inputs(BTreeMap::from([("z".to_owned(), loaded(Artifact::Tensor(tensor)))]));
    let params = json!({ "where": { "head": 1 }, "columns": [{ "name": "twice", "is": "2 * value" }] });
    let table = serde_json::from_value::<Derive>(params).unwrap().table(&inputs).unwrap();
    assert_eq!(names(&table), ["layer", "head", "value", "twice"]);
    assert_eq!(floats(&table, "twice"), [4.0, 8.0]);
}

#[test]
fn an_expression_that_fails_says_in_which_row_and_what_a_row_has() {
    let said = derive(json!({ "from": "patched", "columns": [{ "name": "x", "is": "valeu + 1" }] })).unwrap_err();
    assert!(said.contains("the column `x` = valeu + 1 fails in row 1"), "{said}");
    assert!(said.contains("a row has prompt, layer, value") && said.contains("`base_run` has"), "{said}");
    let said = derive(json!({ "from": "patched", "columns": [{ "name": "x", "is": "patched.value" }] })).unwrap_err();
    assert!(said.contains("a cell is one number, text or truth value"), "{said}");
}

fn planned(params: Value, known: bool) -> Result<Value, Vec<String>> {
    let facts = |columns: &[&str]| if known { json!({ "columns": columns }) } else { Value::Null };
    let arrived = |from: &str, facts| Arrived { from: from.into(), ty: PortType::of("table"), facts };
    let inputs = BTreeMap::from([
        ("t".to_owned(), vec![arrived("rank.ranking", facts(&["layer", "score"]))]),
        ("other".to_owned(), vec![arrived("base.curve", facts(&["layer", "kl"]))]),
    ]);
    let stage: Derive = serde_json::from_value(params).unwrap();
    let ports = stage.ports(&Given { inputs, ..Given::default() });
    let told = |mistakes: Vec<Mistake>| {
        mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
    };
    ports.map(|mut ports| ports.outputs.remove(0).facts["columns"].take()).map_err(told)
}

#[test]
fn the_plan_knows_the_columns_that_come() {
    let params = json!({
        "from": "t", "rename": { "score": "s" }, "join": [{ "port": "other", "on": ["layer"], "prefix": "o_" }],
        "columns": [{ "name": "sum", "is": "s + o_kl + max(other.kl)" }, { "name": "slope", "gradient": "sum" }],
    });
    assert_eq!(planned(params.clone(), true).unwrap(), json!(["layer", "s", "o_kl", "sum", "slope"]));
    assert_eq!(planned(params, false).unwrap(), Value::Null);
    assert_eq!(planned(json!({ "from": "t", "keep": ["a"] }), false).unwrap(), json!(["a"]));
}

#[test]
fn the_plan_names_what_is_not_there() {
    let said = planned(
        json!({
            "from": "t",
            "rename": { "scor": "s" },
            "where": { "lair": 1 },
            "join": [{ "port": "other", "on": ["layre"] }, { "port": "othr" }],
        }),
        true,
    );
    assert_eq!(
        said.unwrap_err(),
        [
            "rename.scor: `rank.ranking` has no column `scor`; it has score, layer",
            "where.lair: `the table` has no column `lair`; it has layer, score",
            "join[0].on[0]: `the table` has no column `layre`; it has layer, score",
            "join[0].on[0]: `base.curve` has no column `layre`; it has layer, kl",
            "join[0].prefix: two columns would be called `layer`",
            "join[1].port: no input port is called `othr`",
        ]
    );
    let said = planned(
        json!({
            "from": "t",
            "columns": [
                { "name": "score", "is": "layer" }, { "name": "a", "is": "layer +" }, { "name": "b" },
                { "name": "c", "is": "skore + other.lk" }, { "name": "d", "is": "1", "by": ["layer"] },
            ],
            "sort": ["-scoer"], "keep": ["layer", "layer"],
        }),
        true,
    )
    .unwrap_err();
    assert_eq!(said[0], "columns[0].name: two columns would be called `score`");
    assert!(said[1].starts_with("columns[1].is: "), "{said:?}");
    assert_eq!(said[2], "columns[2]: exactly one of `is` and `gradient` says what it holds");
    assert_eq!(said[3], "columns[3].is: `base.curve` has no column `lk`; it has layer, kl");
    assert_eq!(said[4], "columns[3].is: nothing is called `skore`");
    assert_eq!(said[5], "columns[4].by: `by` belongs to `gradient`");
    assert!(said[6].starts_with("sort[0]: `the table` has no column `scoer`"), "{said:?}");
    assert_eq!(said[7], "keep[1]: two columns would be called `layer`");
    assert_eq!(
        planned(json!({}), true).unwrap_err(),
        [": `from` says the rows of which port are taken: one of other, t"]
    );
}

#[test]
fn a_quotient_with_nothing_below_is_no_number() {
    let column = json!([{ "name": "q", "is": "layer / (value - 2)" }]);
    let found = floats(&derive(json!({ "from": "patched", "columns": column })).unwrap(), "q");
    assert_eq!((found[0], found[2]), (-27.0, 27.0));
    assert!(found[1].is_nan(), "{found:?}");
}
