//! The kind `train`: that it learns, resumes to the same bits, keeps what is frozen, and refuses what cannot be.

use assay_cache::{Table, Weights};

use super::*;
use crate::{
    contract::testing::TestCtx, lm::fixture, modular_addition::ModularAddition, repeated_patterns::RepeatedPatterns,
};

/// A model of attention alone on two layers, in which induction heads can form.
const INDUCTION: &str = r#"
    steps = 60
    batch = 16
    seed = 1
    optimizer = { learning-rate = 3e-3 }
    log = { every = 20, closely = 20 }
    [model]
    num-hidden-layers = 2
    num-attention-heads = 2
    hidden-size = 32
    intermediate-size = 0
"#;

fn stage(toml: &str) -> Train {
    toml::from_str(toml).unwrap()
}

/// What a task gives as inputs of `train`.
fn task(stage: &impl Stage) -> Inputs {
    let made = stage.run(&Inputs::default(), &TestCtx::new()).unwrap();
    let names = made.artifacts.keys().cloned().collect::<Vec<_>>();
    fixture::inputs(names.iter().map(String::as_str).zip(made.artifacts.into_values()).collect())
}

fn patterns() -> Inputs {
    let pattern_length = [3, 3];
    task(&RepeatedPatterns {
        vocab: 8,
        length: 12,
        pattern_length,
        train: 64,
        test: 32,
        seed: Seed(2),
        distinct: false,
        begin: None,
        given: 1,
    })
}

fn log(outputs: &Outputs) -> &Table {
    match &outputs.artifacts["log"] {
        Artifact::Table(table) => table,
        _ => panic!("a log is a table"),
    }
}

fn column(outputs: &Outputs, name: &str) -> Vec<f64> {
    log(outputs).column(name).unwrap().values.to_f64().unwrap()
}

fn weights_of(outputs: &Outputs) -> &Weights {
    match &outputs.artifacts["weights"] {
        Artifact::Weights(weights) => weights,
        _ => panic!("weights are weights"),
    }
}

#[test]
fn a_run_learns_and_says_how() {
    let made = stage(INDUCTION).run(&patterns(), &TestCtx::new()).unwrap();
    assert_eq!(column(&made, "step"), [0.0, 20.0, 40.0, 60.0]);
    let loss = column(&made, "train_loss");
    // Logits of the fan-in initialisation are about standard normal, which costs 1/2 nat over a uniform guess.
    assert!((loss[0] - 8f64.ln() - 0.5).abs() < 0.4, "{loss:?}");
    assert!(loss[3] < 0.9 * loss[0], "{loss:?}");
    let facts = ModelFacts::of(&stage(INDUCTION).model.config(Some(8), Some(12)).unwrap()).unwrap();
    let names: Vec<_> = log(&made).columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!(Reading::columns(&facts), names);
    assert!(column(&made, "resid_norm_1").iter().all(|norm| *norm > 0.0));
    let Artifact::Record(record) = &made.artifacts["model"] else { panic!("a model is a record") };
    let record = ModelRecord::read(record).unwrap();
    assert_eq!(record.files["weights/00000"], Digest::of(&made.artifacts["weights"].encode().1));
    assert_eq!(record.config["vocab-size"], 8);
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bits() {
    let whole = stage(INDUCTION).run(&patterns(), &TestCtx::new()).unwrap();
    let often = Train { checkpoint_every: Some(7), ..stage(INDUCTION) };
    let ctx = TestCtx::new();
    let mut stops = 0;
    let resumed = loop {
        ctx.stop_after(2);
        match often.run(&patterns(), &ctx) {
            Err(Failure::Stopped) => stops += 1,
            made => break made.unwrap(),
        }
    };
    assert!(stops >= 3, "{stops}");
    for (name, artifact) in &whole.artifacts {
        assert_eq!(artifact.encode().1, resumed.artifacts[name].encode().1, "{name}");
    }
    assert_eq!(often.keyed(), stage(INDUCTION).keyed());
}

/// Dropout is drawn anew at each step, looks over past steps, and digests: all of it goes on where it stopped.
#[test]
fn dropout_and_notes_survive_a_kill() {
    let toml = INDUCTION.replace("closely = 20 }", "closely = 20, lag = 20 }\ndropout = 0.1");
    let whole = stage(&toml).run(&patterns(), &TestCtx::new()).unwrap();
    let plain = stage(INDUCTION).run(&patterns(), &TestCtx::new()).unwrap();
    assert_ne!(weights_of(&whole).0["lm_head.weight"], weights_of(&plain).0["lm_head.weight"]);
    assert!(column(&whole, "geometry_1_0")[0].is_nan(), "there is nothing before the first look");
    for (kept, drift) in column(&whole, "geometry_1_1").into_iter().zip(column(&whole, "drift_1_1")).skip(1) {
        assert!(kept > 0.0 && kept < 1.0 && (kept + drift - 1.0).abs() < 1e-12, "{kept} {drift}");
    }
    let often = Train { checkpoint_every: Some(7), ..stage(&toml) };
    let ctx = TestCtx::new();
    let resumed = loop {
        ctx.stop_after(2);
        match often.run(&patterns(), &ctx) {
            Err(Failure::Stopped) => (),
            made => break made.unwrap(),
        }
    };
    for (name, artifact) in &whole.artifacts {
        assert_eq!(artifact.encode().1, resumed.artifacts[name].encode().1, "{name}");
    }
    let seconds: Vec<f64> = serde_json::from_value(resumed.notes["seconds"].clone()).unwrap();
    assert_eq!(seconds.len(), 4);
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "{seconds:?}");
    let Artifact::Record(digests) = &whole.artifacts["checkpoints"] else { panic!("digests are a record") };
    let weights = Digest::of(&whole.artifacts["weights"].encode().1);
    assert_eq!(*digests, json!({ "60": format!("blake3:{weights}") }));
}

/// A control, then a model whose final stream has the control's size all along: the log says that it has.
#[test]
fn a_clamp_over_the_batch_takes_its_size_from_another_run() {
    let control = stage(INDUCTION).run(&patterns(), &TestCtx::new()).unwrap();
    let wanted = *column(&control, "normalized_norm").last().unwrap();
    let toml = "edits = [{ op = \"clamp\", site = \"ln_final.normalized\", over = \"batch\", \
                norm = { from = \"control\", column = \"normalized_norm\" } }]";
    let clamped = stage(&INDUCTION.replace("[model]", &format!("{toml}\n[model]")));
    let mut ports = patterns();
    ports.0.extend(fixture::inputs(vec![("control", control.artifacts["log"].clone())]).0);
    let made = clamped.run(&ports, &TestCtx::new()).unwrap();
    let norms = column(&made, "normalized_norm");
    assert!(norms.iter().all(|norm| (norm / wanted - 1.0).abs() < 1e-5), "{norms:?}, not {wanted}");
    let loss = column(&made, "train_loss");
    assert!(loss[3] < 0.9 * loss[0], "it learns nevertheless: {loss:?}");
}

/// A head that is removed gives nothing and learns nothing; one that is frozen later stands still from there.
#[test]
fn heads_are_removed_or_frozen_after_a_step() {
    let value = |made: &Outputs| {
        weights_of(made).0["model.layers.0.self_attn.v_proj.weight"].iter().copied().collect::<Vec<_>>()
    };
    let with = |toml: &str, steps| {
        let toml = INDUCTION.replace("[model]", &format!("{toml}\n[model]"));
        value(&Train { steps, ..stage(&toml) }.run(&patterns(), &TestCtx::new()).unwrap())
    };
    let removed = "edits = [{ op = \"zero\", site = \"z\", layers = 0, heads = 1 }]";
    let (early, late) = (with(removed, 1), with(removed, 10));
    assert_eq!(early[16 * 32..], late[16 * 32..], "head 1 is not there");
    assert_ne!(early[..16 * 32], late[..16 * 32]);
    let frozen = "freeze = [{ layers = 0, heads = 1, after = 5 }]";
    let (before, after, late) = (with(frozen, 4), with(frozen, 5), with(frozen, 10));
    assert_ne!(before[16 * 32..], after[16 * 32..]);
    assert_eq!(after[16 * 32..], late[16 * 32..]);
}

#[test]
fn frozen_heads_keep_their_weights_under_decay() {
    let mut frozen = stage(INDUCTION);
    frozen.optimizer.weight_decay = 1.0;
    frozen.freeze = vec![toml::from_str("layers = 0\nheads = 1").unwrap()];
    let early = Train { steps: 1, ..frozen.clone() };
    let (early, late) =
        (early.run(&patterns(), &TestCtx::new()).unwrap(), frozen.run(&patterns(), &TestCtx::new()).unwrap());
    let q = |made: &Outputs| {
        weights_of(made).0["model.layers.0.self_attn.q_proj.weight"].iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(q(&early)[16 * 32..], q(&late)[16 * 32..], "rows of head 1");
    assert!(q(&early)[..16 * 32].iter().zip(&q(&late)).all(|(a, b)| a != b), "rows of head 0");
}

#[test]
fn full_batches_and_weight_decay_shrink_what_is_not_used() {
    let toml = r#"
        steps = 30
        seed = 1
        warmup = 10
        optimizer = { weight-decay = 1.0, betas = [0.9, 0.98] }
        model = { num-hidden-layers = 1, num-attention-heads = 2, hidden-size = 16, intermediate-size = 32, norm = "none" }
    "#;
    let sums = task(&ModularAddition { p: 7, train_fraction: 0.8, seed: Seed(3) });
    let made = stage(toml).run(&sums, &TestCtx::new()).unwrap();
    assert_eq!(column(&made, "step"), [0.0, 30.0]);
    assert!(log(&made).column("final_norm_weight").is_none());
    let norm = column(&made, "weight_norm");
    assert!(norm[1] < norm[0], "{norm:?}");
}

#[test]
fn a_run_that_leaves_the_numbers_fails_and_says_where() {
    let wild = Train { optimizer: Adam { learning_rate: 1e30, ..Adam::default() }, ..stage(INDUCTION) };
    let failed = wild.run(&patterns(), &TestCtx::new()).unwrap_err().to_string();
    assert!(failed.contains("no number at step"), "{failed}");
    let noisy =
        Train { edits: vec![toml::from_str("op = \"noise\"\nsite = \"z\"\nstd = 1.0\nseed = 1").unwrap()], ..wild };
    assert!(noisy.mistakes(&Given::default(), None)[0].message.contains("by heart"));
}

/// Two texts of three tokens draw from a hundred: the model is the one that the plan told of.
#[test]
fn tokens_that_do_not_occur_are_in_the_vocabulary() {
    let pattern_length = [1, 1];
    let inputs = task(&RepeatedPatterns {
        vocab: 100,
        length: 3,
        pattern_length,
        train: 1,
        test: 1,
        seed: Seed(0),
        distinct: false,
        begin: None,
        given: 1,
    });
    let made = Train { steps: 1, ..stage(INDUCTION) }.run(&inputs, &TestCtx::new()).unwrap();
    assert_eq!(weights_of(&made).0["lm_head.weight"].shape(), [100, 32]);
}

#[test]
fn what_cannot_be_trained_is_said_before_anything_runs() {
    let wrong = Train { steps: 0, warmup: 5, batch: Some(0), dropout: 1.0, ..stage(INDUCTION) };
    let at: Vec<_> = wrong.mistakes(&Given::default(), None).into_iter().map(|mistake| mistake.at).collect();
    assert_eq!(at, ["steps", "batch", "warmup", "dropout"]);
    let unknown = stage(INDUCTION).ports(&Given::default()).unwrap_err();
    assert!(unknown[0].message.contains("`vocab-size`"), "{unknown:?}");
}
