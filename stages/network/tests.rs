//! The kind `network`: which edges it keeps of a matrix, what it says of them, and what is refused.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::{Axis, Data};

use super::*;
use crate::{Loaded, contract::testing::TestCtx};

/// The strongest pairs are two triangles (weights 5 and 4) joined by one edge of 3; all other pairs are 1.
fn two_triangles() -> Array2<f64> {
    Array2::from_shape_fn((6, 6), |(a, b)| match (a.min(b), a.max(b)) {
        (a, b) if a == b => f64::NAN,
        (2, 3) => 3.0,
        (a, b) if b < 3 && a < 3 => 5.0,
        (a, _) if a >= 3 => 4.0,
        _ => 1.0,
    })
}

fn inputs(matrix: Array2<f64>) -> Inputs {
    let labels = Some((0..matrix.nrows()).map(|node| format!("L0H{node}")).collect());
    let axis = Axis { name: "node".into(), labels };
    let data = Data::F64(matrix.into_dyn());
    let tensor = Tensor { axes: vec![axis.clone(), axis], unit: Some("nats".into()), data };
    let loaded = Loaded { labels: vec![], from: "phiid.sts".into(), artifact: Arc::new(Artifact::Tensor(tensor)) };
    Inputs(BTreeMap::from([("matrix".to_owned(), vec![loaded])]))
}

fn network(params: Value) -> Network {
    let mut params = params;
    params["seed"] = json!(42);
    serde_json::from_value(params).unwrap()
}

fn run(params: Value, matrix: Array2<f64>) -> Result<Outputs, String> {
    network(params).run(&inputs(matrix), &TestCtx::new()).map_err(|failure| failure.to_string())
}

fn part<'o>(outputs: &'o Outputs, port: &str) -> &'o Table {
    let Artifact::Table(table) = &outputs.artifacts[port] else { panic!("`{port}` is a table") };
    table
}

/// Seven of 15 pairs. By hand: modularity 2 · (3/7 − (7/14)²) = 5/14; of the 15 pairs 7 are one edge apart, 4 two, and 4
/// three: (7 + 4/2 + 4/3) / 15 = 31/45. Clustering: four nodes have 1, two have 1/3.
#[test]
fn two_triangles_are_two_communities() {
    let outputs = run(json!({ "density": 0.47 }), two_triangles()).unwrap();
    let Artifact::Record(measures) = &outputs.artifacts["measures"] else { panic!() };
    let close = |name: &str, expected: f64| {
        let found = measures[name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{name}: {found}");
    };
    close("modularity", 5.0 / 14.0);
    close("global_efficiency", 31.0 / 45.0);
    close("clustering", (4.0 + 2.0 / 3.0) / 6.0);
    close("threshold", 3.0);
    for (name, count) in
        [("nodes", 6), ("pairs", 15), ("edges", 7), ("components", 1), ("isolated", 0), ("communities", 2)]
    {
        assert_eq!(measures[name], json!(count), "{name}");
    }
    let nodes = part(&outputs, "nodes");
    let names: Vec<_> = nodes.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, NODES);
    assert_eq!(nodes.column("community").unwrap().values, Values::Int([0, 0, 0, 1, 1, 1].map(Some).to_vec()));
    assert_eq!(nodes.column("strength").unwrap().values, Values::Float(vec![10.0, 10.0, 13.0, 11.0, 8.0, 8.0]));
    assert_eq!(nodes.column("strength").unwrap().unit.as_deref(), Some("nats"));
    let edges = part(&outputs, "edges");
    let names: Vec<_> = edges.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, EDGES);
    assert_eq!(edges.column("inside").unwrap().values, Values::Bool(vec![true, true, true, true, true, true, false]));
    let last = |name: &str| edges.column(name).unwrap().values.clone();
    let Values::Text(ends) = last("node_b") else { panic!() };
    assert_eq!(ends[6], "L0H3");
}

/// Weighted, by hand: 30 of weight, 15 and 12 inside, 33 and 27 in all: 27/30 − (33/60)² − (27/60)².
#[test]
fn weights_count_where_they_are_asked_for() {
    let outputs = run(json!({ "density": 0.47, "weighted": true }), two_triangles()).unwrap();
    let Artifact::Record(measures) = &outputs.artifacts["measures"] else { panic!() };
    let expected = 0.9 - 0.55_f64.powi(2) - 0.45_f64.powi(2);
    assert!((measures["modularity"].as_f64().unwrap() - expected).abs() < 1e-12);
}

#[test]
fn random_graphs_stand_beside_and_depend_on_the_seed_alone() {
    let params = json!({ "density": 0.47, "random-graphs": 8 });
    let measures = |outputs: Outputs| match &outputs.artifacts["measures"] {
        Artifact::Record(record) => record.clone(),
        _ => panic!(),
    };
    let (one, two) =
        (measures(run(params.clone(), two_triangles()).unwrap()), measures(run(params, two_triangles()).unwrap()));
    assert_eq!(one, two);
    assert_eq!(one["random"]["graphs"], json!(8));
    assert!(one["random"]["modularity"]["mean"].as_f64().unwrap() <= one["modularity"].as_f64().unwrap());
}

#[test]
fn what_is_no_matrix_of_pairs_is_refused() {
    let mut lopsided = two_triangles();
    lopsided[[0, 4]] = 2.0;
    assert!(run(json!({}), lopsided).unwrap_err().contains("`matrix` has 2 at [0, 4] and 1 at [4, 0]"));
    assert!(run(json!({}), Array2::zeros((2, 3))).unwrap_err().contains("of shape [2, 3]"));
    assert!(run(json!({}), Array2::zeros((2, 2))).unwrap_err().contains("none of the 1 pairs of 2 nodes"));
    assert!(run(json!({ "density": 1.0, "weighted": true }), -two_triangles()).unwrap_err().contains("negative"));
    let said = network(json!({ "density": 1.5, "tries": 0 })).ports(&Given::default()).unwrap_err();
    let at: Vec<_> = said.iter().map(|mistake| mistake.at.as_str()).collect();
    assert_eq!(at, ["density", "tries"]);
}
