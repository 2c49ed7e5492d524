//! New columns: expressions row by row, and slopes along series.

use assay_cache::{Column, Table, Values};

use super::{NewColumn, unique};
use crate::{
    Failure,
    expression::{Scope, by_row},
    metrics::gradient::gradient,
    tables::{groups, numbers},
};

impl NewColumn {
    /// `table` with this column.
    pub fn added(&self, mut table: Table, scope: &Scope) -> Result<Table, Failure> {
        let values = match (&self.is, &self.gradient) {
            (Some(text), _) => by_row(text, &table, scope).map_err(|(row, why)| {
                let row = row.map_or_else(String::new, |row| format!(" in row {}", row + 1));
                let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
                let (name, columns, ports) = (&self.name, columns.join(", "), scope.described());
                Failure::fatal(format!("the column `{name}` = {text} fails{row}: {why}\n  a row has {columns}{ports}"))
            })?,
            (None, Some(of)) => self.slopes(&table, of)?,
            (None, None) => return Err(Failure::fatal(format!("nothing says what `{}` holds", self.name))),
        };
        table.columns.push(Column { name: self.name.clone(), unit: self.unit.clone(), values });
        unique(table)
    }

    fn slopes(&self, table: &Table, of: &str) -> Result<Values, Failure> {
        let values = numbers(table, of, "table")?;
        let mut slopes = vec![f64::NAN; values.len()];
        for rows in groups(table, &self.by, "table")? {
            let series: Vec<f64> = rows.iter().map(|&row| values[row]).collect();
            for (row, slope) in rows.into_iter().zip(gradient(&series)) {
                slopes[row] = slope;
            }
        }
        Ok(Values::Float(slopes))
    }
}
