//! The kind `score` on the fixtures' models: PyTorch's logits, answers from everywhere, units, and what is refused.

use serde_json::Value;

use super::*;
use crate::lm::fixture::{FAMILIES, Fixture, engine, given, inputs, prompts, stage};

const ANSWERED: &str = "answers = [[17, 101], [3, 200]]\ntop = 3\n";

fn run_with(family: &str, toml: &str, others: Vec<(&str, Artifact)>) -> Result<Outputs, Failure> {
    let fixture = Fixture::of(family);
    let (ctx, model) = engine(family);
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    let ports = [vec![("model", model), ("prompts", texts)], others].concat();
    stage::<Score>(toml).run(&inputs(ports), &ctx)
}

fn table(outputs: &Outputs, port: &str) -> Table {
    match &outputs.artifacts[port] {
        Artifact::Table(table) => table.clone(),
        other => panic!("{port} is {other:?}"),
    }
}

fn column(table: &Table, name: &str) -> Vec<f64> {
    crate::tables::numbers(table, name, "table").unwrap()
}

/// The last logits that PyTorch computed for a run, as f64.
fn theirs(fixture: &Fixture, run: &str) -> Vec<f64> {
    let logits = fixture.expected.get(run);
    logits[logits.len() - 257..].iter().map(|logit| f64::from(*logit)).collect()
}

#[test]
fn answers_are_scored_as_pytorchs_logits_say() {
    for family in FAMILIES {
        let fixture = Fixture::of(family);
        let outputs = run_with(family, ANSWERED, vec![]).unwrap();
        let (scores, next) = (table(&outputs, "scores"), table(&outputs, "next"));
        for (row, (run, [right, wrong])) in [("a.logits", [17, 101]), ("b.logits", [3, 200])].into_iter().enumerate() {
            let logits = theirs(&fixture, run);
            let whole = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            let close = |name: &str, expected: f64| {
                let ours = column(&scores, name)[row];
                assert!((ours - expected).abs() < 2e-4, "{family} {run} {name}: {ours}, not {expected}");
            };
            close("logit_correct", logits[right]);
            close("logit_difference", logits[right] - logits[wrong]);
            close("log_prob_incorrect", logits[wrong] - whole);
            close("prefers_correct", f64::from(u8::from(logits[right] > logits[wrong])));
            close("rank_correct", 1.0 + logits.iter().filter(|logit| **logit > logits[right]).count() as f64);

            let best = (0..257).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            assert_eq!(column(&next, "token")[3 * row], best as f64, "{family} {run}");
            let likely = column(&next, "probability")[3 * row];
            assert!((likely - (logits[best] - whole).exp()).abs() < 1e-4, "{family} {run}: {likely}");
        }
        assert_eq!(column(&next, "rank"), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(column(&scores, "position"), [20.0, 13.0]);
    }
}

/// PyTorch zeroed the same heads, at every position.
#[test]
fn an_ablated_model_is_scored() {
    let toml = "edits = [{ op = \"zero\", site = \"z\", layers = 1, heads = 0 }, { op = \"zero\", site = \"z\", layers = 2, heads = 3 }]\n";
    for family in ["gpt2", "gpt_neox", "gemma3"] {
        let outputs = run_with(family, &format!("{ANSWERED}{toml}"), vec![]).unwrap();
        let logits = theirs(&Fixture::of(family), "a.logits.ablate");
        let ours = column(&table(&outputs, "scores"), "logit_difference")[0];
        assert!((ours - (logits[17] - logits[101])).abs() < 2e-4, "{family}");
    }
}

#[test]
fn another_position_may_be_scored() {
    let outputs = run_with("llama", "answers = [[17, 101], [3, 200]]\nposition = 5", vec![]).unwrap();
    let logits = &Fixture::of("llama").expected.get("a.logits")[5 * 257..][..257].to_vec();
    let ours = column(&table(&outputs, "scores"), "logit_correct")[0];
    assert!((ours - f64::from(logits[17])).abs() < 1e-4);
    let refused = run_with("llama", "position = 14", vec![]).unwrap_err().to_string();
    assert!(refused.contains("position = 14, but the prompt `b` has 14 tokens"), "{refused}");
}

/// A table's rows may stand in any order; the parameter and the table say the same.
#[test]
fn answers_may_stand_in_a_table() {
    let answers = |prompts: [&str; 2], correct: [i64; 2]| {
        let table = Table::default()
            .with("prompt", Values::Text(prompts.map(String::from).to_vec()))
            .with("correct", Values::Int(correct.map(Some).to_vec()))
            .with("incorrect", Values::Int([200, 101].map(Some).to_vec()));
        vec![("answers", Artifact::Table(table))]
    };
    let listed = run_with("llama", "top = 3", answers(["b", "a"], [3, 17])).unwrap();
    let given = run_with("llama", ANSWERED, vec![]).unwrap();
    assert_eq!(listed.artifacts, given.artifacts);
    let refused = |prompts, correct| run_with("llama", "", answers(prompts, correct)).unwrap_err().to_string();
    assert!(refused(["b", "c"], [3, 17]).contains("no row for the prompt `a`"));
    assert!(refused(["b", "b"], [3, 17]).contains("two rows for the prompt `b`"));
    assert!(refused(["b", "a"], [200, 17]).contains("the same token"));
    assert!(refused(["b", "a"], [257, 17]).contains("257 is not one of the model's 257"));
}

#[test]
fn a_text_for_an_answer_needs_a_tokenizer() {
    let refused = run_with("llama", "answers = [[\" a\", \" b\"], [\" a\", \" b\"]]", vec![]).unwrap_err().to_string();
    assert!(refused.contains("no tokenizer.json"), "{refused}");
}

#[test]
fn without_answers_only_the_text_is_scored_and_facts_are_the_columns() {
    for (toml, given) in [("", given("llama")), (ANSWERED, given("llama"))] {
        let ports = Stage::ports(&stage::<Score>(toml), &given).unwrap();
        let outputs = run_with("llama", toml, vec![]).unwrap();
        for port in &ports.outputs {
            let names: Vec<_> = table(&outputs, &port.name).columns.into_iter().map(|column| column.name).collect();
            assert_eq!(port.facts["columns"], json!(names), "{toml} {}", port.name);
        }
    }
}

#[test]
fn mistakes_are_found_at_plan_time() {
    let mut known = given("llama");
    let arrived =
        |facts: Value| vec![crate::Arrived { from: "names.answers".to_owned(), ty: PortType::of("table"), facts }];
    known.inputs.insert("answers".to_owned(), arrived(json!({ "columns": ["prompt", "right"] })));
    known.inputs.insert("prompts".to_owned(), arrived(json!({ "count": 3 })));
    let said: Vec<_> = Stage::ports(&stage::<Score>("answers = [[1, 2]]\ntop = 0"), &known).unwrap_err();
    let said: Vec<_> = said.iter().map(|mistake| (mistake.at.as_str(), mistake.message.as_str())).collect();
    assert_eq!(said[0], ("answers", "the answers stand in the input `answers` already"));
    assert_eq!(said[1], ("answers", "there are 1 pairs of answers, and 3 prompts"));
    assert!(said[2].0 == "inputs.answers" && said[2].1.contains("no column `correct`"), "{said:?}");
    assert_eq!(said.last().unwrap().0, "top");
}

#[test]
fn a_stopped_run_goes_on_from_its_units_and_ends_alike() {
    let fixture = Fixture::of("gpt2");
    let (ctx, model) = engine("gpt2");
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    let stage: Score = stage(&format!("{ANSWERED}batch = 1"));
    let run = |ctx: &_| stage.run(&inputs(vec![("model", model.clone()), ("prompts", texts.clone())]), ctx);
    ctx.stop_after(1);
    assert!(matches!(run(&ctx), Err(Failure::Stopped)));
    assert_eq!(ctx.saved(), ["prompt-0"]);
    ctx.carry_on();
    assert_eq!(
        run(&ctx).unwrap().artifacts,
        run_with("gpt2", &format!("{ANSWERED}batch = 1"), vec![]).unwrap().artifacts
    );
    assert_eq!(ctx.saves(), 2);
}
