//! A bootstrap of a ratio of two means, each of rows that an expression chooses: the stage, against a loop written for this
//! statistic alone, which draws the same units and reads the same rows.
//!
//! What lies between them is the price of expressions and of tables. Both use all cores, and must agree.

mod timing;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use assay_cache::{Artifact, Digest, Table, Unit, Values};
use assay_stages::{
    Ctx, Failure, Inputs, Loaded, Purpose, Session, Stage, below, bootstrap::Bootstrap, open_session, rng,
};
use rayon::prelude::*;
use serde_json::json;
use timing::best;

const ROWS: usize = 4000;

/// Rows that are drawn together: half of one site, half of the other.
const UNIT: usize = 8;

const RESAMPLES: usize = 1000;
const SEED: u64 = 42;
const ROUNDS: usize = 5;

fn main() {
    let values: Vec<f64> = (0..ROWS).map(|i| (i as f64 * 0.618_033_988_749_895 + 0.1).fract()).collect();
    let (stage, inputs, ctx) = (stage(), inputs(&values), Bare::new());
    let (seconds, by_stage) = best(ROUNDS, || replicates(&stage, &inputs, &ctx));
    let (floor, by_hand) = best(ROUNDS, || by_hand(&values));
    let apart = by_stage.iter().zip(&by_hand).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(by_stage.len() == RESAMPLES && apart < 1e-12, "the two differ by {apart}");
    println!("{RESAMPLES} resamples of {ROWS} rows in units of {UNIT}, best of {ROUNDS}");
    println!("bootstrap                         {:8.1} ms", seconds * 1e3);
    println!("floor: a loop for this statistic  {:8.1} ms", floor * 1e3);
    println!("ratio to the floor                {:8.1}", seconds / floor);
}

fn stage() -> Bootstrap {
    let ratio = "mean(where(t, site='suppressor').var) / mean(where(t, site='clean').var)";
    let params = json!({
        "statistics": [{ "name": "ratio", "is": ratio }], "resample": { "port": "t", "unit": "sequence" },
        "resamples": RESAMPLES, "seed": SEED,
    });
    serde_json::from_value(params).expect("parameters of the kind")
}

fn inputs(values: &[f64]) -> Inputs {
    let site = |row: usize| if row.is_multiple_of(2) { "clean" } else { "suppressor" }.to_owned();
    let table = Table::default()
        .with("sequence", Values::Int((0..ROWS).map(|row| Some((row / UNIT) as i64)).collect()))
        .with("site", Values::Text((0..ROWS).map(site).collect()))
        .with("var", Values::Float(values.to_vec()));
    let loaded = Loaded { labels: vec![], from: "up.t".into(), artifact: Arc::new(Artifact::Table(table)) };
    Inputs(BTreeMap::from([("t".to_owned(), vec![loaded])]))
}

fn replicates(stage: &Bootstrap, inputs: &Inputs, ctx: &Bare) -> Vec<f64> {
    let outputs = stage.run(inputs, ctx).expect("it runs");
    let Artifact::Table(table) = &outputs.artifacts["replicates"] else { panic!("replicates are a table") };
    table.column("ratio").and_then(|column| column.values.to_f64()).expect("a column of numbers")
}

fn by_hand(values: &[f64]) -> Vec<f64> {
    let units = ROWS / UNIT;
    let one = |replicate: usize| {
        let mut rng = rng(SEED, Purpose::Bootstrap, &[replicate as u64]);
        let (mut clean, mut suppressor) = (0.0, 0.0);
        for _ in 0..units {
            let unit = below(units as u64, &mut rng) as usize;
            for pair in values[unit * UNIT..][..UNIT].chunks_exact(2) {
                clean += pair[0];
                suppressor += pair[1];
            }
        }
        suppressor / clean
    };
    (0..RESAMPLES).into_par_iter().map(one).collect()
}

/// A context that saves nothing and is never stopped.
struct Bare {
    files: BTreeMap<String, Digest>,
    session: Box<dyn Session>,
}

impl Bare {
    fn new() -> Self {
        Self { files: BTreeMap::new(), session: open_session("cpu") }
    }
}

impl Ctx for Bare {
    fn unit(&self, _: &str) -> Result<Option<Unit>, Failure> {
        Ok(None)
    }

    fn save(&self, _: &[(String, Unit)]) -> Result<(), Failure> {
        Ok(())
    }

    fn checkpoint(&self, _: u64, _: &Unit) -> Result<(), Failure> {
        Ok(())
    }

    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure> {
        Ok(None)
    }

    fn stopping(&self) -> bool {
        false
    }

    fn progress(&self, _: u64, _: u64, _: &str) {}

    fn warn(&self, message: &str) {
        println!("{message}");
    }

    fn files(&self) -> &BTreeMap<String, Digest> {
        &self.files
    }

    fn place(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        Err(Failure::fatal(format!("this stage reads no files, and no {digest}")))
    }

    fn session(&self) -> &dyn Session {
        &*self.session
    }
}
