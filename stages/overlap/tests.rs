//! The kind `overlap`: against transformers and torch on the fixtures' GPT-2, and on weights made by hand.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

use super::*;
use crate::{
    contract::testing::TestCtx,
    forward::Forward,
    lm::fixture::{engine, inputs, prompts, stage},
};

fn overlap(params: Value) -> Overlap {
    serde_json::from_value(params).unwrap()
}

fn column(outputs: &Outputs, port: &str, name: &str) -> Values {
    let Artifact::Table(table) = &outputs.artifacts[port] else { panic!("{port} is a table") };
    table.column(name).unwrap_or_else(|| panic!("{name}")).values.clone()
}

#[test]
fn sets_are_torchs_counted_from_both_ends() {
    let reference: Value = serde_json::from_str(include_str!("../fixtures/similarity.json")).unwrap();
    let texts: BTreeMap<String, Vec<u32>> = serde_json::from_value(reference["texts"].clone()).unwrap();
    let (ctx, model) = engine("gpt2");
    let order = ["long", "short", "middle", "twin"];
    let texts: Vec<(&str, &[u32])> = order.iter().map(|name| (*name, texts[*name].as_slice())).collect();
    let forward: Forward =
        stage("capture = [{ site = \"pattern\", layers = -1, reduce = [\"last\", \"mean-heads\"] }]");
    let recorded = forward.run(&inputs(vec![("model", model), ("prompts", prompts(&texts))]), &ctx).unwrap();
    let weights = recorded.artifacts["pattern"].clone();
    for align in ["start", "end"] {
        let stage = overlap(json!({ "k": 3, "align": align }));
        let outputs = stage.run(&inputs(vec![("weights", weights.clone())]), &TestCtx::new()).unwrap();
        let theirs: Vec<f64> = serde_json::from_value(reference["jaccard"][align].clone()).unwrap();
        assert_eq!(column(&outputs, "pairs", "jaccard"), Values::Float(theirs), "{align}");
        assert_eq!(column(&outputs, "pairs", "layer"), Values::Int(vec![Some(2); 6]));
        let theirs: Vec<i64> = order
            .iter()
            .flat_map(|name| serde_json::from_value::<Vec<i64>>(reference["top"][*name].clone()).unwrap())
            .collect();
        assert_eq!(column(&outputs, "positions", "position"), Values::Int(theirs.into_iter().map(Some).collect()));
        let Artifact::Tensor(matrix) = &outputs.artifacts["matrix"] else { panic!("a tensor") };
        assert_eq!((matrix.axis_names(), matrix.shape()), (vec!["layer", "prompt", "prompt2"], &[1, 4, 4][..]));
        assert_eq!(matrix.data.to_f64()[[0, 2, 2]], 1.0);
    }
}

#[test]
fn a_short_text_has_what_it_has_and_that_is_said() {
    let nan = f64::NAN;
    let numbers = vec![0.5, 0.1, 0.4, 0.3, 0.7, nan];
    let tensor = Tensor::new(
        &["prompt", "layer", "key"],
        Data::F64(ArrayD::from_shape_vec(IxDyn(&[2, 1, 3]), numbers).unwrap()),
    );
    let ctx = TestCtx::new();
    let outputs = overlap(json!({ "k": 3 })).run(&inputs(vec![("weights", Artifact::Tensor(tensor))]), &ctx).unwrap();
    assert_eq!(column(&outputs, "pairs", "jaccard"), Values::Float(vec![2.0 / 3.0]));
    assert_eq!(column(&outputs, "positions", "from_end"), Values::Int([-3, -1, -2, -1, -2].map(Some).to_vec()));
    assert_eq!(column(&outputs, "positions", "weight"), Values::Float(vec![0.5, 0.4, 0.1, 0.7, 0.3]));
    assert_eq!(ctx.warnings(), ["1 of 2 sets have fewer than 3 positions: the texts are shorter"]);
}

#[test]
fn empty_sets_and_empty_weights_are_refused() {
    assert_eq!(overlap(json!({ "k": 0 })).ports(&Given::default()).unwrap_err()[0].at, "k");
    let empty = Tensor::new(&["prompt", "layer", "key"], Data::F64(ArrayD::zeros(IxDyn(&[2, 1, 0]))));
    let failed = overlap(json!({})).run(&inputs(vec![("weights", Artifact::Tensor(empty))]), &TestCtx::new());
    assert!(failed.unwrap_err().to_string().contains("of shape [2, 1, 0]"));
}
