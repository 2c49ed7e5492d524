//! `correlate`: every x with every y, with p values that know how many there are.

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::{
        adjust::{benjamini_hochberg, bonferroni, holm},
        correlation::{Correlation, pearson, spearman},
    },
    tables::{self, Filter, Known, groups, heads, keep, numbers, stack},
};

/// Does one column go with another?
///
/// Pearson's and Spearman's correlation of each of `x` with each of `y`, over the rows of each group, with two-sided p
/// values as SciPy's, and the same adjusted for all rows of the output. Pairs of which one value is missing are left out
/// and not counted; fewer than three, or a constant, have no correlation: NaN, which does not count as a test.
///
/// Output: `correlations` (the columns `by`, x, y, n, pearson, pearson_p, pearson_p_adjusted, spearman, spearman_p,
/// spearman_p_adjusted).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Correlate {
    pub x: Vec<String>,
    pub y: Vec<String>,
    /// The columns that make a group: rows with equal values there. Axis labels of what was gathered are columns too.
    #[serde(default)]
    pub by: Vec<String>,
    /// How p values are adjusted, over all rows of the output, Pearson's and Spearman's apart.
    #[serde(default)]
    pub adjust: Adjust,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    pub filter: Filter,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adjust {
    /// The false discovery rate.
    #[default]
    BenjaminiHochberg,
    /// The family-wise error, step by step.
    Holm,
    /// The family-wise error.
    Bonferroni,
    None,
}

/// The columns behind those of `by`.
const COLUMNS: [&str; 9] =
    ["x", "y", "n", "pearson", "pearson_p", "pearson_p_adjusted", "spearman", "spearman_p", "spearman_p_adjusted"];

impl Stage for Correlate {
    const KIND: &'static str = "correlate";
    const VERSION: &'static [(&'static str, u32)] = &[("correlate", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mistakes = self.mistakes(&Known::of(given, "table"));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let columns: Vec<&str> = self.by.iter().map(String::as_str).chain(COLUMNS).collect();
        let output = OutputPort::new("correlations", PortType::of("table")).with_facts(json!({ "columns": columns }));
        Ok(Ports { inputs: vec![tables::port("table")], outputs: vec![output] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default().with("correlations", Artifact::Table(self.correlations(inputs)?)))
    }
}

impl Correlate {
    fn mistakes(&self, known: &Known) -> Vec<Mistake> {
        let mut mistakes = vec![];
        for (key, names) in [("x", &self.x), ("y", &self.y)] {
            if names.is_empty() {
                mistakes.push(Mistake::new(key, "there is nothing to correlate").help("name columns of numbers"));
            }
        }
        let listed = [("x", &self.x), ("y", &self.y), ("by", &self.by)]
            .into_iter()
            .flat_map(|(key, names)| names.iter().enumerate().map(move |(i, name)| (format!("{key}[{i}]"), name)));
        let filters = self.filter.keys().map(|name| (format!("where.{name}"), name));
        mistakes.extend(known.mistakes(listed.chain(filters)));
        mistakes.extend(tables::clash(&self.by, &COLUMNS));
        mistakes
    }

    fn correlations(&self, inputs: &Inputs) -> Result<Table, Failure> {
        let table = keep(&*stack("table", inputs.many("table"))?, &self.filter, "table")?;
        let columns = |names: &[String]| -> Result<Vec<Vec<f64>>, Failure> {
            names.iter().map(|name| numbers(&table, name, "table")).collect()
        };
        let (xs, ys) = (columns(&self.x)?, columns(&self.y)?);
        let mut rows_of = vec![]; // the rows of each correlation
        let (mut x_names, mut y_names) = (vec![], vec![]);
        let (mut counts, mut of_values, mut of_ranks) = (vec![], vec![], vec![]);
        for rows in groups(&table, &self.by, "table")? {
            for (x_name, x) in self.x.iter().zip(&xs) {
                for (y_name, y) in self.y.iter().zip(&ys) {
                    let (a, b) = pairs(x, y, &rows);
                    x_names.push(x_name.clone());
                    y_names.push(y_name.clone());
                    counts.push(Some(a.len() as i64));
                    of_values.push(pearson(&a, &b));
                    of_ranks.push(spearman(&a, &b));
                    rows_of.push(rows.clone());
                }
            }
        }
        let mut out = Table { columns: heads(&table, &self.by, &rows_of, "table")? }
            .with("x", Values::Text(x_names))
            .with("y", Values::Text(y_names))
            .with("n", Values::Int(counts));
        for (name, found) in [("pearson", of_values), ("spearman", of_ranks)] {
            let p: Vec<f64> = found.iter().map(|found: &Correlation| found.p).collect();
            out = out
                .with(name, Values::Float(found.iter().map(|found| found.r).collect()))
                .with(&format!("{name}_p"), Values::Float(p.clone()))
                .with(&format!("{name}_p_adjusted"), Values::Float(self.adjust.of(p)));
        }
        Ok(out)
    }
}

impl Adjust {
    fn of(self, p: Vec<f64>) -> Vec<f64> {
        match self {
            Self::BenjaminiHochberg => benjamini_hochberg(&p),
            Self::Holm => holm(&p),
            Self::Bonferroni => bonferroni(&p),
            Self::None => p,
        }
    }
}

/// The pairs of these rows of which both are numbers.
fn pairs(x: &[f64], y: &[f64], rows: &[usize]) -> (Vec<f64>, Vec<f64>) {
    rows.iter().map(|&row| (x[row], y[row])).filter(|(x, y)| !x.is_nan() && !y.is_nan()).unzip()
}

#[cfg(test)]
mod tests;
