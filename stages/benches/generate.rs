//! Decoding speed on the shapes of Pythia-160m with random weights: 8 prompts of 20 tokens, 100 new ones each, the
//! norms of every head's output recorded at every step.
//!
//! Prints tokens a second, and the ratio to a floor measured in the same run: reading every weight once a step. With
//! `ASSAY_BENCH_ABLATION` set, also the speed of teacher-forced passes with ten heads off.

mod timing;

use std::time::Instant;

use assay_stages::lm::{
    Device, Initial, Model,
    capture::{At, Step, Take},
    edit::Change,
    facts::{initial, tensor_shapes},
    generate::generate,
    probe::Probe,
    sampling::Sampling,
    site::Site,
    teacher::Forced,
    text::tokens::Sequence,
    weights::checkpoint::{Checkpoint, WeightsError},
};
use rayon::prelude::*;
use serde_json::{Value, json};
use timing::best;

const ROWS: usize = 8;
const PROMPT: usize = 20;
const NEW: usize = 100;
const REPEATS: usize = 3;

/// Weights drawn when they are read.
struct Random {
    config: Value,
    shapes: Vec<(String, Vec<usize>)>,
}

impl Checkpoint for Random {
    fn names(&self) -> Vec<String> {
        self.shapes.iter().map(|(name, _)| name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shapes.iter().find(|(known, _)| known == name).map(|(_, shape)| shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let size = self.shape(name).expect("a known tensor").iter().product();
        let mut state =
            name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| state.rotate_left(7) ^ u64::from(byte));
        Ok(match initial(&self.config, name).map_err(WeightsError)? {
            Initial::Zeros => vec![0.0; size],
            Initial::Ones => vec![1.0; size],
            // Uniform draws of this standard deviation: speed does not depend on the distribution.
            Initial::Normal(std) => (0..size)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * (std * 12f64.sqrt()) as f32
                })
                .collect(),
        })
    }
}

fn pythia_160m() -> Value {
    json!({
        "model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "max_position_embeddings": 2048, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true,
    })
}

/// Seconds to read this many bytes from memory once, on all cores.
fn sweep(bytes: usize) -> f64 {
    let memory = vec![1u64; bytes / 8];
    best(REPEATS, || {
        let sum: u64 =
            memory.par_chunks(1 << 16).map(|chunk| chunk.iter().fold(0u64, |sum, x| sum.wrapping_add(*x))).sum();
        assert_eq!(sum, memory.len() as u64);
    })
    .0
}

fn main() {
    let config = pythia_160m();
    let shapes = tensor_shapes(&config).expect("a config of the family");
    // The embedding is looked up, not read.
    let read: usize = shapes
        .iter()
        .filter(|(name, _)| !name.contains("embed_in"))
        .map(|(_, s)| s.iter().product::<usize>() * 4)
        .sum();
    let start = Instant::now();
    let device = Device::Flex(Default::default());
    let model = Model::load(&config, &Random { config: config.clone(), shapes }, &device).expect("weights that fit");
    println!("loaded in {:.2} s", start.elapsed().as_secs_f64());

    let texts: Vec<Vec<u32>> =
        (0..ROWS).map(|row| (0..PROMPT).map(|i| ((row * 7919 + i * 104_729) % 50_304) as u32).collect()).collect();
    let prompts: Vec<(usize, &[u32])> = texts.iter().map(Vec::as_slice).enumerate().collect();
    let layers = (0..model.facts.layers).collect();
    let norms = Take { at: At::Newest, steps: vec![Step::Norm], ..Take::raw(Site::Z, layers) };
    let probe = Probe { changes: vec![], takes: vec![norms] };
    let run = || drop(generate(&model, &prompts, NEW, &probe, Sampling::Greedy, |_| Ok(())).expect("nothing stops it"));
    run();
    let (floor, seconds) = (sweep(read) * NEW as f64, best(REPEATS, run).0);
    println!("generate {ROWS} x ({PROMPT} + {NEW}): {seconds:.2} s, {:.1} tokens/s", (ROWS * NEW) as f64 / seconds);
    println!("floor (weights read once a step): {floor:.2} s; ratio {:.2}", seconds / floor);

    if std::env::var_os("ASSAY_BENCH_ABLATION").is_some() {
        ablation(&model, &texts);
    }
}

fn ablation(model: &Model, texts: &[Vec<u32>]) {
    let new: Vec<u32> = (0..NEW as u32).collect();
    let sequences: Vec<Sequence> =
        texts.iter().map(|prompt| Sequence { id: String::new(), prompt: prompt.clone(), new: new.clone() }).collect();
    let sequences: Vec<(usize, &Sequence)> = sequences.iter().enumerate().take(4).collect();
    let heads: Vec<_> = (0..10).map(|i| (i * 7 % 12, i * 3 % 12)).collect();
    let forced = Forced::new(&sequences);
    let base = forced.predictions(model, vec![]).expect("nothing is edited");
    let (seconds, ()) = best(REPEATS, || {
        let ablated = forced.predictions(model, Change::zero_heads(&heads, &model.facts)).expect("heads that it has");
        assert!(forced.readings(&base, &ablated).iter().all(|reading| reading.kl > 0.0));
    });
    let tokens = sequences.len() * (PROMPT + NEW - 1);
    println!("teacher forcing, 10 heads off: {seconds:.2} s, {:.0} tokens/s", tokens as f64 / seconds);
}
