//! Statistics in a study: tables joined and compared, resampled, permuted; told by a verdict; nothing to do afterwards.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, contents, in_state};

/// Sixteen prompts; the treated value is the base one and 1, give or take a quarter.
const STUDY: &str = r#"
[study]
name = "effect"
seed = 42

[axes]
run = ["base", "treated"]

[stages.values]
kind = "load-table"
over = ["run"]
file = "${run}.csv"

[stages.base]
kind = "load-table"
file = "base.csv"

[stages.change]
kind    = "derive"
inputs  = { values = "values", base = "base" }
from    = "values"
join    = [{ port = "base", on = ["prompt"], prefix = "base_" }]
columns = [{ name = "delta", is = "value - base_value", unit = "nats" }, { name = "place", is = "prompt + 1" }]
sort    = ["run", "-prompt"]

[stages.effect]
kind      = "compare"
inputs    = { table = "change" }
of        = ["value", "delta"]
groups    = { column = "run", a = "treated", b = "base" }
paired-by = "prompt"

[stages.trend]
kind   = "correlate"
inputs = { table = "change" }
by     = ["run"]
x      = ["value"]
y      = ["place"]

[stages.interval]
kind       = "bootstrap"
inputs     = { t = "change" }
statistics = [{ name = "effect", is = "mean(where(t, run='treated').value) - mean(where(t, run='base').value)", unit = "nats" }]
resample   = { port = "t", unit = "prompt" }
resamples  = 200

[stages.chance]
kind       = "permute"
inputs     = { t = "change" }
statistics = [{ name = "effect", is = "mean(where(t, run='treated').value) - mean(where(t, run='base').value)" }]
shuffle    = { port = "t", column = "run", within = ["prompt"] }
resamples  = 999

[stages.judged]
kind   = "verdict"
inputs = { effect = "effect", interval = "interval.intervals", chance = "chance.null" }
values = [
    { name = "d", is = "first(where(effect, of='value').cohens_d)" },
    { name = "low", is = "first(interval.low)" },
    { name = "high", is = "first(interval.high)" },
    { name = "p", is = "first(chance.p)" },
]
rules  = [{ when = "low > 0 and p < 0.05", then = "RAISED" }, { then = "NOT_RAISED" }]
"#;

fn csv(values: impl Iterator<Item = f64>) -> String {
    let rows: String = values.enumerate().map(|(prompt, value)| format!("{prompt},{value}\n")).collect();
    format!("prompt,value\n{rows}")
}

fn study() -> Sandbox {
    let sandbox = Sandbox::with(STUDY);
    let base = |i: i32| f64::from(i % 5) / 10.0;
    sandbox.write("base.csv", csv((0..16).map(base)));
    sandbox.write("treated.csv", csv((0..16).map(|i| base(i) + 1.0 + if i % 2 == 0 { 0.25 } else { -0.25 })));
    sandbox
}

/// By hand: the difference of means is 1, that of every prompt 0.75 or 1.25; a pair's t is 1 / (0.25 √(16/15) / 4).
#[test]
fn an_effect_is_derived_compared_resampled_permuted_and_judged() {
    let sandbox = study();
    sandbox.run(&[]);
    let show = |what: &str| -> Value { sandbox.assay(&["show", "study.toml", what, "--json"]).json() };
    let verdict = show("judged");
    assert_eq!(verdict["verdict"], "RAISED", "{verdict}");
    let value = |name: &str| verdict["values"][name].as_f64().unwrap();
    assert!(value("low") > 0.8 && value("high") < 1.2 && value("low") < 1.0 && value("high") > 1.0, "{verdict}");
    assert!((value("p") - 0.002).abs() < 1e-12, "{verdict}");
    let export = sandbox.assay(&["export", "study.toml", "out"]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    let read = |file: &str| fs::read_to_string(sandbox.path("out").join(file)).unwrap();
    let effect = read("effect/comparison.csv");
    let header: Vec<&str> = effect.lines().next().unwrap().split(',').collect();
    let row: Vec<&str> = effect.lines().nth(1).unwrap().split(',').collect();
    let cell = |name: &str| row[header.iter().position(|column| *column == name).unwrap()];
    assert_eq!((cell("of"), cell("a"), cell("n_a")), ("value", "treated", "16"));
    let t = 1.0 / (0.25 * (16.0_f64 / 15.0).sqrt() / 4.0);
    assert!((cell("welch_t").parse::<f64>().unwrap() - t).abs() < 1e-9, "{effect}");
    assert!((cell("difference").parse::<f64>().unwrap() - 1.0).abs() < 1e-12);
    let change = read("change/table.csv");
    assert!(change.starts_with("run,prompt,value,base_value,delta,place\nbase,15,0.0,0.0,0.0,16\n"), "{change}");
    assert_eq!(read("trend/correlations.csv").lines().count(), 3);
    assert_eq!(read("interval/replicates.csv").lines().count(), 201);
}

#[test]
fn the_second_run_has_nothing_to_do_and_another_seed_draws_anew() {
    let sandbox = study();
    sandbox.run(&[]);
    let before = contents(&sandbox.path("store"));
    assert!(in_state(&sandbox.run(&[]), "ran").is_empty());
    assert_eq!(before, contents(&sandbox.path("store")));
    sandbox.edit("seed = 42", "seed = 43");
    assert_eq!(in_state(&sandbox.run(&[]), "ran"), ["interval", "chance", "judged"]);
}

#[test]
fn mistakes_in_statistics_are_told_before_anything_runs() {
    let sandbox = study();
    sandbox.edit("of        = [\"value\", \"delta\"]", "of        = [\"value\", \"delat\"]");
    sandbox.edit("shuffle    = { port = \"t\"", "shuffle    = { port = \"s\"");
    sandbox.edit(
        "[{ name = \"delta\", is = \"value - base_value\", unit = \"nats\" }, ",
        "[{ name = \"delta\", is = \"value -\" }, ",
    );
    let run = sandbox.assay(&["study.toml"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("no input port is called `s`"), "{}", run.stderr);
    assert!(run.stderr.contains("columns[0]") || run.stderr.contains("value -"), "{}", run.stderr);
    assert!(!sandbox.path("store").exists());
}
