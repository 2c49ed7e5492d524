//! Whole manifests: what is read from a good one, and that no bytes whatever do harm.

use std::{fs, path::Path, time::Instant};

use proptest::prelude::*;

use super::{node, read, read_file, wrong};
use crate::manifest::{Lowering, Manifest, NodeValue, Problem, Problems, Text, Wire, canonical_params, lower::lower};

const HEAD: &str = "[study]\nname = \"s\"\n[stages.a]\nkind = \"x\"\n";

#[test]
fn a_good_manifest_says_what_it_says() {
    let manifest = read(
        r#"
[study]
name = "indra"
question = "Does it?"
seed = 7
[params]
model = "gpt2"
[axes]
sigma = [0.10, 1e-5, 1]
region = { late = "26..30", all = "0..30" }
model = ["a/b", true]
[stages.z]
kind = "load-model"
source = "${params.model}"
[stages.a]
kind = "forward"
title = "A run"
over = ["region", "sigma"]
inputs = { model = "z", prompts = ["p.tokens", "q"] }
resources.memory = "8G"
[[stages.a.edits]]
op = "zero"
[[expect]]
that = "a.x.y"
cell = { sigma = 0.1, region = "late" }
where = { k = 8 }
equals = [1, 2.5]
within-relative = 1e-3
weights = "blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
model = ["org/b", "org/a@step3"]
[export]
"results/a b.csv" = "a.x"
[cluster]
partition = "gpu"
"#,
        &[],
    )
    .unwrap();
    assert_eq!((manifest.study.name.value.as_str(), manifest.study.seed), ("indra", 7));
    let axes: Vec<_> = manifest.axes.iter().map(|axis| axis.name.value.as_str()).collect();
    assert_eq!(axes, ["sigma", "region", "model"], "in the order of the text");
    let labels: Vec<_> = manifest.axes.iter().flat_map(|axis| &axis.values).map(|value| value.label.as_str()).collect();
    assert_eq!(labels, ["0.1", "1e-5", "1", "late", "all", "a/b", "true"]);
    let [z, a] = &manifest.stages[..] else { panic!("two stages, in the order of the text") };
    assert_eq!((z.name.value.as_str(), a.kind.value.as_str()), ("z", "forward"));
    assert_eq!(&manifest.text.content[z.params.span.clone()], "[stages.z]");
    assert_eq!((a.inputs[0].listed, a.inputs[1].listed), (false, true));
    assert_eq!(a.inputs[1].wires[0].value, Wire { stage: "p".into(), port: Some("tokens".into()) });
    assert!(matches!(&a.params.value, NodeValue::Table(entries) if entries.len() == 1), "the rest is parameters");
    let expect = &manifest.expects[0];
    assert_eq!(expect.that.value, ["a", "x", "y"]);
    assert_eq!(expect.cell[0].1.value, "0.1");
    assert_eq!((expect.within, expect.within_relative), (None, Some(1e-3)));
    assert_eq!(expect.models.iter().flatten().collect::<Vec<_>>(), ["org/a@step3", "org/b"]);
    assert_eq!(manifest.exports[0].path.value, "results/a b.csv");
}

#[test]
fn the_seed_of_a_study_is_zero_where_it_says_none() {
    assert_eq!(read(HEAD, &[]).unwrap().study.seed, 0);
}

#[test]
fn what_is_set_is_toml_or_else_text() {
    let text = format!("{HEAD}[params]\nx = 1\ny = 'a'\n");
    let set = |set: &str| read(&text, &[set]).map(|manifest| manifest.params[0].1.value.clone());
    assert_eq!(set("x=2").unwrap(), NodeValue::Integer(2));
    assert_eq!(set("x = 2.5").unwrap(), NodeValue::Float(2.5));
    assert_eq!(set("x=gpt2/a=b").unwrap(), NodeValue::String("gpt2/a=b".into()));
    assert_eq!(set("x=2 3").unwrap(), NodeValue::String("2 3".into()));
    assert_eq!(set("x=[1").unwrap(), NodeValue::String("[1".into()));
    assert_eq!(set("x=\"2\"").unwrap(), NodeValue::String("2".into()));
    assert_eq!(set("x=").unwrap(), NodeValue::String(String::new()));
    assert!(matches!(set("x=[1, 2]").unwrap(), NodeValue::Array(_)));
    for (bad, message) in [
        ("x", "expected NAME=VALUE"),
        ("z=1", "there is no parameter `z` in [params]"),
        ("seed=1", "there is no parameter `seed` in [params]"),
        ("x=1979-05-27", "dates and times are not used in manifests"),
        ("x=nan", "this number is not finite"),
        ("x=${params.y}", "a value of --set cannot refer to another value"),
    ] {
        assert_eq!(set(bad).unwrap_err().list[0].message, message, "{bad}");
    }
    let last = read(&text, &["x=2", "x=3"]).unwrap();
    assert_eq!(last.params[0].1.value, NodeValue::Integer(3));
}

#[test]
fn a_manifest_with_mistakes_beside_its_stages_can_still_be_planned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let recovered = |text: &str| {
        fs::write(&path, text).unwrap();
        let (manifest, problems) = Manifest::recover(&path, &[]);
        (manifest.is_some(), problems.list.len())
    };
    assert_eq!(recovered(&format!("{HEAD}[exports]\n[[expect]]\n")), (true, 3));
    assert_eq!(recovered(&format!("{HEAD}over = [\"nope\"]\n")), (true, 1));
    assert_eq!(recovered(&format!("{HEAD}[axes]\nx = []\n")), (true, 1));
    assert_eq!(recovered("x"), (false, 1));
}

#[test]
fn what_is_no_manifest_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| read_file(path, &[]).unwrap_err().list.remove(0).message;
    assert!(message(&folder.path().join("none.toml")).starts_with("cannot read "));
    assert!(message(folder.path()).ends_with(" is a folder"));
    let path = folder.path().join("x.toml");
    fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
    assert_eq!(message(&path), "this is not UTF-8 text: byte 11 is 0xff");
    fs::write(&path, vec![b' '; (8 << 20) + 1]).unwrap();
    assert!(message(&path).ends_with(" has more than 8 MiB"));
}

#[test]
fn deep_nesting_is_an_error_and_not_the_end() {
    let deep = "this is nested too deeply";
    for text in [
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("x = {}{}", "[".repeat(70), "]".repeat(70)),
    ] {
        assert!(wrong(&text).iter().any(|message| message == deep), "{}", &text[..20]);
    }
    // The parser allows tables of dotted keys in each other: more than six thousand levels.
    let key = format!("{}a", "a.".repeat(78));
    let nested = (0..78).fold("1".to_owned(), |inner, _| format!("{{{key}={inner}}}"));
    assert!(wrong(&format!("[{key}]\n{key}={nested}")).iter().any(|message| message == deep));
}

#[test]
fn megabytes_of_junk_are_refused_at_once() {
    let started = Instant::now();
    let junk: String =
        (0..4u32 << 20).map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 90)).collect();
    let problems = read(&junk, &[]).unwrap_err();
    assert!((1..=8).contains(&problems.list.len()));
    assert!(problems.render(false, 80).len() < 10_000);
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn problems_are_data_for_a_program() {
    let problems = read("[study]\n'naïve' = 'é' # x\n", &["y=1"]).unwrap_err();
    let json = problems.to_json();
    let [argument, stages, study, unknown] = json.as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!(argument["argument"], "y=1");
    assert_eq!((&stages["line"], &study["line"]), (&1.into(), &1.into()));
    assert_eq!((&unknown["line"], &unknown["column"]), (&2.into(), &1.into()));
    assert_eq!(unknown["message"], "`naïve` is an unknown key in [study]");
}

#[test]
fn a_manifest_lowers_from_where_it_lies() {
    let manifest = read(HEAD, &[]).unwrap();
    let at = Lowering::of(&manifest).unwrap();
    assert!(at.manifest_dir.is_absolute() && at.working_dir.is_absolute());
    assert_eq!(Some(at.manifest_dir.as_path()), manifest.text.path.parent());
}

/// Something like TOML, so that random text gets past the first character.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        Just("[study]\nname = \"s\"\n".to_owned()),
        Just("[stages.a]\nkind = \"forward\"\n".to_owned()),
        Just("[[expect]]\n".to_owned()),
        Just("[axes]\n".to_owned()),
        Just("over = [\"x\"]\n".to_owned()),
        "[a-z]{1,6} = (\"[^\"\\\\\n]{0,9}\"|[0-9.]{1,4}|\\[[0-9, ]{0,9}\\]|\\{ a = 1 \\})\n",
        "\\PC{0,12}",
        "[\\x00-\\x1f\\[\\]{}=.\"'$é漢\u{202e}]{0,12}",
    ];
    prop::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

proptest! {
    #[test]
    fn no_text_does_harm_and_none_of_it_reaches_the_terminal_raw(text in scraps(), set in "\\PC{0,9}", width in 0usize..200) {
        let problems = match read(&text, &[&set]) {
            Ok(_) => return Ok(()),
            Err(problems) => problems,
        };
        let shown = problems.render(false, width);
        prop_assert!(shown.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{shown:?}");
        prop_assert_eq!(problems.to_json().as_array().unwrap().len(), problems.list.len());
    }

    #[test]
    fn any_span_of_any_text_can_be_shown(text in "\\PC{0,40}", start in 0usize..60, length in 0usize..60, width in 0usize..90) {
        let text = Text { path: "x.toml".into(), content: text };
        let problem = Problem::new(start..start + length, "wrong").help("do");
        let problems = Problems::new(text.into(), vec![problem]);
        prop_assert!(problems.render(true, width).contains("wrong"));
    }

    #[test]
    fn any_parameters_are_lowered_or_refused(text in "[a-z]{1,4} = (\"[a-z$]{0,9}\"|[1-9]{1,4}|\\[\\]|\\{ a = 1 \\})") {
        for kind in ["load", "forward", "flat"] {
            let shape = crate::manifest::Shape::of(&super::kinds::schema(kind).unwrap());
            if let Ok(value) = lower(&node(&text), &shape, &super::lowering(Path::new("/nowhere"))) {
                canonical_params(&value, &shape);
            }
        }
    }
}
