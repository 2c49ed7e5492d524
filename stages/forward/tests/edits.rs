//! Edits through the stages, over every family: equal to PyTorch, to themselves whatever the batch, and to nothing where
//! they change nothing.

use serde_json::json;

use super::*;
use crate::{
    generate::Generate,
    lm::{
        ModelFacts,
        fixture::FAMILIES,
        site::{Extent, Site},
        text::tokens::Tokens,
    },
};

/// What a stage on both fixture prompts captured, raw.
fn captured(family: &str, capture: &str) -> Artifact {
    run(family, &format!("capture = [{{ {capture}, as = \"x\" }}]")).artifacts.remove("x").unwrap()
}

fn both(family: &str) -> [(&'static str, Vec<u32>); 2] {
    let fixture = Fixture::of(family);
    [("a", fixture.ids("a")), ("b", fixture.ids("b"))]
}

fn with(family: &str, toml: &str, others: &[(&str, &Artifact)]) -> Outputs {
    let both = both(family);
    let texts: Vec<(&str, &[u32])> = both.iter().map(|(id, ids)| (*id, ids.as_slice())).collect();
    run_on(family, &texts, toml, others)
}

#[test]
fn a_patched_value_projection_gives_pytorchs_logits() {
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let (a, b) = (fixture.ids("a"), fixture.ids("b"));
        let source = run_on(family, &[("b", &b)], "capture = [{ site = \"v\", layers = 1 }]", &[]);
        let toml = "capture = [{ site = \"logits\" }, { site = \"v\", layers = 1, reduce = \"participation-ratio\", positions = \"-8..\" }]\n\
             edits = [{ op = \"patch\", site = \"v\", layers = 1, positions = \"-8..\", from = \"source\", align = \"end\" }]";
        let outputs = run_on(family, &[("a", &a)], toml, &[("source", &source.artifacts["v"])]);
        let distance = distance(&values(&outputs, "logits").1, fixture.expected.get("a.logits.patch_v"));
        assert!(distance < 1e-4, "{family}: {distance}");

        // With the whole window patched it *is* the source's, and so is every measure of it.
        let own = "capture = [{ site = \"v\", layers = 1, reduce = \"participation-ratio\", positions = \"-8..\" }]";
        let own = run_on(family, &[("b", &b)], own, &[]);
        assert_eq!(values(&outputs, "v").1, values(&own, "v").1, "{family}");
    }
}

#[test]
fn zeroed_heads_give_pytorchs_logits() {
    for family in FAMILIES {
        let toml = "capture = [{ site = \"logits\" }]\nedits = [\n\
             { op = \"zero\", site = \"z\", layers = 1, heads = 0 }, { op = \"scale\", site = \"z\", layers = -1, heads = -1, factor = 0.0 }]";
        let fixture = Fixture::of(family);
        let outputs = run_on(family, &[("a", &fixture.ids("a"))], toml, &[]);
        assert!(distance(&values(&outputs, "logits").1, fixture.expected.get("a.logits.ablate")) < 1e-4, "{family}");
    }
}

/// The bits of a tensor: NaN is equal to itself, and −0 is not 0.
fn bits(outputs: &Outputs, port: &str) -> Vec<u32> {
    values(outputs, port).1.iter().map(|x| x.to_bits()).collect()
}

/// At every site that a family has: noise of 0, a factor of 1, a step of 0, and a patch of a run with itself.
#[test]
fn edits_that_change_nothing_change_no_bit() {
    for family in FAMILIES {
        let facts = ModelFacts::of(&Fixture::of(family).config).unwrap();
        let read = "capture = [{ site = \"resid_post\" }, { site = \"logits\" }]\n";
        let plain = run(family, read);
        for site in facts.sites.iter().filter(|site| **site != Site::Logits) {
            let name = site.name();
            let own = captured(family, &format!("site = \"{name}\""));
            let mut edits = vec![
                format!("{{ op = \"noise\", site = \"{name}\", std = 0.0, seed = 1 }}"),
                format!("{{ op = \"scale\", site = \"{name}\", factor = 1.0 }}"),
                format!("{{ op = \"patch\", site = \"{name}\", from = \"own\" }}"),
                format!("{{ op = \"patch\", site = \"{name}\", from = \"own\", positions = \"3..-2\" }}"),
                format!("{{ op = \"freeze\", site = \"{name}\", from = \"own\" }}"),
            ];
            if site.extent() != Extent::Pattern {
                edits.push(format!("{{ op = \"patch\", site = \"{name}\", from = \"own\", align = \"end\" }}"));
            }
            if let Some(width) = facts.width_at(*site).filter(|_| site.extent() != Extent::Scale) {
                let way = vec![1.0; width];
                edits.push(format!("{{ op = \"steer\", site = \"{name}\", direction = {way:?}, factor = 0.0 }}"));
            }
            for edit in edits {
                let toml = format!("{read}edits = [{edit}]");
                let others: &[(&str, &Artifact)] = if edit.contains("own") { &[("own", &own)] } else { &[] };
                let edited = with(family, &toml, others);
                for port in ["resid_post", "logits"] {
                    assert_eq!(bits(&edited, port), bits(&plain, port), "{family} {edit} {port}");
                }
            }
        }
    }
}

/// One edit of each kind, with what they take from other stages.
fn every_edit(family: &str) -> (String, Vec<(&'static str, Artifact)>) {
    let edits = "edits = [\n\
         { op = \"noise\", site = \"pattern\", layers = 0, heads = 1, std = 0.02, seed = 4 },\n\
         { op = \"noise\", site = \"v\", layers = 0, positions = \"2..\", std = 0.5, relative = true, seed = 4 },\n\
         { op = \"zero\", site = \"z\", layers = 0, heads = [0, 2], positions = [1, 4, 17] },\n\
         { op = \"mean\", site = \"z\", layers = 0, heads = 3, from = \"corpus\" },\n\
         { op = \"scale\", site = \"k\", layers = 1, positions = \"-3..\", factor = 1.5 },\n\
         { op = \"patch\", site = \"q\", layers = 1, heads = 1, positions = \"5..9\", from = \"other\" },\n\
         { op = \"resample\", site = \"attn_out\", layers = 1, positions = \"-6..\", from = \"outs\", align = \"end\", seed = 9 },\n\
         { op = \"steer\", site = \"resid_post\", layers = 1, positions = \"-2..\", direction = \"way\", factor = 2.0 },\n\
         { op = \"clamp\", site = \"mlp_out\", layers = 2, norm = 3.0 },\n\
         { op = \"clamp\", site = \"z\", layers = 2, heads = 0, std = 0.25 }]\n";
    let d = ModelFacts::of(&Fixture::of(family).config).unwrap().d_model;
    let way = ArrayD::from_shape_fn(IxDyn(&[d]), |i| (i[0] as f32 * 0.3).cos());
    let ports = vec![
        ("corpus", captured(family, "site = \"z\", reduce = \"mean\"")),
        ("other", captured(family, "site = \"q\"")),
        ("outs", captured(family, "site = \"attn_out\", layers = 1")),
        ("way", Artifact::Tensor(Tensor::new(&["d"], Data::F32(way)))),
    ];
    (edits.to_owned(), ports)
}

#[test]
fn every_edit_does_the_same_alone_and_in_a_batch() {
    for family in FAMILIES {
        let (edits, ports) = every_edit(family);
        let others: Vec<(&str, &Artifact)> = ports.iter().map(|(name, artifact)| (*name, artifact)).collect();
        let toml = |batch: usize| format!("capture = [{{ site = \"resid_post\" }}]\nbatch = {batch}\n{edits}");
        let (alone, together) = (with(family, &toml(1), &others), with(family, &toml(2), &others));
        let ((_, a), (_, b)) = (values(&alone, "resid_post"), values(&together, "resid_post"));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-5 * a.abs().max(1.0) || (a.is_nan() && b.is_nan()), "{family}: {a} {b}");
        }
        let (_, plain) = values(&run(family, "capture = [{ site = \"resid_post\" }]"), "resid_post");
        assert!(
            plain.iter().zip(&a).any(|(plain, edited)| (plain - edited).abs() > 0.1),
            "{family}: they do something"
        );
    }
}

/// Written token by token with a KV cache, a text has the values that it has when it is read at once under the same
/// edits: an edit acts once, when its position is computed.
#[test]
fn edits_while_writing_are_those_of_reading_what_was_written() {
    for family in FAMILIES {
        let both = both(family);
        let texts: Vec<(&str, &[u32])> = both.iter().map(|(id, ids)| (*id, ids.as_slice())).collect();
        let edits = "edits = [\n\
             { op = \"noise\", site = \"v\", layers = 0, std = 0.3, seed = 4 },\n\
             { op = \"noise\", site = \"pattern\", layers = 2, std = 0.01, seed = 4 },\n\
             { op = \"scale\", site = \"k\", layers = 1, heads = 0, positions = \"3..16\", factor = 2.0 },\n\
             { op = \"zero\", site = \"z\", layers = 1, heads = 2, positions = [2, 15, 22] },\n\
             { op = \"clamp\", site = \"mlp_out\", layers = 2, positions = \"14..\", norm = 2.0 }]\n";
        let (ctx, model) = engine(family);
        let toml = format!(
            "seed = 1\nnew-tokens = 6\ncapture = [{{ site = \"resid_post\" }}, {{ site = \"pattern\", layers = 2 }}]\n{edits}"
        );
        let stage_inputs = inputs(vec![("model", model.clone()), ("prompts", prompts(&texts))]);
        let made = stage::<Generate>(&toml).run(&stage_inputs, &ctx).unwrap();
        let tokens = made.artifacts["tokens"].clone();
        let Artifact::Record(record) = &tokens else { panic!("tokens") };
        let sequences = Tokens::read(record).unwrap().sequences;

        let toml = format!("capture = [{{ site = \"resid_post\" }}, {{ site = \"pattern\", layers = 2 }}]\n{edits}");
        let read = stage::<Forward>(&toml)
            .run(&inputs(vec![("model", model), ("prompts", tokens)]), &engine(family).0)
            .unwrap();
        let array = |outputs: &Outputs, port: &str| {
            let (shape, values) = values(outputs, port);
            ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
        };
        let (written, whole) = (array(&made, "resid_post"), array(&read, "resid_post"));
        let (steps, pattern) = (array(&made, "pattern"), array(&read, "pattern"));
        for (prompt, sequence) in sequences.iter().enumerate() {
            for (layer, step) in (0..3).flat_map(|layer| (0..6).map(move |step| (layer, step))) {
                let position = sequence.prompt.len() - 1 + step;
                for i in [0, 7, 31] {
                    let (a, b) = (written[[prompt, layer, step, i]], whole[[prompt, layer, position, i]]);
                    assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{family} {prompt} L{layer} step {step}: {a} {b}");
                }
                let (a, b) = (steps[[prompt, 0, 1, step, 4]], pattern[[prompt, 0, 1, position, 4]]);
                assert!((a - b).abs() < 1e-4, "{family} {prompt} step {step}: {a} {b}");
            }
        }
    }
}

/// While a text is written, negative positions count back from the end of its prompt.
#[test]
fn the_end_while_writing_is_that_of_the_prompt() {
    let both = both("llama");
    let generate = |texts: &[(&str, &[u32])], positions: &str| {
        let (ctx, model) = engine("llama");
        let toml = format!(
            "seed = 1\nnew-tokens = 5\ncapture = [{{ site = \"resid_post\" }}]\n\
             edits = [{{ op = \"zero\", site = \"attn_out\", layers = 1, positions = {positions} }}]"
        );
        let inputs = inputs(vec![("model", model), ("prompts", prompts(texts))]);
        values(&stage::<Generate>(&toml).run(&inputs, &ctx).unwrap(), "resid_post").1
    };
    let b: [(&str, &[u32]); 1] = [("b", &both[1].1)];
    assert_eq!(generate(&b, "\"-2..\""), generate(&b, "\"12..\""));
    assert_eq!(generate(&b, "-1"), generate(&b, "13"));
    assert_eq!(generate(&b, "\"-2..-1\""), generate(&b, "12"));
    assert_ne!(generate(&b, "\"-1..\""), generate(&b, "-1"), "an open range goes on into what is written");
}

#[test]
fn a_stopped_run_with_edits_ends_alike() {
    let (edits, ports) = every_edit("gpt_neox");
    let toml = format!(
        "capture = [{{ site = \"logits\", reduce = [\"last\", \"top-k\"], k = 3 }}, {{ site = \"v\", reduce = \"participation-ratio\" }}]\nbatch = 1\n{edits}"
    );
    let others: Vec<(&str, &Artifact)> = ports.iter().map(|(name, artifact)| (*name, artifact)).collect();
    let whole = with("gpt_neox", &toml, &others);

    let (ctx, model) = engine("gpt_neox");
    let both = both("gpt_neox");
    let texts: Vec<(&str, &[u32])> = both.iter().map(|(id, ids)| (*id, ids.as_slice())).collect();
    let mut all = vec![("model", model), ("prompts", prompts(&texts))];
    all.extend(ports.iter().map(|(name, artifact)| (*name, artifact.clone())));
    let all = inputs(all);
    ctx.stop_after(1);
    assert!(matches!(stage::<Forward>(&toml).run(&all, &ctx), Err(Failure::Stopped)));
    ctx.carry_on();
    let resumed = stage::<Forward>(&toml).run(&all, &ctx).unwrap();
    assert_eq!(ctx.saves(), 2);
    assert_eq!(resumed.artifacts, whole.artifacts);
}

#[test]
fn ports_of_edits_are_declared_and_checked() {
    let toml = |edits: &str| format!("capture = [{{ site = \"logits\" }}]\nedits = [{edits}]");
    let ports = |edits: &str, wired: &crate::Given| Stage::ports(&stage::<Forward>(&toml(edits)), wired);
    let patch = "{ op = \"patch\", site = \"z\", layers = 2, from = \"base\" }";
    let made = ports(patch, &given("llama")).unwrap();
    let names: Vec<_> = made.inputs.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["model", "prompts", "base"]);
    assert_eq!(made.inputs[2].accept.to_string(), "tensor[prompt, layer, position, head, d]");
    let mean = ports("{ op = \"mean\", site = \"attn_out\", from = \"base\" }", &given("llama")).unwrap();
    let accepts = mean.inputs[2].accept.to_string();
    assert_eq!(accepts, "tensor[layer, d] or tensor[prompt, layer, d] or tensor[prompt, layer, position, d]");

    let says = |edits: &str, wired: &crate::Given| {
        let found = ports(edits, wired).unwrap_err();
        found.iter().map(|mistake| format!("{}: {}\n", mistake.at, mistake.message)).collect::<String>()
    };
    let two = format!("{patch}, {{ op = \"patch\", site = \"attn_out\", from = \"base\" }}");
    assert!(
        says(&two, &given("llama")).contains("edits[1].from: `base` should be tensor[prompt, layer, position, d] here")
    );
    let own = "{ op = \"freeze\", site = \"z\", from = \"prompts\" }";
    assert!(says(own, &given("llama")).contains("an input that this stage has anyway"));
    let mut wired = given("llama");
    let arrived = crate::Arrived {
        from: "base.z".to_owned(),
        ty: PortType::tensor(&["prompt", "layer", "position", "head", "d"]),
        facts: json!({ "layers": 1, "layer": [0], "d": 16 }),
    };
    wired.inputs.insert("base".to_owned(), vec![arrived]);
    assert!(says(patch, &wired).contains("edits[0].from: `base` has no layer 2"));
    // Values of query heads do not fit key/value heads, though each has as many numbers.
    wired.inputs.get_mut("base").unwrap()[0].facts = json!({ "layers": 3, "heads": 4, "d": 16 });
    let shared = "{ op = \"patch\", site = \"v\", from = \"base\" }";
    assert!(says(shared, &wired).contains("`base` has 4 heads, and here are 2"));
}

/// A vector whose length only the weights tell is still held against what it is added to.
#[test]
fn a_vector_of_another_length_fails_the_stage() {
    let (ctx, model) = engine("llama");
    let both = both("llama");
    let toml =
        "capture = [{ site = \"logits\" }]\nedits = [{ op = \"steer\", site = \"mlp_post\", direction = [1.0, 2.0] }]";
    let inputs = inputs(vec![("model", model), ("prompts", prompts(&[("a", &both[0].1)]))]);
    let failed = stage::<Forward>(toml).run(&inputs, &ctx).unwrap_err().to_string();
    assert!(failed.contains("at `mlp_post` vectors have") && failed.contains("the edit brings 2"), "{failed}");
}
