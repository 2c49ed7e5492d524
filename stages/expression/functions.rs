//! What expressions may call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

use crate::{
    metrics::{
        correlation::{self, Correlation},
        summary,
    },
    tables::no_column,
};

type OfNumber = fn(f64) -> f64;
type OfColumn = fn(&[f64]) -> f64;
type OfPairs = fn(&[f64], &[f64]) -> Correlation;

/// Why statistics are not defined, since the last look.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn leave(&self, note: String) {
        self.0.lock().expect("nothing panics while it holds the notes").push(note);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics while it holds the notes"))
    }
}

pub fn add(environment: &mut Environment, notes: &Notes) {
    let statistics: [(&'static str, OfColumn); 6] = [
        ("mean", summary::mean),
        ("std", summary::std),
        ("sum", |values| values.iter().sum()),
        ("min", summary::min),
        ("max", summary::max),
        ("median", summary::median),
    ];
    for (name, of) in statistics {
        let notes = notes.clone();
        environment.add_function(name, move |values: Value| {
            let values = numbers(name, &values)?;
            Ok::<_, Error>(noted(&notes, name, &[&values], of(&values)))
        });
    }
    let area_notes = notes.clone();
    environment.add_function("area", move |x: Value, y: Value| {
        let (x, y) = pairs("area", &x, &y)?;
        Ok::<_, Error>(noted(&area_notes, "area", &[&x, &y], summary::area(&x, &y)))
    });
    let correlations: [(&'static str, OfPairs); 2] =
        [("pearson", correlation::pearson), ("spearman", correlation::spearman)];
    for (name, of) in correlations {
        let notes = notes.clone();
        environment.add_function(name, move |x: Value, y: Value| {
            let (x, y) = pairs(name, &x, &y)?;
            let Correlation { r, p } = of(&x, &y);
            noted(&notes, name, &[&x, &y], r);
            let r_name = if name == "spearman" { "rho" } else { "r" };
            Ok::<_, Error>(Value::from(BTreeMap::from([(r_name, r), ("p", p)])))
        });
    }
    let defined_notes = notes.clone();
    environment.add_function("defined", move |value: Value| {
        defined_notes.take();
        is_defined(&value)
    });
    let rounding: [(&'static str, OfNumber); 2] = [("ceil", f64::ceil), ("floor", f64::floor)];
    for (name, of) in rounding {
        environment.add_function(name, move |value: f64| of(value) as i64);
    }
    environment.add_function("sqrt", f64::sqrt);
    environment.add_function("log", f64::ln);
    environment.add_function("exp", f64::exp);
    environment.add_function("count", |values: Value| elements("count", &values).map(|values| values.len()));
    environment.add_function("finite", |values: Value| {
        let values = numbers("finite", &values)?;
        Ok::<_, Error>(values.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>())
    });
    environment.add_function("column", |table: Value, name: String| columns(&table)?.take(&name));
    environment.add_function("where", |table: Value, wanted: Kwargs| chosen(&table, &wanted, true));
    environment.add_function("without", |table: Value, wanted: Kwargs| chosen(&table, &wanted, false));
    environment.add_function("between", |table: Value, name: String, from: f64, to: f64| {
        let table = columns(&table)?;
        let values = numbers("between", &table.take(&name)?)?;
        Ok::<_, Error>(table.rows(|row| values[row] >= from && values[row] < to))
    });
}

/// `value`, with a note where it is not a number.
fn noted(notes: &Notes, name: &str, columns: &[&[f64]], value: f64) -> f64 {
    if value.is_nan() {
        let missing: usize = columns.iter().map(|column| column.iter().filter(|v| v.is_nan()).count()).sum();
        let length = columns.first().map_or(0, |column| column.len());
        notes.leave(match missing {
            0 => format!("`{name}` of {length} values is not defined"),
            missing => format!("`{name}` of {length} values of which {missing} are NaN (leave them out with `finite`)"),
        });
    }
    value
}

fn is_defined(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => false,
        ValueKind::Number => f64::try_from(value.clone()).is_ok_and(f64::is_finite),
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().is_ok_and(|mut items| value.len() != Some(0) && items.all(|item| is_defined(&item)))
        }
        ValueKind::Map => value
            .try_iter()
            .is_ok_and(|mut keys| keys.all(|key| value.get_item(&key).is_ok_and(|item| is_defined(&item)))),
        _ => true,
    }
}

pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn elements(function: &str, values: &Value) -> Result<Vec<Value>, Error> {
    match values.kind() {
        ValueKind::Seq | ValueKind::Iterable => Ok(values.try_iter()?.collect()),
        ValueKind::Undefined => Err(refused(format!("`{function}` is asked of a column that there is not"))),
        kind => Err(refused(format!("`{function}` is asked of a {kind}: it takes a column"))),
    }
}

/// A column as numbers; one that is missing is NaN.
fn numbers(function: &str, values: &Value) -> Result<Vec<f64>, Error> {
    elements(function, values)?
        .into_iter()
        .map(|value| match value.kind() {
            ValueKind::Number => f64::try_from(value),
            ValueKind::None => Ok(f64::NAN),
            kind => Err(refused(format!("`{function}` takes numbers, and a {kind} is among them"))),
        })
        .collect()
}

fn pairs(function: &str, x: &Value, y: &Value) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (x, y) = (numbers(function, x)?, numbers(function, y)?);
    if x.len() != y.len() {
        return Err(refused(format!("`{function}` takes columns of one length, not of {} and {}", x.len(), y.len())));
    }
    Ok((x, y))
}

/// A table as expressions see it.
pub(super) struct Columns(pub(super) BTreeMap<String, Vec<Value>>);

pub(super) fn columns(table: &Value) -> Result<Columns, Error> {
    if table.kind() != ValueKind::Map {
        return Err(refused(format!("a {} is no table", table.kind())));
    }
    let named = |name: Value| Ok((name.to_string(), elements("column", &table.get_item(&name)?)?));
    Ok(Columns(table.try_iter()?.map(named).collect::<Result<_, Error>>()?))
}

impl Columns {
    fn column(&self, name: &str) -> Result<&[Value], Error> {
        let names = || self.0.keys().map(String::as_str);
        self.0.get(name).map(Vec::as_slice).ok_or_else(|| refused(no_column(name, "the table", names())))
    }

    fn take(&self, name: &str) -> Result<Value, Error> {
        Ok(Value::from(self.column(name)?.to_vec()))
    }

    fn rows(&self, keep: impl Fn(usize) -> bool) -> Value {
        let kept = |column: &Vec<Value>| -> Vec<Value> {
            column.iter().enumerate().filter(|(row, _)| keep(*row)).map(|(_, value)| value.clone()).collect()
        };
        Value::from(self.0.iter().map(|(name, column)| (name.clone(), kept(column))).collect::<BTreeMap<_, _>>())
    }
}

/// The rows that have all the wanted values, or the others.
fn chosen(table: &Value, wanted: &Kwargs, those: bool) -> Result<Value, Error> {
    let table = columns(table)?;
    let mut conditions = vec![];
    for name in wanted.args() {
        let value: Value = wanted.get(name)?;
        let any = match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.collect(),
            ValueKind::Undefined => return Err(refused(format!("the wanted `{name}` is undefined"))),
            _ => vec![value],
        };
        conditions.push((table.column(name)?, any));
    }
    Ok(table.rows(|row| conditions.iter().all(|(column, any)| any.contains(&column[row])) == those))
}
