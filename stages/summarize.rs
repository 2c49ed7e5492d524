//! Means and spreads of columns, group by group.
//!
//! The step between a table with a row for each head, prompt or seed and a statement about layers, regions or doses.
//! What is missing is left out and counted: `count_…` says how many values a mean is of.

use assay_cache::{Artifact, Column, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::summary,
    tables::{self, Filter, Known, by_nearness, groups, heads, keep, numbers, stack},
};

/// Summarizes columns of numbers over groups of rows.
///
/// The summary has a row for each group, with the columns `mean_X`, `std_X` (ddof 0), `min_X`, `max_X` and `count_X` for
/// each column X. NaN and missing values are left out and not counted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Summarize {
    /// The columns that make a group: rows with equal values there. Axis labels of what was gathered are columns too.
    #[serde(default)]
    pub by: Vec<String>,
    /// The columns to summarize.
    pub of: Vec<String>,
    /// What is said of each.
    #[serde(default = "everything")]
    pub take: Vec<Take>,
    /// Adds the column `depth`: 0 in the group where this column of `by` is least, 1 where it is largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_of: Option<String>,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    pub filter: Filter,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    Mean,
    Std,
    Min,
    Max,
    Median,
    Count,
}

fn everything() -> Vec<Take> {
    vec![Take::Mean, Take::Std, Take::Min, Take::Max, Take::Count]
}

impl Stage for Summarize {
    const KIND: &'static str = "summarize";
    const VERSION: &'static [(&'static str, u32)] = &[("summarize", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mistakes = self.mistakes(&Known::of(given, "table"));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let facts = json!({ "columns": self.column_names() });
        Ok(Ports {
            inputs: vec![tables::port("table")],
            outputs: vec![OutputPort::new("summary", PortType::of("table")).with_facts(facts)],
        })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default().with("summary", Artifact::Table(self.summary(inputs)?)))
    }
}

impl Summarize {
    fn mistakes(&self, known: &Known) -> Vec<Mistake> {
        let mut mistakes = vec![];
        if self.of.is_empty() {
            mistakes.push(Mistake::new("of", "there is nothing to summarize").help("name columns of numbers"));
        }
        if let Some(name) = self.depth_of.as_ref().filter(|name| !self.by.contains(name)) {
            let there = by_nearness(name, self.by.iter().map(String::as_str)).join(", ");
            let help = if there.is_empty() { format!("by = [\"{name}\"]") } else { format!("`by` names {there}") };
            mistakes.push(Mistake::new("depth-of", format!("`{name}` is not one of `by`")).help(help));
        }
        let listed = [("of", &self.of), ("by", &self.by)]
            .into_iter()
            .flat_map(|(key, names)| names.iter().enumerate().map(move |(i, name)| (format!("{key}[{i}]"), name)));
        let filters = self.filter.keys().map(|name| (format!("where.{name}"), name));
        mistakes.extend(known.mistakes(listed.chain(filters)));
        mistakes
    }

    fn column_names(&self) -> Vec<String> {
        let depth = self.depth_of.iter().map(|_| "depth".to_owned());
        let taken = self.of.iter().flat_map(|name| self.take.iter().map(move |take| take.column(name)));
        self.by.iter().cloned().chain(depth).chain(taken).collect()
    }

    fn summary(&self, inputs: &Inputs) -> Result<Table, Failure> {
        let table = keep(&*stack("table", inputs.many("table"))?, &self.filter, "table")?;
        let groups = groups(&table, &self.by, "table")?;
        let mut summary = Table { columns: heads(&table, &self.by, &groups, "table")? };
        if let Some(name) = &self.depth_of {
            let depths = depths(&numbers(&summary, name, "table")?);
            summary = summary.with("depth", Values::Float(depths));
        }
        for name in &self.of {
            let values = numbers(&table, name, "table")?;
            let unit = table.column(name).and_then(|column| column.unit.clone());
            let present = |rows: &Vec<usize>| -> Vec<f64> {
                rows.iter().map(|&row| values[row]).filter(|value| !value.is_nan()).collect()
            };
            let present: Vec<_> = groups.iter().map(present).collect();
            for take in &self.take {
                let unit = unit.clone().filter(|_| *take != Take::Count);
                summary.columns.push(Column { name: take.column(name), unit, values: take.of(&present) });
            }
        }
        Ok(summary)
    }
}

impl Take {
    fn column(self, name: &str) -> String {
        let take = match self {
            Self::Mean => "mean",
            Self::Std => "std",
            Self::Min => "min",
            Self::Max => "max",
            Self::Median => "median",
            Self::Count => "count",
        };
        format!("{take}_{name}")
    }

    fn of(self, groups: &[Vec<f64>]) -> Values {
        let number: fn(&[f64]) -> f64 = match self {
            Self::Count => return Values::Int(groups.iter().map(|group| Some(group.len() as i64)).collect()),
            Self::Mean => summary::mean,
            Self::Std => summary::std,
            Self::Min => summary::min,
            Self::Max => summary::max,
            Self::Median => summary::median,
        };
        Values::Float(groups.iter().map(|group| number(group)).collect())
    }
}

fn depths(values: &[f64]) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = if largest > least { largest - least } else { 1.0 };
    values.iter().map(|value| (value - least) / span).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::Value;

    use super::*;
    use crate::{Arrived, Loaded, tables::texts};

    fn summarized(params: Value) -> Result<Table, Failure> {
        let table = Table::default()
            .with("layer", Values::Int([2, 0, 0, 2, 4, 4].map(Some).to_vec()))
            .with("order", Values::Text(["b", "a", "a", "a", "b", "b"].map(String::from).to_vec()))
            .with("score", Values::Float(vec![1.0, 2.0, 4.0, 3.0, f64::NAN, 7.0]))
            .unit("nats");
        let loaded = Loaded { labels: vec![], from: "rank.ranking".into(), artifact: Arc::new(Artifact::Table(table)) };
        let stage: Summarize = serde_json::from_value(params).unwrap();
        stage.summary(&Inputs(BTreeMap::from([("table".to_owned(), vec![loaded])])))
    }

    fn floats(table: &Table, name: &str) -> Vec<f64> {
        numbers(table, name, "summary").unwrap()
    }

    #[test]
    fn a_row_for_each_group_in_the_order_of_numbers() {
        let table = summarized(json!({ "by": ["layer"], "of": ["score"], "depth-of": "layer" })).unwrap();
        assert_eq!(floats(&table, "layer"), [0.0, 2.0, 4.0]);
        assert_eq!(floats(&table, "depth"), [0.0, 0.5, 1.0]);
        assert_eq!(floats(&table, "mean_score"), [3.0, 2.0, 7.0]);
        assert_eq!(floats(&table, "std_score"), [1.0, 1.0, 0.0]);
        assert_eq!(floats(&table, "min_score"), [2.0, 1.0, 7.0]);
        assert_eq!(floats(&table, "max_score"), [4.0, 3.0, 7.0]);
        assert_eq!(floats(&table, "count_score"), [2.0, 2.0, 1.0]);
        assert_eq!(table.column("mean_score").unwrap().unit.as_deref(), Some("nats"));
        assert_eq!(table.column("count_score").unwrap().unit, None);
    }

    #[test]
    fn two_columns_make_groups_of_their_pairs() {
        let table = summarized(json!({ "by": ["order", "layer"], "of": ["score"], "take": ["count"] })).unwrap();
        assert_eq!(texts(&table.columns[0].values), ["b", "b", "a", "a"]);
        assert_eq!(floats(&table, "layer"), [2.0, 4.0, 0.0, 2.0]);
        assert_eq!(floats(&table, "count_score"), [1.0, 1.0, 2.0, 1.0]);
    }

    #[test]
    fn without_groups_there_is_one_row_and_without_rows_none() {
        let params = json!({ "of": ["score"], "take": ["mean", "median"] });
        let table = summarized(params).unwrap();
        assert_eq!((floats(&table, "mean_score"), floats(&table, "median_score")), (vec![3.4], vec![3.0]));
        assert_eq!(summarized(json!({ "of": ["score"], "where": { "order": "c" } })).unwrap().rows(), 0);
    }

    fn told(params: Value, arrived: &[&str]) -> Vec<String> {
        let stage: Summarize = serde_json::from_value(params).unwrap();
        let facts = json!({ "columns": ["layer", "score"] });
        let one = |from: &&str| Arrived { from: (*from).into(), ty: PortType::of("table"), facts: facts.clone() };
        let inputs = BTreeMap::from([("table".to_owned(), arrived.iter().map(one).collect())]);
        let mistakes = stage.ports(&Given { inputs, ..Given::default() }).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message)).collect()
    }

    #[test]
    fn mistakes_are_found_at_plan_time() {
        let params = json!({ "by": ["layer", "lair"], "of": ["scor"], "depth-of": "lager", "where": { "scroe": 1 } });
        let expected = [
            "depth-of: `lager` is not one of `by`",
            "of[0]: `rank.ranking` has no column `scor`; it has score, layer",
            "by[1]: `rank.ranking` has no column `lair`; it has layer, score",
            "where.scroe: `rank.ranking` has no column `scroe`; it has score, layer",
        ];
        assert_eq!(told(params, &["rank.ranking"]), expected);
        let said = summarized(json!({ "of": ["order"] })).unwrap_err().to_string();
        assert!(said.contains("`order` of `table` does not hold numbers"), "{said}");
    }

    /// Gathered cells have their axes as columns, which no facts name: only a slip is told.
    #[test]
    fn an_axis_that_was_gathered_is_a_column_too() {
        let gathered = ["rank[sigma=1].ranking", "rank[sigma=2].ranking"];
        let by_axis = json!({ "by": ["sigma"], "of": ["score"], "where": { "sigma": 1 } });
        assert_eq!(told(by_axis.clone(), &gathered), [""; 0]);
        assert_eq!(told(by_axis, &["rank.ranking"]).len(), 2);
        let slip = json!({ "of": ["scroe"], "where": { "layre": 1 } });
        assert_eq!(told(slip, &gathered).len(), 2);
    }

    #[test]
    fn the_facts_are_the_columns_that_come() {
        let params = json!({ "by": ["layer"], "of": ["score"], "depth-of": "layer" });
        let stage: Summarize = serde_json::from_value(params.clone()).unwrap();
        let facts = stage.ports(&Given::default()).unwrap().outputs.remove(0).facts;
        let names: Vec<_> = summarized(params).unwrap().columns.into_iter().map(|column| column.name).collect();
        assert_eq!(facts["columns"], json!(names));
    }
}
