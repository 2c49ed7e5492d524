//! What expressions may call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

use super::view::{Cells, Rows};
use crate::{
    metrics::{
        correlation::{self, Correlation},
        effect, gradient, quantile, summary,
    },
    tables::no_column,
};

type OfNumber = fn(f64) -> f64;
type OfColumn = fn(&[f64]) -> f64;
type OfColumns = fn(&[f64], &[f64]) -> f64;
type OfPairs = fn(&[f64], &[f64]) -> Correlation;

/// Why statistics are not defined, since the last look.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(super) fn leave(&self, note: String) {
        self.0.lock().expect("nothing panics while it holds the notes").push(note);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics while it holds the notes"))
    }
}

pub fn add(environment: &mut Environment, notes: &Notes) {
    add_statistics(environment, notes);
    add_columns(environment);
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
    let of_numbers: [(&'static str, OfNumber); 4] =
        [("sqrt", f64::sqrt), ("log", f64::ln), ("exp", f64::exp), ("abs", f64::abs)];
    for (name, of) in of_numbers {
        environment.add_function(name, of);
    }
    let rounding: [(&'static str, OfNumber); 2] = [("ceil", f64::ceil), ("floor", f64::floor)];
    for (name, of) in rounding {
        environment.add_function(name, move |value: f64| of(value) as i64);
    }
}

/// One number of one column, or of two that need not be of one length.
fn add_statistics(environment: &mut Environment, notes: &Notes) {
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
    let effects: [(&'static str, OfColumns); 2] = [("cohens_d", effect::cohens_d), ("hedges_g", effect::hedges_g)];
    for (name, of) in effects {
        let notes = notes.clone();
        environment.add_function(name, move |a: Value, b: Value| {
            let (a, b) = (numbers(name, &a)?, numbers(name, &b)?);
            Ok::<_, Error>(noted(&notes, name, &[&a, &b], of(&a, &b)))
        });
    }
    let quantile_notes = notes.clone();
    environment.add_function("quantile", move |values: Value, q: f64| {
        if !(0.0..=1.0).contains(&q) {
            return Err(refused(format!("`quantile` takes a part from 0 to 1, not {q}")));
        }
        let values = numbers("quantile", &values)?;
        Ok(noted(&quantile_notes, "quantile", &[&values], quantile::quantile(&values, q)))
    });
    let argmax_notes = notes.clone();
    environment.add_function("argmax", move |values: Value| {
        let values = numbers("argmax", &values)?;
        Ok::<_, Error>(match summary::argmax(&values) {
            Some(place) => Value::from(place),
            None => Value::from(noted(&argmax_notes, "argmax", &[&values], f64::NAN)),
        })
    });
}

/// Columns of tables, parts of columns, and rows of tables.
fn add_columns(environment: &mut Environment) {
    environment.add_function("gradient", |values: Value| {
        numbers("gradient", &values).map(|values| gradient::gradient(&values))
    });
    environment.add_function("first", |values: Value| end("first", &values, |values| values.first()));
    environment.add_function("last", |values: Value| end("last", &values, |values| values.last()));
    environment.add_function("count", |values: Value| elements("count", &values).map(|values| values.len()));
    environment.add_function("finite", |values: Value| {
        let values = numbers("finite", &values)?;
        Ok::<_, Error>(values.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>())
    });
    environment.add_function("column", |table: Value, name: String| match table.downcast_object_ref::<Rows>() {
        Some(rows) => column(rows, &name).map(Value::from_object),
        None => field(&table, &name),
    });
    environment.add_function("where", |table: Value, wanted: Kwargs| chosen(&table, &wanted, true));
    environment.add_function("without", |table: Value, wanted: Kwargs| chosen(&table, &wanted, false));
    environment.add_function("between", |table: Value, name: String, from: f64, to: f64| {
        let table = rows(&table)?;
        let values = numbers("between", &Value::from_object(column(&table, &name)?))?;
        let kept = (0..values.len()).filter(|&row| values[row] >= from && values[row] < to);
        Ok::<_, Error>(Value::from_object(table.pick(kept)))
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
    let number = |value: &Value| match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()),
        ValueKind::None => Ok(f64::NAN),
        kind => Err(refused(format!("`{function}` takes numbers, and a {kind} is among them"))),
    };
    match values.downcast_object_ref::<Cells>() {
        Some(cells) => cells.iter().map(number).collect(),
        None => elements(function, values)?.iter().map(number).collect(),
    }
}

fn pairs(function: &str, x: &Value, y: &Value) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (x, y) = (numbers(function, x)?, numbers(function, y)?);
    if x.len() != y.len() {
        return Err(refused(format!("`{function}` takes columns of one length, not of {} and {}", x.len(), y.len())));
    }
    Ok((x, y))
}

/// The value at an end of a column.
fn end(function: &str, values: &Value, of: fn(&[Value]) -> Option<&Value>) -> Result<Value, Error> {
    let values = elements(function, values)?;
    of(&values).cloned().ok_or_else(|| refused(format!("`{function}` is asked of a column without rows")))
}

/// A table: one of a port, or a record whose fields are columns.
pub(super) fn rows(table: &Value) -> Result<Arc<Rows>, Error> {
    if let Some(rows) = table.downcast_object::<Rows>() {
        return Ok(rows);
    }
    if table.kind() != ValueKind::Map {
        return Err(refused(format!("a {} is no table", table.kind())));
    }
    let named = |name: Value| Ok((name.to_string(), elements("column", &table.get_item(&name)?)?));
    let columns: BTreeMap<_, _> = table.try_iter()?.map(named).collect::<Result<_, Error>>()?;
    let mut lengths = columns.values().map(Vec::len);
    let first = lengths.next();
    if lengths.any(|length| Some(length) != first) {
        return Err(refused("a record whose lists differ in length is no table"));
    }
    Ok(Arc::new(Rows::new(columns)))
}

/// A record's list.
fn field(record: &Value, name: &str) -> Result<Value, Error> {
    if record.kind() != ValueKind::Map {
        return Err(refused(format!("a {} is no table", record.kind())));
    }
    let value = record.get_attr(name)?;
    if value.is_undefined() {
        let names: Vec<String> = record.try_iter()?.map(|name| name.to_string()).collect();
        return Err(refused(no_column(name, "the table", names.iter().map(String::as_str))));
    }
    elements("column", &value).map(Value::from)
}

fn column(table: &Rows, name: &str) -> Result<Cells, Error> {
    table.column(name).ok_or_else(|| refused(no_column(name, "the table", table.names())))
}

/// The rows that have all the wanted values, or the others.
fn chosen(table: &Value, wanted: &Kwargs, those: bool) -> Result<Value, Error> {
    let table = rows(table)?;
    let mut conditions = vec![];
    for name in wanted.args() {
        let value: Value = wanted.get(name)?;
        let any = match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.collect(),
            ValueKind::Undefined => return Err(refused(format!("the wanted `{name}` is undefined"))),
            _ => vec![value],
        };
        conditions.push((column(&table, name)?, any));
    }
    let fits = |row: usize| conditions.iter().all(|(cells, any)| any.contains(cells.at(row)));
    Ok(Value::from_object(table.pick((0..table.count()).filter(|&row| fits(row) == those))))
}

#[cfg(test)]
mod tests {
    use assay_cache::{Table, Values};
    use serde_json::{Value as Json, json};

    use super::super::Scope;

    /// Five values at two sites.
    fn value(text: &str) -> Result<Json, String> {
        let sites = ["a", "a", "b", "b", "b"].map(String::from).to_vec();
        let mut scope = Scope::default();
        let table =
            Table::default().with("site", Values::Text(sites)).with("x", Values::Float(vec![1.0, 4.0, 9.0, 16.0, 2.0]));
        scope.add_table("t", &table);
        scope.evaluate(text).map(|outcome| outcome.to_json())
    }

    #[test]
    fn ends_places_and_parts_of_a_column() {
        for (text, expected) in [
            ("first(t.x)", json!(1.0)),
            ("last(where(t, site='b').x)", json!(2.0)),
            ("argmax(t.x)", json!(3)),
            ("abs(min(gradient(t.x)))", json!(14.0)), // 3, 4, 6, −3.5, −14
            ("quantile(t.x, 0.5)", json!(4.0)),
            ("quantile(t.x, 0.875)", json!(12.5)),
            ("t.x[1] + t.x[-1]", json!(6.0)),
            ("count(without(t, site='a').x)", json!(3)),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
    }

    /// Means 2.5 and 9; squares 4.5 and 98 over three degrees of freedom.
    #[test]
    fn effects_of_two_columns() {
        let (a, b) = ("where(t, site='a').x", "where(t, site='b').x");
        let expected = -6.5 / (102.5_f64 / 3.0).sqrt();
        assert!((value(&format!("cohens_d({a}, {b})")).unwrap().as_f64().unwrap() - expected).abs() < 1e-12);
        assert!(value(&format!("hedges_g({a}, {b}) / cohens_d({a}, {b})")).unwrap().as_f64().unwrap() < 0.75);
    }

    #[test]
    fn what_is_not_defined_or_not_there_says_so() {
        for (text, part) in [
            ("first(where(t, site='c').x)", "`first` is asked of a column without rows"),
            ("argmax(where(t, site='c').x)", "`argmax` of 0 values is not defined"),
            ("quantile(t.x, 95)", "from 0 to 1, not 95"),
            ("cohens_d(t.x, where(t, site='c').x)", "`cohens_d` of 5 values is not defined"),
            ("mean(where(t, sight='c').x)", "no column `sight`; it has site, x"),
        ] {
            let said = value(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
