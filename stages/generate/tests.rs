//! The kind `generate` on the fixtures' models: ports, outputs, units.

use super::*;
use crate::lm::fixture::{Fixture, engine, given, inputs, prompts, stage};

const NORMS: &str = "new-tokens = 20\nseed = 1\ncapture = [{ site = \"z\", reduce = \"norm\" }]\n";

fn tensor<'a>(outputs: &'a Outputs, port: &str) -> &'a Tensor {
    match &outputs.artifacts[port] {
        Artifact::Tensor(tensor) => tensor,
        other => panic!("{port} is {other:?}"),
    }
}

fn tokens(outputs: &Outputs) -> Tokens {
    match &outputs.artifacts["tokens"] {
        Artifact::Record(record) => Tokens::read(record).unwrap(),
        other => panic!("tokens are {other:?}"),
    }
}

#[test]
fn tokens_agree_with_pytorch_and_axes_with_the_ports() {
    let fixture = Fixture::of("gpt_neox");
    let (ctx, model) = engine("gpt_neox");
    let (a, b) = (fixture.ids("a"), fixture.ids("b"));
    let stage: Generate = stage(NORMS);
    let outputs =
        stage.run(&inputs(vec![("model", model), ("prompts", prompts(&[("a", &a), ("b", &b)]))]), &ctx).unwrap();
    let made = tokens(&outputs);
    assert_eq!((made.sequences[1].id.as_str(), &made.sequences[1].prompt), ("b", &b));
    assert_eq!(made.sequences[0].new, fixture.expected.ids("a.greedy"));
    assert_eq!(made.sequences[1].new, fixture.expected.ids("b.greedy"));
    let z = tensor(&outputs, "z");
    assert_eq!(z.shape(), [2, 3, 20, 4]);
    assert_eq!(z.axes[0].labels.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
    let ports = Stage::ports(&stage, &given("gpt_neox")).unwrap();
    assert_eq!(ports.outputs[0].name, "tokens");
    assert_eq!(ports.outputs[1].ty, PortType::tensor(&["prompt", "layer", "step", "head"]));
    assert_eq!(ports.outputs[1].ty.axes, z.axis_names());
    assert_eq!(ports.outputs[1].facts, json!({ "family": "gpt_neox", "layers": 3, "heads": 4 }));
}

/// Of a task's texts, what is given is a prompt like any other.
#[test]
fn the_given_part_of_tokens_is_extended() {
    let fixture = Fixture::of("gpt_neox");
    let (ctx, model) = engine("gpt_neox");
    let (a, b) = (fixture.ids("a"), fixture.ids("b"));
    let texts = json!({ "vocab": 257, "sequences": [
        { "id": "a", "prompt": a, "new": [1, 2, 3] }, { "id": "b", "prompt": b, "new": [4] },
    ] });
    let stage: Generate = stage(NORMS);
    let run = |texts| stage.run(&inputs(vec![("model", model.clone()), ("prompts", texts)]), &ctx).unwrap();
    let made = tokens(&run(Artifact::Record(texts)));
    assert_eq!(made.sequences[0].new, fixture.expected.ids("a.greedy"));
    assert_eq!(made.sequences[1].new, fixture.expected.ids("b.greedy"));
    assert_eq!(made.vocab, None, "what a model wrote is no task");
    let ports = Stage::ports(&stage, &given("gpt_neox")).unwrap();
    assert!(ports.inputs[1].accept.takes(&PortType::of("tokens")));
}

#[test]
fn a_stopped_run_goes_on_from_its_units_and_ends_alike() {
    let fixture = Fixture::of("llama");
    let (a, b) = (fixture.ids("a"), fixture.ids("b"));
    let texts = prompts(&[("a", &a), ("b", &b), ("c", &a[..4]), ("d", &b[..2])]);
    let stage: Generate =
        stage(&format!("{NORMS}batch = 2\nedits = [{{ op = \"noise\", site = \"z\", std = 0.1, seed = 2 }}]"));
    let run =
        |ctx: &_, model: &Artifact| stage.run(&inputs(vec![("model", model.clone()), ("prompts", texts.clone())]), ctx);
    let (whole_ctx, model) = engine("llama");
    let whole = run(&whole_ctx, &model).unwrap();

    let (ctx, model) = engine("llama");
    ctx.stop_after(1);
    assert!(matches!(run(&ctx, &model), Err(Failure::Stopped)));
    assert_eq!(ctx.saved(), ["prompt-0", "prompt-1"], "the longest prompts go first");
    ctx.carry_on();
    assert_eq!(run(&ctx, &model).unwrap().artifacts, whole.artifacts);
    assert_eq!(ctx.saves(), 2);
}

#[test]
fn what_is_over_steps_is_that_of_the_raw_steps() {
    let a = Fixture::of("llama").ids("a");
    let (_, model) = engine("llama");
    let run = |capture: &str| {
        let stage: Generate = stage(&format!("new-tokens = 5\nseed = 1\ncapture = [{capture}]"));
        let inputs = inputs(vec![("model", model.clone()), ("prompts", prompts(&[("a", &a)]))]);
        let outputs = stage.run(&inputs, &engine("llama").0).unwrap();
        let Data::F32(array) = tensor(&outputs, "v").data.clone() else { panic!("f32") };
        (array, tensor(&outputs, "v").axis_names().join(" "))
    };
    let (raw, axes) = run("{ site = \"v\" }");
    assert_eq!((raw.shape(), axes.as_str()), (&[1, 3, 5, 2, 16][..], "prompt layer step head d"));
    let (mean, axes) = run("{ site = \"v\", reduce = \"mean\", positions = \"1..4\" }");
    assert_eq!(axes, "prompt layer head d");
    let expected = (1..4).map(|step| raw[[0, 2, step, 1, 7]]).sum::<f32>() / 3.0;
    assert!((mean[[0, 2, 1, 7]] - expected).abs() < 1e-6);
    let (variance, axes) = run("{ site = \"v\", reduce = \"variance\", positions = \"1..4\" }");
    assert_eq!(axes, "prompt layer head");
    let of = |i: usize| {
        let mean = (1..4).map(|step| raw[[0, 2, step, 1, i]]).sum::<f32>() / 3.0;
        (1..4).map(|step| (raw[[0, 2, step, 1, i]] - mean).powi(2)).sum::<f32>() / 3.0
    };
    assert!((variance[[0, 2, 1]] - (0..16).map(of).sum::<f32>() / 16.0).abs() < 1e-6);
    let (last, _) = run("{ site = \"v\", reduce = \"last\" }");
    assert_eq!(last[[0, 1, 0, 3]], raw[[0, 1, 4, 0, 3]]);
}

#[test]
fn mistakes_say_where_and_what_there_is() {
    let wrong: Generate = stage(
        "seed = 1\ntemperature = -1.0\ncapture = [{ site = \"resid_mid\" }, { site = \"z\", layers = \"2..9\" }, { site = \"z\" }]\n\
         edits = [{ op = \"zero\", site = \"attn_out\", heads = [1] }]",
    );
    let found = Stage::ports(&wrong, &given("gpt_neox")).unwrap_err();
    let at = |place: &str| {
        found.iter().find(|mistake| mistake.at == place).unwrap_or_else(|| panic!("{place} in {found:?}"))
    };
    assert!(at("temperature").message.contains("not -1"));
    assert!(at("capture[0].site").help.as_ref().unwrap().contains("resid_pre"), "the sites that it has");
    assert_eq!(at("capture[1].layers").message, "layer 3 does not exist: there are 3 (0 to 2)");
    assert!(at("capture[2]").help.as_ref().unwrap().contains("as ="));
    assert!(at("edits[0].heads").help.as_ref().unwrap().contains("`z`"));
    // Where the model is not known yet, what is wrong on any model is still found.
    assert_eq!(Stage::ports(&wrong, &Given::default()).unwrap_err().len(), 2);
    assert!(
        toml::from_str::<Generate>("seed = 1\ncapture = [{ site = \"zz\" }]")
            .unwrap_err()
            .to_string()
            .contains("rot_q")
    );
}

#[test]
fn tokens_that_the_model_does_not_know_are_refused() {
    let (ctx, model) = engine("llama");
    let stage: Generate = stage("seed = 1\nnew-tokens = 2");
    let failed = stage.run(&inputs(vec![("model", model), ("prompts", prompts(&[("x", &[5, 999])]))]), &ctx);
    assert!(failed.unwrap_err().to_string().contains("999"));
}

/// 64 positions: a prompt of 21 and 44 new tokens, the last of which nobody reads; and one more is too many.
#[test]
fn learned_positions_bound_the_length() {
    let a = Fixture::of("gpt2").ids("a");
    let run = |new: usize, ids: &[u32]| {
        let (ctx, model) = engine("gpt2");
        let stage: Generate = stage(&format!("new-tokens = {new}\nseed = 1"));
        stage.run(&inputs(vec![("model", model), ("prompts", prompts(&[("a", ids)]))]), &ctx)
    };
    assert_eq!(tokens(&run(44, &a).unwrap()).sequences[0].new.len(), 44);
    let refused = format!("{:?}", run(45, &a).unwrap_err());
    assert!(refused.contains("`a` comes to 65 tokens") && refused.contains("64 at most"), "{refused}");
    let refused = format!("{:?}", run(1, &vec![1; 65]).unwrap_err());
    assert!(refused.contains("64 at most"), "{refused}");
}

#[test]
fn what_is_made_of_steps_is_made_of_those_chosen() {
    let a = Fixture::of("llama").ids("a");
    let (ctx, model) = engine("llama");
    let stage: Generate = stage(
        "new-tokens = 5\nseed = 1\ncapture = [{ site = \"v\" },\n\
         { site = \"v\", reduce = \"participation-ratio\", positions = \"-3..\", as = \"directions\" },\n\
         { site = \"z\", reduce = [\"norm\", \"mean-heads\", \"last\"], as = \"size\" }, { site = \"z\" },\n\
         { site = \"resid_post\", reduce = [\"unembed\", \"top-k\"], k = 1, layers = -1 }]",
    );
    let inputs = inputs(vec![("model", model), ("prompts", prompts(&[("a", &a)]))]);
    let outputs = stage.run(&inputs, &ctx).unwrap();
    let array = |port: &str| match tensor(&outputs, port).data.clone() {
        Data::F32(array) => array,
        other => panic!("{port} is {other:?}"),
    };
    let v = array("v"); // [prompt, layer, step, head, d]
    let row = |step: usize| (0..32).map(|i| f64::from(v[[0, 1, step, i / 16, i % 16]])).collect::<Vec<_>>();
    let rows: Vec<_> = (2..5).map(row).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let trace: f64 = rows.iter().map(|row| dot(row, row)).sum();
    let squares: f64 = rows.iter().flat_map(|a| rows.iter().map(|b| dot(a, b).powi(2))).sum();
    assert_eq!(array("directions").shape(), [1, 3]);
    assert!((f64::from(array("directions")[[0, 1]]) - trace * trace / squares).abs() < 1e-4);
    let z = array("z"); // [prompt, layer, step, head, d]
    let norm = |head: usize| (0..16).map(|i| z[[0, 2, 4, head, i]].powi(2)).sum::<f32>().sqrt();
    assert!((array("size")[[0, 2]] - (0..4).map(norm).sum::<f32>() / 4.0).abs() < 1e-5);
    // The lens on the last layer sees what is written next.
    let Data::I64(seen) = &tensor(&outputs, "resid_post.index").data else { panic!("indices are whole numbers") };
    let written: Vec<i64> = tokens(&outputs).sequences[0].new.iter().map(|token| i64::from(*token)).collect();
    assert_eq!(seen.iter().copied().collect::<Vec<_>>(), written);
    let ports = Stage::ports(&stage, &given("llama")).unwrap();
    for port in ports.outputs.iter().skip(1) {
        assert_eq!(port.ty.axes, tensor(&outputs, &port.name).axis_names(), "{}", port.name);
    }
}

#[test]
fn what_needs_the_whole_text_is_refused_while_it_is_written() {
    let wrong = |capture: &str| {
        let stage: Generate = stage(&format!("seed = 1\ncapture = [{capture}]"));
        let found = Stage::ports(&stage, &given("llama")).unwrap_err();
        found.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("\n")
    };
    assert!(wrong("{ site = \"pattern\", reduce = \"received-entropy\" }").contains("one query"));
    assert!(wrong("{ site = \"z\", reduce = [\"mean\", \"norm\"] }").contains("nothing can come after it"));
}

/// The newest token's logits, at every step, are those that choose what is written.
#[test]
fn logits_of_each_step_choose_what_is_written() {
    let (a, b) = (Fixture::of("llama").ids("a"), Fixture::of("llama").ids("b"));
    let (ctx, model) = engine("llama");
    let stage: Generate =
        stage("new-tokens = 4\nseed = 1\ncapture = [{ site = \"logits\", reduce = \"top-k\", k = 2 }]");
    let inputs = inputs(vec![("model", model), ("prompts", prompts(&[("a", &a), ("b", &b)]))]);
    let outputs = stage.run(&inputs, &ctx).unwrap();
    let Data::I64(likeliest) = &tensor(&outputs, "logits.index").data else { panic!("indices are whole numbers") };
    for (row, text) in tokens(&outputs).sequences.iter().enumerate() {
        let first: Vec<_> = (0..4).map(|step| likeliest[[row, step, 0]] as u32).collect();
        assert_eq!(first, text.new);
    }
}
