//! The names that an expression can use, and what comes of one.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Table, finite};
use minijinja::{Value, value::ValueKind};
use ndarray::{ArrayViewD, Axis};
use serde_json::Value as Json;

use super::{Language, described, identifier, view::Rows};
use crate::{Failure, Inputs, Loaded, tables::stack};

/// Names and what they stand for.
#[derive(Clone, Default, Debug)]
pub struct Scope {
    names: BTreeMap<String, Value>,
    /// What is said of the inputs where an expression fails.
    described: Vec<String>,
}

/// What became of the attempt at a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    Defined(Outcome),
    /// Why it is not.
    Undefined(String),
}

/// What came of an expression: a number, a text, a truth value, or a few of them by name; finite, unless made so by
/// [`Outcome::undefined`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome(pub(super) Value);

impl Scope {
    /// What stands in a stage's ports, by their names.
    pub fn of(inputs: &Inputs) -> Result<Self, Failure> {
        let mut scope = Self::default();
        for (port, loaded) in &inputs.0 {
            let value = seen(port, loaded)?;
            if value.kind() == ValueKind::Map {
                let keys: Vec<String> = value.try_iter().into_iter().flatten().map(|key| key.to_string()).collect();
                scope.described.push(format!("`{}` has {}", identifier(port), keys.join(", ")));
            }
            scope.names.insert(identifier(port), value);
        }
        Ok(scope)
    }

    pub fn add(&mut self, name: &str, outcome: Outcome) {
        self.names.insert(name.to_owned(), outcome.0);
    }

    /// The columns and fields that there are, as the end of a message.
    pub fn described(&self) -> String {
        self.described.iter().map(|line| format!("\n  {line}")).collect()
    }

    /// What comes of `text`; or why nothing does.
    pub fn evaluate(&self, text: &str) -> Result<Outcome, String> {
        Language::new().formula(text)?.outcome(self)
    }

    /// What comes of `text`, where that is not defined being no error: a statistic of nothing, a number that is none.
    pub fn attempt(&self, text: &str) -> Result<Attempt, String> {
        Language::new().formula(text)?.attempt(self)
    }

    /// What comes of `text` as a record holds it, whatever it is: lists and tables too, and `"NaN"` for a statistic
    /// that is not defined.
    pub fn seen(&self, text: &str) -> Result<Json, String> {
        Language::new().formula(text)?.seen(self)
    }

    /// A table under a port's name, whatever stood there.
    pub fn add_table(&mut self, port: &str, table: &Table) {
        self.names.insert(identifier(port), Value::from_object(Rows::of(table)));
    }

    /// The same names, with these rows of a port's table, in this order and as often as they are listed.
    ///
    /// # Panics
    /// Where no table has that name.
    pub fn with_rows(mut self, port: &str, rows: &[usize]) -> Self {
        let picked = self.table(port).pick(rows.iter().copied());
        self.names.insert(identifier(port), Value::from_object(picked));
        self
    }

    /// The same names, with a column of a port's table rearranged: row i has the cell of row `from[i]`.
    ///
    /// # Panics
    /// Where no table has that name, or it lacks the column.
    pub fn with_rearranged(mut self, port: &str, column: &str, from: &[usize]) -> Self {
        let rearranged = self.table(port).rearranged(column, from);
        self.names.insert(identifier(port), Value::from_object(rearranged));
        self
    }

    fn table(&self, port: &str) -> &Rows {
        let table = self.names.get(&identifier(port)).and_then(|value| value.downcast_object_ref());
        table.expect("`add_table` put one there")
    }

    /// The same names, and cells of a row beside them.
    pub(super) fn with_cells(&self, cells: impl Iterator<Item = (String, Value)>) -> Self {
        let mut names = self.names.clone();
        names.extend(cells);
        Self { names, described: vec![] }
    }

    pub(super) fn context(&self) -> Value {
        Value::from(self.names.clone())
    }
}

impl From<usize> for Outcome {
    fn from(count: usize) -> Self {
        Self(Value::from(count))
    }
}

impl Outcome {
    /// A number that is none. Whoever adds it to a scope sees to it that nothing silently rests on it.
    pub fn undefined() -> Self {
        Self(Value::from(f64::NAN))
    }

    /// Whether a condition holds.
    pub fn truth(&self) -> Result<bool, String> {
        bool::try_from(self.0.clone()).map_err(|_| format!("it is {}, not true or false", self.0))
    }

    /// As a record holds it.
    pub fn to_json(&self) -> Json {
        to_json(&self.0)
    }
}

pub(super) fn to_json(value: &Value) -> Json {
    match value.kind() {
        ValueKind::Bool => Json::from(value.is_true()),
        ValueKind::Number => match value.as_i64().filter(|_| value.is_integer()) {
            Some(integer) => Json::from(integer),
            None => f64::try_from(value.clone()).map_or(Json::Null, finite),
        },
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().into_iter().flatten().map(|item| to_json(&item)).collect()
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            keys.map(|key| (key.to_string(), value.get_item(&key).map_or(Json::Null, |item| to_json(&item)))).collect()
        }
        _ => Json::from(value.to_string()),
    }
}

/// A record's value. JSON has no numbers that are not finite; records hold their names.
fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => match text.as_str() {
            "NaN" => Value::from(f64::NAN),
            "inf" => Value::from(f64::INFINITY),
            "-inf" => Value::from(f64::NEG_INFINITY),
            text => Value::from(text),
        },
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(map) => {
            Value::from(map.iter().map(|(name, item)| (name.clone(), from_json(item))).collect::<BTreeMap<_, _>>())
        }
    }
}

/// A table as its columns, a record as it is, a tensor as nested lists; several as one table.
fn seen(port: &str, loaded: &[Loaded]) -> Result<Value, Failure> {
    match loaded {
        [one] if one.labels.is_empty() => match &*one.artifact {
            Artifact::Record(record) => Ok(from_json(record)),
            Artifact::Tensor(tensor) => Ok(nested(tensor.data.to_f64().view())),
            _ => Ok(Value::from_object(Rows::of(&*stack(port, loaded)?))),
        },
        _ => Ok(Value::from_object(Rows::of(&*stack(port, loaded)?))),
    }
}

fn nested(values: ArrayViewD<f64>) -> Value {
    match values.ndim() {
        0 => Value::from(values.first().copied().unwrap_or(f64::NAN)),
        1 => Value::from(values.iter().copied().collect::<Vec<f64>>()),
        _ => Value::from(values.axis_iter(Axis(0)).map(|part| nested(part.into_dyn())).collect::<Vec<_>>()),
    }
}

/// Why `value` is a number, and yet none.
pub(super) fn not_finite(value: &Value) -> Option<String> {
    let number = f64::try_from(value.clone()).ok().filter(|_| value.kind() == ValueKind::Number)?;
    (!number.is_finite()).then(|| format!("it is {value}"))
}

/// Why `value` is not a finite number, a text, a truth value, or a few of them by name.
pub(super) fn whole(value: &Value) -> Result<(), String> {
    match value.kind() {
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err(format!("it is {value}")),
        },
        ValueKind::Bool | ValueKind::String => Ok(()),
        ValueKind::Undefined => Err("nothing has that name".to_owned()),
        ValueKind::Map => {
            let keys = value.try_iter().map_err(|error| described(&error))?;
            keys.into_iter().try_for_each(|key| {
                let item = value.get_item(&key).map_err(|error| described(&error))?;
                whole(&item).map_err(|why| format!("in `{key}`, {why}"))
            })
        }
        kind => Err(format!("it is a {kind}, and a value is one number, text or truth value")),
    }
}
