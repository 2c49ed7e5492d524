//! What expressions say, which rule fires, and that no NaN decides.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::{Data, Table, Tensor, Values};

use super::*;
use crate::{Arrived, Loaded};

/// Published layer means of Pythia-1B and of its random weights (studies, section 1).
const TRAINED: [f64; 16] =
    [0.425, 0.590, 0.556, 0.633, 0.395, 0.413, 0.456, 0.548, 0.585, 0.472, 0.405, 0.496, 0.426, 0.386, 0.524, 0.433];
const RANDOM: [f64; 16] =
    [0.478, 0.353, 0.284, 0.289, 0.353, 0.351, 0.375, 0.468, 0.464, 0.505, 0.568, 0.486, 0.680, 0.756, 0.729, 0.564];

fn profile(scores: &[f64]) -> Artifact {
    let layers = scores.len();
    Artifact::Table(
        Table::default()
            .with("layer", Values::Int((0..layers as i64).map(Some).collect()))
            .with("depth", Values::Float((0..layers).map(|l| l as f64 / (layers - 1) as f64).collect()))
            .with("mean_syn_red_score", Values::Float(scores.to_vec())),
    )
}

fn inputs(ports: &[(&str, Artifact)]) -> Inputs {
    let loaded = |artifact: &Artifact| {
        vec![Loaded { labels: vec![], from: "up.out".to_owned(), artifact: Arc::new(artifact.clone()) }]
    };
    Inputs(ports.iter().map(|(name, artifact)| ((*name).to_owned(), loaded(artifact))).collect())
}

fn verdict(params: Value) -> Verdict {
    serde_json::from_value(params).unwrap()
}

fn decide(params: Value, ports: &[(&str, Artifact)]) -> Result<Value, Failure> {
    verdict(params).decide(&inputs(ports))
}

/// One value, as it is.
fn value(is: &str, ports: &[(&str, Artifact)]) -> Result<Value, String> {
    let params = json!({ "values": [{ "name": "v", "is": is }], "rules": [{ "then": "SEEN" }] });
    decide(params, ports).map(|record| record["values"]["v"].clone()).map_err(|failure| failure.to_string())
}

fn inverted_u() -> Value {
    let middle = "range(layers // 3, ceil(2 * layers / 3))";
    json!({
        "values": [
            { "name": "layers", "is": "count(profile.layer)" },
            { "name": "middle", "is": format!("mean(where(profile, layer={middle}).mean_syn_red_score)") },
            { "name": "outer", "is": format!("mean(without(profile, layer={middle}).mean_syn_red_score)") },
            { "name": "contrast", "is": "middle - outer" },
        ],
        "rules": [{ "when": "contrast > 0", "then": "INVERTED_U" }, { "then": "NOT_INVERTED_U" }],
    })
}

#[test]
fn the_published_profile_is_no_inverted_u() {
    let record = decide(inverted_u(), &[("profile", profile(&TRAINED))]).unwrap();
    assert_eq!(record["verdict"], "NOT_INVERTED_U");
    assert_eq!(record["rule"], json!({ "index": 1, "when": null }));
    // The published contrast of layers 5 to 10 with the others.
    assert!((record["values"]["contrast"].as_f64().unwrap() + 0.007).abs() < 5e-4, "{record}");
    assert_eq!(record["values"]["layers"], 16);
}

#[test]
fn a_profile_with_a_hump_is_one() {
    let hump: Vec<f64> = (0..16).map(|l| 1.0 - (f64::from(l) - 7.5).abs() / 8.0).collect();
    assert_eq!(decide(inverted_u(), &[("profile", profile(&hump))]).unwrap()["verdict"], "INVERTED_U");
}

/// The synergistic order's published points, against random ones that are known up to 64 heads only: their ratio is
/// taken over the heads that both have.
#[test]
fn the_synergistic_order_is_not_first() {
    let heads = [16, 32, 48, 64];
    let curve = Table::default()
        .with("num_heads_removed", Values::Int(heads.iter().chain(&heads).map(|n| Some(*n)).collect()))
        .with("mean_kl_div", Values::Float(vec![0.239, 0.499, 0.957, 1.639, 0.211, 0.442, 1.405, 1.724]))
        .with("order_type", Values::Text([vec!["syn_red".to_owned(); 4], vec!["random".to_owned(); 4]].concat()));
    let area = |order: &str| {
        format!(
            "area(where(curve, order_type='{order}').num_heads_removed, where(curve, order_type='{order}').mean_kl_div)"
        )
    };
    let params = json!({
        "values": [
            { "name": "synergistic", "is": area("syn_red"), "unit": "nats · heads" },
            { "name": "random", "is": area("random"), "unit": "nats · heads" },
            { "name": "ratio", "is": "synergistic / random" },
        ],
        "rules": [{ "when": "ratio > 1", "then": "SYNERGISTIC_FIRST" }, { "then": "NOT_SYNERGISTIC_FIRST" }],
    });
    let record = decide(params, &[("curve", Artifact::Table(curve))]).unwrap();
    assert_eq!(record["verdict"], "NOT_SYNERGISTIC_FIRST");
    // By hand: 16 · (0.239/2 + 0.499 + 0.957 + 1.639/2) = 38.32; 16 · (0.211/2 + 0.442 + 1.405 + 1.724/2) = 45.032.
    assert!((record["values"]["synergistic"].as_f64().unwrap() - 38.32).abs() < 1e-9);
    assert!((record["values"]["random"].as_f64().unwrap() - 45.032).abs() < 1e-9);
    assert_eq!(record["units"]["random"], "nats · heads");
}

#[test]
fn the_random_weights_are_not_flat() {
    let params = json!({
        "values": [
            { "name": "rho", "is": "spearman(random.depth, random.mean_syn_red_score).rho" },
            { "name": "p", "is": "spearman(random.depth, random.mean_syn_red_score).p" },
        ],
        "rules": [{ "when": "p > 0.05", "then": "RANDOM_FLAT" }, { "when": "rho > 0", "then": "RANDOM_RISING" }, { "then": "RANDOM_FALLING" }],
    });
    let record = decide(params.clone(), &[("random", profile(&RANDOM))]).unwrap();
    assert_eq!(record["verdict"], "RANDOM_RISING");
    // SciPy's spearmanr: see fixtures/correlation.json.
    assert!((record["values"]["rho"].as_f64().unwrap() - 0.8197206045545748).abs() < 1e-12);
    assert!((record["values"]["p"].as_f64().unwrap() - 0.00010154345200594882).abs() < 1e-12);
    assert_eq!(decide(params, &[("random", profile(&TRAINED))]).unwrap()["verdict"], "RANDOM_FLAT");
}

#[test]
fn what_is_not_defined_fails_and_says_why() {
    let ports = [("t", profile(&[0.5, f64::NAN, 0.25]))];
    let said = |is: &str| value(is, &ports).unwrap_err();
    assert!(said("mean(t.mean_syn_red_score)").contains("`mean` of 3 values of which 1 are NaN"));
    assert!(said("1 if mean(t.mean_syn_red_score) > 0 else 0").contains("NaN"), "a comparison cannot hide it");
    assert!(said("mean(where(t, layer=7).layer)").contains("of 0 values"));
    assert!(said("mean(t.score)").contains("`t` has depth, layer, mean_syn_red_score"));
    assert!(said("t.layer").contains("one number"));
    assert!(said("0 / 0").contains("not defined"));
    assert!(said("area(t.layer, range(2))").contains("one length"));
    assert!(said("where(t, layr=1)").contains("has no column `layr`; it has layer"));
    assert_eq!(value("mean(finite(t.mean_syn_red_score))", &ports), Ok(json!(0.375)));
}

#[test]
fn whether_something_is_defined_can_be_asked() {
    let ports = [("t", profile(&[0.5, f64::NAN, 0.25]))];
    for (is, expected) in [
        ("defined(mean(t.mean_syn_red_score))", false),
        ("defined(mean(t.layer))", true),
        ("defined(t.nothing)", false),
        ("defined(spearman(t.layer, t.mean_syn_red_score))", false),
        ("defined(spearman(t.layer, t.depth))", true),
    ] {
        assert_eq!(value(is, &ports), Ok(json!(expected)), "{is}");
    }
}

#[test]
fn records_and_tensors_are_seen_as_they_are() {
    let record = Artifact::Record(json!({ "si": { "mean": 0.5 }, "ok": true }));
    let tensor = Tensor::new(&["layer", "head"], Data::F64(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()));
    let ports = [("base-line", record), ("e", Artifact::Tensor(tensor))];
    assert_eq!(value("base_line.si.mean + e[1][0]", &ports), Ok(json!(3.5)));
    assert_eq!(value("mean(e[1])", &ports), Ok(json!(3.5)));
    assert_eq!(value("base_line.ok", &ports), Ok(json!(true)));
}

#[test]
fn an_expression_can_neither_run_for_ever_nor_overflow() {
    let long = format!("0{}", " + 1".repeat(60_000));
    assert!(value(&long, &[]).unwrap_err().contains("longer than 2000 characters"));
    let deep = format!("{}1{}", "(".repeat(900), ")".repeat(900));
    assert!(value(&deep, &[]).is_err());
    assert!(value("range(1000000000)", &[]).is_err());
}

fn mistakes(params: Value) -> Vec<String> {
    let facts = json!({ "columns": ["layer", "depth", "mean_syn_red_score"] });
    let arrived = Arrived { from: "layers.summary".into(), ty: PortType::of("table"), facts };
    let given = Given { inputs: BTreeMap::from([("profile".to_owned(), vec![arrived])]), ..Given::default() };
    match verdict(params).ports(&given) {
        Ok(_) => vec![],
        Err(mistakes) => mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect(),
    }
}

#[test]
fn mistakes_are_found_at_plan_time() {
    assert_eq!(mistakes(inverted_u()), Vec::<String>::new());
    let mut params = inverted_u();
    params["values"][1]["is"] = json!("mean(profile.mean_score)");
    params["values"][3]["is"] = json!("midle - outer");
    params["rules"][0]["when"] = json!("profile.layer > 0");
    let said = mistakes(params);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("values[1].is: `layers.summary` has no column `mean_score`; it has mean_syn_red_score")
    );
    assert_eq!(said[1], "values[3].is: nothing is called `midle`");
    assert_eq!(said[2], "rules[0].when: nothing is called `profile`");
    let said =
        mistakes(json!({ "values": [{ "name": "a-b", "is": "1 +" }], "rules": [{ "when": "true", "then": "X" }] }));
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("the last rule is conditional"));
    assert_eq!(mistakes(json!({ "rules": [] })), ["rules: a verdict needs at least one rule"]);
}

#[test]
fn a_rule_that_is_no_condition_fails() {
    let params =
        json!({ "values": [{ "name": "a", "is": "1.5" }], "rules": [{ "when": "a", "then": "X" }, { "then": "Y" }] });
    let said = decide(params, &[]).unwrap_err().to_string();
    assert!(said.contains("it is 1.5, not true or false"), "{said}");
}

/// Accuracies of five conditions with one number each, as a table.
fn conditions() -> Artifact {
    Artifact::Table(
        Table::default()
            .with("condition", Values::Text(["control", "naive", "mean"].map(String::from).to_vec()))
            .with("accuracy", Values::Float(vec![0.97, 0.88, f64::NAN])),
    )
}

fn audit(criteria: Value, rules: Value) -> Value {
    json!({
        "values": [
            { "name": "control", "is": "max(where(t, condition='control').accuracy)" },
            { "name": "spread", "is": "std(where(t, condition='nobody').accuracy)", "optional": true },
        ],
        "criteria": criteria,
        "rules": rules,
    })
}

fn results(record: &Value) -> Vec<(&str, &str)> {
    let criteria = record["criteria"].as_array().unwrap();
    criteria.iter().map(|one| (one["name"].as_str().unwrap(), one["result"].as_str().unwrap())).collect()
}

#[test]
fn each_criterion_has_its_own_answer_and_what_is_not_defined_has_neither() {
    let criteria = json!([
        { "name": "control learns", "value": "control", "pass": "value >= 0.95", "threshold": "≥ 0.95" },
        { "name": "naive collapses", "value": "max(where(t, condition='naive').accuracy)", "pass": "value < 0.05" },
        { "name": "mean holds", "value": "mean(where(t, condition='mean').accuracy)", "pass": "value > 0.5" },
        { "name": "effect", "value": "control / spread", "pass": "value > 4" },
        { "name": "against the spread", "value": "control", "pass": "value > spread", "unit": "1" },
        { "name": "share of nothing", "value": "control / (control - control)", "pass": "value > 0.9" },
    ]);
    let rules = json!([
        { "when": "failed == 0 and untestable == 0", "then": "SUPPORTED" },
        { "when": "passed == 1 and failed == 1 and untestable == 4", "then": "MIXED" },
        { "then": "OTHER" },
    ]);
    let record = decide(audit(criteria, rules), &[("t", conditions())]).unwrap();
    assert_eq!(record["verdict"], "MIXED");
    assert_eq!(
        results(&record),
        [
            ("control learns", "SUCCESS"),
            ("naive collapses", "FAIL"),
            ("mean holds", "NOT TESTABLE"),
            ("effect", "NOT TESTABLE"),
            ("against the spread", "NOT TESTABLE"),
            ("share of nothing", "NOT TESTABLE"),
        ]
    );
    assert_eq!(
        record["criteria"][0],
        json!({ "name": "control learns", "value": 0.97, "threshold": "≥ 0.95", "result": "SUCCESS" })
    );
    assert_eq!(
        record["criteria"][1]["threshold"], "value < 0.05",
        "the condition itself, where no other word is given"
    );
    assert_eq!(record["criteria"][2]["value"], "NaN");
    let because = record["criteria"][3]["because"].as_str().unwrap();
    assert!(because.contains("`spread` is not defined"), "{because}");
    let because = record["criteria"][5]["because"].as_str().unwrap();
    assert!(because.contains("a division by zero: unable to calculate 0.97 / 0"), "{because}");
    assert_eq!((&record["criteria"][4]["unit"], &record["values"]["spread"]), (&json!("1"), &json!("NaN")));
}

#[test]
fn no_rule_rests_on_what_is_not_defined_without_asking() {
    let one = || json!([{ "name": "c", "value": "control", "pass": "value > 0" }]);
    let silent = audit(one(), json!([{ "when": "spread > 4", "then": "A" }, { "then": "B" }]));
    let said = decide(silent, &[("t", conditions())]).unwrap_err().to_string();
    assert!(said.contains("`spread` is not defined") && said.contains("ask `defined(…)` first"), "{said}");
    let asked = audit(one(), json!([{ "when": "defined(spread) and spread > 4", "then": "A" }, { "then": "B" }]));
    assert_eq!(decide(asked, &[("t", conditions())]).unwrap()["verdict"], "B");
}

#[test]
fn a_verdict_without_criteria_is_what_it_was() {
    let record = decide(inverted_u(), &[("profile", profile(&TRAINED))]).unwrap();
    assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), ["rule", "units", "values", "verdict"]);
    let written = serde_json::to_value(verdict(inverted_u())).unwrap();
    assert!(written.get("criteria").is_none() && written["values"][0].get("optional").is_none());
}

#[test]
fn mistakes_in_criteria_are_found_where_they_stand() {
    let mut given = Given::default();
    let facts = json!({ "columns": ["condition", "accuracy"] });
    given.inputs.insert("t".into(), vec![Arrived { from: "a.t".into(), ty: PortType::of("table"), facts }]);
    let params = json!({
        "values": [{ "name": "failed", "is": "1" }],
        "criteria": [
            { "name": "a", "value": "mean(t.acuracy)", "pass": "value < limit" },
            { "name": "a", "value": "value", "pass": "value <" },
        ],
        "rules": [{ "when": "passed > 0", "then": "A" }, { "then": "B" }],
    });
    let mistakes = verdict(params).ports(&given).unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|mistake| mistake.at.as_str()).collect();
    let expected = [
        "criteria[0].value",
        "criteria[0].pass",
        "criteria[1].name",
        "criteria[1].value",
        "criteria[1].pass",
        "values",
    ];
    assert_eq!(places, expected, "{mistakes:?}");
}
