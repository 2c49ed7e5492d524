//! Values inside an artifact, by address: a column and the rows that match, an element of a tensor, a field of a record.
//!
//! | artifact | path | where |
//! | --- | --- | --- |
//! | table | the column | `column = value` picks rows |
//! | tensor | nothing | `axis = position` or `axis = label` picks along axes |
//! | record | keys, positions, and ranges such as `0..12` | nothing |

use ndarray::{ArrayViewD, Axis as Dimension};
use serde_json::Value;

use crate::{Artifact, Data, Table, Tensor, Values, finite};

/// What an address leads to: one value, or several in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    One(Value),
    Many(Vec<Value>),
}

impl Artifact {
    /// The values at `path` among what `filters` pick; or why there are none.
    pub fn look_up(&self, path: &[String], filters: &[(String, Value)]) -> Result<Found, String> {
        match self {
            Self::Table(table) => table.look_up(path, filters),
            Self::Tensor(tensor) => tensor.look_up(path, filters),
            Self::Record(_) if !filters.is_empty() => Err("a record has no rows for `where` to pick from".to_owned()),
            Self::Record(record) => field(record, path),
            Self::Weights(_) => Err("weights are not addressed one by one: `show` lists them".to_owned()),
            Self::Figure(_) => Err("a figure holds no values".to_owned()),
        }
    }
}

impl Table {
    fn look_up(&self, path: &[String], filters: &[(String, Value)]) -> Result<Found, String> {
        let [name] = path else {
            return Err(format!("name one column of the table: {}", self.names()));
        };
        let column = self.values_of(name)?;
        let conditions: Vec<_> =
            filters.iter().map(|(name, wanted)| Ok((self.values_of(name)?, wanted))).collect::<Result<_, String>>()?;
        let matches = |row: &usize| conditions.iter().all(|(values, wanted)| equal(&cell(values, *row), wanted));
        Ok(found((0..self.rows()).filter(matches).map(|row| cell(column, row)).collect()))
    }

    fn values_of(&self, name: &str) -> Result<&Values, String> {
        let column =
            self.column(name).ok_or_else(|| format!("there is no column `{name}`; there are {}", self.names()))?;
        Ok(&column.values)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }
}

/// The value of a cell, as a record holds it.
pub(crate) fn cell(values: &Values, row: usize) -> Value {
    match values {
        Values::Int(values) => values[row].map_or(Value::Null, Value::from),
        Values::Float(values) => finite(values[row]),
        Values::Text(values) => Value::from(values[row].as_str()),
        Values::Bool(values) => Value::from(values[row]),
    }
}

impl Tensor {
    fn look_up(&self, path: &[String], filters: &[(String, Value)]) -> Result<Found, String> {
        if !path.is_empty() {
            return Err(format!("a tensor has no column `{}`: pick along its axes with `where`", path.join(".")));
        }
        let picks: Vec<_> = filters.iter().map(|(axis, at)| self.pick(axis, at)).collect::<Result<_, _>>()?;
        Ok(match &self.data {
            Data::F32(array) => picked(array.view(), &picks, |v| finite(f64::from(*v))),
            Data::F64(array) => picked(array.view(), &picks, |v| finite(*v)),
            Data::I64(array) => picked(array.view(), &picks, |v| Value::from(*v)),
        })
    }

    /// The dimension and position that `axis = at` means.
    fn pick(&self, axis: &str, at: &Value) -> Result<(usize, usize), String> {
        let names = || self.axis_names().join(", ");
        let dimension = self.axes.iter().position(|candidate| candidate.name == axis);
        let dimension = dimension.ok_or_else(|| format!("there is no axis `{axis}`; there are {}", names()))?;
        let count = self.shape()[dimension];
        let labelled = || {
            let labels = self.axes[dimension].labels.as_ref()?;
            labels.iter().position(|label| Some(label.as_str()) == at.as_str())
        };
        let position = at.as_u64().map(|i| i as usize).or_else(labelled).filter(|&i| i < count);
        let position = position.ok_or_else(|| format!("the axis `{axis}` has no position {at}: it has {count}"))?;
        Ok((dimension, position))
    }
}

fn picked<T>(array: ArrayViewD<T>, picks: &[(usize, usize)], value: impl Fn(&T) -> Value) -> Found {
    let mut view = array;
    for &(dimension, position) in picks {
        view.collapse_axis(Dimension(dimension), position);
    }
    let values: Vec<_> = view.iter().map(value).collect();
    if picks.len() == view.ndim() { found(values) } else { Found::Many(values) }
}

/// A field of a record; `0..12` is a range of a list.
fn field(record: &Value, path: &[String]) -> Result<Found, String> {
    match path {
        [] => Ok(match record {
            Value::Array(items) => Found::Many(items.clone()),
            other => Found::One(other.clone()),
        }),
        [range] if range.contains("..") => {
            let items = record.as_array().ok_or_else(|| format!("{range} is of something that is no list"))?;
            let (from, to) = range.split_once("..").expect("the guard has seen the dots");
            let range_of = from.parse::<usize>().ok().zip(to.parse::<usize>().ok());
            let items = range_of.and_then(|(from, to)| items.get(from..to));
            items.map(|items| Found::Many(items.to_vec())).ok_or_else(|| format!("the list has no range {range}"))
        }
        [name, rest @ ..] => {
            let inner = match record {
                Value::Array(items) => name.parse::<usize>().ok().and_then(|i| items.get(i)),
                Value::Object(fields) => fields.get(name),
                _ => None,
            };
            field(inner.ok_or_else(|| format!("there is no field `{name}`{}", fields(record)))?, rest)
        }
    }
}

fn fields(record: &Value) -> String {
    match record {
        Value::Object(fields) => format!("; there are {}", fields.keys().cloned().collect::<Vec<_>>().join(", ")),
        Value::Array(items) => format!("; it is a list of {}", items.len()),
        _ => String::new(),
    }
}

fn found(mut values: Vec<Value>) -> Found {
    if values.len() == 1 { Found::One(values.remove(0)) } else { Found::Many(values) }
}

/// Equality of a stored value with one from a manifest: integers and floats compare as numbers.
fn equal(stored: &Value, wanted: &Value) -> bool {
    match (stored.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => stored == wanted,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/').map(str::to_owned).collect()
    }

    fn curve() -> Artifact {
        let table = Table::default()
            .with("heads", Values::Int(vec![Some(0), Some(8), Some(8)]))
            .with("order", Values::Text(vec!["a".into(), "a".into(), "b".into()]))
            .with("kl", Values::Float(vec![0.0, 0.5, f64::NAN]));
        Artifact::Table(table)
    }

    #[test]
    fn rows_of_a_table_are_picked_by_value() {
        let one = [("heads".to_owned(), json!(8)), ("order".to_owned(), json!("a"))];
        assert_eq!(curve().look_up(&path("kl"), &one), Ok(Found::One(json!(0.5))));
        assert_eq!(curve().look_up(&path("kl"), &one[..1]), Ok(Found::Many(vec![json!(0.5), json!("NaN")])));
        assert_eq!(
            curve().look_up(&path("loss"), &[]).unwrap_err(),
            "there is no column `loss`; there are heads, order, kl"
        );
    }

    #[test]
    fn elements_of_a_tensor_are_picked_along_axes() {
        let mut tensor = Tensor::new(&["node", "step"], Data::F64(arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()));
        tensor.axes[0].labels = Some(vec!["L0H0".into(), "L0H1".into()]);
        let tensor = Artifact::Tensor(tensor);
        let both = [("node".to_owned(), json!("L0H1")), ("step".to_owned(), json!(0))];
        assert_eq!(tensor.look_up(&[], &both), Ok(Found::One(json!(3.0))));
        assert_eq!(tensor.look_up(&[], &both[..1]), Ok(Found::Many(vec![json!(3.0), json!(4.0)])));
        assert!(tensor.look_up(&[], &[("step".to_owned(), json!(2))]).unwrap_err().contains("no position 2"));
    }

    #[test]
    fn fields_of_a_record_are_named_and_lists_are_sliced() {
        let record = Artifact::Record(json!({"sequences": [{"new": [187, 187, 1328]}]}));
        assert_eq!(record.look_up(&path("sequences/0/new/0..2"), &[]), Ok(Found::Many(vec![json!(187), json!(187)])));
        assert_eq!(record.look_up(&path("sequences/0/new/2"), &[]), Ok(Found::One(json!(1328))));
        assert!(record.look_up(&path("sequences/1"), &[]).unwrap_err().contains("a list of 1"));
    }
}
