//! Each row beside the one row of another table that belongs to it.

use std::collections::HashMap;

use assay_cache::{Column, Table, Values};

use super::{Join, Missing, unique};
use crate::{
    Failure,
    tables::{keep, picked, row_keys},
};

impl Join {
    /// `table` with the columns of `other`.
    pub fn to(&self, table: &Table, other: &Table) -> Result<Table, Failure> {
        let other = keep(other, &self.filter, &self.port)?;
        let found = self.partners(table, &other)?;
        let rows: Vec<usize> =
            (0..table.rows()).filter(|&row| self.missing != Missing::Drop || found[row].is_some()).collect();
        let found: Vec<Option<usize>> = rows.iter().map(|&row| found[row]).collect();
        let mut joined = picked(table, &rows);
        for column in other.columns.iter().filter(|column| !self.on.contains(&column.name)) {
            let values = self.taken(column, &found)?;
            let name = format!("{}{}", self.prefix, column.name);
            joined.columns.push(Column { name, unit: column.unit.clone(), values });
        }
        unique(joined)
    }

    /// The row of `other` that belongs to each row of `table`.
    fn partners(&self, table: &Table, other: &Table) -> Result<Vec<Option<usize>>, Failure> {
        let mut places: HashMap<Vec<String>, Vec<usize>> = HashMap::new();
        for (row, key) in row_keys(other, &self.on, &self.port)?.into_iter().enumerate() {
            places.entry(key).or_default().push(row);
        }
        let partner = |key: &Vec<String>| match places.get(key).map(Vec::as_slice) {
            Some([one]) => Ok(Some(*one)),
            Some(several) => Err(self.not_one(key, several.len())),
            None if self.missing == Missing::Error => Err(self.not_one(key, 0)),
            None => Ok(None),
        };
        row_keys(table, &self.on, "table")?.iter().map(partner).collect()
    }

    fn not_one(&self, key: &[String], found: usize) -> Failure {
        let row: Vec<String> = self.on.iter().zip(key).map(|(name, value)| format!("{name} = {value}")).collect();
        let row = if row.is_empty() { "all rows".to_owned() } else { row.join(", ") };
        let port = &self.port;
        Failure::fatal(match found {
            0 => format!(
                "`{port}` has no row for {row}: `missing = \"drop\"` leaves such rows out, `missing = \"nan\"` keeps them"
            ),
            several => format!(
                "`{port}` has {several} rows for {row}, and a row is joined with one: name more columns in `on`, or choose rows with `where`"
            ),
        })
    }

    fn taken(&self, column: &Column, found: &[Option<usize>]) -> Result<Values, Failure> {
        Ok(match &column.values {
            Values::Int(values) => Values::Int(found.iter().map(|at| at.and_then(|at| values[at])).collect()),
            Values::Float(values) => {
                Values::Float(found.iter().map(|at| at.map_or(f64::NAN, |at| values[at])).collect())
            }
            Values::Text(values) => {
                Values::Text(found.iter().map(|at| at.map_or_else(String::new, |at| values[at].clone())).collect())
            }
            Values::Bool(values) => {
                let known: Option<Vec<bool>> = found.iter().map(|at| at.map(|at| values[at])).collect();
                Values::Bool(known.ok_or_else(|| {
                    let (name, port) = (&column.name, &self.port);
                    Failure::fatal(format!(
                        "the truth value `{name}` of `{port}` cannot be missing: write `missing = \"drop\"`"
                    ))
                })?)
            }
        })
    }
}
