//! The kind `bootstrap`: intervals against hand calculations, what is drawn together, and what is refused.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::*;
use crate::{Arrived, Loaded, contract::testing::TestCtx, tables::numbers};

fn inputs(tables: &[(&str, Table)]) -> Inputs {
    let loaded = |table: &Table| {
        vec![Loaded { labels: vec![], from: "up.t".into(), artifact: Arc::new(Artifact::Table(table.clone())) }]
    };
    Inputs(tables.iter().map(|(port, table)| ((*port).to_owned(), loaded(table))).collect())
}

fn stage(mut params: Value) -> Bootstrap {
    params["seed"] = json!(42);
    serde_json::from_value(params).unwrap()
}

fn intervals(params: Value, tables: &[(&str, Table)]) -> Result<Table, String> {
    let done = stage(params).tables(&inputs(tables), &TestCtx::new());
    done.map(|tables| tables.0).map_err(|failure| failure.to_string())
}

fn cell(table: &Table, name: &str, row: usize) -> f64 {
    numbers(table, name, "intervals").unwrap()[row]
}

/// A fixed sequence that looks random, in [0, 1).
fn noise(count: usize) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * 0.618_033_988_749_895 + 0.1).fract()).collect()
}

fn column(name: &str, values: Vec<f64>) -> Table {
    Table::default().with(name, Values::Float(values))
}

/// The mean of 400 uniform values: its standard error is their standard deviation over √400, and the 95 % interval about
/// 1.96 of it on each side.
#[test]
fn the_interval_of_a_mean_is_the_textbook_one() {
    let values = noise(400);
    let (mean, error) = (summary::mean(&values), summary::std(&values) / 20.0);
    let params = json!({
        "statistics": [{ "name": "mean", "is": "mean(t.x)" }], "resample": { "port": "t" }, "resamples": 2000,
    });
    let table = intervals(params, &[("t", column("x", values))]).unwrap();
    assert!((cell(&table, "estimate", 0) - mean).abs() < 1e-12);
    assert!((cell(&table, "std", 0) / error - 1.0).abs() < 0.06, "{} for {error}", cell(&table, "std", 0));
    for (name, expected) in [("low", mean - 1.96 * error), ("high", mean + 1.96 * error)] {
        assert!((cell(&table, name, 0) - expected).abs() < 0.2 * error, "{name}: {}", cell(&table, name, 0));
    }
    assert_eq!((cell(&table, "resamples", 0), cell(&table, "undefined", 0)), (2000.0, 0.0));
}

/// b is a + 1 in every unit: drawn together, the difference never moves, whatever a does.
#[test]
fn tables_that_share_a_unit_are_drawn_together() {
    let seeds = Values::Int((0..30).map(Some).collect());
    let (a, b) = (noise(30), noise(30).into_iter().map(|value| value + 1.0).collect::<Vec<_>>());
    let mut b: Vec<_> = b.into_iter().zip(0_i64..).collect();
    b.reverse(); // in another order of rows
    let (b, b_seeds): (Vec<f64>, Vec<i64>) = b.into_iter().unzip();
    let a = Table::default().with("seed", seeds).with("x", Values::Float(a));
    let b =
        Table::default().with("seed", Values::Int(b_seeds.into_iter().map(Some).collect())).with("x", Values::Float(b));
    let params = json!({
        "statistics": [{ "name": "d", "is": "mean(b.x) - mean(a.x)" }, { "name": "a", "is": "mean(a.x)" }],
        "resample": { "ports": ["a", "b"], "unit": "seed" }, "resamples": 200,
    });
    let table = intervals(params, &[("a", a), ("b", b)]).unwrap();
    assert!(cell(&table, "std", 0) < 1e-12 && (cell(&table, "low", 0) - 1.0).abs() < 1e-12);
    assert!(cell(&table, "std", 1) > 0.01);
}

/// Ten rows of each of two prompts: as units they move the mean by half of their distance, as rows far less.
#[test]
fn rows_of_a_unit_stay_together_and_strata_keep_their_size() {
    let prompts = Values::Int((0..20).map(|row| Some(row / 10)).collect());
    let table = Table::default()
        .with("prompt", prompts)
        .with("x", Values::Float((0..20).map(|row| f64::from(row / 10)).collect()));
    let spread = |resample: Value| {
        let params = json!({ "statistics": [{ "name": "m", "is": "mean(t.x)" }], "resample": resample });
        cell(&intervals(params, &[("t", table.clone())]).unwrap(), "std", 0)
    };
    assert!((spread(json!({ "port": "t", "unit": "prompt" })) - 0.125_f64.sqrt()).abs() < 0.02);
    assert!((spread(json!({ "port": "t" })) - 0.0125_f64.sqrt()).abs() < 0.01);
    assert_eq!(spread(json!({ "port": "t", "within": ["prompt"] })), 0.0);
}

/// Of the resamples of two rows, a quarter have no `b`: there is no mean of nothing, and no invented one.
#[test]
fn what_is_not_defined_is_counted() {
    let table = Table::default()
        .with("site", Values::Text(vec!["a".into(), "b".into()]))
        .with("x", Values::Float(vec![1.0, 3.0]));
    let params = json!({
        "statistics": [{ "name": "b", "is": "mean(where(t, site='b').x)" }, { "name": "c", "is": "mean(where(t, site='c').x)" }],
        "resample": { "port": "t" },
    });
    let found = intervals(params, &[("t", table)]).unwrap();
    assert!((150.0..350.0).contains(&cell(&found, "undefined", 0)));
    assert_eq!((cell(&found, "low", 0), cell(&found, "high", 0)), (3.0, 3.0));
    assert_eq!(cell(&found, "undefined", 1), 1000.0);
    assert!(cell(&found, "estimate", 1).is_nan() && cell(&found, "low", 1).is_nan());
}

#[test]
fn replicates_depend_on_the_seed_alone_and_a_stop_is_heard() {
    let params = json!({
        "statistics": [{ "name": "m", "is": "mean(t.x)" }], "resample": { "port": "t" }, "resamples": 60,
    });
    let inputs = inputs(&[("t", column("x", noise(50)))]);
    let one = stage(params.clone()).tables(&inputs, &TestCtx::new()).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let two = pool.install(|| stage(params.clone()).tables(&inputs, &TestCtx::new()).unwrap());
    assert_eq!(one, two);
    assert_eq!((one.1.rows(), numbers(&one.1, "replicate", "r").unwrap()[59]), (60, 59.0));
    let ctx = TestCtx::new();
    ctx.stop_after(0);
    assert!(matches!(stage(params).tables(&inputs, &ctx), Err(Failure::Stopped)));
}

/// The stage's draws, and a loop written for this one statistic: five sequences of eight rows, odd rows the suppressor's.
#[test]
fn a_statistic_that_chooses_rows_is_that_of_the_rows_drawn() {
    let values = noise(40);
    let sites = (0..40).map(|row| if row % 2 == 0 { "clean" } else { "suppressor" }.to_owned()).collect();
    let table = Table::default()
        .with("sequence", Values::Int((0..40).map(|row| Some(row / 8)).collect()))
        .with("site", Values::Text(sites))
        .with("var", Values::Float(values.clone()));
    let params = json!({
        "statistics": [{ "name": "ratio", "is": "mean(where(t, site='suppressor').var) / mean(where(t, site='clean').var)" }],
        "resample": { "port": "t", "unit": "sequence" }, "resamples": 50,
    });
    let (_, replicates) = stage(params).tables(&inputs(&[("t", table)]), &TestCtx::new()).unwrap();
    for (replicate, ratio) in numbers(&replicates, "ratio", "replicates").unwrap().into_iter().enumerate() {
        let mut rng = rng(42, Purpose::Bootstrap, &[replicate as u64]);
        let (mut clean, mut suppressor) = (0.0, 0.0);
        for _ in 0..5 {
            let first = 8 * below(5, &mut rng) as usize;
            for row in (first..first + 8).step_by(2) {
                clean += values[row];
                suppressor += values[row + 1];
            }
        }
        assert!((ratio - suppressor / clean).abs() < 1e-12, "replicate {replicate}: {ratio}");
    }
}

#[test]
fn mistakes_are_found_at_plan_time() {
    let told = |params: Value| -> Vec<String> {
        let arrived =
            Arrived { from: "up.t".into(), ty: PortType::of("table"), facts: json!({ "columns": ["seed", "x"] }) };
        let inputs = BTreeMap::from([("t".to_owned(), vec![arrived])]);
        let mistakes = stage(params).ports(&Given { inputs, ..Given::default() }).unwrap_err();
        mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
    };
    let said = told(json!({
        "statistics": [{ "name": "m", "is": "mean(t.y)" }, { "name": "m", "is": "mean(u.x)" }, { "name": "replicate", "is": "1" }],
        "resample": { "port": "t", "unit": "sede", "within": ["site"] }, "resamples": 1, "confidence": 95,
    }));
    assert_eq!(
        said,
        [
            "statistics[0].is: `up.t` has no column `y`; it has seed, x",
            "statistics[1].name: `m` is taken",
            "statistics[1].is: nothing is called `u`",
            "statistics[2].name: `replicate` is taken",
            "resample.unit: `up.t` has no column `sede`; it has seed, x",
            "resample.within: `up.t` has no column `site`; it has seed, x",
            "resamples: an interval takes two resamples at least",
            "confidence: an interval holds a part between 0 and 1",
        ]
    );
    let said = told(json!({ "statistics": [], "resample": { "ports": ["t", "v"] } }));
    assert_eq!(
        said,
        [
            "statistics: there is nothing to compute",
            "resample: rows of several tables are drawn together by `unit`",
            "resample.ports: no input port is called `v`",
        ]
    );
    let said = told(json!({ "statistics": [{ "name": "m", "is": "1" }], "resample": {} }));
    assert_eq!(said, ["resample: exactly one of `port` and `ports` says whose rows are drawn"]);
}

#[test]
fn a_statistic_that_is_no_number_says_so() {
    let params = json!({ "statistics": [{ "name": "m", "is": "t.x" }], "resample": { "port": "t" } });
    let said = intervals(params, &[("t", column("x", noise(3)))]).unwrap_err();
    assert!(said.contains("the statistic `m` = t.x fails: it is a sequence, not a number"), "{said}");
}
