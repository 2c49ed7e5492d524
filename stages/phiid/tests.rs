//! Names, units, policies and the wire to the metric; the metric's own tests are with it.

use std::{path::Path, sync::Arc};

use assay_cache::{Tensor, Unit};
use ndarray::{Array3, Array4, ArrayD, Ix2, s};

use super::*;
use crate::{Loaded, contract::testing::TestCtx};

fn job() -> Array3<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid/job_activations.npy");
    ndarray_npy::read_npy(path).unwrap()
}

/// The job's 24 heads over and over, prompts rotated: as many heads as make several blocks.
fn wide(heads: usize) -> Array3<f64> {
    let job = job();
    Array3::from_shape_fn((6, heads, 100), |(p, h, t)| job[[(p + h / 24) % 6, h % 24, t]])
}

fn inputs(tensor: Tensor) -> Inputs {
    let loaded = Loaded { labels: vec![], from: "capture.z".into(), artifact: Arc::new(Artifact::Tensor(tensor)) };
    Inputs([("activations".to_owned(), vec![loaded])].into())
}

fn nodes(values: Array3<f64>) -> Inputs {
    inputs(Tensor::new(&["prompt", "node", "step"], Data::F64(values.into_dyn())))
}

fn stage(params: Value) -> Phiid {
    serde_json::from_value(params).unwrap()
}

fn matrix(outputs: &Outputs, port: &str) -> ArrayD<f64> {
    let Artifact::Tensor(tensor) = &outputs.artifacts[port] else { panic!("{port} is no tensor") };
    tensor.data.to_f64()
}

fn fatal(outcome: Result<Outputs, Failure>) -> String {
    match outcome {
        Err(Failure::Fatal(message)) => message,
        other => panic!("expected a failure, not {other:?}"),
    }
}

#[test]
fn layers_and_heads_are_flattened_layer_first_and_named() {
    let job = job(); // 24 heads as 4 layers of 6
    let values = Array4::from_shape_fn((6, 4, 100, 6), |(p, l, t, h)| job[[p, l * 6 + h, t]]);
    let tensor = Tensor::new(&["prompt", "layer", "step", "head"], Data::F64(values.into_dyn()));
    let ctx = TestCtx::new();
    let outputs = stage(json!({})).run(&inputs(tensor), &ctx).unwrap();
    let expected = stage(json!({})).run(&nodes(job), &ctx).unwrap();
    assert_eq!(matrix(&outputs, "sts"), matrix(&expected, "sts"));
    let Artifact::Tensor(sts) = &outputs.artifacts["sts"] else { panic!("sts is no tensor") };
    assert_eq!(sts.axes[0].labels.as_ref().unwrap()[7], "L1H1");
    assert_eq!((sts.axis_names(), sts.unit.as_deref()), (vec!["node", "node"], Some("nats")));
    assert!(ctx.warnings().is_empty());
}

#[test]
fn all_atoms_stand_under_their_own_names() {
    let outputs = stage(json!({ "atoms": "all" })).run(&nodes(job()), &TestCtx::new()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid/job_MMI_atoms_mean.npy");
    let expected: Array3<f64> = ndarray_npy::read_npy(path).unwrap();
    for (k, name) in ATOMS.into_iter().enumerate() {
        let found = matrix(&outputs, name).into_dimensionality::<Ix2>().unwrap();
        assert!((&found - &expected.slice(s![k, .., ..])).iter().all(|error| error.abs() < 1e-12), "{name}");
    }
    let ports = stage(json!({ "atoms": "all" })).ports(&Given::default()).unwrap();
    assert_eq!(ports.outputs.len(), 17);
    assert!(ports.outputs.iter().all(|port| outputs.artifacts.contains_key(&port.name)));
}

#[test]
fn the_other_redundancy_is_another_computation() {
    let outputs = stage(json!({ "redundancy": "ccs" })).run(&nodes(job()), &TestCtx::new()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid/job_CCS_sts.npy");
    let expected: ArrayD<f64> = ndarray_npy::read_npy(path).unwrap();
    assert!((matrix(&outputs, "sts") - expected).iter().all(|error| error.abs() < 1e-12));
    assert_eq!(outputs.notes["local-zeros"], 0);
}

#[test]
fn all_atoms_of_the_other_redundancy_too() {
    let all = json!({ "atoms": "all", "redundancy": "ccs" });
    let outputs = stage(all).run(&nodes(job()), &TestCtx::new()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid/job_CCS_atoms_mean.npy");
    let expected: Array3<f64> = ndarray_npy::read_npy(path).unwrap();
    for (k, name) in ATOMS.into_iter().enumerate() {
        let found = matrix(&outputs, name).into_dimensionality::<Ix2>().unwrap();
        assert!((&found - &expected.slice(s![k, .., ..])).iter().all(|error| error.abs() < 1e-12), "{name}");
    }
}

#[test]
fn the_lag_is_that_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid");
    let text = std::fs::read_to_string(folder.join("pairs.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let pair = cases["pairs"].as_array().unwrap().iter().find(|pair| pair["tau"] == 2).expect("a pair with a lag of 2");
    let series: ndarray::Array2<f64> = ndarray_npy::read_npy(folder.join(pair["file"].as_str().unwrap())).unwrap();
    let inputs = nodes(series.insert_axis(Axis(0)));
    for (redundancy, name) in [("mmi", "MMI"), ("ccs", "CCS")] {
        let params = json!({ "atoms": "all", "tau": 2, "redundancy": redundancy });
        let outputs = stage(params).run(&inputs, &TestCtx::new()).unwrap();
        for (atom, expected) in ATOMS.into_iter().zip(pair[name].as_array().unwrap()) {
            let error = (matrix(&outputs, atom)[[0, 1]] - expected.as_f64().unwrap()).abs();
            assert!(error <= pair["tol"].as_f64().unwrap(), "{atom} of {name} is off by {error:e}");
        }
        assert_eq!(matrix(&outputs, "count").into_iter().collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
    }
}

#[test]
fn concatenated_prompts_reach_the_metric_and_old_keys_stay() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid/job_concatenated_sts_rtr.npy");
    let expected: ArrayD<f64> = ndarray_npy::read_npy(path).unwrap(); // [MMI | CCS, sts | rtr, node, node]
    let outputs = stage(json!({ "prompts": "concatenated" })).run(&nodes(job()), &TestCtx::new()).unwrap();
    for (k, name) in ["sts", "rtr"].into_iter().enumerate() {
        let error = matrix(&outputs, name) - expected.slice(s![0, k, .., ..]);
        assert!(error.iter().all(|error| error.abs() < 1e-12), "{name}");
    }
    assert_eq!(matrix(&outputs, "count")[[3, 4]], 1.0);
    assert_eq!(outputs.notes["cells"], 24 * 23 / 2);
    let keyed = |params: Value| Stage::keyed(&stage(params));
    assert_eq!(keyed(json!({ "prompts": "apart" })), keyed(json!({})));
    assert!(keyed(json!({})).get("prompts").is_none());
    assert_ne!(keyed(json!({ "prompts": "concatenated" })), keyed(json!({})));
}

/// What is constant in one prompt need not be so over all of them; what is not finite in one is not finite over all.
#[test]
fn concatenated_prompts_are_sound_or_not_as_one_series() {
    let mut values = job();
    values.slice_mut(s![4, 7, ..]).fill(3.0);
    let run = |values: &Array3<f64>, policy: &str, ctx: &TestCtx| {
        stage(json!({ "prompts": "concatenated", "degenerate": policy })).run(&nodes(values.clone()), ctx)
    };
    let ctx = TestCtx::new();
    assert!(matrix(&run(&values, "strict", &ctx).unwrap(), "sts")[[7, 8]].is_finite());
    assert!(ctx.warnings().is_empty());

    values[[2, 5, 50]] = f64::NAN;
    let flagged = run(&values, "flag", &ctx).unwrap();
    assert!(matrix(&flagged, "sts")[[5, 8]].is_nan() && matrix(&flagged, "sts")[[7, 8]].is_finite());
    assert_eq!((matrix(&flagged, "count")[[5, 8]], matrix(&flagged, "count")[[7, 8]]), (0.0, 1.0));
    assert!(ctx.warnings()[0].starts_with("23 of 276 cells (a pair over all prompts) are degenerate"));
    assert!(ctx.warnings()[0].ends_with("the first is node 5 is non-finite over all prompts"), "{}", ctx.warnings()[0]);
    assert_eq!(matrix(&run(&values, "zero", &TestCtx::new()).unwrap(), "sts")[[5, 8]], 0.0);
    assert!(fatal(run(&values, "strict", &TestCtx::new())).starts_with("node 5 is non-finite over all prompts, and"));
}

#[test]
fn policies_hold_for_every_atom_and_redundancy() {
    let mut values = job();
    values.slice_mut(s![4, 7, ..]).fill(3.0);
    for redundancy in ["mmi", "ccs"] {
        let run = |policy: &str| {
            let params = json!({ "atoms": "all", "redundancy": redundancy, "degenerate": policy });
            stage(params).run(&nodes(values.clone()), &TestCtx::new())
        };
        let (flag, zero) = (run("flag").unwrap(), run("zero").unwrap());
        for name in ATOMS {
            let (mean, diluted) = (matrix(&flag, name)[[7, 8]], matrix(&zero, name)[[7, 8]]);
            assert!((diluted - mean * 5.0 / 6.0).abs() < 1e-14, "{name} of {redundancy}");
            assert_eq!(matrix(&flag, name)[[3, 4]], matrix(&zero, name)[[3, 4]], "{name} of sound pairs");
        }
        assert_eq!((matrix(&flag, "count")[[7, 8]], matrix(&zero, "count")[[7, 8]]), (5.0, 6.0));
        assert!(fatal(run("strict")).starts_with("node 7 is constant in prompt 4, and"));
    }
}

#[test]
fn a_stopped_run_goes_on_to_the_same_bytes() {
    ["apart", "concatenated"].into_iter().for_each(stopped_and_resumed);
}

fn stopped_and_resumed(prompts: &str) {
    let mut values = wide(200);
    let twin = values.slice(s![1, 3, ..]).to_owned();
    values.slice_mut(s![1, 190, ..]).assign(&twin);
    values[[0, 70, 9]] = f64::INFINITY;
    let inputs = nodes(values);
    let stage = stage(json!({ "prompts": prompts }));
    let whole = stage.run(&inputs, &TestCtx::new()).unwrap();

    let ctx = TestCtx::new();
    for stop in 1..=3 {
        ctx.stop_after(1);
        assert!(matches!(stage.run_in_groups(&inputs, &ctx, 1), Err(Failure::Stopped)));
        assert_eq!(ctx.saved().len(), stop);
    }
    assert_eq!(ctx.saved(), ["rows-0-64", "rows-128-192", "rows-64-128"]);
    ctx.carry_on();
    let resumed = stage.run_in_groups(&inputs, &ctx, 1).unwrap();
    assert_eq!(ctx.saves(), 3, "the last block needs no saving");
    assert_eq!(resumed.notes, whole.notes);
    for (port, artifact) in &whole.artifacts {
        assert_eq!(artifact.encode(), resumed.artifacts[port].encode(), "{port}");
    }
}

#[test]
fn a_unit_that_does_not_fit_is_computed_again() {
    let ctx = TestCtx::new();
    ctx.save(&[("rows-0-24".to_owned(), Unit::new())]).unwrap();
    let found = stage(json!({})).run(&nodes(job()), &ctx).unwrap();
    assert_eq!(matrix(&found, "sts"), matrix(&stage(json!({})).run(&nodes(job()), &TestCtx::new()).unwrap(), "sts"));
}

#[test]
fn each_policy_does_what_it_says() {
    let mut values = job();
    values.slice_mut(s![4, 7, ..]).fill(3.0);
    let twin = values.slice(s![2, 0, ..]).to_owned();
    values.slice_mut(s![2, 1, ..]).assign(&twin);
    let run = |policy: &str, ctx: &TestCtx| stage(json!({ "degenerate": policy })).run(&nodes(values.clone()), ctx);

    let ctx = TestCtx::new();
    let flag = run("flag", &ctx).unwrap();
    assert_eq!(matrix(&flag, "count")[[7, 8]], 5.0);
    assert_eq!(flag.notes["degenerate-cells"], 24);
    assert_eq!(flag.notes["singular-cells"], 1);
    assert_eq!(flag.notes["degenerate-series"], json!({ "non-finite": 0, "constant": 1, "short": 0 }));
    assert_eq!(flag.notes["first-degenerate-series"], json!(["node 7 is constant in prompt 4"]));
    assert_eq!(ctx.warnings().len(), 1);
    assert!(ctx.warnings()[0].contains("24 of 1656 cells"), "{}", ctx.warnings()[0]);

    let zero = run("zero", &TestCtx::new()).unwrap();
    let (mean, diluted) = (matrix(&flag, "sts")[[7, 8]], matrix(&zero, "sts")[[7, 8]]);
    assert!((diluted - mean * 5.0 / 6.0).abs() < 1e-15);
    assert_eq!(matrix(&zero, "count")[[7, 8]], 6.0);

    assert!(fatal(run("strict", &TestCtx::new())).starts_with("node 7 is constant in prompt 4, and"));
    values.slice_mut(s![4, 7, ..]).assign(&job().slice(s![4, 7, ..]));
    let strict = stage(json!({ "degenerate": "strict" })).run(&nodes(values), &TestCtx::new());
    assert!(fatal(strict).starts_with("the pair node 0 and node 1 is singular in prompt 2, and"));
}

#[test]
fn series_that_are_too_short_are_nan_and_said_to_be() {
    let ctx = TestCtx::new();
    let short = job().slice(s![.., .., ..5]).to_owned();
    let outputs = stage(json!({})).run(&nodes(short), &ctx).unwrap();
    assert!(matrix(&outputs, "sts")[[0, 1]].is_nan());
    assert_eq!(matrix(&outputs, "sts")[[1, 1]], 0.0);
    let beyond = stage(json!({ "tau": 100 })).run(&nodes(job()), &TestCtx::new()).unwrap();
    assert!(matrix(&beyond, "rtr")[[0, 23]].is_nan());
    assert_eq!(outputs.notes["degenerate-series"]["short"], 6 * 24);
    assert!(ctx.warnings()[0].contains("node 0 is short in prompt 0"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let one = job().slice(s![.., ..1, ..]).to_owned();
    assert!(fatal(stage(json!({})).run(&nodes(one), &TestCtx::new())).contains("two nodes"));
    for bad in [json!({ "tau": 0 }), json!({ "tauu": 1 }), json!({ "degenerate": "drop" })] {
        assert!(serde_json::from_value::<Phiid>(bad).is_err());
    }
}

#[test]
fn defaults_stay_out_of_the_way() {
    let written = serde_json::to_value(stage(json!({}))).unwrap();
    assert_eq!(written, json!({ "tau": 1, "redundancy": "mmi", "atoms": "sts-rtr", "degenerate": "flag" }));
}
