//! For tests: every family in bf16 and f16 against what PyTorch computes in these types (`fixtures/dtypes.py`).
//!
//! Sums are taken in another order there, so that a value near the middle of two numbers is now and then rounded to the
//! other one, and what hangs on it moves by as much as the type is coarse. A model that rounds in other places, or not
//! at all, differs from PyTorch's by as much as that differs from exact arithmetic. That is the yardstick.

use super::{
    Dtype, Model,
    batch::Batch,
    capture::{At, Take},
    fixture::{Arrays, FAMILIES, Fixture, device},
    layers::linear::host,
    pass::{Pass, Wanted},
    probe::Probe,
    site::Site,
};
use crate::Select;

const HALVES: [Dtype; 2] = [Dtype::Bf16, Dtype::F16];

fn loaded(fixture: &Fixture, dtype: Dtype) -> Model {
    Model::load_as(dtype, &fixture.config, &fixture.weights, &device()).unwrap()
}

/// Logits, and what leaves the last layer, of the last six tokens of prompt A.
fn run(fixture: &Fixture, dtype: Dtype) -> [Vec<f32>; 2] {
    let (model, ids) = (loaded(fixture, dtype), fixture.ids("a"));
    let layers = vec![model.facts.layers - 1];
    let at = At::Positions(Select::Range(-6, None));
    let take = Take { at, ..Take::raw(Site::ResidPost, layers) };
    let probe = Probe { changes: vec![], takes: vec![take] };
    let batch = Batch::right_padded(&[(0, &ids)]);
    let mut pass = Pass::new(&batch, &probe, Wanted::Listed((ids.len() - 6..ids.len()).collect()));
    let logits = host(model.forward(&mut pass, None));
    let resid = pass.taken().remove(0).remove(0);
    [logits, host(resid)]
}

/// The root of the mean square of differences.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    (a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

/// How far from PyTorch, in yardsticks. In bf16 it is 0 for most families: not a value is rounded to another number. f16
/// has eight times as many numbers, and as many more values near the middle of two.
fn limit(dtype: Dtype) -> f64 {
    if dtype == Dtype::Bf16 { 0.5 } else { 0.75 }
}

#[test]
fn halves_are_those_of_pytorch() {
    let reference = Arrays::of(include_bytes!("../fixtures/dtypes.safetensors"));
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let [exact_logits, exact_resid] = [fixture.expected.get("a.logits"), fixture.expected.get("a.resid")];
        for dtype in HALVES {
            let name = format!("{dtype:?}").to_lowercase();
            let [logits, resid] = run(&fixture, dtype);
            for (what, ours, exact) in [("logits", logits, exact_logits), ("resid", resid, exact_resid)] {
                let theirs = reference.get(&format!("{family}.{name}.{what}"));
                let coarse = apart(theirs, &exact[exact.len() - theirs.len()..]);
                let off = apart(&ours, theirs);
                assert!(off < limit(dtype) * coarse, "{family} {name} {what}: {off:.2e} of {coarse:.2e}");
                assert!(ours.iter().all(|x| dtype.nearest(*x) == *x), "{family} {name}: all are numbers of the type");
            }
        }
    }
}

/// Token by token through the cache, and padded on the left, values are rounded where they are in one pass.
#[test]
fn halves_do_not_depend_on_the_cache_or_the_batch() {
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let (a, b) = (fixture.ids("a"), fixture.ids("b"));
        for dtype in HALVES {
            let model = loaded(&fixture, dtype);
            let [whole, _] = run(&fixture, dtype);
            let newest = &whole[whole.len() - model.facts.vocab..];
            let exact = fixture.expected.get("a.logits");
            let coarse = apart(newest, &exact[exact.len() - newest.len()..]);
            let mut batch = Batch::left_padded(&[(0, &a[..a.len() - 1]), (1, &b[..b.len() - 1])]);
            let mut cache = model.cache(2, a.len());
            let probe = Probe::default();
            model.forward(&mut Pass::new(&batch, &probe, Wanted::Newest), Some(&mut cache));
            batch = batch.then(&[a[a.len() - 1], b[b.len() - 1]]);
            let logits = host(model.forward(&mut Pass::new(&batch, &probe, Wanted::Newest), Some(&mut cache)));
            let off = apart(&logits[..model.facts.vocab], newest);
            assert!(off < limit(dtype) * coarse, "{family} {dtype:?}: {off:.2e} of {coarse:.2e}");
        }
    }
}
