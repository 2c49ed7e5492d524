//! `bootstrap`: how far a number would move, had other prompts, seeds or sequences been drawn.

use std::collections::BTreeSet;

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OneOrMany, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage, below,
    expression::Scope,
    metrics::{resample::interval, summary},
    resampling::{self, REPLICATE, Statistic, Units, defined, units},
    rng,
    tables::{self, Known, by_nearness, stack},
};

/// How uncertain is a number, given that its data are a sample?
///
/// Units (rows, or all rows of a prompt or a seed) are drawn with replacement, as many as there are, and the statistics
/// computed anew; the interval is that of percentiles. Several statistics, and several tables, share each draw, so that
/// differences and ratios of them are paired.
///
/// Outputs: `intervals` (name, estimate, low, high, std, resamples, undefined): the standard deviation over resamples
/// has ddof 0, and resamples for which a statistic is not defined are left out and counted; `replicates` (replicate,
/// and a column for each statistic).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bootstrap {
    /// What is computed from what stands in the ports, whose names the manifest chooses.
    pub statistics: Vec<Statistic>,
    /// What is drawn anew.
    pub resample: Resample,
    /// How often.
    #[serde(default = "thousand")]
    pub resamples: usize,
    /// The part of the replicates that the interval holds.
    #[serde(default = "most")]
    pub confidence: f64,
    /// What the draws depend on.
    pub seed: Seed,
}

/// Which rows are drawn, and which stay together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resample {
    /// The port whose rows are drawn, read as a table whatever stands there. Other ports stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Instead of `port`: several whose rows are drawn together, unit by unit.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Rows with equal values in this column (or these) are one unit; without it each row is. A unit that one of several
    /// tables lacks has no rows there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<OneOrMany<String>>,
    /// Units are drawn inside each group of rows with equal values in these columns, as many as it has.
    #[serde(default)]
    pub within: Vec<String>,
}

/// The columns of `intervals`.
const COLUMNS: [&str; 7] = ["name", "estimate", "low", "high", "std", "resamples", "undefined"];

fn thousand() -> usize {
    1000
}

fn most() -> f64 {
    0.95
}

impl Stage for Bootstrap {
    const KIND: &'static str = "bootstrap";
    const VERSION: &'static [(&'static str, u32)] = &[("bootstrap", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let mistakes = self.mistakes(given, &names);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let replicates: Vec<&str> =
            [REPLICATE].into_iter().chain(self.statistics.iter().map(|statistic| statistic.name.as_str())).collect();
        let table = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        let outputs = vec![table("intervals", &COLUMNS), table("replicates", &replicates)];
        Ok(Ports { inputs: tables::ports(&names), outputs })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (intervals, replicates) = self.tables(inputs, ctx)?;
        Ok(Outputs::default()
            .with("intervals", Artifact::Table(intervals))
            .with("replicates", Artifact::Table(replicates)))
    }
}

impl Bootstrap {
    fn mistakes(&self, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
        let mut mistakes = resampling::mistakes(&self.statistics, &[REPLICATE], given, names);
        mistakes.extend(self.resample.mistakes(given, names));
        if self.resamples < 2 {
            mistakes.push(Mistake::new("resamples", "an interval takes two resamples at least"));
        }
        if !(0.0 < self.confidence && self.confidence < 1.0) {
            mistakes.push(Mistake::new("confidence", "an interval holds a part between 0 and 1").help("write 0.95"));
        }
        mistakes
    }

    fn tables(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<(Table, Table), Failure> {
        let ports = self.resample.ports();
        let drawn = ports.iter().map(|port| stack(port, inputs.many(port))).collect::<Result<Vec<_>, _>>()?;
        let tables: Vec<(&str, &Table)> = ports.iter().copied().zip(drawn.iter().map(|table| &**table)).collect();
        let mut scope = Scope::of(inputs)?;
        tables.iter().for_each(|(port, table)| scope.add_table(port, table));
        let units = units(&tables, self.resample.unit(), &self.resample.within)?;
        let estimates = resampling::observed(&self.statistics, &scope)?;
        let replicates = resampling::replicates(&self.statistics, self.resamples, &scope, ctx, |replicate| {
            let rows = self.draw(&units, ports.len(), replicate);
            ports.iter().zip(&rows).fold(scope.clone(), |scope, (port, rows)| scope.with_rows(port, rows))
        })?;
        Ok((self.intervals(&estimates, &replicates), resampling::table(&self.statistics, replicates)))
    }

    /// The rows of each table in one resample.
    fn draw(&self, units: &Units, tables: usize, replicate: usize) -> Vec<Vec<usize>> {
        let mut rng = rng(self.seed.0, Purpose::Bootstrap, &[replicate as u64]);
        let mut rows = vec![vec![]; tables];
        for stratum in units {
            for _ in 0..stratum.len() {
                let unit = &stratum[below(stratum.len() as u64, &mut rng) as usize];
                rows.iter_mut().zip(unit).for_each(|(rows, own)| rows.extend(own));
            }
        }
        rows
    }

    fn intervals(&self, estimates: &[f64], replicates: &[Vec<f64>]) -> Table {
        let defined: Vec<Vec<f64>> = replicates.iter().map(|values| defined(values)).collect();
        let bounds: Vec<(f64, f64)> = defined.iter().map(|values| interval(values, self.confidence)).collect();
        let names = self.statistics.iter().map(|statistic| statistic.name.clone()).collect();
        let count = |of: fn(&Self, &Vec<f64>) -> usize| {
            Values::Int(defined.iter().map(|values| Some(of(self, values) as i64)).collect())
        };
        Table::default()
            .with("name", Values::Text(names))
            .with("estimate", Values::Float(estimates.to_vec()))
            .with("low", Values::Float(bounds.iter().map(|bounds| bounds.0).collect()))
            .with("high", Values::Float(bounds.iter().map(|bounds| bounds.1).collect()))
            .with("std", Values::Float(defined.iter().map(|values| summary::std(values)).collect()))
            .with("resamples", count(|stage, _| stage.resamples))
            .with("undefined", count(|stage, values| stage.resamples - values.len()))
    }
}

impl Resample {
    fn ports(&self) -> Vec<&str> {
        self.port.iter().chain(&self.ports).map(String::as_str).collect()
    }

    fn unit(&self) -> &[String] {
        self.unit.as_ref().map_or(&[], |unit| &unit.0)
    }

    fn mistakes(&self, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
        let mut mistakes = vec![];
        if self.port.is_some() != self.ports.is_empty() {
            mistakes.push(Mistake::new("resample", "exactly one of `port` and `ports` says whose rows are drawn"));
        }
        if self.ports.len() > 1 && self.unit().is_empty() {
            let help = "name the column that they share: unit = \"prompt\"";
            mistakes.push(Mistake::new("resample", "rows of several tables are drawn together by `unit`").help(help));
        }
        for port in self.ports() {
            let at = if self.port.is_some() { "resample.port" } else { "resample.ports" };
            if !names.contains(port) {
                let near = by_nearness(port, names.iter().copied()).join(", ");
                let help = format!("`inputs` names: {near}");
                mistakes.push(Mistake::new(at, format!("no input port is called `{port}`")).help(help));
                continue;
            }
            let known = Known::of(given, port);
            for (key, columns) in [("unit", self.unit()), ("within", &self.within)] {
                let lacking = columns.iter().filter_map(|name| known.lacks(name));
                mistakes.extend(lacking.map(|message| Mistake::new(format!("resample.{key}"), message)));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests;
