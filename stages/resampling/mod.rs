//! What `bootstrap` and `permute` share: named statistics, evaluated over and over on data that are drawn anew.
//!
//! Which rows are drawn and what replicates say is theirs. Replicates are computed in parallel; each draws from a stream
//! of its own, so that their numbers depend on neither threads nor order.

mod units;

pub use units::{Units, units};

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use assay_cache::{Column, Table, Values};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Given, Mistake,
    expression::{self, Language, Scope, identifier},
};

/// Replicates between two looks at the stop flag; each thread takes so many at once.
const CHUNK: usize = 20;

/// A number computed from the inputs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Statistic {
    /// What it is called.
    pub name: String,
    /// An expression in the language of `verdict`, which gives a number. Where that is not defined, it is NaN.
    pub is: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What is wrong with the statistics, `taken` being the names that columns beside theirs have.
pub fn mistakes(statistics: &[Statistic], taken: &[&str], given: &Given, ports: &BTreeSet<&str>) -> Vec<Mistake> {
    let known: BTreeSet<String> = ports.iter().map(|port| identifier(port)).collect();
    let mut mistakes = vec![];
    if statistics.is_empty() {
        let help = "statistics = [{ name = \"mean\", is = \"mean(t.x)\" }]";
        mistakes.push(Mistake::new("statistics", "there is nothing to compute").help(help));
    }
    for (i, statistic) in statistics.iter().enumerate() {
        let before = statistics[..i].iter().any(|other| other.name == statistic.name);
        if before || taken.contains(&statistic.name.as_str()) {
            mistakes.push(Mistake::new(format!("statistics[{i}].name"), format!("`{}` is taken", statistic.name)));
        }
        mistakes.extend(expression::mistakes(&format!("statistics[{i}].is"), &statistic.is, &known, given));
    }
    mistakes
}

/// The statistics of the data as they are.
pub fn observed(statistics: &[Statistic], scope: &Scope) -> Result<Vec<f64>, Failure> {
    computed(statistics, scope, 1, |_| scope.clone()).map(|mut rows| rows.remove(0))
}

/// The statistics of `count` replicates: [statistic][replicate].
pub fn replicates(
    statistics: &[Statistic],
    count: usize,
    scope: &Scope,
    ctx: &dyn Ctx,
    drawn: impl Fn(usize) -> Scope + Sync,
) -> Result<Vec<Vec<f64>>, Failure> {
    let done = AtomicU64::new(0);
    let chunks: Vec<usize> = (0..count).step_by(CHUNK).collect();
    let rows: Vec<Vec<Vec<f64>>> = chunks
        .into_par_iter()
        .map(|from| {
            ctx.go_on()?;
            let size = CHUNK.min(count - from);
            let rows = computed(statistics, scope, size, |i| drawn(from + i))?;
            ctx.progress(done.fetch_add(size as u64, Ordering::Relaxed) + size as u64, count as u64, "replicates");
            Ok(rows)
        })
        .collect::<Result<_, Failure>>()?;
    let rows: Vec<Vec<f64>> = rows.into_iter().flatten().collect();
    Ok((0..statistics.len()).map(|i| rows.iter().map(|row| row[i]).collect()).collect())
}

/// A table with a row for each replicate, and a column for each statistic.
pub fn table(statistics: &[Statistic], replicates: Vec<Vec<f64>>) -> Table {
    let count = replicates.first().map_or(0, Vec::len) as i64;
    let mut table = Table::default().with(REPLICATE, Values::Int((0..count).map(Some).collect()));
    for (statistic, values) in statistics.iter().zip(replicates) {
        let values = Values::Float(values);
        table.columns.push(Column { name: statistic.name.clone(), unit: statistic.unit.clone(), values });
    }
    table
}

/// The first column of that table.
pub const REPLICATE: &str = "replicate";

/// The replicates for which a statistic is defined.
pub fn defined(replicates: &[f64]) -> Vec<f64> {
    replicates.iter().copied().filter(|value| value.is_finite()).collect()
}

/// The statistics of so many scopes: [replicate][statistic]. Expressions are compiled once.
fn computed(
    statistics: &[Statistic],
    whole: &Scope,
    count: usize,
    drawn: impl Fn(usize) -> Scope,
) -> Result<Vec<Vec<f64>>, Failure> {
    let language = Language::new();
    let fails = |statistic: &Statistic, why: String| {
        let (name, text, there) = (&statistic.name, &statistic.is, whole.described());
        Failure::fatal(format!("the statistic `{name}` = {text} fails: {why}{there}"))
    };
    let formulas = statistics
        .iter()
        .map(|statistic| language.formula(&statistic.is).map_err(|why| fails(statistic, why)))
        .collect::<Result<Vec<_>, _>>()?;
    let row = |i: usize| {
        let scope = drawn(i);
        let number = |(formula, statistic): (&expression::Formula, &Statistic)| {
            let number = formula.number(&scope).map_err(|why| fails(statistic, why))?;
            Ok(if number.is_finite() { number } else { f64::NAN })
        };
        formulas.iter().zip(statistics).map(number).collect()
    };
    (0..count).map(row).collect()
}
