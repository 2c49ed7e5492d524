//! Choosing rows, and reading columns as numbers or as texts.

use std::collections::BTreeMap;

use assay_cache::{Column, Table, Values};
use serde_json::Value;

use super::column;
use crate::Failure;

/// Column → the value that a row must have there, or a list of values it may have.
pub type Filter = BTreeMap<String, Value>;

/// The rows of `table` that pass `filter`, in their order.
pub fn keep(table: &Table, filter: &Filter, at: &str) -> Result<Table, Failure> {
    let mut kept: Vec<usize> = (0..table.rows()).collect();
    for (name, wanted) in filter {
        let column = column(table, name, at)?;
        kept.retain(|&row| matching(&column.values, row, wanted));
    }
    Ok(picked(table, &kept))
}

/// These rows of `table`.
pub fn picked(table: &Table, rows: &[usize]) -> Table {
    Table { columns: table.columns.iter().map(|column| pick(column, rows)).collect() }
}

/// A column as numbers; a missing one is NaN.
pub fn numbers(table: &Table, name: &str, at: &str) -> Result<Vec<f64>, Failure> {
    column(table, name, at)?
        .values
        .to_f64()
        .ok_or_else(|| Failure::fatal(format!("the column `{name}` of `{at}` does not hold numbers")))
}

/// A column as texts, numbers in their shortest form.
pub fn texts(values: &Values) -> Vec<String> {
    match values {
        Values::Int(values) => values.iter().map(|v| v.map_or_else(String::new, |v| v.to_string())).collect(),
        Values::Float(values) => values.iter().map(f64::to_string).collect(),
        Values::Text(values) => values.clone(),
        Values::Bool(values) => values.iter().map(bool::to_string).collect(),
    }
}

/// These rows of a column.
pub fn pick(column: &Column, rows: &[usize]) -> Column {
    fn at<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
        rows.iter().map(|&row| values[row].clone()).collect()
    }
    let values = match &column.values {
        Values::Int(values) => Values::Int(at(values, rows)),
        Values::Float(values) => Values::Float(at(values, rows)),
        Values::Text(values) => Values::Text(at(values, rows)),
        Values::Bool(values) => Values::Bool(at(values, rows)),
    };
    Column { values, ..column.clone() }
}

/// Whether a row has the wanted value, or one of a list.
pub fn matching(values: &Values, row: usize, wanted: &Value) -> bool {
    if let Value::Array(any) = wanted {
        return any.iter().any(|wanted| matching(values, row, wanted));
    }
    match values {
        Values::Int(values) => values[row].is_some_and(|v| wanted.as_f64() == Some(v as f64)),
        Values::Float(values) => wanted.as_f64() == Some(values[row]),
        Values::Text(values) => wanted.as_str() == Some(&values[row]),
        Values::Bool(values) => wanted.as_bool() == Some(values[row]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        Table::default()
            .with("layer", Values::Int(vec![Some(0), Some(1), None, Some(3)]))
            .with("order", Values::Text(["a", "b", "a", "b"].map(String::from).to_vec()))
            .with("score", Values::Float(vec![0.5, 1.5, f64::NAN, 2.0]))
    }

    fn kept(filter: Value) -> Vec<String> {
        let filter = serde_json::from_value(filter).unwrap();
        texts(&keep(&table(), &filter, "rank").unwrap().columns[0].values)
    }

    #[test]
    fn conditions_are_joined_and_a_list_is_a_choice() {
        assert_eq!(kept(json!({ "order": "b" })), ["1", "3"]);
        assert_eq!(kept(json!({ "order": "b", "layer": [0, 3] })), ["3"]);
        assert_eq!(kept(json!({ "score": 1.5 })), ["1"]);
        assert!(kept(json!({ "score": "1.5" })).is_empty());
    }

    #[test]
    fn a_missing_integer_is_nan_and_a_wrong_column_is_named_with_its_neighbours() {
        assert!(numbers(&table(), "layer", "rank").unwrap()[2].is_nan());
        let said = numbers(&table(), "scores", "rank").unwrap_err().to_string();
        assert_eq!(said, "`rank` has no column `scores`; it has score, order, layer");
        assert!(numbers(&table(), "order", "rank").unwrap_err().to_string().contains("does not hold numbers"));
    }
}
