//! The speed of training: full-batch steps on addition modulo 53, in the shape of the shipped `separability-c` (one layer, 64
//! wide, an MLP of 256, 2,241 texts of three tokens).
//!
//! Prints steps a second, and the ratio to a floor measured in the same run: the matrix products of a step alone, one of
//! the forward pass and two of the way back for each map, on one core. Attention itself is not in it.

mod timing;

use assay_stages::lm::{
    Device, Tensor,
    families::Transformer,
    text::tokens::{Sequence, Tokens},
    train::{
        adam::Adam,
        learner::{Learner, Step},
        texts::Texts,
    },
};
use serde_json::json;
use timing::best;

const P: usize = 53;
const WIDTH: usize = 64;
const MLP: usize = 256;
const STEPS: u64 = 60;
const REPEATS: usize = 3;

/// Four fifths of all pairs, those that leave out every fifth.
fn texts() -> Texts {
    let pairs = (0..P).flat_map(|a| (0..P).map(move |b| (a, b))).filter(|(a, b)| (a.min(b) + 7 * a.max(b)) % 5 > 0);
    let text = |(a, b): (usize, usize)| Sequence {
        id: format!("{a}+{b}"),
        prompt: [a, b, P].map(|token| token as u32).to_vec(),
        new: vec![((a + b) % P) as u32],
    };
    Texts::new(&Tokens { sequences: pairs.map(text).collect(), vocab: None })
}

/// Seconds of the products of a step over so many texts of three tokens.
fn products(texts: usize, device: &Device) -> f64 {
    let ones = |rows, columns| Tensor::<2>::ones([rows, columns], device);
    let map = |rows: usize, inputs: usize, outputs: usize| {
        let (x, w, y) = (ones(rows, inputs), ones(inputs, outputs), ones(rows, outputs));
        move || {
            drop(x.clone().matmul(w.clone()));
            drop(y.clone().matmul(w.clone().transpose()));
            drop(x.clone().transpose().matmul(y.clone()));
        }
    };
    let tokens = 3 * texts;
    let (square, up, down) = (map(tokens, WIDTH, WIDTH), map(tokens, WIDTH, MLP), map(tokens, MLP, WIDTH));
    let unembed = map(texts, WIDTH, P + 1);
    let step = || {
        (0..4).for_each(|_| square());
        [&up as &dyn Fn(), &down, &unembed].iter().for_each(|product| product());
    };
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    one_core.install(|| best(REPEATS, || (0..STEPS).for_each(|_| step())).0)
}

fn main() {
    let (texts, device) = (texts(), Device::Flex(Default::default()));
    let model: Transformer = serde_json::from_value(json!({
        "num-hidden-layers": 1, "num-attention-heads": 4, "hidden-size": WIDTH, "intermediate-size": MLP,
        "hidden-act": "relu", "norm": "none",
    }))
    .expect("a transformer");
    let config = model.config(Some(P + 1), Some(texts.longest())).expect("a task that says what it needs");
    let mut learner = Learner::new(&config, 42, vec![], &device).expect("a model");
    let adam = Adam { weight_decay: 1.0, betas: [0.9, 0.98], ..Adam::default() };
    let seen: Vec<usize> = (0..texts.count()).collect();
    let mut number = 0;
    let (seconds, ()) = best(REPEATS, || {
        for _ in 0..STEPS {
            number += 1;
            let step = Step { number, adam: &adam, rate: 1.0, freeze: &[], dropout: None };
            assert!(learner.step(&texts, &seen, &step).expect("a step").loss().is_finite());
        }
    });
    let floor = products(texts.count(), &device);
    println!("{} texts a step: {:.1} steps/s", texts.count(), STEPS as f64 / seconds);
    println!(
        "floor (matrix products alone, one core): {:.1} steps/s; ratio {:.2}",
        STEPS as f64 / floor,
        seconds / floor
    );
}
