//! The kind `ablate` on the fixtures' models, against PyTorch's divergence, and against itself.

use assay_cache::{Data, Table, Tensor, Values};

use super::*;
use crate::{
    contract::testing::TestCtx,
    lm::fixture::{FAMILIES, Fixture, engine, inputs, stage},
};

/// Prompt A's first token, and what follows: every position of the fixture is predicting.
fn tokens(fixture: &Fixture) -> Artifact {
    let ids = fixture.ids("a");
    let new: Vec<u32> = [&ids[1..], &[fixture.expected.ids("a.greedy")[0]]].concat();
    let b = fixture.ids("b");
    Artifact::Record(json!({ "sequences": [
        { "id": "a", "prompt": ids[..1], "new": new },
        { "id": "b", "prompt": b[..6], "new": b[6..] },
    ] }))
}

/// Heads (1, 0) and (2, 3) first, the others behind them.
fn ranking() -> Table {
    let heads: Vec<Head> = (0..3).flat_map(|layer| (0..4).map(move |head| (layer, head))).collect();
    let score = |head: &Head| match head {
        (1, 0) => 1.0,
        (2, 3) => 0.9,
        (layer, head) => 0.1 * *layer as f64 + 0.01 * *head as f64,
    };
    Table::default()
        .with("layer", Values::Int(heads.iter().map(|(layer, _)| Some(*layer as i64)).collect()))
        .with("head_in_layer", Values::Int(heads.iter().map(|(_, head)| Some(*head as i64)).collect()))
        .with("syn_red_score", Values::Float(heads.iter().map(score).collect()))
}

fn run(family: &str, toml: &str) -> Outputs {
    let (ctx, model) = engine(family);
    let tokens = tokens(&Fixture::of(family));
    let inputs = inputs(vec![("model", model), ("tokens", tokens), ("ranking", Artifact::Table(ranking()))]);
    stage::<Ablate>(&format!("seed = 1\n{toml}")).run(&inputs, &ctx).unwrap()
}

/// (heads removed, mean, std) of the rows of one order.
fn rows(outputs: &Outputs, port: &str, order: &str) -> Vec<(i64, f64, f64)> {
    let Artifact::Table(table) = &outputs.artifacts[port] else { panic!("{port} is no table") };
    let numbers = |name: &str| table.column(name).unwrap().values.to_f64().unwrap();
    let (removed, mean, std) = (numbers("num_heads_removed"), numbers("mean_kl_div"), numbers("std_kl_div"));
    let Values::Text(orders) = &table.column("order_type").unwrap().values else { panic!("orders are text") };
    let own = (0..table.rows()).filter(|&row| orders[row] == order);
    own.map(|row| (removed[row] as i64, mean[row], std[row])).collect()
}

#[test]
fn two_heads_removed_diverge_as_in_pytorch() {
    for family in FAMILIES {
        let curve = rows(&run(family, "step = 2\nfirst = 1"), "curve", "synergistic");
        let removed: Vec<_> = curve.iter().map(|row| row.0).collect();
        assert_eq!(removed, [0, 2, 4, 6, 8, 10, 12]);
        assert_eq!((curve[0].1, curve[0].2), (0.0, 0.0), "no heads: computed, and exactly nothing");
        let theirs = Fixture::of(family).expected.get("a.kl.ablate").to_vec();
        let mean = theirs.iter().map(|kl| f64::from(*kl)).sum::<f64>() / theirs.len() as f64;
        assert!((curve[1].1 - mean).abs() < 1e-5, "{family}: {} for {mean}", curve[1].1);
    }
}

#[test]
fn every_order_ends_alike_and_random_ones_are_averaged() {
    let outputs = run("gpt_neox", "step = 5\nseeds = [1, 2, 3]");
    let (own, random) = (rows(&outputs, "curve", "synergistic"), rows(&outputs, "curve", "random"));
    let each = rows(&outputs, "orders", "random");
    assert_eq!(
        own.iter().map(|row| row.0).collect::<Vec<_>>(),
        [0, 5, 10, 12],
        "all heads, though 5 does not divide 12"
    );
    assert_eq!(each.len(), 3 * 4);
    for order in each.chunks(4) {
        assert_eq!((order[0].1, order[3].1), (0.0, own[3].1));
    }
    let fives: Vec<_> = each.chunks(4).map(|order| order[1].1).collect();
    let mean = fives.iter().sum::<f64>() / 3.0;
    let std = (fives.iter().map(|kl| (kl - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    assert!((random[1].1 - mean).abs() < 1e-12 && (random[1].2 - std).abs() < 1e-12);
    assert!(std > 0.0, "three orders, three curves");
    assert_eq!(random[3].2, 0.0);
}

#[test]
fn a_stopped_run_goes_on_from_its_units_and_ends_alike() {
    let toml = "step = 4\nseeds = [7]\nbatch = 1";
    let (ctx, model) = engine("llama");
    let tokens = tokens(&Fixture::of("llama"));
    let inputs = inputs(vec![("model", model), ("tokens", tokens), ("ranking", Artifact::Table(ranking()))]);
    ctx.stop_after(3);
    assert!(matches!(stage::<Ablate>(&format!("seed = 1\n{toml}")).run(&inputs, &ctx), Err(Failure::Stopped)));
    assert_eq!(ctx.saved(), ["ranking-0-block-0", "ranking-4-block-0", "ranking-8-block-0"]);
    ctx.carry_on();
    let resumed = stage::<Ablate>(&format!("seed = 1\n{toml}")).run(&inputs, &ctx).unwrap();
    assert_eq!(resumed.artifacts, run("llama", toml).artifacts);
    assert_eq!(ctx.saves(), 8);
    // The batch moves no more than the last digits.
    let together = run("llama", "step = 4\nseeds = [7]\nbatch = 4");
    for (one, two) in rows(&resumed, "curve", "random").iter().zip(rows(&together, "curve", "random")) {
        assert!((one.1 - two.1).abs() < 1e-5);
    }
}

#[test]
fn a_column_order_goes_before_scores_and_heads_must_exist() {
    let ctx = TestCtx::new();
    let facts = crate::lm::ModelFacts::of(&Fixture::of("llama").config).unwrap();
    let reversed = ranking().with("order", Values::Int((0..12).rev().map(Some).collect()));
    assert_eq!(ranked(&reversed, None, &facts, &ctx).unwrap()[0], (2, 3));
    assert_eq!(ranked(&reversed, None, &facts, &ctx).unwrap()[11], (0, 0));
    assert_eq!(ranked(&ranking(), None, &facts, &ctx).unwrap()[..3], [(1, 0), (2, 3), (2, 2)]);
    let unranked = ranking().with("order", Values::Int((0..12).map(|i| (i != 0).then_some(i)).collect()));
    assert_eq!(ranked(&unranked, None, &facts, &ctx).unwrap()[11], (0, 0), "what could not be ranked goes last");
    assert_eq!(ctx.warnings().len(), 1);
    let bad = |layer| {
        Table::default()
            .with("layer", Values::Int(vec![Some(0), Some(layer)]))
            .with("head_in_layer", Values::Int(vec![Some(1), Some(1)]))
            .with("syn_red_score", Values::Float(vec![0.0, 1.0]))
    };
    assert!(ranked(&bad(3), None, &facts, &ctx).unwrap_err().to_string().contains("head 1 of layer 3"));
    assert!(ranked(&bad(0), None, &facts, &ctx).unwrap_err().to_string().contains("twice"));
    assert!(ranked(&Table::default(), None, &facts, &ctx).unwrap_err().to_string().contains("`layer`"));
}

#[test]
fn any_column_of_numbers_ranks_heads() {
    let (ctx, facts) = (TestCtx::new(), crate::lm::ModelFacts::of(&Fixture::of("llama").config).unwrap());
    let induction = (0..12).map(|i| if i == 7 { 0.9 } else { 0.01 * f64::from(i) }).collect();
    let table = ranking().with("order", Values::Int((0..12).map(Some).collect()));
    let table = table.with("induction", Values::Float(induction));
    assert_eq!(ranked(&table, Some("induction"), &facts, &ctx).unwrap()[..3], [(1, 3), (2, 3), (2, 2)]);
    assert_eq!(ranked(&table, Some("syn_red_score"), &facts, &ctx).unwrap()[0], (1, 0));
    let unknown = ranked(&table, Some("inducton"), &facts, &ctx).unwrap_err().to_string();
    assert!(unknown.contains("`ranking` has no column `inducton`; it has induction"), "{unknown}");
}

#[test]
fn a_column_that_the_ranking_lacks_is_a_mistake_at_plan_time() {
    let mistakes = |columns: Value| {
        let facts = json!({ "columns": columns });
        let table = crate::Arrived { from: "heads".to_owned(), ty: PortType::of("table"), facts };
        let given = Given {
            inputs: std::collections::BTreeMap::from([("ranking".to_owned(), vec![table])]),
            ..Given::default()
        };
        let stage: Ablate = stage("seed = 1\nby = \"induction\"");
        Stage::ports(&stage, &given).map(drop)
    };
    assert_eq!(mistakes(json!(["layer", "induction"])), Ok(()));
    let found = mistakes(json!(["layer", "inductions"])).unwrap_err();
    assert_eq!((found.len(), found[0].at.as_str()), (1, "by"));
    assert!(found[0].message.contains("it has inductions"), "{}", found[0].message);
    let silent: Ablate = stage("seed = 1");
    assert!(Stage::keyed(&silent).get("by").is_none(), "old keys stay");
}

/// `curve` and `prediction` name the order by its column, and predictions are of the texts' own tokens.
#[test]
fn predictions_stand_beside_divergences() {
    let outputs = run("llama", "step = 12\nfirst = 1\nseeds = [3]\nby = \"syn_red_score\"");
    assert_eq!(rows(&outputs, "curve", "syn_red_score").len(), 2);
    let Artifact::Table(table) = &outputs.artifacts["prediction"] else { panic!("predictions are a table") };
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, PREDICTIONS, "the plan promises these columns");
    let numbers = |name: &str| table.column(name).unwrap().values.to_f64().unwrap();
    // From Hugging Face's logits, for the first text.
    let logits = Fixture::of("llama").expected.get("a.logits").to_vec();
    let ids = Fixture::of("llama").ids("a");
    let losses = logits.chunks_exact(257).zip(&ids[1..]).map(|(row, token)| {
        row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() - f64::from(row[*token as usize])
    });
    let greedy = Fixture::of("llama").expected.ids("a.greedy")[0];
    let last = &logits[20 * 257..];
    let last = last.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln() - f64::from(last[greedy as usize]);
    let mean = (losses.sum::<f64>() + last) / 21.0;
    let found = numbers("mean_cross_entropy");
    assert!((found[0] - mean).abs() < 1e-4, "{} for {mean}", found[0]);
    assert_eq!((found[0], found[1]), (found[2], found[3]), "none and all, in either order");
    assert!(numbers("mean_accuracy").iter().all(|share| (0.0..=1.0).contains(share)));
    assert_eq!(numbers("std_accuracy")[2], 0.0, "one random order");
}

#[test]
fn a_shuffle_is_a_permutation_of_its_seed() {
    let heads: Vec<Head> = (0..50).map(|i| (i / 10, i % 10)).collect();
    let one = shuffled(&heads, 1);
    assert_ne!(one, shuffled(&heads, 2));
    let mut backwards = heads.clone();
    backwards.reverse();
    assert_eq!(one, shuffled(&backwards, 1), "whatever order the ranking has");
    let mut sorted = one;
    sorted.sort_unstable();
    assert_eq!(sorted, heads);
}

/// What a `forward` stage on the same tokens captured.
fn read(family: &str, toml: &str, others: &[(&str, &Artifact)]) -> Outputs {
    let (ctx, model) = engine(family);
    let mut ports = vec![("model", model), ("prompts", tokens(&Fixture::of(family)))];
    ports.extend(others.iter().map(|(port, artifact)| (*port, (*artifact).clone())));
    stage::<crate::forward::Forward>(toml).run(&inputs(ports), &ctx).unwrap()
}

/// Mean over new tokens and texts of KL(plain ‖ edited), from the logits of two `forward` stages.
fn divergence(family: &str, plain: &Outputs, edited: &Outputs) -> f64 {
    let logits = |outputs: &Outputs| match &outputs.artifacts["logits"] {
        Artifact::Tensor(Tensor { data: Data::F32(array), .. }) => array.clone(),
        other => panic!("logits are {other:?}"),
    };
    let (plain, edited) = (logits(plain), logits(edited));
    let log_probs = |logits: &ndarray::ArrayD<f32>, text: usize, position: usize| -> Vec<f64> {
        let row: Vec<f64> = (0..257).map(|token| f64::from(logits[[text, position, token]])).collect();
        let whole = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        row.iter().map(|x| x - whole).collect()
    };
    let lengths = [(1, 21), (6, Fixture::of(family).ids("b").len() - 6)];
    let texts = lengths.iter().enumerate().map(|(text, (prompt, new))| {
        let kl = |position| -> f64 {
            let (p, q) = (log_probs(&plain, text, position), log_probs(&edited, text, position));
            p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
        };
        (prompt - 1..prompt - 1 + new).map(kl).sum::<f64>() / *new as f64
    });
    texts.sum::<f64>() / 2.0
}

/// Heads (1, 0) and (2, 3) get what an edit of a `forward` stage gives them, and diverge as its logits do.
#[test]
fn heads_may_be_averaged_or_resampled_instead() {
    for family in FAMILIES {
        let z = read(family, "capture = [{ site = \"z\" }]", &[]).artifacts.remove("z").unwrap();
        let plain = read(family, "capture = [{ site = \"logits\" }]", &[]);
        for op in ["mean", "resample"] {
            let seed = if op == "mean" { "" } else { ", seed = 1, align = \"end\"" };
            let edit = |layer, head| {
                format!("{{ op = \"{op}\", site = \"z\", layers = {layer}, heads = {head}, from = \"z\"{seed} }}")
            };
            let toml = format!("capture = [{{ site = \"logits\" }}]\nedits = [{}, {}]", edit(1, 0), edit(2, 3));
            let expected = divergence(family, &plain, &read(family, &toml, &[("z", &z)]));

            let (ctx, model) = engine(family);
            let ports = vec![
                ("model", model),
                ("tokens", tokens(&Fixture::of(family))),
                ("ranking", Artifact::Table(ranking())),
                ("values", z.clone()),
            ];
            let align = if op == "mean" { "" } else { "align = \"end\"\n" };
            let toml = format!("seed = 1\nstep = 2\nop = \"{op}\"\n{align}");
            let outputs = stage::<Ablate>(&toml).run(&inputs(ports), &ctx).unwrap();
            let curve = rows(&outputs, "curve", "synergistic");
            assert_eq!(curve[0].1, 0.0);
            assert!((curve[1].1 - expected).abs() < 1e-5, "{family} {op}: {} for {expected}", curve[1].1);
            assert!(expected > 1e-3);
        }
    }
}

/// With edits, the model under study is the edited one: no heads removed still diverge by nothing.
#[test]
fn edits_are_in_every_pass() {
    let edits = "edits = [{ op = \"scale\", site = \"mlp_out\", layers = 1, factor = 0.5 }]";
    let outputs = run("llama", &format!("step = 12\n{edits}"));
    let curve = rows(&outputs, "curve", "synergistic");
    assert_eq!(curve[0].1, 0.0);
    assert!((curve[1].1 - rows(&run("llama", "step = 12"), "curve", "synergistic")[1].1).abs() > 1e-4);
}

#[test]
fn what_replaces_heads_is_wired_and_keyed_only_where_it_is_used() {
    let ports = |op: &str| {
        let stage: Ablate = stage(&format!("seed = 5\nop = \"{op}\""));
        let ports = Stage::ports(&stage, &Given::default()).unwrap().inputs;
        (ports.into_iter().map(|port| port.name).collect::<Vec<_>>(), Stage::keyed(&stage))
    };
    let (zero, keyed) = ports("zero");
    assert_eq!(zero, ["model", "tokens", "ranking"]);
    assert!(keyed.get("seed").is_none() && keyed.get("align").is_none());
    assert_eq!(ports("mean").0[3], "values");
    assert!(ports("mean").1.get("seed").is_none());
    assert_eq!(ports("resample").1["seed"], 5);
}

/// The last step of the removal is a model with noise on all heads, and the first a model with none.
#[test]
fn noise_on_heads_weights_diverges_as_the_perturbed_model_does() {
    use crate::lm::{model::perturbation::WeightNoise, teacher::Forced};
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let outputs = run(family, "op = \"noise\"\nstd = 0.5\nstep = 2\nfirst = 1\nseeds = [4]");
        let (own, random) = (rows(&outputs, "curve", "synergistic"), rows(&outputs, "curve", "random"));
        assert_eq!((own[0].1, random[0].1), (0.0, 0.0), "{family}: no heads, no noise");
        assert_eq!(own[6].1, random[6].1, "{family}: all heads have the same noise in each order");

        let (model, ids) = (fixture.model(), fixture.ids("a"));
        let new = [&ids[1..], &[fixture.expected.ids("a.greedy")[0]]].concat();
        let sequence = Sequence { id: String::new(), prompt: ids[..1].to_vec(), new };
        let texts = [(0, &sequence)];
        let forced = Forced::new(&texts);
        let mut perturbed = model.clone();
        perturbed.perturb(&[(1, 0), (2, 3)], WeightNoise { std: 0.5, seed: 1 });
        let [base, other] = [&model, &perturbed].map(|model| forced.predictions(model, vec![]).unwrap());
        let expected = forced.readings(&base, &other)[0].kl;
        assert_eq!(own[1].1, expected, "{family}");
        assert!(expected > 0.0);
        let still = run(family, "op = \"noise\"\nstd = 0.0\nstep = 6\nfirst = 1");
        assert!(rows(&still, "curve", "synergistic").iter().all(|row| row.1 == 0.0), "{family}: no spread, no change");
    }
}

#[test]
fn noise_goes_on_from_its_units_and_ends_alike() {
    let toml = "op = \"noise\"\nstd = 1\nstep = 4\nseeds = [7]\nbatch = 1";
    let (ctx, model) = engine("qwen3");
    let tokens = tokens(&Fixture::of("qwen3"));
    let inputs = inputs(vec![("model", model), ("tokens", tokens), ("ranking", Artifact::Table(ranking()))]);
    for stop in [1, 2, 3] {
        ctx.stop_after(1);
        assert!(matches!(stage::<Ablate>(&format!("seed = 1\n{toml}")).run(&inputs, &ctx), Err(Failure::Stopped)));
        assert_eq!(ctx.saves(), stop);
    }
    ctx.carry_on();
    let resumed = stage::<Ablate>(&format!("seed = 1\n{toml}")).run(&inputs, &ctx).unwrap();
    assert_eq!(resumed.artifacts, run("qwen3", toml).artifacts);
}

#[test]
fn a_standard_deviation_belongs_to_noise_and_makes_sense() {
    let planned = |toml: &str| {
        let stage: Ablate = stage(&format!("seed = 5\n{toml}"));
        Stage::ports(&stage, &Given::default()).map(|ports| ports.inputs.len()).map_err(|mut found| {
            assert_eq!(found.len(), 1);
            (found[0].at.clone(), found.remove(0).message)
        })
    };
    assert_eq!(planned("op = \"noise\"\nstd = 0.5"), Ok(3), "no `values`");
    let missing = planned("op = \"noise\"").unwrap_err();
    assert_eq!((missing.0.as_str(), missing.1.as_str()), ("op", "noise needs a standard deviation"));
    for bad in ["-0.5", "nan", "inf"] {
        let (at, message) = planned(&format!("op = \"noise\"\nstd = {bad}")).unwrap_err();
        assert!(at == "std" && message.starts_with("a standard deviation is 0 or more, not "), "{message}");
    }
    let (at, message) = planned("std = 1").unwrap_err();
    assert_eq!((at.as_str(), message.as_str()), ("std", "only `op = \"noise\"` has a standard deviation"));
    let keyed = Stage::keyed(&stage::<Ablate>("seed = 5\nop = \"noise\"\nstd = 1"));
    assert_eq!((&keyed["seed"], &keyed["std"]), (&json!(5), &json!(1.0)));
    assert!(keyed.get("align").is_none());
    assert!(Stage::keyed(&stage::<Ablate>("seed = 5")).get("std").is_none(), "old keys stay");
}
