//! The kind `specialization`: against PyTorch's numbers on SmolLM2, and against theory where there is some.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::{Arrived, Loaded, contract::testing::TestCtx};

fn stage(params: Value) -> Specialization {
    serde_json::from_value(params).unwrap()
}

fn inputs(data: ArrayD<f64>) -> Inputs {
    let tensor = Tensor::new(&["prompt", "layer", "head"], Data::F64(data));
    let artifact = Arc::new(Artifact::Tensor(tensor));
    Inputs(BTreeMap::from([(
        "profile".to_owned(),
        vec![Loaded { labels: vec![], from: "plain.pattern".into(), artifact }],
    )]))
}

fn table<'o>(outputs: &'o Outputs, port: &str) -> &'o Table {
    let Artifact::Table(table) = &outputs.artifacts[port] else { panic!("{port} is a table") };
    table
}

fn cell(outputs: &Outputs, port: &str, column: &str, row: usize) -> f64 {
    table(outputs, port).column(column).unwrap().values.to_f64().unwrap()[row]
}

/// Means over prompts as PyTorch found them on SmolLM2, `[1, layer, head]`.
fn smollm2() -> ArrayD<f64> {
    let reference: Value = serde_json::from_str(include_str!("../fixtures/smollm2/indra.json")).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(reference["entropy"].clone()).unwrap();
    ArrayD::from_shape_vec(IxDyn(&[1, 30, 9]), rows.concat()).unwrap()
}

#[test]
fn smollm2s_metrics_are_pytorchs() {
    let reference: Value = serde_json::from_str(include_str!("../fixtures/smollm2/specialization.json")).unwrap();
    let outputs = stage(json!({ "seed": 1 })).run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    let Artifact::Record(metrics) = &outputs.artifacts["metrics"] else { panic!("metrics are a record") };
    let expected = &reference["metrics"];
    // The entropies of the fixture have eight digits.
    let near = |a: f64, b: &Value| (a - b.as_f64().unwrap()).abs() < 1e-7;
    for name in
        ["mean_head_variance", "mean_head_correlation", "specialization_index", "effective_heads", "effective_ratio"]
    {
        assert!(near(metrics[name].as_f64().unwrap(), &expected[name]), "{name}: {}", metrics[name]);
    }
    let variances = metrics["layer_variances"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
    assert!(variances.zip(expected["layer_variances"].as_array().unwrap()).all(|(a, b)| near(a, b)));
    assert_eq!((&metrics["num_layers"], &metrics["num_heads"]), (&json!(30), &json!(9)));
    let Artifact::Tensor(correlation) = &outputs.artifacts["correlation"] else { panic!("a tensor") };
    let theirs: Vec<Vec<f64>> = serde_json::from_value(expected["head_correlation_matrix"].clone()).unwrap();
    let (ours, theirs) = (correlation.data.to_f64(), theirs.concat());
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6));
}

/// Independent draws of one distribution. How many the reference took is not known: were they only a hundred, its mean
/// would have a standard error of a tenth of the spread, and its spread one of 7 %.
#[test]
fn relabelled_heads_give_pytorchs_null() {
    let reference: Value = serde_json::from_str(include_str!("../fixtures/smollm2/specialization.json")).unwrap();
    let (mean, sd) = (&reference["relabelled"]["mean"], &reference["relabelled"]["sd"]);
    let (mean, sd) = (mean.as_f64().unwrap(), sd.as_f64().unwrap());
    let outputs = stage(json!({ "seed": 1, "relabellings": 4000 })).run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    let found = |column| cell(&outputs, "null", column, 0);
    assert!((found("mean") - mean).abs() < 3.0 * sd / 10.0, "{}", found("mean"));
    assert!((found("std") / sd - 1.0).abs() < 3.0 * 0.07, "{}", found("std"));
    assert!(found("p_lower") > 0.5 && found("p_upper") < 0.5, "0.3733 lies above the middle of the null");
    assert_eq!(table(&outputs, "relabelled").rows(), 4000);
}

/// With two heads and one index for both, relabelling layers changes nothing: the null is the observed value.
#[test]
fn relabelling_equal_heads_changes_nothing() {
    let profile = ArrayD::from_shape_vec(IxDyn(&[1, 3, 2]), vec![0.1, 0.1, 0.5, 0.5, 0.2, 0.2]).unwrap();
    let outputs = stage(json!({ "seed": 1, "relabellings": 50 })).run(&inputs(profile), &TestCtx::new()).unwrap();
    for column in ["p_lower", "p_upper"] {
        assert_eq!(cell(&outputs, "null", column, 0), 1.0, "{column}");
    }
    assert_eq!(cell(&outputs, "null", "std", 0), 0.0);
}

/// A mean over prompts is drawn with replacement: the standard error of `mean_head_variance` where heads differ by the
/// same everywhere is known. Profiles [p, layer, head] = a_p · (head − ½), so its variance is (mean a)² / 4.
#[test]
fn the_bootstrap_has_the_spread_of_a_mean() {
    let prompts = 400;
    let a: Vec<f64> = (0..prompts).map(|p| 1.0 + 0.5 * f64::sin(p as f64 * 1.7)).collect();
    let profile = ArrayD::from_shape_fn(IxDyn(&[prompts, 2, 2]), |at| a[at[0]] * (at[2] as f64 - 0.5 + at[1] as f64));
    let outputs = stage(json!({ "seed": 3, "resamples": 4000 })).run(&inputs(profile), &TestCtx::new()).unwrap();
    // The delta method: sd(m² / 4) = m sd(m) / 2, and sd(m) is the standard error of a mean (ddof 0).
    let (mean, error) = (summary::mean(&a), summary::std(&a) / f64::sqrt(prompts as f64));
    let expected = mean * error / 2.0;
    assert!((cell(&outputs, "intervals", "estimate", 2) - mean * mean / 4.0).abs() < 1e-12);
    assert!((cell(&outputs, "intervals", "std", 2) / expected - 1.0).abs() < 0.06);
    let width = cell(&outputs, "intervals", "high", 2) - cell(&outputs, "intervals", "low", 2);
    assert!((width / (2.0 * 1.96 * expected) - 1.0).abs() < 0.08, "{width}");
    assert_eq!(table(&outputs, "replicates").rows(), 4000);
}

#[test]
fn one_prompt_has_no_spread_and_the_seed_decides() {
    let outputs = stage(json!({ "seed": 1 })).run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    assert_eq!(cell(&outputs, "intervals", "low", 0), cell(&outputs, "intervals", "high", 0));
    let again = stage(json!({ "seed": 1 })).run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    let other = stage(json!({ "seed": 2 })).run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    assert_eq!(table(&outputs, "relabelled"), table(&again, "relabelled"));
    assert_ne!(table(&outputs, "relabelled"), table(&other, "relabelled"));
}

#[test]
fn heads_that_never_change_have_no_index_and_a_warning() {
    let ctx = TestCtx::new();
    let outputs =
        stage(json!({ "seed": 1, "resamples": 3 })).run(&inputs(ArrayD::ones(IxDyn(&[2, 3, 4]))), &ctx).unwrap();
    let Artifact::Record(metrics) = &outputs.artifacts["metrics"] else { panic!("metrics are a record") };
    assert_eq!((&metrics["specialization_index"], &metrics["effective_heads"]), (&json!("NaN"), &json!(4.0)));
    assert_eq!(cell(&outputs, "intervals", "undefined", 0), 3.0);
    assert!(cell(&outputs, "null", "p_upper", 0).is_nan());
    assert!(ctx.warnings()[0].contains("no two heads"));
}

#[test]
fn a_stop_is_obeyed() {
    let ctx = TestCtx::new();
    ctx.stop_after(0);
    assert!(matches!(stage(json!({ "seed": 1 })).run(&inputs(smollm2()), &ctx), Err(Failure::Stopped)));
}

#[test]
fn the_plan_refuses_what_cannot_be_compared() {
    let arrived = Arrived {
        from: "plain.pattern".into(),
        ty: PortType::tensor(&["prompt", "layer", "head"]),
        facts: json!({ "layers": 1, "heads": 9 }),
    };
    let given = Given { inputs: BTreeMap::from([("profile".to_owned(), vec![arrived])]), ..Given::default() };
    let mistakes = stage(json!({ "seed": 1, "confidence": 1.0, "resamples": 0 })).ports(&given).unwrap_err();
    let at: Vec<_> = mistakes.iter().map(|mistake| mistake.at.as_str()).collect();
    assert_eq!(at, ["confidence", "resamples", "inputs.profile"]);
    let empty = inputs(ArrayD::zeros(IxDyn(&[0, 3, 2])));
    let failed = stage(json!({ "seed": 1 })).run(&empty, &TestCtx::new()).unwrap_err().to_string();
    assert!(failed.contains("of shape [0, 3, 2]"), "{failed}");
}

/// The tables have the columns that the plan promises.
#[test]
fn promises_are_kept() {
    let stage = stage(json!({ "seed": 1, "resamples": 5, "relabellings": 5 }));
    let outputs = stage.run(&inputs(smollm2()), &TestCtx::new()).unwrap();
    for port in stage.ports(&Given::default()).unwrap().outputs {
        let Artifact::Table(table) = &outputs.artifacts[&port.name] else { continue };
        let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(port.facts["columns"], json!(names), "{}", port.name);
    }
}
