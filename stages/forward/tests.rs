//! The kind `forward` on the fixtures' models: ports, outputs, units, and edits that change nothing.

mod captures;
mod edits;
mod windows;

use super::*;
use crate::lm::ModelFacts;
use crate::lm::fixture::{FAMILIES, Fixture, distance, engine, given, inputs, prompts, stage};

fn values(outputs: &Outputs, port: &str) -> (Vec<usize>, Vec<f32>) {
    match &outputs.artifacts[port] {
        Artifact::Tensor(Tensor { data: Data::F32(array), .. }) => {
            (array.shape().to_vec(), array.iter().copied().collect())
        }
        other => panic!("{port} is {other:?}"),
    }
}

fn run(family: &str, toml: &str) -> Outputs {
    let fixture = Fixture::of(family);
    run_on(family, &[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))], toml, &[])
}

/// A stage on these texts, with tensors of other stages in ports.
fn run_on(family: &str, texts: &[(&str, &[u32])], toml: &str, others: &[(&str, &Artifact)]) -> Outputs {
    let (ctx, model) = engine(family);
    let mut ports = vec![("model", model), ("prompts", prompts(texts))];
    ports.extend(others.iter().map(|(port, artifact)| (*port, (*artifact).clone())));
    stage::<Forward>(toml).run(&inputs(ports), &ctx).unwrap()
}

#[test]
fn raw_values_agree_with_pytorch_and_axes_with_the_ports() {
    let toml =
        "capture = [{ site = \"pattern\" }, { site = \"logits\" }, { site = \"z\", as = \"heads\", layers = [2] }]";
    for family in FAMILIES {
        let outputs = run(family, toml);
        let ports = Stage::ports(&stage::<Forward>(toml), &given(family)).unwrap();
        let names: Vec<_> = ports.outputs.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, ["pattern", "logits", "heads", "length"]);
        for port in &ports.outputs {
            let Artifact::Tensor(tensor) = &outputs.artifacts[&port.name] else { panic!("{}", port.name) };
            assert_eq!(tensor.axis_names(), port.ty.axes, "{}", port.name);
        }
        let expected = Fixture::of(family).expected;
        let (shape, pattern) = values(&outputs, "pattern");
        assert_eq!(shape, [2, 3, 4, 21, 21]);
        assert!(distance(&pattern[..3 * 4 * 21 * 21], expected.get("a.pattern")) < 1e-4);
        let (shape, logits) = values(&outputs, "logits");
        assert_eq!(shape, [2, 21, 257]);
        assert!(distance(&logits[..21 * 257], expected.get("a.logits")) < 1e-4);
        assert!(distance(&logits[21 * 257..(21 + 14) * 257], expected.get("b.logits")) < 1e-4);
        assert!(logits[(21 + 14) * 257..].iter().all(|x| x.is_nan()));
        let (shape, heads) = values(&outputs, "heads");
        let d_head = ModelFacts::of(&Fixture::of(family).config).unwrap().d_head;
        assert_eq!(shape, [2, 1, 21, 4, d_head]);
        let layer = 21 * 4 * d_head;
        assert!(distance(&heads[..layer], &expected.get("a.z")[2 * layer..]) < 1e-4, "{family}");
        let Artifact::Tensor(heads) = &outputs.artifacts["heads"] else { panic!("heads") };
        assert_eq!(heads.axes[1].labels, Some(vec!["2".to_owned()]));
        let Artifact::Tensor(length) = &outputs.artifacts["length"] else { panic!("length") };
        assert_eq!(length.data, Data::I64(ndarray::arr1(&[21, 14]).into_dyn()));
    }
}

#[test]
fn no_result_depends_on_the_batch() {
    let toml = "capture = [{ site = \"resid_post\" }, { site = \"logits\", reduce = \"last\" }]\n\
                edits = [{ op = \"noise\", site = \"attn_out\", std = 0.3, seed = 4 }]\n";
    let (alone, together) = (run("llama", &format!("{toml}batch = 1")), run("llama", &format!("{toml}batch = 2")));
    for port in ["resid_post", "logits"] {
        let ((_, a), (_, b)) = (values(&alone, port), values(&together, port));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 || (a.is_nan() && b.is_nan())), "{port}");
    }
}

/// What a `generate` stage wrote is read as one text.
#[test]
fn tokens_are_read_prompt_and_all() {
    let fixture = Fixture::of("gpt_neox");
    let a = fixture.ids("a");
    let (ctx, model) = engine("gpt_neox");
    let tokens = json!({ "sequences": [{ "id": "a", "prompt": a[..9], "new": a[9..] }] });
    let stage: Forward = stage("capture = [{ site = \"logits\" }]");
    let outputs = stage.run(&inputs(vec![("model", model), ("prompts", Artifact::Record(tokens))]), &ctx).unwrap();
    assert!(distance(&values(&outputs, "logits").1, fixture.expected.get("a.logits")) < 1e-4);
}

#[test]
fn a_stopped_run_goes_on_from_its_units_and_ends_alike() {
    let fixture = Fixture::of("llama");
    let (ctx, model) = engine("llama");
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    let toml = "batch = 1\ncapture = [{ site = \"z\", reduce = \"norm\" }, { site = \"pattern\", reduce = \"mean\" }]";
    let run_on =
        |ctx: &_| stage::<Forward>(toml).run(&inputs(vec![("model", model.clone()), ("prompts", texts.clone())]), ctx);
    ctx.stop_after(1);
    assert!(matches!(run_on(&ctx), Err(Failure::Stopped)));
    assert_eq!(ctx.saved(), ["prompt-0"]);
    ctx.carry_on();
    let resumed = run_on(&ctx).unwrap();
    assert_eq!(ctx.saves(), 2);
    // NaN stands where the short text has nothing: compare what is stored.
    for (port, artifact) in run("llama", toml).artifacts {
        assert_eq!(artifact.encode(), resumed.artifacts[&port].encode(), "{port}");
    }
}

#[test]
fn positions_that_no_text_has_are_refused() {
    let a = Fixture::of("llama").ids("a");
    let (ctx, model) = engine("llama");
    let stage: Forward = stage("capture = [{ site = \"z\", positions = [3, 21] }]");
    let failed = stage.run(&inputs(vec![("model", model), ("prompts", prompts(&[("a", &a)]))]), &ctx).unwrap_err();
    assert!(failed.to_string().contains("needs a text of 22 tokens, but the longest has 21"), "{failed}");
    assert!(Stage::ports(&self::stage::<Forward>("capture = []"), &Given::default()).is_err());
}
