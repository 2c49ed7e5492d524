//! Reductions of every family against calculations on what PyTorch gave, and selections that count from the end.

use serde_json::json;

use super::*;
use crate::{
    Arrived,
    lm::{
        Model, ModelFacts,
        fixture::{Arrays, FAMILIES, device},
        smollm2,
        weights::gguf::Gguf,
    },
    metrics::{correlation::pearson, summary::mean},
};

/// An array of a fixture, by its indices.
pub(super) struct Given {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Given {
    pub(super) fn of(arrays: &Arrays, name: &str) -> Self {
        let (shape, values) = arrays.0[name].clone();
        Self { shape, values }
    }

    /// The last axis at these places of the others.
    pub(super) fn lane(&self, at: &[usize]) -> &[f32] {
        let (last, others) = self.shape.split_last().unwrap();
        let flat = at.iter().zip(others).fold(0, |flat, (i, n)| flat * n + i);
        &self.values[flat * last..][..*last]
    }
}

pub(super) fn array(outputs: &Outputs, port: &str) -> ArrayD<f32> {
    let (shape, values) = values(outputs, port);
    ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
}

fn indices(outputs: &Outputs, port: &str) -> ArrayD<i64> {
    match &outputs.artifacts[port] {
        Artifact::Tensor(Tensor { data: Data::I64(array), .. }) => array.clone(),
        other => panic!("{port} is {other:?}"),
    }
}

fn labels(outputs: &Outputs, port: &str, axis: usize) -> Option<Vec<String>> {
    match &outputs.artifacts[port] {
        Artifact::Tensor(tensor) => tensor.axes[axis].labels.clone(),
        other => panic!("{port} is {other:?}"),
    }
}

pub(super) fn near(ours: f32, theirs: f64, what: &str) {
    assert!((f64::from(ours) - theirs).abs() < 1e-4 * theirs.abs().max(1.0), "{what}: {ours} for {theirs}");
}

pub(super) fn entropy(p: &[f32]) -> f64 {
    p.iter().filter(|p| **p > 0.0).map(|p| -f64::from(*p) * f64::from(*p).ln()).sum()
}

pub(super) fn norm(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// What PyTorch's attention put out is the sum of what the heads add, and of a bias that is the same at every token.
#[test]
fn what_heads_add_is_attentions_output_but_for_a_bias() {
    for family in FAMILIES {
        let added = array(&run(family, "capture = [{ site = \"result\" }]"), "result"); // [prompt, layer, pos, head, d]
        let out = Given::of(&Fixture::of(family).expected, "a.attn_out"); // [layer, pos, d]
        for layer in 0..3 {
            let rest = |position: usize| -> Vec<f64> {
                let sum = |d: usize| (0..4).map(|head| f64::from(added[[0, layer, position, head, d]])).sum::<f64>();
                out.lane(&[layer, position]).iter().enumerate().map(|(d, x)| f64::from(*x) - sum(d)).collect()
            };
            let bias = rest(0);
            assert_eq!(bias.iter().any(|x| x.abs() > 1e-3), family.starts_with("gpt"), "{family} has a bias");
            for position in 1..21 {
                assert!(rest(position).iter().zip(&bias).all(|(a, b)| (a - b).abs() < 1e-4), "{family} {layer}");
            }
        }
    }
}

/// By the definition, of PyTorch's residual streams; and of a text that has no such position, nothing.
#[test]
fn variances_are_over_positions_and_averaged_over_dimensions() {
    let toml = "capture = [{ site = \"resid_post\", reduce = \"variance\" },\n\
         { site = \"z\", reduce = [\"norm\", \"variance\"], positions = \"3..7\", as = \"norms\" },\n\
         { site = \"z\", reduce = \"variance\", positions = \"15..\", as = \"late\" }]";
    let variance = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    for family in ["gpt2", "gemma3", "deepseek_v2"] {
        let outputs = run(family, toml);
        let expected = Fixture::of(family).expected;
        for (prompt, (run, length)) in [("a", 21), ("b", 14)].into_iter().enumerate() {
            let resid = Given::of(&expected, &format!("{run}.resid")); // [layer + 1, pos, d]
            let z = Given::of(&expected, &format!("{run}.z")); // [layer, pos, head, d]
            let (each, norms) = (array(&outputs, "resid_post"), array(&outputs, "norms"));
            for layer in 0..3 {
                let width = resid.lane(&[0, 0]).len();
                let of = |d: usize| -> Vec<f64> {
                    (0..length).map(|pos| f64::from(resid.lane(&[layer + 1, pos])[d])).collect()
                };
                let theirs = (0..width).map(|d| variance(&of(d))).sum::<f64>() / width as f64;
                near(each[[prompt, layer]], theirs, &format!("{family} {run} {layer}"));
                for head in 0..4 {
                    let sizes: Vec<f64> = (3..7).map(|pos| norm(z.lane(&[layer, pos, head]))).collect();
                    near(norms[[prompt, layer, head]], variance(&sizes), &format!("{family} {run} {layer} {head}"));
                }
            }
        }
        let late = array(&outputs, "late");
        assert!(late.index_axis(ndarray::Axis(0), 1).iter().all(|x| x.is_nan()), "{family}");
        assert!(late.index_axis(ndarray::Axis(0), 0).iter().all(|x| *x > 0.0), "{family}");
    }
}

#[test]
fn entropies_are_those_of_pytorchs_patterns() {
    let toml = "capture = [{ site = \"pattern\", reduce = \"entropy\" },\n\
         { site = \"pattern\", reduce = [\"entropy\", \"mean-heads\", \"mean\"], positions = \"-4..\", as = \"window\" },\n\
         { site = \"pattern\", reduce = \"received-entropy\", as = \"received\" }]";
    for family in FAMILIES {
        let outputs = run(family, toml);
        let expected = Fixture::of(family).expected;
        for (prompt, (run, length)) in [("a", 21), ("b", 14)].into_iter().enumerate() {
            let pattern = Given::of(&expected, &format!("{run}.pattern")); // [layer, head, query, key]
            let (each, window, received) =
                (array(&outputs, "pattern"), array(&outputs, "window"), array(&outputs, "received"));
            let heads = pattern.shape[1];
            for layer in 0..3 {
                near(each[[prompt, layer, 1, length - 2]], entropy(pattern.lane(&[layer, 1, length - 2])), "entropy");
                let over = (0..heads).flat_map(|head| (length - 4..length).map(move |query| (head, query)));
                let own: Vec<f64> = over.map(|(head, query)| entropy(pattern.lane(&[layer, head, query]))).collect();
                near(window[[prompt, layer]], mean(&own), "mean of heads and the last four queries");

                let mut w = vec![0.0f64; length];
                for query in 0..length {
                    w.iter_mut().zip(pattern.lane(&[layer, 2, query])).for_each(|(w, p)| *w += f64::from(*p));
                }
                let whole: f64 = w.iter().sum();
                let shares: Vec<f64> = w.iter().map(|w| w / whole).filter(|w| *w > 0.0).collect();
                let bits = -shares.iter().map(|w| w * w.log2()).sum::<f64>();
                near(received[[prompt, layer, 2]], bits / (shares.len() as f64).log2(), "attention received");
            }
        }
    }
}

#[test]
fn norms_means_and_participation_ratios_are_those_of_a_window() {
    let toml = "capture = [{ site = \"resid_post\", reduce = [\"norm\", \"mean\"], positions = \"-6..\", layers = -1 },\n\
         { site = \"resid_post\", reduce = \"rms\", positions = -1, layers = -1, as = \"rms\" },\n\
         { site = \"v\", reduce = \"participation-ratio\", positions = \"-6..\" },\n\
         { site = \"z\", reduce = [\"mean\", \"norm\"], heads = -1 }]";
    for family in FAMILIES {
        let outputs = run(family, toml);
        let expected = Fixture::of(family).expected;
        for (prompt, (run, length)) in [("a", 21), ("b", 14)].into_iter().enumerate() {
            let resid = Given::of(&expected, &format!("{run}.resid")); // [layer + 1, pos, d]
            let norms: Vec<f64> = (length - 6..length).map(|position| norm(resid.lane(&[3, position]))).collect();
            near(array(&outputs, "resid_post")[[prompt, 0]], mean(&norms), "mean norm");
            let root = (resid.shape[2] as f64).sqrt();
            near(array(&outputs, "rms")[[prompt, 0, 0]], norms[5] / root, "root mean square");

            let v = Given::of(&expected, &format!("{run}.v")); // [layer, pos, kv_head, d]
            let row =
                |position: usize| (0..v.shape[2]).flat_map(|head| v.lane(&[1, position, head]).to_vec()).collect();
            let rows: Vec<Vec<f32>> = (length - 6..length).map(row).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let trace: f64 = rows.iter().map(|row| dot(row, row)).sum();
            let squares: f64 = rows.iter().flat_map(|a| rows.iter().map(|b| dot(a, b).powi(2))).sum();
            near(array(&outputs, "v")[[prompt, 1]], trace * trace / squares, "participation ratio");

            let z = Given::of(&expected, &format!("{run}.z")); // [layer, pos, head, d]
            let last = z.shape[2] - 1;
            let average = |i: usize| {
                let numbers: Vec<f64> =
                    (0..length).map(|position| f64::from(z.lane(&[2, position, last])[i])).collect();
                mean(&numbers) as f32
            };
            let average: Vec<f32> = (0..z.shape[3]).map(average).collect();
            near(array(&outputs, "z")[[prompt, 2, 0]], norm(&average), "norm of the mean");
        }
        assert_eq!(labels(&outputs, "resid_post", 1), Some(vec!["2".to_owned()]));
    }
}

#[test]
fn the_lens_on_the_last_layer_gives_the_logits() {
    let toml = "capture = [{ site = \"resid_post\", reduce = \"unembed\", layers = -1, positions = [3, -1] },\n\
         { site = \"resid_post\", reduce = [\"last\", \"unembed\", \"top-k\"], k = 4, as = \"lens\" },\n\
         { site = \"logits\", reduce = [\"last\", \"top-k\"], k = 4 },\n\
         { site = \"resid_post\", reduce = \"unembed\", final-norm = false, layers = -1, positions = -1, as = \"bare\" }]";
    for family in FAMILIES {
        let outputs = run(family, toml);
        let fixture = Fixture::of(family);
        let logits = Given::of(&fixture.expected, "b.logits"); // [pos, vocab]
        let lens = array(&outputs, "resid_post");
        assert_eq!(lens.shape(), [2, 1, 2, 257]);
        assert_eq!(labels(&outputs, "resid_post", 2), Some(vec!["3".to_owned(), "-1".to_owned()]));
        for (place, position) in [3, 13].into_iter().enumerate() {
            let ours: Vec<f32> = (0..257).map(|token| lens[[1, 0, place, token]]).collect();
            assert!(distance(&ours, logits.lane(&[position])) < 1e-4, "{family} position {position}");
        }
        // Of the last position: the four largest, which they are, and softmax over all.
        let own = logits.lane(&[13]);
        let mut order: Vec<usize> = (0..257).collect();
        order.sort_by(|a, b| own[*b].total_cmp(&own[*a]));
        let whole: f64 = own.iter().map(|x| f64::from(*x).exp()).sum();
        for (name, at) in [("logits", vec![1]), ("lens", vec![1, 2])] {
            let (values, which, likely) = (
                array(&outputs, name),
                indices(&outputs, &format!("{name}.index")),
                array(&outputs, &format!("{name}.probability")),
            );
            for (rank, token) in order[..4].iter().enumerate() {
                let at = [at.as_slice(), &[rank]].concat();
                near(values[&at[..]], f64::from(own[*token]), name);
                assert_eq!(which[&at[..]], *token as i64, "{family} {name}");
                near(likely[&at[..]], f64::from(own[*token]).exp() / whole, name);
            }
        }
        assert_ne!(array(&outputs, "bare")[[0, 0, 0, 5]], lens[[0, 0, 1, 5]], "without the final norm");
    }
}

/// Study 5's question: which positions does the last query attend to, on the mean of the heads?
#[test]
fn the_most_attended_positions_are_those_of_the_mean_pattern() {
    let toml = "capture = [{ site = \"pattern\", reduce = [\"mean-heads\", \"last\", \"top-k\"], k = 5, layers = -1 }]";
    for family in FAMILIES {
        let outputs = run(family, toml);
        let pattern = Given::of(&Fixture::of(family).expected, "b.pattern"); // [layer, head, query, key]
        let heads = pattern.shape[1];
        let attended = |key| (0..heads).map(|head| f64::from(pattern.lane(&[2, head, 13])[key])).sum::<f64>();
        let mut keys: Vec<usize> = (0..14).collect();
        keys.sort_by(|a, b| attended(*b).total_cmp(&attended(*a)));
        let ours = indices(&outputs, "pattern.index");
        assert_eq!(ours.shape(), [2, 1, 5]);
        let ours: Vec<usize> = (0..5).map(|rank| ours[[1, 0, rank]] as usize).collect();
        assert_eq!(ours, keys[..5], "{family}");
        near(array(&outputs, "pattern")[[1, 0, 0]], attended(keys[0]) / heads as f64, family);
    }
}

#[test]
fn a_dot_is_with_a_list_or_with_the_vector_of_each_layer() {
    let fixture = Fixture::of("llama");
    let (a, b) = (fixture.ids("a"), fixture.ids("b"));
    let direction: Vec<f32> = (0..64).map(|i| (i as f32 * 0.7).sin()).collect();
    let by_layer: Vec<f32> = (0..3).flat_map(|layer| direction.iter().map(move |x| x * (layer + 1) as f32)).collect();
    let by_layer = ArrayD::from_shape_vec(IxDyn(&[3, 64]), by_layer).unwrap();
    let port = Artifact::Tensor(Tensor::new(&["layer", "d"], Data::F32(by_layer)));
    let toml = format!(
        "capture = [{{ site = \"attn_out\", reduce = \"dot\", direction = {direction:?} }},\n\
         {{ site = \"attn_out\", reduce = \"dot\", direction = \"way\", as = \"each\", layers = [2] }}]"
    );
    let outputs = run_on("llama", &[("a", &a), ("b", &b)], &toml, &[("way", &port)]);
    let out = Given::of(&fixture.expected, "b.attn_out");
    let dot: f64 = out.lane(&[2, 9]).iter().zip(&direction).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    near(array(&outputs, "attn_out")[[1, 2, 9]], dot, "one for all");
    near(array(&outputs, "each")[[1, 0, 9]], 3.0 * dot, "one for each layer");
    assert!(array(&outputs, "each")[[1, 0, 14]].is_nan());
}

/// A window is as long for every text: what a short one lacks is NaN, at its place.
#[test]
fn a_window_has_a_place_for_each_offset() {
    let toml = "capture = [{ site = \"v\", positions = \"-16..\", layers = 0, heads = 0 }]";
    let outputs = run("llama", toml);
    let v = array(&outputs, "v");
    assert_eq!(v.shape(), [2, 1, 16, 1, 16]);
    let of = |run: &str| Given::of(&Fixture::of("llama").expected, run);
    near(v[[0, 0, 0, 0, 3]], f64::from(of("a.v").lane(&[0, 5, 0])[3]), "the sixteenth last of 21");
    near(v[[1, 0, 15, 0, 3]], f64::from(of("b.v").lane(&[0, 13, 0])[3]), "the last of 14");
    near(v[[1, 0, 2, 0, 3]], f64::from(of("b.v").lane(&[0, 0, 0])[3]), "the first of 14");
    assert!(v[[1, 0, 1, 0, 3]].is_nan() && v[[1, 0, 0, 0, 3]].is_nan());
    assert_eq!(labels(&outputs, "v", 2).unwrap()[..2], ["-16", "-15"]);
}

#[test]
fn mistakes_are_found_on_any_model() {
    let found = |toml: &str, given: &crate::Given| match Stage::ports(&stage::<Forward>(toml), given) {
        Ok(_) => String::new(),
        Err(found) => found.iter().map(|m| format!("{}: {}\n", m.at, m.message)).collect(),
    };
    let nothing = crate::Given::default();
    for (toml, says) in [
        ("{ site = \"z\", reduce = \"entropy\" }", "capture[0].reduce: `entropy` needs the site `pattern`"),
        ("{ site = \"z\", reduce = \"top-k\" }", "`top-k` needs `k`"),
        ("{ site = \"z\", k = 3 }", "capture[0].k: only the reduction `top-k` uses it"),
        ("{ site = \"z\", reduce = \"dot\" }", "`dot` needs `direction`"),
        ("{ site = \"z\", reduce = \"norm\", final-norm = false }", "only the reduction `unembed`"),
        ("{ site = \"z\", reduce = \"dot\", direction = \"model\" }", "`model` is an input that this stage has anyway"),
        (
            "{ site = \"logits\", reduce = \"top-k\", k = 2 }, { site = \"q\", as = \"logits.index\" }",
            "already the name",
        ),
    ] {
        let said = found(&format!("capture = [{toml}]"), &nothing);
        assert!(said.contains(says), "{toml}: {said}");
    }
    // What arrives is held against what is asked for.
    let mut wired = given("llama");
    let arrived =
        |facts| vec![Arrived { from: "base.attn_out".to_owned(), ty: PortType::tensor(&["layer", "d"]), facts }];
    wired.inputs.insert("way".to_owned(), arrived(json!({ "d": 16, "layers": 2 })));
    let said = found("capture = [{ site = \"attn_out\", reduce = \"dot\", direction = \"way\" }]", &wired);
    assert!(said.contains("`way` has 2 layers, and here are 3"), "{said}");
    wired.inputs.insert("way".to_owned(), arrived(json!({ "d": 16 })));
    let said = found("capture = [{ site = \"attn_out\", reduce = \"dot\", direction = \"way\" }]", &wired);
    assert!(said.contains("`way` has vectors of 16, and at this site they have 64"), "{said}");
}

/// What is recorded in one pass is what was recorded by itself, and facts say what is.
#[test]
fn facts_say_what_a_capture_holds() {
    let toml = "capture = [{ site = \"z\", layers = \"-2..\", heads = [0, 3] }, { site = \"v\", reduce = \"norm\" }]";
    let ports = Stage::ports(&stage::<Forward>(toml), &given("llama")).unwrap();
    assert_eq!(
        ports.outputs[0].facts,
        json!({ "family": "llama", "layers": 2, "heads": 2, "layer": [1, 2], "head": [0, 3], "d": 16 })
    );
    assert_eq!(ports.outputs[1].facts, json!({ "family": "llama", "layers": 3, "heads": 2 }));
}

/// Study 2's baseline on a real model, against an independent PyTorch run: the entropy of the attention that keys
/// receive, averaged over ten prompts, and the specialization index that follows.
#[test]
fn smollm2_receives_attention_as_in_pytorch() {
    let Some(path) = smollm2::file() else { return };
    let gguf = Gguf::open(&path).unwrap();
    let model = Model::load(&gguf.config().unwrap(), &gguf, &device()).unwrap();
    let reference: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/smollm2/indra.json")).unwrap();
    let prompts: Vec<Vec<u32>> = serde_json::from_value(reference["input_ids"].clone()).unwrap();
    let theirs: Vec<Vec<f64>> = serde_json::from_value(reference["entropy"].clone()).unwrap();
    let ours = received(&model, &prompts);
    for (layer, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        for (head, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            assert!((ours - theirs).abs() < 1e-5, "L{layer}H{head}: {ours} for {theirs}");
        }
    }
    let column = |head: usize| ours.iter().map(|layer| layer[head]).collect::<Vec<f64>>();
    let pairs = (0..9).flat_map(|a| (a + 1..9).map(move |b| (a, b)));
    let correlations: Vec<f64> = pairs.map(|(a, b)| pearson(&column(a), &column(b)).r).collect();
    let index = 1.0 - mean(&correlations);
    assert!((index - reference["specialization_index"].as_f64().unwrap()).abs() < 1e-5, "{index}");
}

/// `[layer][head]`, the mean over prompts.
fn received(model: &Model, prompts: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let facts: &ModelFacts = &model.facts;
    let capture = toml::from_str("site = \"pattern\"\nreduce = \"received-entropy\"").unwrap();
    let texts: Vec<(usize, &[u32])> = prompts.iter().map(Vec::as_slice).enumerate().collect();
    let material = Material { inputs: &crate::Inputs::default(), prompts: &[] };
    let probe = Probe::new(&[], &[capture], facts, &material).unwrap();
    let rows = read(model, &texts, &probe).unwrap().remove(0);
    let over = |layer, head| mean(&rows.iter().map(|row| f64::from(row[[layer, head]])).collect::<Vec<_>>());
    (0..facts.layers).map(|layer| (0..facts.heads).map(|head| over(layer, head)).collect()).collect()
}
