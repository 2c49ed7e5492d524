//! `permute`: what a number would be if labels meant nothing.

use std::collections::BTreeSet;

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OneOrMany, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage,
    expression::Scope,
    metrics::{
        quantile::quantile,
        resample::{self, familywise, p_value},
        summary,
    },
    resampling::{self, REPLICATE, Statistic, Units, defined, units},
    rng, shuffle,
    tables::{self, Known, by_nearness, column, stack, texts},
};

/// Could a number be what it is by chance?
///
/// The labels in one column are exchanged at random, between rows or between units of rows, inside groups or across all,
/// and the statistics computed anew. p = (1 + permutations at least as extreme) / (1 + all), and of two tails twice the
/// smaller; where a statistic is not defined after a permutation, that counts as extreme.
///
/// Outputs: `null` (name, observed, p, mean, std, q95, permutations, undefined; with `max-over` also p_max): mean,
/// standard deviation (ddof 0) and 95 % quantile are of the defined permutations; `replicates` (replicate, and a column
/// for each statistic).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Permute {
    /// What is computed from what stands in the ports, whose names the manifest chooses.
    pub statistics: Vec<Statistic>,
    /// Which labels are exchanged.
    pub shuffle: Shuffle,
    /// How often.
    #[serde(default = "thousand")]
    pub resamples: usize,
    /// What is extreme.
    #[serde(default)]
    pub tail: Tail,
    /// Holds each statistic also against the most extreme of all in each permutation (p_max): the probability that any
    /// of them is so extreme by chance. The statistics must be of one scale.
    #[serde(default)]
    pub max_over: bool,
    /// What the permutations depend on.
    pub seed: Seed,
}

/// A column of labels, and who exchanges them with whom.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shuffle {
    /// The port with the labels, read as a table whatever stands there.
    pub port: String,
    /// The column with the labels.
    pub column: String,
    /// Labels are exchanged inside each group of rows with equal values in these columns.
    #[serde(default)]
    pub within: Vec<String>,
    /// Rows with equal values in this column (or these) have one label and keep together; without it each row has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<OneOrMany<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Large or small: twice the smaller p of the two, at most 1, as SciPy's permutation tests have it.
    #[default]
    TwoSided,
    /// Large.
    Greater,
    /// Small.
    Less,
}

/// The columns of `null`; `max-over` adds one.
const COLUMNS: [&str; 8] = ["name", "observed", "p", "mean", "std", "q95", "permutations", "undefined"];
const FAMILYWISE: &str = "p_max";

fn thousand() -> usize {
    1000
}

impl Stage for Permute {
    const KIND: &'static str = "permute";
    const VERSION: &'static [(&'static str, u32)] = &[("permute", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let mistakes = self.mistakes(given, &names);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let null: Vec<&str> = COLUMNS.into_iter().chain(self.max_over.then_some(FAMILYWISE)).collect();
        let replicates: Vec<&str> =
            [REPLICATE].into_iter().chain(self.statistics.iter().map(|statistic| statistic.name.as_str())).collect();
        let table = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        let outputs = vec![table("null", &null), table("replicates", &replicates)];
        Ok(Ports { inputs: tables::ports(&names), outputs })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (null, replicates) = self.tables(inputs, ctx)?;
        Ok(Outputs::default().with("null", Artifact::Table(null)).with("replicates", Artifact::Table(replicates)))
    }
}

impl Permute {
    fn mistakes(&self, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
        let mut mistakes = resampling::mistakes(&self.statistics, &[REPLICATE], given, names);
        let port = self.shuffle.port.as_str();
        if names.contains(port) {
            let known = Known::of(given, port);
            let column = [("column", std::slice::from_ref(&self.shuffle.column))];
            let others = [("within", self.shuffle.within.as_slice()), ("unit", self.shuffle.unit())];
            for (key, columns) in column.into_iter().chain(others) {
                let lacking = columns.iter().filter_map(|name| known.lacks(name));
                mistakes.extend(lacking.map(|message| Mistake::new(format!("shuffle.{key}"), message)));
            }
        } else {
            let help = format!("`inputs` names: {}", by_nearness(port, names.iter().copied()).join(", "));
            mistakes.push(Mistake::new("shuffle.port", format!("no input port is called `{port}`")).help(help));
        }
        if self.shuffle.within.contains(&self.shuffle.column) {
            mistakes.push(Mistake::new("shuffle.within", "inside groups of one label there is nothing to exchange"));
        }
        if self.resamples == 0 {
            mistakes.push(Mistake::new("resamples", "a null takes a permutation at least"));
        }
        mistakes
    }

    fn tables(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<(Table, Table), Failure> {
        let Shuffle { port, column: name, within, .. } = &self.shuffle;
        let table = stack(port, inputs.many(port))?;
        let mut scope = Scope::of(inputs)?;
        scope.add_table(port, &table);
        let units = units(&[(port, &table)], self.shuffle.unit(), within)?;
        self.one_label_each(&units, &texts(&column(&table, name, port)?.values))?;
        let observed = resampling::observed(&self.statistics, &scope)?;
        let replicates = resampling::replicates(&self.statistics, self.resamples, &scope, ctx, |replicate| {
            scope.clone().with_rearranged(port, name, &self.exchanged(&units, table.rows(), replicate))
        })?;
        Ok((self.null(&observed, &replicates), resampling::table(&self.statistics, replicates)))
    }

    fn one_label_each(&self, units: &Units, labels: &[String]) -> Result<(), Failure> {
        for unit in units.iter().flatten() {
            let rows = &unit[0];
            if let Some(&other) = rows.iter().find(|&&row| labels[row] != labels[rows[0]]) {
                let (one, two) = (&labels[rows[0]], &labels[other]);
                let (name, unit) = (&self.shuffle.column, self.shuffle.unit().join(", "));
                let help = format!("name more columns in `unit`, so that each has one label in `{name}`");
                return Err(Failure::fatal(format!("a unit of `{unit}` has the labels `{one}` and `{two}`: {help}")));
            }
        }
        Ok(())
    }

    /// For each row, the row whose label it gets.
    fn exchanged(&self, units: &Units, rows: usize, replicate: usize) -> Vec<usize> {
        let mut rng = rng(self.seed.0, Purpose::Permutation, &[replicate as u64]);
        let mut from: Vec<usize> = (0..rows).collect();
        for stratum in units {
            let mut givers: Vec<usize> = stratum.iter().map(|unit| unit[0][0]).collect();
            shuffle(&mut givers, &mut rng);
            for (unit, giver) in stratum.iter().zip(givers) {
                unit[0].iter().for_each(|&row| from[row] = giver);
            }
        }
        from
    }

    fn null(&self, observed: &[f64], replicates: &[Vec<f64>]) -> Table {
        let tail = self.tail.metric();
        let defined: Vec<Vec<f64>> = replicates.iter().map(|values| defined(values)).collect();
        let of_defined =
            |of: fn(&[f64]) -> f64| Values::Float(defined.iter().map(|values| of(values.as_slice())).collect());
        let p = observed.iter().zip(replicates).map(|(&observed, null)| p_value(observed, null, tail)).collect();
        let names = self.statistics.iter().map(|statistic| statistic.name.clone()).collect();
        let undefined = defined.iter().map(|values| Some((self.resamples - values.len()) as i64)).collect();
        let table = Table::default()
            .with("name", Values::Text(names))
            .with("observed", Values::Float(observed.to_vec()))
            .with("p", Values::Float(p))
            .with("mean", of_defined(summary::mean))
            .with("std", of_defined(summary::std))
            .with("q95", of_defined(|values| quantile(values, 0.95)))
            .with("permutations", Values::Int(vec![Some(self.resamples as i64); observed.len()]))
            .with("undefined", Values::Int(undefined));
        match self.max_over {
            true => table.with(FAMILYWISE, Values::Float(familywise(observed, replicates, tail))),
            false => table,
        }
    }
}

impl Shuffle {
    fn unit(&self) -> &[String] {
        self.unit.as_ref().map_or(&[], |unit| &unit.0)
    }
}

impl Tail {
    fn metric(self) -> resample::Tail {
        match self {
            Self::TwoSided => resample::Tail::TwoSided,
            Self::Greater => resample::Tail::Greater,
            Self::Less => resample::Tail::Less,
        }
    }
}

#[cfg(test)]
mod tests;
