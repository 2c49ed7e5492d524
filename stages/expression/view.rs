//! Tables as expressions see them: columns are shared and rows are chosen by number, so that `where`, a resample or a
//! shuffled column copies no cells.

use std::{collections::BTreeMap, sync::Arc};

use assay_cache::{Column, Table, Values};
use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr},
};

/// Rows of a table, in an order and as often as somebody wants them.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Arc<BTreeMap<String, Arc<Vec<Value>>>>,
    /// Which rows of the columns; none: all of them.
    chosen: Option<Arc<Vec<usize>>>,
    count: usize,
}

/// One column of such rows.
#[derive(Clone, Debug)]
pub struct Cells {
    values: Arc<Vec<Value>>,
    chosen: Option<Arc<Vec<usize>>>,
}

impl Rows {
    /// # Panics
    /// Where columns differ in length.
    pub fn new(columns: BTreeMap<String, Vec<Value>>) -> Self {
        let count = columns.values().next().map_or(0, Vec::len);
        assert!(columns.values().all(|column| column.len() == count), "columns of equal length");
        let columns = columns.into_iter().map(|(name, column)| (name, Arc::new(column))).collect();
        Self { columns: Arc::new(columns), chosen: None, count }
    }

    pub fn of(table: &Table) -> Self {
        Self::new(table.columns.iter().map(|column| (column.name.clone(), cells(column))).collect())
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    pub fn column(&self, name: &str) -> Option<Cells> {
        let values = self.columns.get(name)?.clone();
        Some(Cells { values, chosen: self.chosen.clone() })
    }

    /// These of the rows, by their places here.
    pub fn pick(&self, places: impl IntoIterator<Item = usize>) -> Self {
        let chosen: Vec<usize> = match &self.chosen {
            None => places.into_iter().collect(),
            Some(chosen) => places.into_iter().map(|place| chosen[place]).collect(),
        };
        Self { columns: self.columns.clone(), count: chosen.len(), chosen: Some(Arc::new(chosen)) }
    }

    /// The same rows, each with the cell of another one in this column: row i has that of row `from[i]`.
    ///
    /// # Panics
    /// Where there is no such column, or rows were chosen.
    pub fn rearranged(&self, name: &str, from: &[usize]) -> Self {
        assert!(self.chosen.is_none(), "whole tables are rearranged");
        let cells = &self.columns[name];
        let column = from.iter().map(|&row| cells[row].clone()).collect();
        let mut columns = (*self.columns).clone(); // a few pointers
        columns.insert(name.to_owned(), Arc::new(column));
        Self { columns: Arc::new(columns), ..self.clone() }
    }
}

impl Cells {
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        (0..self.count()).map(|place| self.at(place))
    }

    pub fn at(&self, place: usize) -> &Value {
        &self.values[self.chosen.as_ref().map_or(place, |chosen| chosen[place])]
    }

    fn count(&self) -> usize {
        self.chosen.as_ref().map_or(self.values.len(), |chosen| chosen.len())
    }
}

fn cells(column: &Column) -> Vec<Value> {
    match &column.values {
        Values::Int(values) => values.iter().map(|value| value.map_or(Value::from(()), Value::from)).collect(),
        Values::Float(values) => values.iter().map(|value| Value::from(*value)).collect(),
        Values::Text(values) => values.iter().map(|value| Value::from(value.as_str())).collect(),
        Values::Bool(values) => values.iter().map(|value| Value::from(*value)).collect(),
    }
}

impl Object for Rows {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.column(key.as_str()?).map(Value::from_object)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names().map(Value::from).collect())
    }
}

impl Object for Cells {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = key.as_usize().filter(|place| *place < self.count())?;
        Some(self.at(place).clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.count())
    }
}
