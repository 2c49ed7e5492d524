//! Captures that are compared with another run: differences, windows of each text's own, what a norm multiplies by.

use ndarray::Axis;

use super::{
    captures::{Given, array, entropy, near, norm},
    *,
};
use crate::metrics::summary::mean;

fn counts(values: &[i64]) -> Artifact {
    Artifact::Tensor(Tensor::new(&["prompt"], Data::I64(ndarray::arr1(values).into_dyn())))
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

fn failure(toml: &str, others: Vec<(&str, Artifact)>) -> String {
    let (ctx, model) = engine("llama");
    let fixture = Fixture::of("llama");
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    let ports = [vec![("model", model), ("prompts", texts)], others].concat();
    stage::<Forward>(toml).run(&inputs(ports), &ctx).unwrap_err().to_string()
}

/// H / ln(q + 1) from PyTorch's patterns, and 1 / √(mean x² + ε) from its residual stream.
#[test]
fn entropies_are_shares_of_what_a_query_can_have_and_scales_become_factors() {
    let toml = "capture = [\n\
         { site = \"pattern\", reduce = [\"relative-entropy\", \"mean-heads\", \"mean\"], positions = \"-4..\", as = \"window\" },\n\
         { site = \"pattern\", reduce = \"relative-entropy\", as = \"each\" },\n\
         { site = \"ln1.scale\", reduce = [\"reciprocal\", \"mean\"], positions = \"-4..\" }]";
    let outputs = run("llama", toml);
    let (window, each, factor) = (array(&outputs, "window"), array(&outputs, "each"), array(&outputs, "ln1.scale"));
    let fixture = Fixture::of("llama");
    let epsilon = fixture.config["rms_norm_eps"].as_f64().unwrap();
    for (prompt, (run, length)) in [("a", 21), ("b", 14)].into_iter().enumerate() {
        let pattern = Given::of(&fixture.expected, &format!("{run}.pattern")); // [layer, head, query, key]
        let resid = Given::of(&fixture.expected, &format!("{run}.resid")); // [layer + 1, position, d]
        for layer in 0..3 {
            let share =
                |head: usize, query: usize| entropy(pattern.lane(&[layer, head, query])) / ((query + 1) as f64).ln();
            near(each[[prompt, layer, 1, 5]], share(1, 5), "one query");
            assert_eq!(each[[prompt, layer, 1, 0]], 0.0, "the first token has no choice");
            let over = (0..4).flat_map(|head| (length - 4..length).map(move |query| (head, query)));
            let shares: Vec<f64> = over.map(|(head, query)| share(head, query)).collect();
            near(window[[prompt, layer]], mean(&shares), "mean of heads and the last four queries");

            let square = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
            let factors: Vec<f64> = (length - 4..length)
                .map(|position| 1.0 / (square(resid.lane(&[layer, position])) + epsilon).sqrt())
                .collect();
            near(factor[[prompt, layer]], mean(&factors), "what the norm multiplies by");
        }
    }
}

#[test]
fn a_difference_to_another_run_is_reduced_like_any_value() {
    for family in ["llama", "gpt2"] {
        let raw = "capture = [{ site = \"resid_post\", positions = \"-6..\" }, { site = \"z\", positions = \"-6..\" }, { site = \"logits\", positions = \"-2..\" }]";
        let edit = "\nedits = [{ op = \"noise\", site = \"attn_out\", layers = 1, std = 0.5, seed = 3 }]";
        let (base, noised) = (run(family, raw), run(family, &format!("{raw}{edit}")));
        let toml = "capture = [\n\
             { site = \"resid_post\", minus = \"r\", reduce = [\"norm\", \"mean\"], positions = \"-6..\" },\n\
             { site = \"z\", minus = \"z\", heads = [3, 1], positions = \"-4..\", layers = [2] },\n\
             { site = \"logits\", minus = \"l\", reduce = \"last\" }]";
        let ports =
            [("r", &base.artifacts["resid_post"]), ("z", &base.artifacts["z"]), ("l", &base.artifacts["logits"])];
        let alone = with(family, &format!("{toml}{edit}\nbatch = 1"), &ports);
        let outputs = with(family, &format!("{toml}{edit}\nbatch = 2"), &ports);
        let (r, z, l) = (array(&outputs, "resid_post"), array(&outputs, "z"), array(&outputs, "logits"));
        let moved = |port: &str| array(&noised, port) - array(&base, port);
        for (prompt, layer) in (0..2).flat_map(|prompt| (0..3).map(move |layer| (prompt, layer))) {
            let each = moved("resid_post");
            let norms: Vec<f64> =
                (0..6).map(|p| norm(&each.slice(ndarray::s![prompt, layer, p, ..]).to_vec())).collect();
            near(r[[prompt, layer]], mean(&norms), "how far the residual moved");
            assert_eq!(r[[prompt, layer]] == 0.0, layer == 0, "nothing moves before the noise");
            near(array(&alone, "resid_post")[[prompt, layer]], f64::from(r[[prompt, layer]]), "alone and in a batch");
        }
        let heads = moved("z").select(Axis(3), &[1, 3]);
        let heads = heads.slice(ndarray::s![.., 2..3, 2.., .., ..]);
        assert!(z.iter().zip(heads.iter()).all(|(a, b)| (a - b).abs() < 1e-5) && z.iter().any(|x| *x != 0.0));
        let last = moved("logits");
        assert!(l.iter().zip(last.slice(ndarray::s![.., 1, ..]).iter()).all(|(a, b)| (a - b).abs() < 1e-4), "{family}");
    }
}

/// A window of three positions is `positions = "-3.."`, for that text alone.
#[test]
fn each_text_has_a_window_of_its_own() {
    let toml = |window: &str, positions: &str| {
        format!(
            "capture = [{{ site = \"v\", reduce = \"participation-ratio\", positions = \"{positions}\"{window} }},\n\
             {{ site = \"resid_post\", reduce = [\"norm\", \"mean\"], positions = \"{positions}\"{window} }},\n\
             {{ site = \"z\", layers = [1], reduce = \"norm\", positions = \"{positions}\"{window} }}]"
        )
    };
    let windowed = with("llama", &toml(", window = \"w\"", "-6.."), &[("w", &counts(&[3, 20]))]);
    let (three, six) = (run("llama", &toml("", "-3..")), run("llama", &toml("", "-6..")));
    for port in ["v", "resid_post"] {
        let (own, three, six) = (array(&windowed, port), array(&three, port), array(&six, port));
        for layer in 0..3 {
            assert_eq!(own[[0, layer]], three[[0, layer]], "{port} of the text with a window of three");
            assert_eq!(own[[1, layer]], six[[1, layer]], "{port} of the text with more than there are");
            assert_ne!(own[[0, layer]], six[[0, layer]]);
        }
    }
    let z = array(&windowed, "z");
    let there: Vec<bool> = (0..6).map(|place| !z[[0, 0, place, 0]].is_nan()).collect();
    assert_eq!(there, [false, false, false, true, true, true], "a place keeps its meaning");

    let toml = "capture = [{ site = \"v\", reduce = \"participation-ratio\", window = \"w\" }]";
    assert!(failure(toml, vec![("w", counts(&[3]))]).contains("other prompts"));
    assert!(failure(toml, vec![("w", counts(&[3, 0]))]).contains("at least one position"));
}

/// What follows a change within the window is restored from the window alone.
#[test]
fn a_window_is_enough_to_freeze_what_a_patch_in_it_moves() {
    for family in FAMILIES {
        let facts = ModelFacts::of(&Fixture::of(family).config).unwrap();
        let sites: Vec<_> = ["attn_out", "mlp_out", "ln1.scale"]
            .into_iter()
            .filter(|name| facts.sites.iter().any(|site| site.name() == *name))
            .collect();
        let raw: Vec<_> =
            sites.iter().map(|site| format!("{{ site = \"{site}\", layers = 2, positions = \"-6..\" }}")).collect();
        let base = run(family, &format!("capture = [{}]", raw.join(", ")));
        let whole: Vec<_> = sites.iter().map(|site| format!("{{ site = \"{site}\", layers = 2 }}")).collect();
        let whole = run(family, &format!("capture = [{}]", whole.join(", ")));
        let noise = "{ op = \"noise\", site = \"v\", layers = 1, std = 0.5, seed = 1, positions = \"-6..\" }";
        let frozen = |positions: &str| {
            let froze = |site: &&str| {
                let port = site.replace('.', "_");
                format!("{{ op = \"freeze\", site = \"{site}\", layers = 2, from = \"{port}\"{positions} }}")
            };
            let edits: Vec<_> = sites.iter().map(froze).collect();
            format!("capture = [{{ site = \"resid_post\" }}]\nedits = [{noise}, {}]", edits.join(", "))
        };
        let ports = |outputs: &Outputs| -> Vec<(String, Artifact)> {
            sites.iter().map(|site| (site.replace('.', "_"), outputs.artifacts[*site].clone())).collect()
        };
        let run = |toml: &str, ports: Vec<(String, Artifact)>| {
            let ports: Vec<_> = ports.iter().map(|(name, artifact)| (name.as_str(), artifact)).collect();
            with(family, toml, &ports).artifacts.remove("resid_post").unwrap().encode()
        };
        let (window, all) = (run(&frozen(", positions = \"-6..\""), ports(&base)), run(&frozen(""), ports(&whole)));
        assert_eq!(window, all, "{family}: positions before the window do not see the change");
        let plain = format!("capture = [{{ site = \"resid_post\" }}]\nedits = [{noise}]");
        assert_ne!(window, with(family, &plain, &[]).artifacts["resid_post"].encode());
    }
}

#[test]
fn what_belongs_to_whole_texts_is_refused_elsewhere() {
    let planned = |toml: &str| Stage::ports(&stage::<Forward>(toml), &given("llama"));
    let pattern = planned("capture = [{ site = \"pattern\", minus = \"base\" }]").unwrap_err();
    assert_eq!(pattern[0].at, "capture[0].minus");
    let ports = planned("capture = [{ site = \"v\", minus = \"base\", window = \"w\" }]").unwrap();
    let names: Vec<_> = ports.inputs.iter().map(|port| (port.name.as_str(), port.accept.to_string())).collect();
    assert_eq!(names[2], ("base", "tensor[prompt, layer, position, head, d]".to_owned()));
    assert_eq!(names[3], ("w", "tensor[prompt]".to_owned()));
    let generate =
        stage::<crate::generate::Generate>("new-tokens = 2\nseed = 1\ncapture = [{ site = \"v\", window = \"w\" }]");
    let refused = Stage::ports(&generate, &given("llama")).unwrap_err();
    assert!(refused[0].message.contains("whole texts"), "{refused:?}");
}
