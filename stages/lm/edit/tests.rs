//! Every operation against a calculation by hand, on two heads of two numbers, and what is refused.

use ndarray::{ArrayD, IxDyn};
use serde_json::json;

use super::*;
use crate::{
    Inputs, Mistake,
    lm::{
        Tensor,
        batch::Batch,
        fixture::{device, inputs},
        layers::linear::host,
        pass::Place,
    },
};
use assay_cache::{Artifact, Axis, Data};
use burn::tensor::TensorData;

/// Two layers of two heads of two numbers.
fn facts() -> ModelFacts {
    ModelFacts {
        family: "toy".to_owned(),
        layers: 2,
        heads: 2,
        kv_heads: 1,
        d_model: 4,
        d_head: 2,
        vocab: 10,
        context: None,
        positions: None,
        experts: None,
        sites: Site::ALL.to_vec(),
        causal: true,
        tokenizer: None,
    }
}

/// A tensor in the port `from`, with labels where an axis has some.
fn port(axes: &[(&str, Option<&[&str]>)], shape: &[usize], values: &[f32]) -> Inputs {
    let axes = axes.iter().map(|(name, labels)| Axis {
        name: (*name).to_owned(),
        labels: labels.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect()),
    });
    let data = Data::F32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap());
    inputs(vec![("from", Artifact::Tensor(assay_cache::Tensor { axes: axes.collect(), unit: None, data }))])
}

fn edit(toml: &str) -> Edit {
    toml::from_str(toml).unwrap_or_else(|why| panic!("{toml}: {why}"))
}

fn change(toml: &str, inputs: &Inputs, prompts: &[&str]) -> Result<Option<Change>, String> {
    let prompts: Vec<String> = prompts.iter().map(|id| (*id).to_owned()).collect();
    let changes = edit(toml).on(&facts(), &Material { inputs, prompts: &prompts })?;
    assert!(changes.len() <= 1, "one run of layers");
    Ok(changes.into_iter().next())
}

/// What an edit at `z` of layer 1 makes of rows of tokens of four numbers (two heads of two).
fn made(toml: &str, inputs: &Inputs, prompts: &[&str], batch: &Batch, x: &[f32]) -> Vec<f32> {
    let toml = format!("site = \"z\"\nlayers = 1\n{toml}");
    let change = change(&toml, inputs, prompts).unwrap().expect("it changes something");
    let shape = [batch.rows(), x.len() / 4 / batch.rows(), 2, 2];
    let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), shape), &device());
    assert!(!change.acts_at(Place::of(Site::Z, 0)) && !change.acts_at(Place::of(Site::Q, 1)));
    host(change.apply(Place::of(Site::Z, 1), x, batch).unwrap())
}

/// One text of three tokens.
fn three() -> Batch {
    Batch::right_padded(&[(0, &[5, 6, 7])])
}

const X: [f32; 12] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];

fn alone(toml: &str) -> Vec<f32> {
    made(toml, &Inputs::default(), &["a"], &three(), &X)
}

#[test]
fn zero_and_scale_touch_their_heads_and_positions() {
    let zeroed = alone("op = \"zero\"\nheads = 1\npositions = [0, 2]");
    assert_eq!(zeroed, [1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 0.0, 0.0]);
    let scaled = alone("op = \"scale\"\nfactor = -0.5\nheads = [0]\npositions = \"-2..\"");
    assert_eq!(scaled, [1.0, 2.0, 3.0, 4.0, -2.5, -3.0, 7.0, 8.0, -4.5, -5.0, 11.0, 12.0]);
}

#[test]
fn steering_adds_a_direction_times_a_factor() {
    let given = alone("op = \"steer\"\ndirection = [1.0, -2.0]\nfactor = 0.5\npositions = -1");
    assert_eq!(given[..8], X[..8]);
    assert_eq!(given[8..], [9.5, 9.0, 11.5, 11.0]);
    let by_head =
        port(&[("layer", None), ("head", None), ("d", None)], &[2, 2, 2], &[9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0]);
    let steered = made("op = \"steer\"\ndirection = \"from\"\npositions = 0", &by_head, &["a"], &three(), &X);
    assert_eq!(steered[..4], [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(steered[4..], X[4..]);
}

#[test]
fn clamps_set_the_norm_or_the_spread_of_each_head() {
    let x = [3.0, 4.0, 0.0, 0.0, 1.0, 3.0, 2.0, 2.0, 9.0, 10.0, 11.0, 12.0];
    let norm = made("op = \"clamp\"\nnorm = 10.0\npositions = 0", &Inputs::default(), &["a"], &three(), &x);
    assert_eq!(norm[..4], [6.0, 8.0, 0.0, 0.0], "nothing has no direction");
    assert_eq!(norm[4..], x[4..]);
    // Mean 2 and deviation 1 → mean 2 and deviation 0.5; what has no spread stays.
    let spread = made("op = \"clamp\"\nstd = 0.5\npositions = 1", &Inputs::default(), &["a"], &three(), &x);
    assert_eq!(spread[4..8], [1.5, 2.5, 2.0, 2.0]);
    assert_eq!(spread[..4], x[..4]);
}

/// What a clamp over a batch makes of two texts of two tokens and of one, `[row, pos, d]`, the last of them padding.
fn over_batch(toml: &str, inputs: &Inputs) -> Vec<f32> {
    let toml = format!("op = \"clamp\"\nsite = \"ln_final.normalized\"\nover = \"batch\"\n{toml}");
    let change = change(&toml, inputs, &["a", "b"]).unwrap().expect("it changes something");
    let x = vec![3.0f32, 4.0, 0.0, 2.0, 6.0, 0.0, 50.0, 60.0];
    let x = Tensor::<4>::from_data(TensorData::new(x, [2, 2, 1, 2]), &device());
    let batch = Batch::right_padded(&[(0, &[5, 6]), (1, &[7])]);
    host(change.apply(Place::of(Site::LnFinalNormalized, 0), x, &batch).unwrap())
}

fn assert_close(ours: &[f32], expected: &[f32]) {
    assert!(ours.len() == expected.len() && ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?}");
}

/// Norms 5, 2 and 6, mean 13/3. Means by dimension 3 and 2, variances 6 and 8/3, of all numbers 13/3.
#[test]
fn a_clamp_over_a_batch_gives_all_of_it_one_size() {
    let norm = over_batch("norm = 26.0", &Inputs::default());
    assert_close(&norm, &[18.0, 24.0, 0.0, 12.0, 36.0, 0.0, 50.0, 60.0]);
    let size = 2.0 * (13.0f32 / 3.0).sqrt();
    let spread = over_batch(&format!("std = {size}"), &Inputs::default());
    assert_close(&spread, &[3.0, 6.0, -3.0, 2.0, 9.0, -2.0, 50.0, 60.0]);
    // Of the first tokens alone: norms 5 and 6.
    let first = over_batch("norm = 11.0\npositions = 0", &Inputs::default());
    assert_close(&first, &[6.0, 8.0, 0.0, 2.0, 12.0, 0.0, 50.0, 60.0]);
}

#[test]
fn a_size_may_be_the_last_one_of_a_column() {
    let column = assay_cache::Table::default().with("normalized_norm", assay_cache::Values::Float(vec![1.0, 26.0]));
    let log = |table| inputs(vec![("log", Artifact::Table(table))]);
    let toml = "norm = { from = \"log\", column = \"normalized_norm\" }";
    assert_close(&over_batch(toml, &log(column.clone()))[..2], &[18.0, 24.0]);
    let clamp = format!("op = \"clamp\"\nsite = \"z\"\n{toml}");
    let lacking = assay_cache::Table::default().with("norm", assay_cache::Values::Float(vec![1.0]));
    assert!(change(&clamp, &log(lacking), &["a"]).unwrap_err().contains("no column `normalized_norm`"));
    let negative = assay_cache::Table::default().with("normalized_norm", assay_cache::Values::Float(vec![-1.0]));
    assert!(change(&clamp, &log(negative), &["a"]).unwrap_err().contains("0 or more, not -1"));
}

/// Central differences of Σ weight · clamped, against autodiff; one token is nothing, whose norm has no slope.
#[test]
fn gradients_flow_through_clamps() {
    const POINT: [f32; 8] = [3.0, 4.0, 0.0, 0.0, 6.0, -1.0, 0.5, 2.0];
    const WEIGHTS: [f32; 8] = [0.3, -0.7, 1.1, 0.2, -0.4, 0.9, 0.6, -0.5];
    let batch = Batch::right_padded(&[(0, &[5, 6]), (1, &[7, 8])]);
    let place = Place::of(Site::ResidPost, 0);
    for clamp in ["norm = 2.0", "std = 0.5", "norm = 2.0\nover = \"batch\"", "std = 0.5\nover = \"batch\""] {
        let toml = format!("op = \"clamp\"\nsite = \"resid_post\"\n{clamp}");
        let change = change(&toml, &Inputs::default(), &[]).unwrap().unwrap();
        let sum = |x: Tensor<4>| {
            let weights = Tensor::<4>::from_data(TensorData::new(WEIGHTS.to_vec(), [2, 2, 1, 2]), &x.device());
            (change.apply(place, x, &batch).unwrap() * weights).sum()
        };
        let at = |x: &[f32], device: &crate::lm::Device| {
            Tensor::<4>::from_data(TensorData::new(x.to_vec(), [2, 2, 1, 2]), device)
        };
        let autodiff = crate::lm::Device::autodiff(device());
        let leaf = at(&POINT, &autodiff).require_grad();
        let slopes = host(leaf.grad(&sum(leaf.clone()).backward()).unwrap());
        assert!(slopes.iter().all(|slope| slope.is_finite()), "{clamp}: {slopes:?}");
        for i in [0, 1, 4, 5, 6, 7] {
            let moved = |by: f32| {
                let mut x = POINT;
                x[i] += by;
                host(sum(at(&x, &device())))[0]
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - slopes[i]).abs() < 2e-3, "{clamp} {i}: {slope} {}", slopes[i]);
        }
    }
}

/// The same draws, in units of the root mean square of each head's vector.
#[test]
fn relative_noise_is_noise_times_the_root_mean_square() {
    let zeros = [0.0; 12];
    let draws = made("op = \"noise\"\nstd = 0.5\nseed = 3", &Inputs::default(), &["a"], &three(), &zeros);
    let noisy = alone("op = \"noise\"\nstd = 0.5\nseed = 3\nrelative = true");
    for (i, ((noisy, x), draw)) in noisy.iter().zip(X).zip(&draws).enumerate() {
        let head = &X[i / 2 * 2..][..2];
        let rms = ((head[0] * head[0] + head[1] * head[1]) / 2.0).sqrt();
        assert!((noisy - (x + draw * rms)).abs() < 1e-5, "{i}");
    }
    assert!(draws.iter().all(|draw| *draw != 0.0));
}

/// Layer 1, prompts of two and one tokens (NaN where the second has none).
fn corpus() -> Inputs {
    let n = f32::NAN;
    let axes = [
        ("prompt", Some(&["p", "q"][..])),
        ("layer", Some(&["1"][..])),
        ("position", None),
        ("head", None),
        ("d", None),
    ];
    port(&axes, &[2, 1, 2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 100.0, 200.0, 300.0, 400.0, n, n, n, n])
}

#[test]
fn the_mean_is_over_all_tokens_of_raw_values_and_all_texts_of_means() {
    let made_of = |inputs: &Inputs| {
        made("op = \"mean\"\nfrom = \"from\"\nheads = 1\npositions = 2", inputs, &["a"], &three(), &X)
    };
    let raw = made_of(&corpus());
    assert_eq!(raw[..10], X[..10]);
    assert_eq!(raw[10..], [111.0, 148.0], "(3 + 30 + 300) / 3 and (4 + 40 + 400) / 3");
    let means = port(
        &[("prompt", None), ("layer", None), ("head", None), ("d", None)],
        &[2, 2, 2, 2],
        &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 8.0],
    );
    assert_eq!(made_of(&means)[10..], [3.0, 6.0]);
}

#[test]
fn a_patch_lays_texts_side_by_side_from_either_end() {
    let patched = |toml: &str, inputs: &Inputs, prompts: &[&str]| {
        made(&format!("op = \"patch\"\nfrom = \"from\"\n{toml}"), inputs, prompts, &three(), &X)
    };
    let start = patched("", &corpus(), &["a", "b"]);
    assert_eq!(start, [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 9.0, 10.0, 11.0, 12.0], "what it lacks stays");
    let end = patched("align = \"end\"", &corpus(), &["a", "b"]);
    assert_eq!(end, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]);
    let one_head = patched("align = \"end\"\nheads = 0\npositions = -1", &corpus(), &["a", "b"]);
    assert_eq!(one_head[..8], X[..8]);
    assert_eq!(one_head[8..], [10.0, 20.0, 11.0, 12.0]);

    // A capture of the last two positions is looked up by their labels.
    let axes = [
        ("prompt", None),
        ("layer", None),
        ("position", Some(&["-2", "-1"][..])),
        ("head", Some(&["1"][..])),
        ("d", None),
    ];
    let window = port(&axes, &[1, 2, 2, 1, 2], &[0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0]);
    let labelled = patched("align = \"end\"\nheads = 1", &window, &["a"]);
    assert_eq!(labelled, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -2.0, 9.0, 10.0, -3.0, -4.0]);
    let refused = |toml: &str, prompts: &[&str]| {
        change(&format!("site = \"z\"\nlayers = 1\nop = \"patch\"\nfrom = \"from\"\n{toml}"), &window, prompts)
            .unwrap_err()
    };
    assert!(refused("heads = 1", &["a"]).contains("align = \"end\""), "its positions are counted from the end");
    assert!(refused("align = \"end\"", &["a"]).contains("no head 0"));
    let two =
        change("site = \"z\"\nlayers = 1\nop = \"patch\"\nfrom = \"from\"", &corpus(), &["a", "b", "c"]).unwrap_err();
    assert!(two.contains("2 prompts, and here are 3"), "{two}");
    let layers = change("site = \"z\"\nop = \"patch\"\nfrom = \"from\"", &corpus(), &["a", "b"]).unwrap_err();
    assert!(layers.contains("no layer 0"), "{layers}");
}

#[test]
fn resampling_takes_another_prompts_value_or_its_nearest() {
    let toml = "op = \"resample\"\nfrom = \"from\"\nseed = 1";
    // Of two prompts, each is the other's donor.
    let first = made(toml, &corpus(), &["a", "b"], &three(), &X);
    let only = [100.0, 200.0, 300.0, 400.0];
    assert_eq!(first, [only, only, only].concat(), "its one token, at every position");
    let second = Batch::right_padded(&[(1, &[5, 6, 7])]);
    let aligned = made(&format!("{toml}\nalign = \"end\""), &corpus(), &["a", "b"], &second, &X);
    assert_eq!(aligned, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]);
    for count in 2..30 {
        let others = put::cycle(count, 7);
        assert!(others.iter().enumerate().all(|(own, other)| own != *other));
        let mut sorted = others.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..count).collect::<Vec<_>>());
    }
    assert_ne!(put::cycle(20, 1), put::cycle(20, 2));
    let few = change(&format!("site = \"z\"\nlayers = 1\n{toml}"), &corpus(), &["a", "b", "c"]).unwrap_err();
    assert!(few.contains("at least 3"), "{few}");
}

#[test]
fn freezing_needs_the_same_texts_and_every_value() {
    let toml = "site = \"z\"\nlayers = 1\nop = \"freeze\"\nfrom = \"from\"";
    assert!(change(toml, &corpus(), &["p", "r"]).unwrap_err().contains("other prompts"));
    let frozen = change(toml, &corpus(), &["p", "q"]).unwrap().unwrap();
    let x = || Tensor::<4>::from_data(TensorData::new(X.to_vec(), [1, 3, 2, 2]), &device());
    let missing = frozen.apply(Place::of(Site::Z, 1), x(), &three()).unwrap_err();
    assert!(missing.contains("position 2") && missing.contains("all must be there"), "{missing}");
    let two = Batch::right_padded(&[(0, &[5, 6])]);
    let x = Tensor::<4>::from_data(TensorData::new(X[..8].to_vec(), [1, 2, 2, 2]), &device());
    let back = host(frozen.apply(Place::of(Site::Z, 1), x, &two).unwrap());
    assert_eq!(back, [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]);
}

/// In a batch padded on the left, a query's keys begin where its text does.
#[test]
fn a_pattern_is_patched_key_by_key() {
    let axes = [("prompt", None), ("layer", Some(&["0"][..])), ("head", None), ("query", None), ("key", None)];
    let source = port(
        &axes,
        &[2, 1, 2, 2, 2],
        &[
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, // prompt 0
            1.0, 0.0, 0.25, 0.75, 1.0, 0.0, 0.5, 0.5, // prompt 1: head 0, head 1
        ],
    );
    let change = change(
        "site = \"pattern\"\nlayers = 0\nop = \"patch\"\nfrom = \"from\"\nheads = 0\npositions = 1",
        &source,
        &["a", "b"],
    );
    let batch = Batch::left_padded(&[(0, &[1, 2, 3]), (1, &[4, 5])]);
    let x = [0.5f32; 2 * 2 * 3 * 3]; // [row, head, query, key]
    let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), [2, 2, 3, 3]), &device());
    let made = host(change.unwrap().unwrap().apply(Place::of(Site::Pattern, 0), x, &batch).unwrap());
    let query = |row: usize, head: usize, query: usize| made[((row * 2 + head) * 3 + query) * 3..][..3].to_vec();
    assert_eq!(query(1, 0, 2), [0.5, 0.25, 0.75], "column 0 is padding, and stays");
    assert_eq!(query(0, 0, 1), [0.0, 0.0, 0.5], "key 2 is hidden from query 1, and stays");
    assert_eq!((query(1, 1, 2), query(1, 0, 1)), (vec![0.5; 3], vec![0.5; 3]));
}

#[test]
fn an_edit_that_changes_nothing_is_none() {
    for toml in [
        "op = \"noise\"\nstd = 0.0\nseed = 1",
        "op = \"noise\"\nstd = 0.0\nrelative = true\nseed = 1",
        "op = \"scale\"\nfactor = 1.0",
        "op = \"steer\"\ndirection = [0.0, 0.0]",
        "op = \"steer\"\ndirection = [1.0, 0.0]\nfactor = 0.0",
    ] {
        assert!(change(&format!("site = \"z\"\n{toml}"), &Inputs::default(), &[]).unwrap().is_none(), "{toml}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let says = |toml: &str| {
        let edit = edit(toml);
        let found = edit.own_mistakes("edits[0]").into_iter().chain(edit.mistakes("edits[0]", &facts()));
        found.map(|Mistake { at, message, .. }| format!("{at}: {message}")).collect::<Vec<_>>().join("\n")
    };
    for (toml, expected) in [
        ("op = \"zero\"\nsite = \"logits\"", "edits[0].site: logits are read"),
        ("op = \"zero\"\nsite = \"ln1.scale\"", "cannot be zero"),
        ("op = \"clamp\"\nsite = \"ln1.scale\"\nnorm = 1.0", "one number"),
        ("op = \"clamp\"\nsite = \"z\"", "exactly one"),
        ("op = \"clamp\"\nsite = \"z\"\nnorm = 1.0\nstd = 1.0", "exactly one"),
        ("op = \"clamp\"\nsite = \"z\"\nnorm = -1.0", "edits[0].norm: a norm or a standard deviation is 0 or more"),
        ("op = \"clamp\"\nsite = \"z\"\nnorm = 1.0\nover = \"batch\"", "as wide as the residual stream"),
        ("op = \"noise\"\nsite = \"z\"\nstd = -1.0\nseed = 1", "0 or more"),
        ("op = \"noise\"\nsite = \"pattern\"\nstd = 1.0\nrelative = true\nseed = 1", "absolute"),
        ("op = \"patch\"\nsite = \"pattern\"\nfrom = \"x\"\nalign = \"end\"", "side by side from the start"),
        ("op = \"mean\"\nsite = \"pattern\"\nfrom = \"x\"", "a pattern"),
        ("op = \"steer\"\nsite = \"z\"\ndirection = [1.0]", "1 numbers are given for vectors of 2"),
        ("op = \"zero\"\nsite = \"v\"\nheads = 1", "head 1 does not exist: there are 1"),
        ("op = \"zero\"\nsite = \"attn_out\"\nheads = 1", "has no heads"),
        ("op = \"zero\"\nsite = \"z\"\nlayers = -3", "layer -3 does not exist: there are 2 (-2 to -1)"),
    ] {
        let said = says(toml);
        assert!(said.contains(expected), "{toml}: {said}");
    }
    assert_eq!(says("op = \"zero\"\nsite = \"z\""), "");
}

/// Defaults are left out of what is hashed, so what is written must not hide one.
#[test]
fn an_edit_is_spelt_with_its_defaults() {
    let spelt = json!(edit("op = \"patch\"\nsite = \"v\"\nfrom = \"x\"\npositions = \"-16..\""));
    assert_eq!(
        spelt,
        json!({ "op": "patch", "site": "v", "layers": "all", "heads": "all", "positions": "-16..", "from": "x", "align": "start" })
    );
}

/// Which heads of which layers are set to zero: 1 where one is, `[layer, head]`.
fn named(nodes: &str, inputs: &Inputs) -> Result<Vec<[usize; 2]>, String> {
    let edit = edit(&format!("op = \"zero\"\nsite = \"z\"\nnodes = {nodes}"));
    let changes = edit.on(&facts(), &Material { inputs, prompts: &[] })?;
    let of = |change: &Change| {
        let (layer, heads) = (change.layers.clone(), change.heads.clone());
        layer.into_iter().flat_map(move |l| (0..heads.len()).filter(|h| heads[*h]).map(|h| [l, h]).collect::<Vec<_>>())
    };
    Ok(changes.iter().flat_map(of).collect())
}

#[test]
fn heads_are_named_one_by_one_or_by_a_table() {
    let none = Inputs::default();
    assert_eq!(named("[[1, 1], [0, 0]]", &none).unwrap(), [[0, 0], [1, 1]]);
    let table = assay_cache::Table::default()
        .with("layer", assay_cache::Values::Int([1, 0, 1].map(Some).to_vec()))
        .with("head", assay_cache::Values::Int([0, 1, 1].map(Some).to_vec()))
        .with("rank", assay_cache::Values::Int([2, 1, 3].map(Some).to_vec()));
    let ranked = inputs(vec![("heads", Artifact::Table(table))]);
    let found = |filter: &str| named(&format!("{{ from = \"heads\", where = {{ rank = {filter} }} }}"), &ranked);
    assert_eq!(found("[1, 2]").unwrap(), [[0, 1], [1, 0]]);
    assert_eq!(named("{ from = \"heads\" }", &ranked).unwrap(), [[0, 1], [1, 0], [1, 1]]);
    assert!(found("7").unwrap_err().contains("no row that is meant"));
}

#[test]
fn heads_that_cannot_be_named_are_refused() {
    let said = |toml: &str| {
        let edit = edit(&format!("op = \"zero\"\n{toml}"));
        let mistakes = [edit.own_mistakes("e"), edit.mistakes("e", &facts())].concat();
        mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", mistake.at, mistake.message))
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert!(said("site = \"z\"\nnodes = [[0, 99]]").contains("e.nodes: head 99 does not exist"));
    assert!(said("site = \"z\"\nnodes = [[99, 0]]").contains("e.nodes: layer 99 does not exist"));
    assert!(said("site = \"z\"\nlayers = 0\nnodes = [[0, 0]]").contains("leave `layers` and `heads` out"));
    assert!(said("site = \"resid_post\"\nnodes = [[0, 0]]").contains("has no heads"));
    assert!(said("site = \"z\"\nnodes = []").contains("no head is named"));
    assert!(said("site = \"result\"").contains("read, not edited"));
    assert_eq!(said("site = \"z\"\nnodes = [[1, 1]]"), "");
}
