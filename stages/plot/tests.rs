//! What `plot` draws and refuses, chart by chart; and here what holds for all: equal inputs are equal bytes.

mod curves;
mod matrices;
mod mistakes;
mod networks;

use std::sync::Arc;

use assay_cache::{Table, Values};
use serde_json::{Value, json};

use super::*;
use crate::{Loaded, charts::render_png, contract::testing::TestCtx};

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

fn count(svg: &str, what: &str) -> usize {
    svg.matches(what).count()
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
fn every_chart_renders_as_png_without_fonts() {
    let series = |chart: &str, series: Value| json!({ "chart": chart, "series": [series] });
    let charts = [
        (curve_params(), ("curve", curve())),
        (series("heatmap", json!({ "from": "sts" })), ("sts", matrices::pairs(16, 8, 0.5))),
        (series("box", json!({ "from": "t", "x": "site", "y": "ratio" })), ("t", measured())),
        (series("network", json!({ "from": "e", "x": "source", "y": "target" })), ("e", networks::edges())),
    ];
    for (params, port) in charts {
        let svg = draw(params, &[port]).unwrap();
        let picture = render_png(&svg, 2.0).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&picture)).read_info().unwrap();
        assert_eq!(reader.info().width, 1280);
        assert_eq!(picture, render_png(&svg, 2.0).unwrap());
    }
}
