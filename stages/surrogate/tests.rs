//! What a surrogate keeps and what it loses.

use assay_cache::Axis;
use ndarray::{Array, arr2};
use serde_json::json;

use super::*;
use crate::{
    Arrived,
    contract::testing::TestCtx,
    lm::fixture::{inputs, stage},
};

const NONE: f64 = f64::NAN;

fn made(toml: &str, data: &Tensor, to: Option<&Tensor>, ctx: &TestCtx) -> Result<Tensor, Failure> {
    let mut ports = vec![("data", Artifact::Tensor(data.clone()))];
    ports.extend(to.map(|to| ("to", Artifact::Tensor(to.clone()))));
    match stage::<Surrogate>(toml).run(&inputs(ports), ctx)?.artifacts.remove("surrogate") {
        Some(Artifact::Tensor(tensor)) => Ok(tensor),
        other => panic!("{other:?}"),
    }
}

fn surrogate(toml: &str, data: &Tensor) -> Tensor {
    made(toml, data, None, &TestCtx::new()).unwrap()
}

/// [prompt, head, step]: 2 × 3 × 40, every number another.
fn series() -> Tensor {
    let values = Array::from_iter((0..240).map(|i| f64::from(i) + 0.5)).into_shape_with_order((2, 3, 40)).unwrap();
    Tensor::new(&["prompt", "head", "step"], Data::F64(values.into_dyn())).with_unit("nats")
}

fn floats(tensor: &Tensor) -> ArrayD<f64> {
    tensor.data.to_f64()
}

#[test]
fn a_shuffle_moves_what_stands_together_and_loses_nothing() {
    let data = series();
    let made = surrogate("method = \"shuffle\"\naxis = \"step\"\nby = [\"prompt\"]\nseed = 1", &data);
    assert_eq!((made.axis_names(), made.unit.as_deref()), (data.axis_names(), Some("nats")));
    let (old, new) = (floats(&data), floats(&made));
    for prompt in 0..2 {
        // A number tells its step: every head of a prompt shares the permutation.
        let steps: Vec<usize> = (0..40).map(|step| (new[[prompt, 0, step]] - 0.5) as usize % 40).collect();
        for (head, step) in (0..3).flat_map(|head| (0..40).map(move |step| (head, step))) {
            assert_eq!(new[[prompt, head, step]], old[[prompt, head, steps[step]]]);
        }
        let mut sorted = steps.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(steps, sorted);
    }
    let order = |tensor: &ArrayD<f64>, prompt: usize, head: usize| -> Vec<f64> {
        (0..40).map(|step| tensor[[prompt, head, step]] - old[[prompt, head, 0]]).collect()
    };
    assert_ne!(order(&new, 0, 0), order(&new, 1, 0), "each prompt has a permutation of its own");
    let apart = surrogate("method = \"shuffle\"\naxis = \"step\"\nby = [\"head\", \"prompt\"]\nseed = 1", &data);
    assert_ne!(order(&floats(&apart), 0, 0), order(&floats(&apart), 0, 1), "and so has each head");
    let other = surrogate("method = \"shuffle\"\naxis = \"step\"\nby = [\"prompt\"]\nseed = 2", &data);
    assert_ne!(other, made);
}

/// A short text has nothing in the first places of a window at the end: there, nothing is after the shuffle either.
#[test]
fn what_is_not_there_keeps_its_place() {
    let window = |labels: Option<Vec<String>>| Tensor {
        axes: vec![Axis::new("prompt"), Axis { name: "position".into(), labels }, Axis::new("d")],
        unit: None,
        data: Data::F32(
            Array::from_shape_vec((1, 4, 2), [NONE, NONE, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|x| x as f32).to_vec())
                .unwrap()
                .into_dyn(),
        ),
    };
    let data = window(Some(["-4", "-3", "-2", "-1"].map(String::from).to_vec()));
    for seed in 0..8 {
        let made =
            surrogate(&format!("method = \"shuffle\"\naxis = \"position\"\nby = [\"prompt\"]\nseed = {seed}"), &data);
        let new = floats(&made);
        assert!(new[[0, 0, 0]].is_nan() && new[[0, 0, 1]].is_nan());
        let mut rows: Vec<_> = (1..4).map(|place| (new[[0, place, 0]] as i64, new[[0, place, 1]] as i64)).collect();
        rows.sort_unstable();
        assert_eq!(rows, [(1, 2), (3, 4), (5, 6)]);
        assert_eq!(made.axes, data.axes);
    }
    let noise = surrogate("method = \"gaussian\"\nby = [\"prompt\"]\nseed = 1", &data);
    let noise: Vec<f64> = floats(&noise).iter().copied().collect();
    assert!(noise[0].is_nan() && noise[1].is_nan());
    let square: f64 = noise[2..].iter().map(|x| x * x).sum();
    assert!((square - 91.0).abs() < 1e-4, "1 + 4 + 9 + 16 + 25 + 36: {square}");
}

/// 60 blocks of 1,000 numbers: the norm of each, and the moments of all (a mean within four standard errors).
#[test]
fn noise_has_the_norm_of_each_block_and_nothing_else_of_it() {
    let values = Array::from_shape_fn((60, 1000), |(block, i)| ((block + 1) * (i % 7)) as f64).into_dyn();
    let data = Tensor::new(&["prompt", "d"], Data::F64(values));
    let made = floats(&surrogate("method = \"gaussian\"\nby = [\"prompt\"]\nseed = 3", &data));
    let (mut first, mut fourth) = (0.0, 0.0);
    for (old, new) in floats(&data).outer_iter().zip(made.outer_iter()) {
        let square = |x: &ndarray::ArrayViewD<f64>| x.iter().map(|x| x * x).sum::<f64>();
        assert!((square(&old) / square(&new) - 1.0).abs() < 1e-9);
        let scale = (square(&new) / 1000.0).sqrt();
        first += new.iter().map(|x| x / scale).sum::<f64>() / 60_000.0;
        fourth += new.iter().map(|x| (x / scale).powi(4)).sum::<f64>() / 60_000.0;
    }
    assert!(first.abs() < 4.0 / 60_000f64.sqrt(), "{first}");
    assert!((fourth - 3.0).abs() < 4.0 * (96.0 / 60_000f64).sqrt(), "{fourth}");
}

#[test]
fn a_token_is_orthogonal_to_its_neighbour_in_the_other_run() {
    // Tokens of two heads side by side: (3, 0 | 4, 0) on (1, 0 | 1, 0), and a second that lies along its neighbour.
    let of = |values: [f64; 8]| {
        let array = Array::from_shape_vec((2, 2, 2), values.to_vec()).unwrap();
        Tensor::new(&["position", "head", "d"], Data::F64(array.into_dyn()))
    };
    let (data, to) = (of([3.0, 0.0, 4.0, 0.0, 2.0, 2.0, 2.0, 2.0]), of([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]));
    let ctx = TestCtx::new();
    let toml = "method = \"orthogonal\"\nby = [\"position\"]\nseed = 0";
    let new = floats(&made(toml, &data, Some(&to), &ctx).unwrap());
    let each = 5.0 / 2f64.sqrt();
    assert!((new[[0, 0, 0]] + each).abs() < 1e-9 && (new[[0, 1, 0]] - each).abs() < 1e-9, "{new:?}");
    assert!(new.index_axis(ndarray::Axis(0), 1).iter().all(|x| x.is_nan()));
    assert!(ctx.warnings()[0].starts_with("1 of the blocks"), "{:?}", ctx.warnings());
    // By head, the first token's parts lie along their neighbours too.
    let by_head = made("method = \"orthogonal\"\nby = [\"position\", \"head\"]\nseed = 0", &data, Some(&to), &ctx);
    assert!(floats(&by_head.unwrap()).iter().all(|x| x.is_nan()));

    let shorter = Tensor::new(&["position", "head"], Data::F64(arr2(&[[1.0, 2.0]]).into_dyn()));
    let failed = made(toml, &data, Some(&shorter), &ctx).unwrap_err().to_string();
    assert!(failed.contains("[2, 2, 2] over position, head, d") && failed.contains("[1, 2]"), "{failed}");
}

fn planned(toml: &str, axes: &[&str]) -> Result<Ports, Vec<Mistake>> {
    let arrived =
        Arrived { from: "run.z".into(), ty: PortType::tensor(axes), facts: json!({ "layers": 30, "heads": 9 }) };
    let given = Given { inputs: [("data".to_owned(), vec![arrived])].into(), ..Given::default() };
    stage::<Surrogate>(toml).ports(&given)
}

#[test]
fn the_plan_knows_the_axes() {
    let axes = ["prompt", "layer", "step", "head"];
    let ports = planned("method = \"shuffle\"\naxis = \"step\"\nby = [\"prompt\"]\nseed = 1", &axes).unwrap();
    assert_eq!((ports.inputs.len(), &ports.outputs[0].ty), (1, &PortType::tensor(&axes)));
    assert_eq!(ports.outputs[0].facts["heads"], 9, "what reads it knows as much as of the data");
    let ports = planned("method = \"orthogonal\"\nby = [\"prompt\"]\nseed = 1", &axes).unwrap();
    assert_eq!((ports.inputs[1].name.as_str(), ports.inputs[1].accept.0[0].axes.len()), ("to", 4));
    for (toml, at, says) in [
        ("method = \"shuffle\"\nseed = 1", "", "needs `axis`"),
        ("method = \"gaussian\"\naxis = \"step\"\nseed = 1", "axis", "only `shuffle`"),
        ("method = \"shuffle\"\naxis = \"step\"\nby = [\"step\"]\nseed = 1", "by", "is shuffled"),
        ("method = \"shuffle\"\naxis = \"position\"\nseed = 1", "axis", "they have prompt, layer, step, head"),
        ("method = \"gaussian\"\nby = [\"token\"]\nseed = 1", "by[0]", "no axis `token`"),
    ] {
        let mistake = planned(toml, &axes).unwrap_err().remove(0);
        assert!(mistake.at == at && mistake.message.contains(says), "{mistake:?}");
    }
}

#[test]
fn the_seed_matters_only_where_something_is_drawn() {
    let keyed = |method: &str, seed: u64| stage::<Surrogate>(&format!("method = \"{method}\"\nseed = {seed}")).keyed();
    assert_eq!(keyed("orthogonal", 1), keyed("orthogonal", 2));
    assert_ne!(keyed("gaussian", 1), keyed("gaussian", 2));
}
