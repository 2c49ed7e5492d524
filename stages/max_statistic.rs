//! Did a treatment do anything, if one may pick the best of many doses?
//!
//! The best of many cells is good by chance. A paired permutation says how good: under the null hypothesis each prompt's
//! treated and untreated profile could as well be exchanged, in all cells at once, and the best cell of such a world is
//! what the best cell of this one is held against. What a cell's number is, a statistic says (`cells.rs` computes it).

mod cells;

use std::collections::BTreeSet;

use assay_cache::{Artifact, Column, Table, Values, finite};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use cells::{Cell, Worlds};

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage, below,
    metrics::quantile::quantile, rng, tables::typed,
};

/// Which of many treatments did anything, told by a paired permutation with the maximum over all of them?
///
/// `treated` is gathered: a tensor for each cell, its first axis the prompts, which are those of `baseline` in the same
/// order. A cell's number is the statistic of the mean over prompts, treated minus baseline. In each permutation every
/// prompt keeps its treated and its baseline profile or exchanges them, the same prompts in all cells, so that cells stay
/// as dependent as they are. All 2^n ways are taken where they are no more than `permutations` (then p is the share of
/// them that is at least as extreme); otherwise so many are drawn (then p = (1 + extreme) / (1 + drawn)). A p in
/// `p_family_wise` is of the most extreme of all cells: it holds for the best one too, which is picked because it is.
///
/// Reference: Westfall and Young's single-step maxT; Nichols and Holmes, "Nonparametric permutation tests for
/// functional neuroimaging", 2002.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaxStatistic {
    /// What is said of a mean over prompts.
    pub statistic: Statistic,
    /// Axes of what is gathered over which a cell's number is a mean, such as the seeds of one dose.
    #[serde(default)]
    pub mean_over: BTreeSet<String>,
    /// What counts as extreme.
    #[serde(default)]
    pub tail: Tail,
    /// The most permutations.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub permutations: u32,
    /// What the permutations depend on, where not all are taken.
    pub seed: Seed,
}

fn ten_thousand() -> u32 {
    10_000
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The mean of all numbers.
    Mean,
    /// Of tensor[prompt, layer, head]: 1 − the mean correlation of heads across layers, as `specialization` has it.
    SpecializationIndex,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// The treatment raises the statistic.
    #[default]
    Greater,
    /// It lowers it.
    Less,
    /// It moves it.
    TwoSided,
}

/// Permutations that a thread takes before it looks whether the run should stop.
const CHUNK: u64 = 64;
/// Differences that are apart by less than this part of the statistics are equal: they were added up in another order.
const TIE: f64 = 1e-12;

impl Stage for MaxStatistic {
    const KIND: &'static str = "max-statistic";
    const VERSION: &'static [(&'static str, u32)] = &[("max-statistic", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        if self.permutations == 0 {
            return Err(vec![Mistake::new("permutations", "there must be one at least")]);
        }
        let profile = match self.statistic {
            Statistic::Mean => PortType::of("tensor"),
            Statistic::SpecializationIndex => PortType::tensor(&["prompt", "layer", "head"]),
        };
        let maxima = json!({ "columns": ["permutation", "maximum"] });
        Ok(Ports {
            inputs: vec![InputPort::many("treated", profile.clone()), InputPort::one("baseline", profile)],
            outputs: vec![
                OutputPort::new("cells", PortType::of("table")),
                OutputPort::new("summary", PortType::of("record")),
                OutputPort::new("maxima", PortType::of("table")).with_facts(maxima),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let worlds = Worlds::new(self.statistic, inputs)?;
        let cells = cells::group(inputs.many("treated"), &self.mean_over)?;
        let exact = worlds.ways().is_some_and(|ways| ways <= u64::from(self.permutations));
        let count = if exact { worlds.ways().unwrap_or(1) } else { u64::from(self.permutations) };
        let observed = worlds.differences(&cells, &vec![false; worlds.prompts()]);
        let null = self.null(&worlds, &cells, exact, count, ctx)?; // [permutation][cell]
        let judged = Judged::new(observed, &null, self.tail, exact, TIE * worlds.size(&cells));
        for (cell, _) in cells.iter().zip(&judged.differences).filter(|(_, difference)| difference.is_nan()) {
            ctx.warn(&format!("the statistic of the cell {} is not defined: it has no p", cell.name()));
        }
        Ok(Outputs::default()
            .with("cells", Artifact::Table(table(&worlds, &cells, &judged)))
            .with("maxima", Artifact::Table(maxima(&judged.maxima)))
            .with("summary", Artifact::Record(conclusion(&cells, &judged, exact, count))))
    }
}

impl MaxStatistic {
    /// The difference of each cell in each permutation.
    fn null(
        &self,
        worlds: &Worlds,
        cells: &[Cell],
        exact: bool,
        count: u64,
        ctx: &dyn Ctx,
    ) -> Result<Vec<Vec<f64>>, Failure> {
        let mut null = Vec::with_capacity(count as usize);
        for from in (0..count).step_by(CHUNK as usize) {
            ctx.go_on()?;
            ctx.progress(from, count, "permutations");
            let chunk = (from..(from + CHUNK).min(count)).into_par_iter();
            let of = |permutation| worlds.differences(cells, &self.exchanged(permutation, worlds.prompts(), exact));
            null.par_extend(chunk.map(of));
        }
        ctx.progress(count, count, "permutations");
        Ok(null)
    }

    /// Which prompts exchange their profiles: all ways in turn, or drawn by coins.
    fn exchanged(&self, permutation: u64, prompts: usize, exact: bool) -> Vec<bool> {
        if exact {
            return (0..prompts).map(|prompt| permutation >> prompt & 1 == 1).collect();
        }
        let mut coins = rng(self.seed.0, Purpose::Permutation, &[permutation]);
        (0..prompts).map(|_| below(2, &mut coins) == 1).collect()
    }
}

impl Tail {
    /// How extreme a difference is.
    fn extremity(self, difference: f64) -> f64 {
        match self {
            Self::Greater => difference,
            Self::Less => -difference,
            Self::TwoSided => difference.abs(),
        }
    }
}

/// Cells held against the null.
struct Judged {
    differences: Vec<f64>,
    /// Of each cell: the share of permutations in which it is as extreme, and in which any cell is.
    p: Vec<f64>,
    p_family_wise: Vec<f64>,
    /// How extreme the most extreme cell is, in each permutation.
    maxima: Vec<f64>,
    /// The most extreme cell of those that are defined.
    best: Option<usize>,
}

impl Judged {
    /// A permutation in which a statistic is not defined counts as extreme: who cannot tell does not find. Differences
    /// that are apart by `tie` or less are equal.
    fn new(differences: Vec<f64>, null: &[Vec<f64>], tail: Tail, exact: bool, tie: f64) -> Self {
        let extremity = |value: &f64| if value.is_nan() { f64::INFINITY } else { tail.extremity(*value) };
        let counted = |cell: &usize| !differences[*cell].is_nan();
        let most = |row: &Vec<f64>| {
            (0..row.len()).filter(counted).map(|cell| extremity(&row[cell])).fold(f64::NEG_INFINITY, f64::max)
        };
        let maxima: Vec<f64> = null.iter().map(most).collect();
        let share = |values: &mut dyn Iterator<Item = f64>, observed: f64| {
            if observed.is_nan() {
                return f64::NAN;
            }
            let reached = values.filter(|value| *value >= tail.extremity(observed) - tie).count();
            let own = usize::from(!exact); // the identity is one of all ways, but not one of those drawn
            (own + reached) as f64 / (own + null.len()) as f64
        };
        let each =
            |(cell, observed): (usize, &f64)| share(&mut null.iter().map(|row| extremity(&row[cell])), *observed);
        let p = differences.iter().enumerate().map(each).collect();
        let p_family_wise = differences.iter().map(|observed| share(&mut maxima.iter().copied(), *observed)).collect();
        // Of equal ones the first: `max_by` gives the last that it sees.
        let known = (0..differences.len()).filter(counted).rev();
        let best = known.max_by(|&a, &b| extremity(&differences[a]).total_cmp(&extremity(&differences[b])));
        Self { differences, p, p_family_wise, maxima, best }
    }
}

/// A row for each cell: its labels, the statistic treated and untreated, how far they are apart, and the p values.
fn table(worlds: &Worlds, cells: &[Cell], judged: &Judged) -> Table {
    let axes = cells.first().map_or(&[][..], |cell| &cell.labels);
    let label = |i: usize| cells.iter().map(|cell| cell.labels[i].1.clone()).collect();
    let mut table = Table::default();
    for (i, (axis, _)) in axes.iter().enumerate() {
        table.columns.push(Column { name: axis.clone(), unit: None, values: typed(label(i)) });
    }
    let count = cells.iter().map(|cell| Some(cell.members.len() as i64));
    table
        .with("count", Values::Int(count.collect()))
        .with("treated", Values::Float(cells.iter().map(|cell| worlds.treated(cell)).collect()))
        .with("baseline", Values::Float(vec![worlds.baseline(); cells.len()]))
        .with("difference", Values::Float(judged.differences.clone()))
        .with("p", Values::Float(judged.p.clone()))
        .with("p_family_wise", Values::Float(judged.p_family_wise.clone()))
}

fn maxima(maxima: &[f64]) -> Table {
    Table::default()
        .with("permutation", Values::Int((0..maxima.len() as i64).map(Some).collect()))
        .with("maximum", Values::Float(maxima.to_vec()))
}

fn conclusion(cells: &[Cell], judged: &Judged, exact: bool, count: u64) -> Value {
    let best = judged.best.map_or(Value::Null, |best| {
        let labels: Map<String, Value> =
            cells[best].labels.iter().map(|(axis, label)| (axis.clone(), json!(label))).collect();
        json!({
            "cell": labels,
            "difference": finite(judged.differences[best]),
            "p": finite(judged.p[best]),
            "p_family_wise": finite(judged.p_family_wise[best]),
        })
    });
    json!({
        "best": best,
        "cells": cells.len(),
        "permutations": count,
        "exact": exact,
        "critical_05": finite(quantile(&judged.maxima, 0.95)),
    })
}

#[cfg(test)]
mod tests;
