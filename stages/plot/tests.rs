//! What `plot` draws, what it refuses, and that equal inputs are equal bytes.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::{Axis, Data, Table, Tensor, Values};
use ndarray::Array2;
use serde_json::{Value, json};

use super::*;
use crate::{Arrived, Loaded, charts::render_png, contract::testing::TestCtx};

fn plot(params: Value) -> Plot {
    serde_json::from_value(params).unwrap()
}

fn inputs(ports: &[(&str, Artifact)]) -> Inputs {
    let loaded = |name: &str, artifact: &Artifact| {
        vec![Loaded { labels: vec![], from: format!("{name}.out"), artifact: Arc::new(artifact.clone()) }]
    };
    Inputs(ports.iter().map(|(name, artifact)| ((*name).to_owned(), loaded(name, artifact))).collect())
}

fn draw(params: Value, ports: &[(&str, Artifact)]) -> Result<String, Failure> {
    let outputs = plot(params).run(&inputs(ports), &TestCtx::new())?;
    match &outputs.artifacts["figure"] {
        Artifact::Figure(svg) => Ok(svg.clone()),
        other => panic!("not a figure: {other:?}"),
    }
}

/// The published points of the ablation of Pythia-1B in the synergistic order and, from 16 to 64 heads, in random ones;
/// the other random points are made up.
fn curve() -> Artifact {
    let heads = [0, 1, 8, 16, 32, 48, 64, 96, 128];
    let synergistic = [0.0, 0.0055, 0.169, 0.239, 0.499, 0.957, 1.639, 2.978, 4.59988];
    let random = [0.0, 0.01, 0.1, 0.211, 0.442, 1.405, 1.724, 3.0, 4.59988];
    let spread = [0.0, 0.005, 0.03, 0.052, 0.097, 0.510, 0.494, 0.3, 0.0];
    let orders = |name: &str| vec![name.to_owned(); heads.len()];
    let heads: Vec<_> = heads.iter().chain(&heads).map(|n| Some(*n)).collect();
    let table = Table::default()
        .with("num_heads_removed", Values::Int(heads))
        .with("mean_kl_div", Values::Float([synergistic, random].concat()))
        .unit("nats")
        .with("std_kl_div", Values::Float([[0.0; 9], spread].concat()))
        .with("order_type", Values::Text([orders("syn_red"), orders("random")].concat()));
    Artifact::Table(table)
}

fn curve_params() -> Value {
    json!({
        "chart": "line",
        "headline": "Removing heads, most synergistic first",
        "x": { "label": "heads removed", "max": 128 },
        "y": { "label": "KL divergence", "unit": "nats" },
        "series": [
            { "from": "curve", "x": "num_heads_removed", "y": "mean_kl_div", "where": { "order_type": "syn_red" },
              "label": "by synergy − redundancy" },
            { "from": "curve", "x": "num_heads_removed", "y": "mean_kl_div", "band": "std_kl_div",
              "where": { "order_type": "random" }, "label": "random orders (mean ± std)", "style": "dashed" },
        ],
        "lines": [{ "y": 4.6, "label": "all heads removed", "style": "dotted" }],
    })
}

/// A node × node matrix over `layers` × `heads`, without a diagonal.
fn pairs(layers: usize, heads: usize, peak: f64) -> Artifact {
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

fn count(svg: &str, what: &str) -> usize {
    svg.matches(what).count()
}

#[test]
fn a_line_chart_has_its_marks_its_axes_and_its_legend() {
    let svg = draw(curve_params(), &[("curve", curve())]).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\""));
    assert!(svg.contains("viewBox=\"0 0 640 "));
    assert_eq!(count(&svg, "<polyline"), 2);
    assert_eq!(count(&svg, "fill-opacity=\"0.2\""), 1, "one band");
    assert_eq!(count(&svg, "<circle"), 9 + 1, "nine points of the first series, and its key");
    for text in [">heads removed<", ">KL divergence (nats)<", ">random orders (mean ± std)<", ">all heads removed<"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.contains("stroke-dasharray=\"7 4\""), "the random order is dashed");
}

#[test]
fn there_are_no_ids_no_times_and_the_same_bytes_on_every_thread() {
    let svg = draw(curve_params(), &[("curve", curve())]).unwrap();
    assert!(!svg.contains(" id=\"") && !svg.contains("url(#"));
    let again: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| draw(curve_params(), &[("curve", curve())]).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(again.iter().all(|other| *other == svg));
}

#[test]
fn a_missing_value_is_a_gap() {
    let table = Table::default()
        .with("x", Values::Float(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
        .with("y", Values::Float(vec![1.0, 2.0, f64::NAN, 2.0, 1.0, 3.0]));
    let params = json!({ "series": [{ "from": "t", "x": "x", "y": "y", "markers": false }] });
    let svg = draw(params, &[("t", Artifact::Table(table))]).unwrap();
    assert_eq!(count(&svg, "<polyline"), 2);
    assert!(!svg.contains("NaN"));
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
fn bars_start_at_zero_and_have_error_bars() {
    let table = Table::default()
        .with("region", Values::Text(["early", "middle", "late"].map(String::from).to_vec()))
        .with("recovery", Values::Float(vec![0.65, -0.12, 0.02]))
        .with("std", Values::Float(vec![0.1, 0.05, 0.01]));
    let params = json!({
        "chart": "bar",
        "series": [{ "from": "t", "x": "region", "y": "recovery", "band": "std" }],
        "lines": [{ "y": 0.2, "label": "20 %" }],
    });
    let svg = draw(params, &[("t", Artifact::Table(table))]).unwrap();
    assert_eq!(count(&svg, "fill=\"#0072b2\""), 3);
    assert_eq!(count(&svg, "<polyline"), 3, "error bars");
    assert!(svg.contains(">middle<") && svg.contains(">20 %<"));
}

#[test]
fn a_wrong_column_is_named_with_those_there_are() {
    let mut params = curve_params();
    params["series"][0]["y"] = json!("mean_kl");
    let said = draw(params, &[("curve", curve())]).unwrap_err().to_string();
    assert!(said.starts_with("`curve` has no column `mean_kl`; it has mean_kl_div, "), "{said}");
    let mut params = curve_params();
    params["series"][0]["where"] = json!({ "order_type": "nobody" });
    let said = draw(params, &[("curve", curve())]).unwrap_err().to_string();
    assert!(said.contains("no row of `curve`") && said.contains("nobody"), "{said}");
}

fn given(facts: Value) -> Given<'static> {
    let arrived = Arrived { from: "ablate.curve".into(), ty: PortType::of("table"), facts };
    Given { inputs: BTreeMap::from([("curve".to_owned(), vec![arrived])]), ..Given::default() }
}

fn mistakes(params: Value, facts: Value) -> Vec<String> {
    let mistakes = plot(params).ports(&given(facts)).unwrap_err();
    mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
}

#[test]
fn the_plan_declares_what_is_wired_and_refuses_what_cannot_be_drawn() {
    let ports = plot(curve_params()).ports(&given(Value::Null)).unwrap();
    assert_eq!(ports.inputs.len(), 1);
    assert!(ports.inputs[0].many && ports.inputs[0].accept.takes(&PortType::tensor(&["node", "node"])));
    let mut params = curve_params();
    params["series"][0]["from"] = json!("curves");
    assert_eq!(mistakes(params, Value::Null), ["series[0].from: no input port is called `curves`"]);
    assert_eq!(mistakes(json!({}), Value::Null), ["series: there is nothing to draw"]);
    let said = mistakes(json!({ "series": [{ "from": "curve" }], "x": { "min": 2, "max": 1 } }), Value::Null);
    assert_eq!(said.len(), 3, "{said:?}");
    let pending = Given { unknown: vec!["curve".into()], ..Given::default() };
    assert!(plot(curve_params()).ports(&pending).is_ok(), "a port that is not known yet is wired all the same");
}

#[test]
fn facts_that_name_columns_are_used_at_plan_time() {
    let facts = json!({ "columns": ["num_heads_removed", "mean_kl_div", "std_kl_div", "order_type"] });
    assert!(plot(curve_params()).ports(&given(facts.clone())).is_ok());
    let mut params = curve_params();
    params["series"][0]["y"] = json!("kl");
    params["series"][0]["x"] = json!("num_heads_remved");
    params["series"][1]["x"] = json!("sigma");
    let said = mistakes(params, facts);
    assert_eq!(said.len(), 2, "an axis may be called sigma: {said:?}");
    assert!(said[1].starts_with("series[0].x: `ablate.curve` has no column `num_heads_remved`; it has num_heads_"));
}

/// A line at a measured value stands where a line at that number does.
#[test]
fn a_line_can_stand_at_a_value_from_a_port() {
    let base = Artifact::Record(json!({ "kl": 0.25, "nowhere": "NaN" }));
    let with_lines = |lines: Value| {
        let mut params = curve_params();
        params["lines"] = lines;
        draw(params, &[("curve", curve()), ("base", base.clone())])
    };
    let taken = with_lines(json!([{ "y-from": "base.kl", "label": "base" }])).unwrap();
    assert_eq!(taken, with_lines(json!([{ "y": 0.25, "label": "base" }])).unwrap());
    let failed = |from: &str| with_lines(json!([{ "y-from": from }])).unwrap_err().to_string();
    assert_eq!(failed("base.nowhere"), "the line at `base.nowhere` stands nowhere: it is NaN");
    assert!(failed("base.kll").contains("`base` has no column `kll`; it has kl"));
    assert!(failed("curve.num_heads_removed").contains("takes one value, and `curve` has"));
}

#[test]
fn where_a_line_takes_its_value_from_is_checked_at_plan_time() {
    let facts = json!({ "columns": ["step", "kl"] });
    let params = |line: Value| json!({ "series": [{ "from": "curve", "x": "step", "y": "kl" }], "lines": [line] });
    assert!(plot(params(json!({ "y-from": "curve.kl" }))).ports(&given(facts.clone())).is_ok());
    let said = |line: Value| mistakes(params(line), facts.clone());
    assert!(said(json!({ "y-from": "curve" }))[0].contains("port.column"));
    assert!(said(json!({ "x-from": "curves.kl" }))[0].contains("no input port is called `curves`"));
    assert!(said(json!({ "y-from": "curve.lk" }))[0].contains("no column `lk`"));
    assert!(said(json!({ "y": 1.0, "y-from": "curve.kl" }))[0].contains("one `x` or one `y`"));
}

#[test]
fn every_chart_renders_as_png_without_fonts() {
    let heat = json!({ "chart": "heatmap", "series": [{ "from": "sts" }] });
    for (params, port) in [(curve_params(), ("curve", curve())), (heat, ("sts", pairs(16, 8, 0.5)))] {
        let svg = draw(params, &[port]).unwrap();
        let picture = render_png(&svg, 2.0).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&picture)).read_info().unwrap();
        assert_eq!(reader.info().width, 1280);
        assert_eq!(picture, render_png(&svg, 2.0).unwrap());
    }
}

/// The figures, summaries and verdicts of a shipped manifest: its stages of these kinds, as the engine would have them.
fn shipped(text: &str) -> Vec<String> {
    let manifest: toml::Table = text.parse().unwrap();
    let mut checked = vec![];
    for (name, stage) in manifest["stages"].as_table().unwrap() {
        let mut stage = stage.as_table().unwrap().clone();
        let kind = stage["kind"].as_str().unwrap().to_owned();
        let Some(kind) = crate::CATALOGUE
            .iter()
            .find(|known| known.name == kind)
            .filter(|known| ["plot", "summarize", "verdict"].contains(&known.name))
        else {
            continue;
        };
        let unknown = stage["inputs"].as_table().unwrap().keys().cloned().collect();
        for reserved in ["kind", "inputs", "title", "over", "control", "resources"] {
            stage.remove(reserved);
        }
        let parsed = kind.parse(serde_json::to_value(&stage).unwrap());
        let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let ports = parsed.ports(&Given { unknown, ..Given::default() });
        ports.unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        checked.push(name.clone());
    }
    checked
}

#[test]
fn the_figures_and_verdicts_of_shipped_manifests_are_sound() {
    for manifest in [
        include_str!("../../manifests/quickstart.toml"),
        include_str!("../../manifests/synergistic-core-smollm2.toml"),
        include_str!("../../manifests/synergistic-core.toml"),
        include_str!("../../manifests/synergistic-core-emergence.toml"),
    ] {
        assert!(
            shipped(manifest).iter().any(|name| ["overview", "layer-profile", "emergence"].contains(&name.as_str()))
        );
    }
}

/// Values over sites for two runs; one of them is far from the others.
fn measured() -> Artifact {
    let sites = ["suppressor", "other heads of the same layer"];
    let rows: Vec<(usize, usize, f64)> = (0..2)
        .flat_map(|s| (0..2).flat_map(move |r| (0..8).map(move |k| (s, r, 1.0 + s as f64 + 0.1 * k as f64))))
        .collect();
    let values: Vec<f64> = rows.iter().enumerate().map(|(i, row)| if i == 7 { 9.0 } else { row.2 }).collect();
    let table = Table::default()
        .with("site", Values::Text(rows.iter().map(|row| sites[row.0].to_owned()).collect()))
        .with("run", Values::Int(rows.iter().map(|row| Some(row.1 as i64)).collect()))
        .with("ratio", Values::Float(values));
    Artifact::Table(table)
}

fn edges() -> Artifact {
    let ends = [("L0H0", "L1H1", 0.9), ("L0H1", "L0H0", 0.4), ("L1H0", "L2H1", 0.1), ("L2H0", "L0H1", 0.6)];
    let table = Table::default()
        .with("source", Values::Text(ends.iter().map(|edge| edge.0.to_owned()).collect()))
        .with("target", Values::Text(ends.iter().map(|edge| edge.1.to_owned()).collect()))
        .with("weight", Values::Float(ends.iter().map(|edge| edge.2).collect()));
    Artifact::Table(table)
}

fn nodes() -> Artifact {
    let names = ["L0H0", "L0H1", "L1H0", "L1H1", "L2H0", "L2H1", "L3H0"];
    let table = Table::default()
        .with("node", Values::Text(names.map(String::from).to_vec()))
        .with("community", Values::Int((0..7).map(|i| Some(i % 3)).collect()));
    Artifact::Table(table)
}

#[test]
fn a_box_plot_has_a_box_its_outliers_and_its_count() {
    let series = json!([{ "from": "t", "x": "site", "y": "ratio", "split": "run" }]);
    let params =
        json!({ "chart": "box", "width": 500, "series": series, "zones": [{ "y": [1.0, 2.0], "label": "usual" }] });
    let svg = draw(params, &[("t", measured())]).unwrap();
    assert_eq!(count(&svg, ">n = 8<"), 4, "a box for each site and run");
    assert_eq!(count(&svg, "<circle"), 2, "one outlier, an open disc");
    assert_eq!(count(&svg, "stroke-width=\"2.2\""), 4, "a median each");
    for text in [">run 0<", ">run 1<", ">ratio<", ">usual<", ">suppressor<", ">other heads", "layer<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}

#[test]
fn a_path_keeps_the_order_of_its_rows_and_marks_its_ends() {
    let table = Table::default()
        .with("a", Values::Float(vec![8.0, 13.0, 10.0]))
        .with("accuracy", Values::Float(vec![0.0, 0.5, 1.0]));
    let series = |ends: bool| {
        json!({
            "series": [{ "from": "t", "x": "a", "y": "accuracy", "ends": ends, "label": "run" }],
            "zones": [{ "y": [0.15, 0.85], "label": "transition" }, { "x": [9.0, 10.0] }],
        })
    };
    let path = draw(series(true), &[("t", Artifact::Table(table.clone()))]).unwrap();
    let xs = |svg: &str| -> Vec<f64> {
        let points = svg.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        points.split(' ').map(|point| point.split(',').next().unwrap().parse().unwrap()).collect()
    };
    let [first, second, third] = xs(&path)[..] else { panic!("{path}") };
    assert!(first < third && third < second, "the path turns back");
    let line = draw(series(false), &[("t", Artifact::Table(table))]).unwrap();
    assert!(xs(&line).is_sorted(), "a line goes on to the right");
    assert!(path.contains(">start<") && path.contains(">end<") && !line.contains(">start<"));
    assert_eq!(count(&path, "fill=\"#f0ecdc\""), 3, "two zones, and the ground of the label of one");
}

#[test]
fn a_network_is_nodes_in_their_layers_and_bent_edges() {
    let plain = json!({
        "chart": "network",
        "series": [{ "from": "edges", "x": "source", "y": "target", "value": "weight" }],
    });
    let svg = draw(plain.clone(), &[("edges", edges())]).unwrap();
    assert_eq!((count(&svg, "<polyline"), count(&svg, "<circle")), (4, 2 * 6));
    assert!(svg.contains(">L2H1<") && !svg.contains("community"));
    let mut colored = plain;
    let nodes_series = json!({ "from": "nodes", "x": "node", "split": "community" });
    colored["series"].as_array_mut().unwrap().push(nodes_series);
    let svg = draw(colored, &[("edges", edges()), ("nodes", nodes())]).unwrap();
    assert_eq!(count(&svg, "<circle"), 2 * 7 + 3, "a node without edges too, and the legend");
    assert!(svg.contains(">community 2<") && svg.contains(">L3H0<"));
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

/// The upper ends of the left axis lines, panel by panel.
fn corners(svg: &str) -> Vec<(f64, f64)> {
    let numbers = |line: &str| -> Vec<f64> {
        ["x1", "y1", "x2", "y2"]
            .iter()
            .map(|name| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect()
    };
    let panels = svg.split("class=\"panel\"").skip(1);
    let axis = |panel: &str| {
        let lines = panel.lines().filter(|line| line.starts_with("<line")).map(numbers);
        let upright = lines.filter(|line| line[0] == line[2]);
        upright.max_by(|a, b| (a[3] - a[1]).total_cmp(&(b[3] - b[1]))).map(|line| (line[0], line[1])).unwrap()
    };
    panels.map(axis).collect()
}

/// Two by two panels of lines: small numbers and large ones, with a legend and without.
fn four_panels(shared: bool) -> String {
    let table = Table::default()
        .with("x", Values::Float(vec![0.0, 1.0, 2.0]))
        .with("small", Values::Float(vec![0.1, 0.25, 0.3]))
        .with("large", Values::Float(vec![1000.0, 2500.5, 8000.0]));
    let series = |y: &str, label: &str| json!({ "from": "t", "x": "x", "y": y, "label": label });
    let params = json!({
        "columns": 2, "shared-y": shared,
        "panels": [
            { "title": "One", "series": [series("small", "a"), series("small", "b")] },
            { "title": "Two", "series": [series("large", "")] },
            { "series": [series("large", "")] },
            { "series": [series("small", "")] },
        ],
    });
    draw(params, &[("t", Artifact::Table(table))]).unwrap()
}

#[test]
fn panels_align_in_rows_and_columns() {
    let [(x1, y1), (x2, y2), (x3, y3), (x4, y4)] = corners(&four_panels(false))[..] else { panic!("four panels") };
    assert_eq!((x1, x2), (x3, x4), "the left edges of each column");
    assert_eq!((y1, y3), (y2, y4), "the upper edges of each row");
    assert!(x2 > x1 + 300.0 && y3 > y1 + 100.0);
}

#[test]
fn panels_can_share_their_y() {
    assert_eq!(count(&four_panels(false), ">8000<"), 2);
    assert_eq!(count(&four_panels(true), ">8000<"), 4);
}

/// The legend is laid out in the width that it has beside the axis: it never reaches into the plot.
#[test]
fn a_legend_stays_above_the_plot() {
    let table =
        Table::default().with("x", Values::Float(vec![0.0, 1.0])).with("y", Values::Float(vec![1000.0, 1_000_000.5]));
    for letters in 20..60 {
        let label = "m".repeat(letters);
        let series = json!({ "from": "t", "x": "x", "y": "y", "label": label });
        let params = json!({ "series": [series, series, series] });
        let svg = draw(params, &[("t", Artifact::Table(table.clone()))]).unwrap();
        let lowest = svg
            .lines()
            .filter(|line| line.contains(&format!(">{label}<")))
            .map(|line| line.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap())
            .fold(0.0, f64::max);
        assert!(lowest < corners(&svg)[0].1, "{letters} letters: {lowest} lies in the plot");
    }
}

#[test]
fn what_the_new_charts_cannot_draw_is_refused() {
    let zones = json!({
        "series": [{ "from": "t", "x": "a", "y": "b", "ends": true }], "chart": "scatter",
        "zones": [{ "label": "nowhere" }, { "y": [0.85, 0.15] }],
    });
    let told = mistakes(zones, json!({}));
    for what in ["only a line has a start and an end", "a zone is a range", "from its lesser value"] {
        assert!(told.iter().any(|told| told.contains(what)), "{what}: {told:?}");
    }
    let three = json!({ "chart": "network", "series": [{ "from": "t", "x": "a", "y": "b" }, { "from": "t" }, { "from": "t", "x": "a" }] });
    let told = mistakes(three, json!({}));
    for what in ["a network series needs `x`", "a network is a series of edges"] {
        assert!(told.iter().any(|told| told.contains(what)), "{what}: {told:?}");
    }
}

#[test]
fn the_new_charts_render_as_png() {
    let boxes = json!({ "chart": "box", "series": [{ "from": "t", "x": "site", "y": "ratio" }] });
    let network = json!({ "chart": "network", "series": [{ "from": "e", "x": "source", "y": "target" }] });
    for params in [boxes, network] {
        let svg = draw(params, &[("t", measured()), ("e", edges())]).unwrap();
        assert!(render_png(&svg, 2.0).unwrap().starts_with(b"\x89PNG"));
    }
}
