//! Heatmaps: cells, panels, colour bars, tables that are pivoted.

use assay_cache::{Axis, Data, Tensor};
use ndarray::Array2;

use super::*;

/// A node × node matrix over `layers` × `heads`, without a diagonal.
pub fn pairs(layers: usize, heads: usize, peak: f64) -> Artifact {
    let nodes = layers * heads;
    let middle = |i: usize| 1.0 - ((i / heads) as f64 / (layers - 1) as f64 - peak).abs();
    let values = Array2::from_shape_fn((nodes, nodes), |(i, j)| {
        if i == j { f64::NAN } else { middle(i) * middle(j) * (1.0 + 0.3 * ((i * 7 + j * 7) % 5) as f64) }
    });
    let labels: Vec<String> = (0..nodes).map(|i| format!("L{}H{}", i / heads, i % heads)).collect();
    let axis = || Axis::labelled("node", labels.clone());
    let tensor = Tensor { axes: vec![axis(), axis()], unit: Some("nats".into()), data: Data::F64(values.into_dyn()) };
    Artifact::Tensor(tensor)
}

fn ranking(layers: i64, heads: i64) -> Artifact {
    let rows: Vec<(i64, i64)> = (0..layers).flat_map(|l| (0..heads).map(move |h| (l, h))).collect();
    let score = |(l, h): &(i64, i64)| ((l * 37 + h * 61) % 101) as f64 / 100.0;
    let table = Table::default()
        .with("layer", Values::Int(rows.iter().map(|r| Some(r.0)).collect()))
        .with("head_in_layer", Values::Int(rows.iter().map(|r| Some(r.1)).collect()))
        .with("syn_red_score", Values::Float(rows.iter().map(score).collect()));
    Artifact::Table(table)
}

#[test]
fn a_small_matrix_is_cells_and_a_large_one_an_image() {
    let params = || json!({ "chart": "heatmap", "series": [{ "from": "sts" }], "color": { "label": "synergy" } });
    let small = draw(params(), &[("sts", pairs(4, 3, 0.5))]).unwrap();
    assert_eq!(count(&small, "crispEdges"), 12 * 12 + 64, "cells, and the steps of the colour bar");
    assert!(small.contains(">synergy (nats)<") && small.contains(">L3<"));
    let large = draw(params(), &[("sts", pairs(16, 8, 0.5))]).unwrap();
    assert_eq!(count(&large, "<image"), 1);
    assert_eq!(count(&large, "crispEdges"), 64);
    assert!(large.len() < 60_000, "{} bytes", large.len());
}

#[test]
fn panels_share_what_they_do_not_set() {
    let params = json!({
        "chart": "heatmap",
        "x": { "label": "head" }, "y": { "label": "head" },
        "panels": [
            { "title": "Synergy", "series": [{ "from": "sts" }] },
            { "title": "Redundancy", "series": [{ "from": "rtr" }], "color": { "map": "magma" } },
        ],
    });
    let svg = draw(params, &[("sts", pairs(4, 3, 0.5)), ("rtr", pairs(4, 3, 0.0))]).unwrap();
    assert_eq!(count(&svg, "class=\"panel\""), 2);
    assert_eq!(count(&svg, ">head<"), 4);
    assert!(svg.contains("viewBox=\"0 0 960 "));
}

#[test]
fn a_table_is_pivoted_in_the_order_of_numbers() {
    let params = json!({
        "chart": "heatmap",
        "series": [{ "from": "rank", "x": "head_in_layer", "y": "layer", "value": "syn_red_score" }],
        "color": { "map": "blue-red", "center": 0.5, "decimals": 2 },
    });
    let svg = draw(params.clone(), &[("rank", ranking(16, 8))]).unwrap();
    assert_eq!(count(&svg, "crispEdges"), 128 + 64);
    assert!(svg.contains(">head_in_layer<") && svg.contains(">15<"));
    let twice = Artifact::Table(Table {
        columns: match (ranking(2, 2), ranking(2, 2)) {
            (Artifact::Table(a), _) => a
                .columns
                .into_iter()
                .map(|mut column| {
                    column.values = match column.values {
                        Values::Int(v) => Values::Int([v.clone(), v].concat()),
                        Values::Float(v) => Values::Float([v.clone(), v].concat()),
                        other => other,
                    };
                    column
                })
                .collect(),
            _ => unreachable!("a ranking is a table"),
        },
    });
    let said = draw(params, &[("rank", twice)]).unwrap_err().to_string();
    assert!(said.contains("several rows at (0, 0)"), "{said}");
}

/// Column 2 of the columns 1, 2, 3 is in the middle of the plot, and there is no column 7.
#[test]
fn a_line_of_a_heatmap_stands_in_the_column_of_its_number() {
    let table = Table::default()
        .with("layer", Values::Int([1, 2, 3].map(Some).to_vec()))
        .with("condition", Values::Text(vec!["a".into(); 3]))
        .with("ratio", Values::Float(vec![1.0, 0.5, 1.5]));
    let svg = |line: Value| {
        let series = [json!({ "from": "t", "x": "layer", "y": "condition", "value": "ratio" })];
        let params = json!({ "chart": "heatmap", "x": {}, "y": {}, "series": series, "lines": [line] });
        draw(params, &[("t", Artifact::Table(table.clone()))]).unwrap()
    };
    let drawn = svg(json!({ "x": 2, "label": "silenced" }));
    assert!(drawn.contains(">silenced<"), "{drawn}");
    assert!(!svg(json!({ "x": 7, "label": "silenced" })).contains(">silenced<"));
    assert!(!svg(json!({ "y": 0, "label": "silenced" })).contains(">silenced<"), "rows are not numbers");
}

#[test]
fn matrices_share_one_range_and_one_bar() {
    let params = json!({
        "chart": "heatmap", "columns": 2, "shared-color": true, "color": { "label": "synergy" },
        "panels": [{ "series": [{ "from": "a" }] }, { "series": [{ "from": "b" }] }],
    });
    let tensor = |values: [[f64; 2]; 2]| {
        Artifact::Tensor(Tensor::new(&["x", "y"], Data::F64(ndarray::arr2(&values).into_dyn())))
    };
    let (low, high) = (tensor([[0.0, 1.0], [1.0, 1.0]]), tensor([[1.0, 5.0], [1.0, 1.0]]));
    let svg = draw(params.clone(), &[("a", low.clone()), ("b", high.clone())]).unwrap();
    assert_eq!(count(&svg, ">synergy<"), 2, "the document's title and the bar's");
    assert_eq!(count(&svg, "crispEdges"), 4 + 4 + 64, "two matrices and one bar");
    // Viridis begins with #440154 and ends with #fde725: the least of one matrix and the largest of the other.
    let cells: Vec<&str> = svg.lines().filter(|line| line.contains("crispEdges")).take(8).collect();
    let of = |color: &str| cells.iter().filter(|cell| cell.contains(color)).count();
    assert_eq!((of("#440154"), of("#fde725")), (1, 1), "{cells:?}");
    let places: Vec<&str> = svg.split("<g class").skip(1).collect();
    assert_eq!(places.len(), 2, "two panels");
    let mut apart = params;
    apart["shared-color"] = json!(false);
    let svg = draw(apart, &[("a", low), ("b", high)]).unwrap();
    assert_eq!(count(&svg, ">synergy<"), 3);
}
