//! What cannot be drawn, told at plan time where it is known then; and that shipped manifests can be.

use std::collections::BTreeMap;

use super::*;
use crate::Arrived;

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
        include_str!("../../../manifests/quickstart.toml"),
        include_str!("../../../manifests/synergistic-core-smollm2.toml"),
        include_str!("../../../manifests/synergistic-core.toml"),
        include_str!("../../../manifests/synergistic-core-emergence.toml"),
    ] {
        assert!(
            shipped(manifest).iter().any(|name| ["overview", "layer-profile", "emergence"].contains(&name.as_str()))
        );
    }
}
