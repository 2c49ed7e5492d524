//! Decoding with a KV cache: a batch of prompts, one token a row and step, captures and edits at every step.
//!
//! Exactly as many tokens as asked for: an end-of-text token ends nothing.

use ndarray::{ArrayD, Axis};

use super::{
    Model,
    batch::Batch,
    capture::joined,
    layers::linear::host,
    pass::{Pass, Wanted},
    probe::Probe,
    sampling::Sampling,
};
use crate::Failure;

/// What came of one prompt.
#[derive(Clone, PartialEq, Debug)]
pub struct Generated {
    pub new: Vec<u32>,
    /// For each capture, an array with the axes of [`Capture::axes`](super::capture::Capture::axes) but the first; the
    /// axis of positions has an element a step.
    pub captures: Vec<ArrayD<f32>>,
}

/// Extends each prompt (its index in the study, its tokens) by `new` tokens. The probe's captures look at the newest
/// position; step 0 is the last token of the prompt.
pub fn generate(
    model: &Model,
    prompts: &[(usize, &[u32])],
    new: usize,
    probe: &Probe,
    sampling: Sampling,
    mut before_step: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<Vec<Generated>, Failure> {
    let mut batch = Batch::left_padded(prompts);
    let mut cache = model.cache(batch.rows(), batch.width() + new);
    let mut tokens = vec![Vec::with_capacity(new); batch.rows()];
    let mut steps: Vec<Vec<Vec<ArrayD<f32>>>> = vec![vec![vec![]; probe.takes.len()]; batch.rows()];
    for step in 0..new {
        before_step(step)?;
        let mut pass = Pass::new(&batch, probe, Wanted::Newest);
        let logits = host(model.forward(&mut pass, Some(&mut cache)));
        for (capture, (take, layers)) in probe.takes.iter().zip(pass.taken()).enumerate() {
            for (row, array) in take.rows(layers, &batch).into_iter().enumerate() {
                steps[row][capture].push(array);
            }
        }
        let picked: Vec<u32> = (batch.prompts.iter().zip(logits.chunks_exact(model.facts.vocab)))
            .map(|(&prompt, logits)| sampling.pick(logits, prompt, step))
            .collect();
        tokens.iter_mut().zip(&picked).for_each(|(tokens, token)| tokens.push(*token));
        batch = batch.then(&picked);
    }
    let captured = |captures: Vec<Vec<ArrayD<f32>>>| {
        let parts = captures.iter().zip(&probe.takes);
        parts.map(|(steps, take)| joined(steps, Axis(take.position_axis()))).collect()
    };
    Ok(tokens.into_iter().zip(steps).map(|(new, steps)| Generated { new, captures: captured(steps) }).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::lm::{
        capture::{At, Take},
        fixture::{FAMILIES, Fixture, device, distance},
        site::Site,
        smollm2,
        weights::gguf::Gguf,
    };

    fn z_norms(model: &Model) -> Probe {
        let layers = (0..model.facts.layers).collect();
        Probe { changes: vec![], takes: vec![Take { site: Site::Z, layers, heads: None, at: At::Newest, norm: true }] }
    }

    fn greedy(model: &Model, prompts: &[(usize, &[u32])], probe: &Probe) -> Vec<Generated> {
        generate(model, prompts, 20, probe, Sampling::Greedy, |_| Ok(())).unwrap()
    }

    #[test]
    fn greedy_continuations_agree_with_pytorch() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let (a, b) = (fixture.ids("a"), fixture.ids("b"));
            let made = greedy(&fixture.model(), &[(0, &a), (1, &b)], &Probe::default());
            assert_eq!(made[0].new, fixture.expected.ids("a.greedy"), "{family} a");
            assert_eq!(made[1].new, fixture.expected.ids("b.greedy"), "{family} b");
        }
    }

    /// Step 0 is the last prompt token: its norms are those of the fixture's z.
    #[test]
    fn captured_norms_are_those_of_z_at_the_newest_position() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let b = fixture.ids("b");
            let made = greedy(&model, &[(0, &b)], &z_norms(&model));
            let norms = &made[0].captures[0];
            assert_eq!(norms.shape(), [model.facts.layers, 20, model.facts.heads]);
            let z = fixture.expected.get("b.z"); // [layer, pos, head, d]
            let d = model.facts.d_head;
            for layer in 0..model.facts.layers {
                for head in 0..model.facts.heads {
                    let at = ((layer * b.len() + b.len() - 1) * model.facts.heads + head) * d;
                    let norm = z[at..at + d].iter().map(|x| x * x).sum::<f32>().sqrt();
                    assert!((norms[[layer, 0, head]] - norm).abs() < 1e-4, "{family} L{layer}H{head}");
                }
            }
        }
    }

    #[test]
    fn a_batch_gives_what_its_prompts_give_alone() {
        for family in FAMILIES {
            let fixture = Fixture::of(family);
            let model = fixture.model();
            let (a, b) = (fixture.ids("a"), fixture.ids("b"));
            let probe = z_norms(&model);
            let together = greedy(&model, &[(0, &a), (1, &b), (2, &a[..3])], &probe);
            for (i, ids) in [&a[..], &b, &a[..3]].into_iter().enumerate() {
                let alone = &greedy(&model, &[(i, ids)], &probe)[0];
                assert_eq!(together[i].new, alone.new, "{family} {i}");
                let (ours, theirs) = (&together[i].captures[0], &alone.captures[0]);
                assert!(distance(ours.as_slice().unwrap(), theirs.as_slice().unwrap()) < 1e-5, "{family} {i}");
            }
        }
    }

    #[test]
    fn patterns_keep_each_rows_own_keys() {
        let fixture = Fixture::of("llama");
        let model = fixture.model();
        let (a, b) = (fixture.ids("a"), fixture.ids("b"));
        let take = Take { site: Site::Pattern, layers: vec![1], heads: Some(vec![2]), at: At::Newest, norm: false };
        let made = greedy(&model, &[(0, &a), (1, &b)], &Probe { changes: vec![], takes: vec![take] });
        let pattern = &made[1].captures[0]; // [layer, head, query, key]
        assert_eq!(pattern.shape(), [1, 1, 20, b.len() + 19]);
        let expected = fixture.expected.get("b.pattern"); // [layer, head, query, key]
        let row = ((model.facts.heads + 2) * b.len() + b.len() - 1) * b.len();
        let first: Vec<f32> = pattern.iter().copied().take(b.len()).collect();
        assert!(distance(&first, &expected[row..row + b.len()]) < 1e-4);
        assert!(pattern[[0, 0, 0, b.len()]].is_nan(), "keys that step 0 does not have");
    }

    /// The real model, against an independent PyTorch run: tied embeddings, grouped queries, 30 layers.
    #[test]
    fn smollm2_writes_what_pytorch_writes() {
        let Some(path) = smollm2::file() else { return };
        let gguf = Gguf::open(&path).unwrap();
        let model = Model::load(&gguf.config().unwrap(), &gguf, &device()).unwrap();
        let reference: Value = serde_json::from_str(include_str!("../fixtures/smollm2/greedy.json")).unwrap();
        let ids = |case: &Value| -> Vec<u32> { serde_json::from_value(case.clone()).unwrap() };
        let cases = reference["cases"].as_array().unwrap();
        let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["ids"])).collect();
        let prompts: Vec<(usize, &[u32])> = prompts.iter().map(Vec::as_slice).enumerate().collect();
        let made = generate(&model, &prompts, 30, &Probe::default(), Sampling::Greedy, |_| Ok(())).unwrap();
        for (made, case) in made.iter().zip(cases) {
            assert_eq!(made.new, ids(&case["greedy"]));
        }
    }
}
