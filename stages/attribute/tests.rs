//! The kind `attribute` on the fixtures' models: tables that add up, ranks, units, and what is refused. That each share
//! is right is tested where it is computed.

use super::*;
use crate::lm::fixture::{FAMILIES, Fixture, engine, given, inputs, prompts, stage};

const ANSWERED: &str = "answers = [[17, 101], [3, 200]]\n";

fn run(family: &str, toml: &str) -> Outputs {
    let fixture = Fixture::of(family);
    let (ctx, model) = engine(family);
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    stage::<Attribute>(toml).run(&inputs(vec![("model", model), ("prompts", texts)]), &ctx).unwrap()
}

fn table(outputs: &Outputs, port: &str) -> Table {
    match &outputs.artifacts[port] {
        Artifact::Table(table) => table.clone(),
        other => panic!("{port} is {other:?}"),
    }
}

fn column(table: &Table, name: &str) -> Vec<f64> {
    tables::numbers(table, name, "table").unwrap()
}

#[test]
fn what_is_attributed_is_the_difference_of_the_logits() {
    for family in FAMILIES {
        let totals = table(&run(family, ANSWERED), TOTALS);
        let (whole, sum) = (column(&totals, "logit_difference"), column(&totals, "attributed"));
        assert!(whole.iter().zip(&sum).all(|(a, b)| (a - b).abs() < 2e-5), "{family}: {whole:?} {sum:?}");
        // Gemma 2 bends its logits after that.
        if family != "gemma2" {
            let logits = Fixture::of(family).expected.get("a.logits")[20 * 257..].to_vec();
            assert!((whole[0] - f64::from(logits[17] - logits[101])).abs() < 2e-4, "{family}");
        }
    }
}

#[test]
fn heads_are_ranked_by_their_means() {
    let outputs = run("gpt2", ANSWERED);
    let (rows, heads) = (table(&outputs, CONTRIBUTIONS), table(&outputs, HEADS));
    let shares =
        tables::keep(&rows, &serde_json::from_value(json!({ "layer": 1, "head": 2 })).unwrap(), "rows").unwrap();
    let shares = column(&shares, "contribution");
    let own =
        tables::keep(&heads, &serde_json::from_value(json!({ "layer": 1, "head": 2 })).unwrap(), "heads").unwrap();
    assert_eq!(shares.len(), 2);
    assert!((column(&own, "mean_contribution")[0] - (shares[0] + shares[1]) / 2.0).abs() < 1e-12);
    assert!((column(&own, "std_contribution")[0] - (shares[0] - shares[1]).abs() / 2.0).abs() < 1e-12);
    let (means, ranks) = (column(&heads, "mean_contribution"), column(&heads, "rank"));
    let place = |wanted: f64| means[ranks.iter().position(|rank| *rank == wanted).unwrap()];
    assert!((1..12).all(|rank| place(f64::from(rank)) >= place(f64::from(rank + 1))));
    assert!(column(&heads, "rank_from_least").iter().zip(&ranks).all(|(least, rank)| least + rank == 13.0));
}

#[test]
fn facts_are_the_columns_and_answers_are_needed() {
    let ports = Stage::ports(&stage::<Attribute>(ANSWERED), &given("llama")).unwrap();
    let outputs = run("llama", ANSWERED);
    for port in &ports.outputs {
        let names: Vec<_> = table(&outputs, &port.name).columns.into_iter().map(|column| column.name).collect();
        assert_eq!(port.facts["columns"], json!(names), "{}", port.name);
    }
    let said = Stage::ports(&stage::<Attribute>(""), &given("llama")).unwrap_err();
    assert!(said[0].message.contains("there are no answers"), "{said:?}");
}

#[test]
fn a_stopped_run_goes_on_from_its_units_and_ends_alike() {
    let fixture = Fixture::of("gpt_neox");
    let (ctx, model) = engine("gpt_neox");
    let texts = prompts(&[("a", &fixture.ids("a")), ("b", &fixture.ids("b"))]);
    let toml = format!("{ANSWERED}batch = 1");
    let run_on = |ctx: &_| {
        stage::<Attribute>(&toml).run(&inputs(vec![("model", model.clone()), ("prompts", texts.clone())]), ctx)
    };
    ctx.stop_after(1);
    assert!(matches!(run_on(&ctx), Err(Failure::Stopped)));
    ctx.carry_on();
    let resumed = run_on(&ctx).unwrap();
    for (port, artifact) in run("gpt_neox", &toml).artifacts {
        assert_eq!(artifact.encode(), resumed.artifacts[&port].encode(), "{port}");
    }
}
