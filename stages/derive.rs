//! `derive`: a table made from others: rows joined, columns computed.
//!
//! The step between what stages measured and what a hypothesis is about: a difference from a baseline, a share, a
//! velocity. It says nothing about many rows at once (`summarize`, `compare`, `correlate` do), and draws no figure.

mod columns;
mod join;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::{Artifact, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    expression::Scope,
    tables::{self, Filter, column, keep, picked, stack, texts},
};

/// Makes a table from others: their rows joined, new columns computed, chosen, ordered.
///
/// What stands in the ports, whose names the manifest chooses, is read as rows: a table as it is, a record as one row, a
/// tensor as one row an element (its axes and `value`); what was gathered has its axis labels as columns. In this order:
/// `rename` and `where` on the rows of `from`; `join`; `sort`; `columns`; `keep`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Derive {
    /// The port whose rows are taken; may be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Old name → new name of columns of `from`.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Each row gets the columns of the one row of another table that belongs to it.
    #[serde(default)]
    pub join: Vec<Join>,
    /// Orders the rows by these columns, the first one first; `"-score"` falls. Texts go by the alphabet. Where all of
    /// them are there before `columns`, rows are in this order for `gradient` too.
    #[serde(default)]
    pub sort: Vec<String>,
    /// New columns, in order: later ones may use earlier ones.
    #[serde(default)]
    pub columns: Vec<NewColumn>,
    /// Only these columns, in this order.
    #[serde(default)]
    pub keep: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Join {
    /// The port of the other table (which may be `from` itself).
    pub port: String,
    /// Rows belong together that have equal values in these columns. Without any, the other table has one row, and all
    /// rows get it.
    #[serde(default)]
    pub on: Vec<String>,
    /// Only rows of the other table with these values in these columns.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// What stands before the names of the columns that come; those in `on` do not come.
    #[serde(default)]
    pub prefix: String,
    /// What becomes of a row for which there is none. Several for one row are always an error.
    #[serde(default)]
    pub missing: Missing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The stage fails, and says which row it is.
    #[default]
    Error,
    /// The row is left out.
    Drop,
    /// What comes is missing: NaN, an empty text.
    Nan,
}

/// A new column: exactly one of `is` and `gradient` says what it holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewColumn {
    /// What it is called.
    pub name: String,
    /// An expression in the language of `verdict`, row by row: a column's name (with `_` for what is no letter or digit)
    /// is that row's value, any other port's name all that stands there. What is missing is NaN, and NaN may come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
    /// The slope of this column from row to row, as `numpy.gradient` with unit spacing; NaN in a group of one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient: Option<String>,
    /// With `gradient`: the columns that make a series: rows with equal values there.
    #[serde(default)]
    pub by: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Stage for Derive {
    const KIND: &'static str = "derive";
    const VERSION: &'static [(&'static str, u32)] = &[("derive", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let columns = plan::columns(self, given, &names)?;
        let facts = columns.map_or(Value::Null, |columns| json!({ "columns": columns }));
        let output = OutputPort::new("table", PortType::of("table")).with_facts(facts);
        Ok(Ports { inputs: tables::ports(&names), outputs: vec![output] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default().with("table", Artifact::Table(self.table(inputs)?)))
    }
}

impl Derive {
    fn from<'a>(&'a self, ports: &BTreeSet<&'a str>) -> Option<&'a str> {
        match &self.from {
            Some(from) => Some(from.as_str()).filter(|from| ports.contains(from)),
            None if ports.len() == 1 => ports.first().copied(),
            None => None,
        }
    }

    fn table(&self, inputs: &Inputs) -> Result<Table, Failure> {
        let ports: BTreeSet<&str> = inputs.0.keys().map(String::as_str).collect();
        let from = self.from(&ports).ok_or_else(|| Failure::fatal(plan::no_from(&ports)))?;
        let renamed = self.renamed(&*stack(from, inputs.many(from))?, from)?;
        let mut table = keep(&renamed, &self.filter, from)?;
        for join in &self.join {
            let other = stack(&join.port, inputs.many(&join.port))?;
            table = join.to(&table, &other)?;
        }
        if plan::sorts_first(&self.sort, |name| table.column(name).is_some()) {
            table = sorted(&table, &self.sort)?;
        }
        let scope = Scope::of(inputs)?;
        for new in &self.columns {
            table = new.added(table, &scope)?;
        }
        self.kept(sorted(&table, &self.sort)?)
    }

    fn renamed(&self, table: &Table, from: &str) -> Result<Table, Failure> {
        for name in self.rename.keys() {
            column(table, name, from)?;
        }
        let mut table = table.clone();
        for column in &mut table.columns {
            column.name = self.rename.get(&column.name).unwrap_or(&column.name).clone();
        }
        unique(table)
    }

    fn kept(&self, table: Table) -> Result<Table, Failure> {
        if self.keep.is_empty() {
            return Ok(table);
        }
        let columns = self.keep.iter().map(|name| column(&table, name, "table").cloned());
        Ok(Table { columns: columns.collect::<Result<_, _>>()? })
    }
}

/// A table in which no two columns have one name.
fn unique(table: Table) -> Result<Table, Failure> {
    let mut seen = BTreeSet::new();
    match table.columns.iter().find(|column| !seen.insert(column.name.as_str())) {
        Some(twice) => Err(Failure::fatal(plan::taken(&twice.name))),
        None => Ok(table),
    }
}

/// The rows in the order of these columns; equal ones stay in theirs, and NaN comes last.
fn sorted(table: &Table, by: &[String]) -> Result<Table, Failure> {
    let mut order: Vec<usize> = (0..table.rows()).collect();
    for key in by.iter().rev() {
        let (name, falls) = plan::sort_key(key);
        let values = &column(table, name, "table")?.values;
        match values.to_f64() {
            Some(numbers) => order.sort_by(|&a, &b| {
                let (a, b) = (numbers[a], numbers[b]);
                let size = if falls { b.total_cmp(&a) } else { a.total_cmp(&b) };
                a.is_nan().cmp(&b.is_nan()).then(size)
            }),
            None => {
                let texts = texts(values);
                order.sort_by(|&a, &b| if falls { texts[b].cmp(&texts[a]) } else { texts[a].cmp(&texts[b]) });
            }
        }
    }
    Ok(picked(table, &order))
}

#[cfg(test)]
mod tests;
