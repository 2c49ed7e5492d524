//! Rows that belong together because some of their columns are equal.

use std::collections::HashMap;

use assay_cache::{Column, Table};

use super::{column, pick, texts};
use crate::Failure;

/// The rows of each group: rows with equal values in the columns `by`. Groups stand in the order of their numbers, and
/// texts in the order in which they first come; without columns all rows are one group.
pub fn groups(table: &Table, by: &[String], at: &str) -> Result<Vec<Vec<usize>>, Failure> {
    let mut groups = vec![(0..table.rows()).collect::<Vec<usize>>()];
    groups.retain(|rows| !rows.is_empty());
    for name in by {
        let values = &column(table, name, at)?.values;
        let (texts, sizes) = (texts(values), values.to_f64());
        groups = groups.iter().flat_map(|rows| parted(rows, &texts, sizes.as_deref())).collect();
    }
    Ok(groups)
}

/// What names a row in each of these columns: rows of two tables are the same where these are.
pub fn row_keys(table: &Table, by: &[String], at: &str) -> Result<Vec<Vec<String>>, Failure> {
    let columns = by
        .iter()
        .map(|name| column(table, name, at).map(|column| texts(&column.values)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((0..table.rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

/// The columns `by` with one row a group.
pub fn heads(table: &Table, by: &[String], groups: &[Vec<usize>], at: &str) -> Result<Vec<Column>, Failure> {
    let firsts: Vec<usize> = groups.iter().map(|rows| rows[0]).collect();
    by.iter().map(|name| column(table, name, at).map(|column| pick(column, &firsts))).collect()
}

fn parted(rows: &[usize], texts: &[String], sizes: Option<&[f64]>) -> Vec<Vec<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut parts: Vec<Vec<usize>> = vec![];
    for &row in rows {
        let place = *places.entry(&texts[row]).or_insert_with(|| {
            parts.push(vec![]);
            parts.len() - 1
        });
        parts[place].push(row);
    }
    if let Some(sizes) = sizes {
        parts.sort_by(|a, b| sizes[a[0]].total_cmp(&sizes[b[0]]));
    }
    parts
}

#[cfg(test)]
mod tests {
    use assay_cache::Values;

    use super::*;

    fn table() -> Table {
        Table::default()
            .with("layer", Values::Int([10, 2, 10, 2, 2].map(Some).to_vec()))
            .with("site", Values::Text(["b", "b", "a", "a", "b"].map(String::from).to_vec()))
    }

    fn by(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn numbers_go_by_size_and_texts_by_first_appearance() {
        assert_eq!(groups(&table(), &by(&["layer"]), "t").unwrap(), [vec![1, 3, 4], vec![0, 2]]);
        assert_eq!(groups(&table(), &by(&["site", "layer"]), "t").unwrap(), [vec![1, 4], vec![0], vec![3], vec![2]]);
        assert_eq!(groups(&table(), &[], "t").unwrap(), [vec![0, 1, 2, 3, 4]]);
        assert!(groups(&Table::default(), &[], "t").unwrap().is_empty());
        assert!(groups(&table(), &by(&["layr"]), "t").unwrap_err().to_string().contains("it has layer, site"));
    }

    #[test]
    fn an_integer_and_an_equal_float_are_one_key() {
        let floats = Table::default().with("layer", Values::Float(vec![10.0, 2.5]));
        assert_eq!(row_keys(&floats, &by(&["layer"]), "t").unwrap()[0], ["10"]);
        assert_eq!(row_keys(&table(), &by(&["layer", "site"]), "t").unwrap()[0], ["10", "b"]);
    }
}
