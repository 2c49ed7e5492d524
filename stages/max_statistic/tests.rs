//! The kind `max-statistic`: against every permutation as NumPy takes them, and SciPy's p.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::{Data, Tensor};
use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::{Loaded, contract::testing::TestCtx};

fn stage(params: Value) -> MaxStatistic {
    serde_json::from_value(params).unwrap()
}

fn tensor(value: &Value) -> Artifact {
    let nested: Vec<Vec<Vec<f64>>> = serde_json::from_value(value.clone()).unwrap();
    let shape = [nested.len(), nested[0].len(), nested[0][0].len()];
    let flat = nested.into_iter().flatten().flatten().collect();
    let data = Data::F64(ArrayD::from_shape_vec(IxDyn(&shape), flat).unwrap());
    Artifact::Tensor(Tensor::new(&["prompt", "layer", "head"], data))
}

fn loaded(labels: &[(&str, String)], artifact: Artifact) -> Loaded {
    let labels = labels.iter().map(|(axis, label)| ((*axis).to_owned(), label.clone())).collect();
    Loaded { labels, from: "treated.pattern".into(), artifact: Arc::new(artifact) }
}

fn permutations() -> Vec<Value> {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/specialization.json")).unwrap();
    fixture["permutations"].as_array().unwrap().clone()
}

/// The cells of a case, gathered over dose and seed.
fn inputs(case: &Value) -> Inputs {
    let cells = case["cells"].as_array().unwrap();
    let draws = cells.iter().enumerate().flat_map(|(dose, cell)| {
        let label = move |draw: usize| [("dose", format!("0.{dose}")), ("seed", draw.to_string())];
        cell.as_array().unwrap().iter().enumerate().map(move |(i, draw)| loaded(&label(i), tensor(draw)))
    });
    let baseline = vec![loaded(&[], tensor(&case["baseline"]))];
    Inputs(BTreeMap::from([("treated".to_owned(), draws.collect()), ("baseline".to_owned(), baseline)]))
}

fn column(outputs: &Outputs, name: &str) -> Vec<f64> {
    let Artifact::Table(table) = &outputs.artifacts["cells"] else { panic!("cells are a table") };
    table.column(name).unwrap_or_else(|| panic!("{name}")).values.to_f64().unwrap()
}

fn close(found: &[f64], expected: &Value, tolerance: f64) -> bool {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
    found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn all_ways_to_exchange_prompts_give_numpys_p() {
    for case in permutations() {
        for (tail, p) in [("greater", "p"), ("two-sided", "p_two_sided")] {
            let params = json!({ "statistic": case["name"], "mean-over": ["seed"], "seed": 1, "tail": tail });
            let outputs = stage(params).run(&inputs(&case), &TestCtx::new()).unwrap();
            assert!(close(&column(&outputs, "difference"), &case["observed"], 1e-12), "{}", case["name"]);
            assert!(close(&column(&outputs, "p"), &case[p], 1e-12), "{} {p}", case["name"]);
            if tail == "greater" {
                assert!(close(&column(&outputs, "p_family_wise"), &case["p_family_wise"], 1e-12), "{}", case["name"]);
            }
            assert_eq!(column(&outputs, "dose"), [0.0, 0.1, 0.2, 0.3]);
            assert_eq!(column(&outputs, "count"), [2.0; 4]);
            let Artifact::Record(summary) = &outputs.artifacts["summary"] else { panic!("a record") };
            assert_eq!((&summary["permutations"], &summary["exact"]), (&json!(64), &json!(true)));
        }
    }
}

#[test]
fn one_cell_alone_has_scipys_p() {
    let case = &permutations()[0];
    let mut inputs = inputs(case);
    inputs.0.get_mut("treated").unwrap().retain(|item| item.labels[0].1 == "0.0" && item.labels[1].1 == "1");
    let outputs = stage(json!({ "statistic": "mean", "seed": 1 })).run(&inputs, &TestCtx::new()).unwrap();
    let scipy = case["scipy_p_of_draw_0_1"].as_f64().unwrap();
    assert_eq!(column(&outputs, "p"), [scipy]);
    assert_eq!(column(&outputs, "p_family_wise"), [scipy], "a family of one");
}

/// With fewer permutations than there are ways, p is an estimate with the observed world counted in.
#[test]
fn drawn_permutations_estimate_the_same() {
    let case = &permutations()[1];
    let params = json!({ "statistic": "specialization-index", "mean-over": ["seed"], "seed": 1, "permutations": 60 });
    let outputs = stage(params).run(&inputs(case), &TestCtx::new()).unwrap();
    let exact: Vec<f64> = serde_json::from_value(case["p_family_wise"].clone()).unwrap();
    // Four standard errors of a share of 60.
    let near = |(found, exact): (&f64, &f64)| (found - exact).abs() < 4.0 * (0.25_f64 / 60.0).sqrt();
    assert!(column(&outputs, "p_family_wise").iter().zip(&exact).all(near));
    assert!(column(&outputs, "p").iter().all(|p| (p * 61.0 - (p * 61.0).round()).abs() < 1e-9 && *p >= 1.0 / 61.0));
}

#[test]
fn lowering_is_the_mirror_of_raising() {
    let case = &permutations()[0];
    let run = |tail: &str, inputs: &Inputs| {
        stage(json!({ "statistic": "mean", "mean-over": ["seed"], "seed": 1, "tail": tail }))
            .run(inputs, &TestCtx::new())
    };
    let mut turned = inputs(case);
    for item in turned.0.values_mut().flatten() {
        let Artifact::Tensor(tensor) = &*item.artifact else { unreachable!() };
        let data = Data::F64(tensor.data.to_f64() * -1.0);
        item.artifact = Arc::new(Artifact::Tensor(Tensor { data, ..tensor.clone() }));
    }
    let (raised, lowered) = (run("greater", &inputs(case)).unwrap(), run("less", &turned).unwrap());
    assert_eq!(column(&raised, "p_family_wise"), column(&lowered, "p_family_wise"));
}

/// Every way and its opposite are equally extreme, to rounding: two-sided p count pairs, whatever the size of the numbers.
#[test]
fn what_is_equal_but_for_rounding_is_equal() {
    let case = &permutations()[0];
    let mut large = inputs(case);
    for item in large.0.values_mut().flatten() {
        let Artifact::Tensor(tensor) = &*item.artifact else { unreachable!() };
        let data = Data::F64(tensor.data.to_f64() * 3.1e7 + 1.7e9);
        item.artifact = Arc::new(Artifact::Tensor(Tensor { data, ..tensor.clone() }));
    }
    let params = json!({ "statistic": "mean", "mean-over": ["seed"], "seed": 1, "tail": "two-sided" });
    let outputs = stage(params).run(&large, &TestCtx::new()).unwrap();
    assert!(close(&column(&outputs, "p"), &case["p_two_sided"], 1e-12), "{:?}", column(&outputs, "p"));
}

/// A treatment that does nothing is no better than any permutation.
#[test]
fn no_treatment_has_a_p_of_one() {
    let case = &permutations()[0];
    let mut inputs = inputs(case);
    let baseline = inputs.0["baseline"][0].artifact.clone();
    inputs.0.get_mut("treated").unwrap().iter_mut().for_each(|item| item.artifact = baseline.clone());
    let outputs = stage(json!({ "statistic": "mean", "seed": 1 })).run(&inputs, &TestCtx::new()).unwrap();
    assert!(column(&outputs, "p").iter().chain(&column(&outputs, "p_family_wise")).all(|p| *p == 1.0));
}

#[test]
fn what_is_not_paired_is_refused() {
    let case = &permutations()[0];
    let failed = |inputs: &Inputs, params: Value| stage(params).run(inputs, &TestCtx::new()).unwrap_err().to_string();
    let mut other = inputs(case);
    let Artifact::Tensor(short) = tensor(&case["baseline"]) else { unreachable!() };
    let data = Data::F64(short.data.to_f64().slice_axis(ndarray::Axis(0), (0..4).into()).to_owned());
    other.0.insert("baseline".into(), vec![loaded(&[], Artifact::Tensor(Tensor { data, ..short }))]);
    let said = failed(&other, json!({ "statistic": "mean", "seed": 1 }));
    assert!(
        said.contains("shape [6, 5, 4]") && said.contains("shape [4, 5, 4]") && said.contains("not paired"),
        "{said}"
    );
    let said = failed(&inputs(case), json!({ "statistic": "mean", "seed": 1, "mean-over": ["seeds"] }));
    assert_eq!(said, "`mean-over`: `treated` is not gathered over `seeds`, but over seed, dose");
}

#[test]
fn a_stop_is_obeyed() {
    let ctx = TestCtx::new();
    ctx.stop_after(0);
    let stopped = stage(json!({ "statistic": "mean", "seed": 1 })).run(&inputs(&permutations()[0]), &ctx);
    assert!(matches!(stopped, Err(Failure::Stopped)));
}
