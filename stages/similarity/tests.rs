//! The kind `similarity`: against transformers and torch on the fixtures' GPT-2, and on activations made by hand.

use std::collections::BTreeMap;

use ndarray::{IxDyn, arr1};
use serde_json::Value;

use super::*;
use crate::{
    contract::testing::TestCtx,
    forward::Forward,
    lm::fixture::{engine, inputs, prompts, stage},
};

fn similarity(alignment: &str) -> Similarity {
    serde_json::from_value(json!({ "alignment": alignment })).unwrap()
}

fn column(outputs: &Outputs, name: &str) -> Values {
    let Artifact::Table(table) = &outputs.artifacts["pairs"] else { panic!("pairs are a table") };
    table.column(name).unwrap_or_else(|| panic!("{name}")).values.clone()
}

/// The block outputs of the reference's texts, as `forward` records them.
fn activations_of_gpt2(reference: &Value) -> Artifact {
    let texts: BTreeMap<String, Vec<u32>> = serde_json::from_value(reference["texts"].clone()).unwrap();
    let (ctx, model) = engine("gpt2");
    let order = ["long", "short", "middle", "twin"];
    let texts: Vec<(&str, &[u32])> = order.iter().map(|name| (*name, texts[*name].as_slice())).collect();
    let forward: Forward = stage("capture = [{ site = \"resid_post\" }]");
    let mut outputs = forward.run(&inputs(vec![("model", model), ("prompts", prompts(&texts))]), &ctx).unwrap();
    outputs.artifacts.remove("resid_post").unwrap()
}

#[test]
fn cosines_are_torchs_in_every_alignment() {
    let reference: Value = serde_json::from_str(include_str!("../fixtures/similarity.json")).unwrap();
    let activations = activations_of_gpt2(&reference);
    for alignment in ["flatten-trunc", "suffix-aligned", "last-token", "excl-first"] {
        let outputs = similarity(alignment).run(&inputs(vec![("activations", activations.clone())]), &TestCtx::new());
        let outputs = outputs.unwrap();
        let theirs: Vec<Vec<f64>> = serde_json::from_value(reference["cosine"][alignment].clone()).unwrap();
        let ours = column(&outputs, "cosine").to_f64().unwrap();
        let worst = ours.iter().zip(theirs.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(ours.len() == 3 * 6 && worst < 1e-5, "{alignment}: {worst}");
        let Artifact::Tensor(matrix) = &outputs.artifacts["matrix"] else { panic!("a tensor") };
        assert_eq!((matrix.axis_names(), matrix.shape()), (vec!["layer", "prompt", "prompt2"], &[3, 4, 4][..]));
        let numbers = matrix.data.to_f64();
        assert_eq!((numbers[[2, 1, 1]], numbers[[2, 3, 0]]), (1.0, numbers[[2, 0, 3]]));
        assert_eq!(matrix.axes[2].labels.as_ref().unwrap(), &["long", "short", "middle", "twin"]);
    }
    let outputs = similarity("excl-first").run(&inputs(vec![("activations", activations)]), &TestCtx::new()).unwrap();
    let Values::Int(positions) = column(&outputs, "positions") else { panic!("integers") };
    assert_eq!(positions[..6], [6, 11, 11, 6, 6, 11].map(Some));
    assert_eq!(
        column(&outputs, "b"),
        Values::Text(
            ["short", "middle", "twin", "middle", "twin", "twin"].repeat(3).iter().map(|s| (*s).to_owned()).collect()
        )
    );
}

/// Three texts of 2, 1 and 2 positions; heads side by side.
fn by_hand() -> Artifact {
    let nan = f64::NAN;
    let numbers = vec![1.0, 0.0, 3.0, 4.0, 4.0, 3.0, nan, nan, 0.0, 2.0, 6.0, 8.0];
    let data = Data::F64(ArrayD::from_shape_vec(IxDyn(&[3, 1, 2, 1, 2]), numbers).unwrap());
    let mut tensor = Tensor::new(&["prompt", "layer", "position", "head", "d"], data);
    tensor.axes[1].labels = Some(vec!["7".into()]);
    Artifact::Tensor(tensor)
}

#[test]
fn by_hand_with_heads_and_numbered_layers() {
    let found = |alignment: &str| {
        let outputs = similarity(alignment).run(&inputs(vec![("activations", by_hand())]), &TestCtx::new()).unwrap();
        assert_eq!(column(&outputs, "layer"), Values::Int(vec![Some(7); 3]));
        arr1(&column(&outputs, "cosine").to_f64().unwrap())
    };
    let close = |alignment: &str, expected: [f64; 3]| {
        assert!((found(alignment) - arr1(&expected)).iter().all(|d| d.abs() < 1e-12), "{alignment}");
    };
    close("last-token", [24.0 / 25.0, 1.0, 24.0 / 25.0]);
    close("suffix-aligned", [24.0 / 25.0, 50.0 / f64::sqrt(26.0 * 104.0), 24.0 / 25.0]);
    close("flatten-trunc", [4.0 / 5.0, 50.0 / f64::sqrt(26.0 * 104.0), 3.0 / 5.0]);
}

#[test]
fn what_has_nothing_in_common_is_nan_and_said() {
    let ctx = TestCtx::new();
    let outputs = similarity("excl-first").run(&inputs(vec![("activations", by_hand())]), &ctx).unwrap();
    let cosines = column(&outputs, "cosine").to_f64().unwrap();
    assert!(cosines[0].is_nan() && (cosines[1] - 1.0).abs() < 1e-12 && cosines[2].is_nan());
    assert_eq!(ctx.warnings(), ["5 of 9 similarities are not defined: no position in common, or zeros"]);
}

#[test]
fn nothing_to_compare_is_refused() {
    let empty = Tensor::new(&["prompt", "layer", "position", "d"], Data::F64(ArrayD::zeros(IxDyn(&[2, 0, 3, 4]))));
    let failed = similarity("last-token").run(&inputs(vec![("activations", Artifact::Tensor(empty))]), &TestCtx::new());
    assert!(failed.unwrap_err().to_string().contains("of shape [2, 0, 3, 4]"));
    assert!(serde_json::from_value::<Similarity>(json!({ "alignment": "flatten_trunc" })).is_err());
}
