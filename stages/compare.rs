//! `compare`: two groups of rows, and how far they are apart.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::{Artifact, Column, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OneOrMany, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::{
        effect::{cohens_d, hedges_g, paired, welch},
        summary::mean,
    },
    tables::{
        self, Filter, Known, by_nearness, column, groups, heads, keep, matching, numbers, row_keys, stack, texts,
    },
};

/// Do two groups of rows differ, and by how much?
///
/// Means, their difference (a − b) and ratio (a / b), Cohen's d (pooled standard deviation, ddof 1), Hedges' g (d with
/// its exact small-sample correction), and Welch's t test; where rows are paired, the t test of pairs stands there
/// instead. Missing values are left out (of a pair: both) and not counted. With fewer than two values on a side, effects
/// and tests are NaN.
///
/// Output: `comparison` (the columns `by`, of, a, b, n_a, n_b, mean_a, mean_b, difference, ratio, cohens_d, hedges_g,
/// welch_t, welch_p).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compare {
    /// The columns to compare.
    pub of: Vec<String>,
    /// The groups, or a list of several comparisons.
    pub groups: OneOrMany<Pair>,
    /// The columns that make a row of the output: each value there is compared by itself.
    #[serde(default)]
    pub by: Vec<String>,
    /// Rows of the two groups belong together that have equal values in these columns (or this column), and those
    /// without a partner are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paired_by: Option<OneOrMany<String>>,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    pub filter: Filter,
}

/// Two groups of rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pair {
    /// The column that tells the groups apart.
    pub column: String,
    /// The value there of the first group; a list means any of them.
    pub a: Value,
    /// The value there of the second group.
    pub b: Value,
}

/// The columns behind those of `by`.
const COLUMNS: [&str; 13] = [
    "of",
    "a",
    "b",
    "n_a",
    "n_b",
    "mean_a",
    "mean_b",
    "difference",
    "ratio",
    "cohens_d",
    "hedges_g",
    "welch_t",
    "welch_p",
];

impl Stage for Compare {
    const KIND: &'static str = "compare";
    const VERSION: &'static [(&'static str, u32)] = &[("compare", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mistakes = self.mistakes(&Known::of(given, "table"));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let columns: Vec<&str> = self.by.iter().map(String::as_str).chain(COLUMNS).collect();
        let output = OutputPort::new("comparison", PortType::of("table")).with_facts(json!({ "columns": columns }));
        Ok(Ports { inputs: vec![tables::port("table")], outputs: vec![output] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default().with("comparison", Artifact::Table(self.comparison(inputs)?)))
    }
}

/// The values of one comparison.
struct Sides {
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Compare {
    fn mistakes(&self, known: &Known) -> Vec<Mistake> {
        let mut mistakes = vec![];
        if self.of.is_empty() {
            mistakes.push(Mistake::new("of", "there is nothing to compare").help("name columns of numbers"));
        }
        let mut named: Vec<(String, &String)> = vec![];
        for (key, names) in [("of", &self.of), ("by", &self.by)] {
            named.extend(names.iter().enumerate().map(|(i, name)| (format!("{key}[{i}]"), name)));
        }
        named.extend(self.groups.0.iter().enumerate().map(|(i, pair)| (format!("groups[{i}].column"), &pair.column)));
        named.extend(self.partners().iter().map(|name| ("paired-by".to_owned(), name)));
        named.extend(self.filter.keys().map(|name| (format!("where.{name}"), name)));
        mistakes.extend(known.mistakes(named));
        mistakes.extend(tables::clash(&self.by, &COLUMNS));
        mistakes
    }

    fn partners(&self) -> &[String] {
        self.paired_by.as_ref().map_or(&[], |names| &names.0)
    }

    fn comparison(&self, inputs: &Inputs) -> Result<Table, Failure> {
        let table = keep(&*stack("table", inputs.many("table"))?, &self.filter, "table")?;
        let columns = self.of.iter().map(|name| numbers(&table, name, "table")).collect::<Result<Vec<_>, _>>()?;
        let keys = row_keys(&table, self.partners(), "table")?;
        let (mut rows_of, mut names, mut sides) = (vec![], vec![], vec![]);
        for rows in groups(&table, &self.by, "table")? {
            for pair in &self.groups.0 {
                let values = &present(pair, &table)?.values;
                let side = |wanted: &Value| -> Vec<usize> {
                    rows.iter().copied().filter(|&row| matching(values, row, wanted)).collect()
                };
                let (a, b) = (side(&pair.a), side(&pair.b));
                for (name, column) in self.of.iter().zip(&columns) {
                    sides.push(match &self.paired_by {
                        None => Sides { a: defined(column, &a), b: defined(column, &b) },
                        Some(_) => together(column, &keys, &a, &b)?,
                    });
                    names.push([name.clone(), shown(&pair.a), shown(&pair.b)]);
                    rows_of.push(rows.clone());
                }
            }
        }
        let text = |at: usize| Values::Text(names.iter().map(|names| names[at].clone()).collect());
        let count = |of: fn(&Sides) -> usize| Values::Int(sides.iter().map(|s| Some(of(s) as i64)).collect());
        let float = |of: &dyn Fn(&Sides) -> f64| Values::Float(sides.iter().map(of).collect());
        let test = |sides: &Sides| match self.paired_by {
            None => welch(&sides.a, &sides.b),
            Some(_) => paired(&sides.a, &sides.b),
        };
        Ok(Table { columns: heads(&table, &self.by, &rows_of, "table")? }
            .with("of", text(0))
            .with("a", text(1))
            .with("b", text(2))
            .with("n_a", count(|sides| sides.a.len()))
            .with("n_b", count(|sides| sides.b.len()))
            .with("mean_a", float(&|sides| mean(&sides.a)))
            .with("mean_b", float(&|sides| mean(&sides.b)))
            .with("difference", float(&|sides| mean(&sides.a) - mean(&sides.b)))
            .with("ratio", float(&|sides| mean(&sides.a) / mean(&sides.b)))
            .with("cohens_d", float(&|sides| cohens_d(&sides.a, &sides.b)))
            .with("hedges_g", float(&|sides| hedges_g(&sides.a, &sides.b)))
            .with("welch_t", float(&|sides| test(sides).t))
            .with("welch_p", float(&|sides| test(sides).p)))
    }
}

/// The column that tells groups apart, if both are there: a label that no row has is a slip, not an empty group.
fn present<'t>(pair: &Pair, table: &'t Table) -> Result<&'t Column, Failure> {
    let column = column(table, &pair.column, "table")?;
    for wanted in [&pair.a, &pair.b] {
        if !(0..table.rows()).any(|row| matching(&column.values, row, wanted)) {
            let there: BTreeSet<String> = texts(&column.values).into_iter().collect();
            let (wanted, name) = (shown(wanted), &pair.column);
            let near = by_nearness(&wanted, there.iter().map(String::as_str)).join(", ");
            return Err(Failure::fatal(format!("no row has `{wanted}` in `{name}`; there is {near}")));
        }
    }
    Ok(column)
}

fn defined(column: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|&row| column[row]).filter(|value| !value.is_nan()).collect()
}

/// The values of rows that are in both groups, in the order of the first.
fn together(column: &[f64], keys: &[Vec<String>], a: &[usize], b: &[usize]) -> Result<Sides, Failure> {
    let by_key = |rows: &[usize]| -> Result<BTreeMap<&[String], usize>, Failure> {
        let mut places = BTreeMap::new();
        for &row in rows {
            let key = keys[row].as_slice();
            if places.insert(key, row).is_some() {
                let key = key.join(", ");
                let help = "name more columns in `paired-by` or `by`, or choose rows with `where`";
                return Err(Failure::fatal(format!("two rows of one group are paired by `{key}`: {help}")));
            }
        }
        Ok(places)
    };
    let partners = by_key(b)?;
    by_key(a)?;
    let (a, b) = a
        .iter()
        .filter_map(|&row| Some((column[row], column[*partners.get(keys[row].as_slice())?])))
        .filter(|(a, b)| !a.is_nan() && !b.is_nan())
        .unzip();
    Ok(Sides { a, b })
}

/// A value as a cell of text.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(any) => any.iter().map(shown).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
