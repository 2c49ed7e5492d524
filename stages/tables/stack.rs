//! Everything that stands in a port as one table.

use std::borrow::Cow;

use assay_cache::{Artifact, Column, Table, Tensor, Values};
use serde_json::Value;

use crate::{Failure, Loaded};

/// The column that says which artifact a row came from, where a port lists several: its place in the list. (Not its
/// stage's name: names are not part of a key, so results may not depend on them.)
const FROM: &str = "from";

/// Larger tensors are refused: nobody reads a figure or a verdict from so many rows.
const MOST_ELEMENTS: usize = 2_000_000;

/// What stands in `port` as one table: axis labels become columns, and `from` where several artifacts are listed.
pub fn stack<'t>(port: &str, loaded: &'t [Loaded]) -> Result<Cow<'t, Table>, Failure> {
    if let [Loaded { labels, artifact, .. }] = loaded
        && let (true, Artifact::Table(table)) = (labels.is_empty(), &**artifact)
    {
        return Ok(Cow::Borrowed(table));
    }
    let parts = loaded.iter().map(|item| as_table(port, &item.artifact)).collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<usize> = parts.iter().map(Table::rows).collect();
    let mut columns = label_columns(loaded, &rows);
    if loaded.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        let places = rows.iter().enumerate().flat_map(|(i, &rows)| std::iter::repeat_n(Some(i as i64), rows));
        columns.push(Column { name: FROM.to_owned(), unit: None, values: Values::Int(places.collect()) });
    }
    columns.extend(joined(port, loaded, &parts)?);
    Ok(Cow::Owned(Table { columns }))
}

fn as_table(port: &str, artifact: &Artifact) -> Result<Table, Failure> {
    match artifact {
        Artifact::Table(table) => Ok(table.clone()),
        Artifact::Record(record) => Ok(one_row(record)),
        Artifact::Tensor(tensor) => long_form(port, tensor),
        Artifact::Weights(_) => Err(Failure::fatal(format!("`{port}` holds weights, which have no columns"))),
        Artifact::Figure(_) => Err(Failure::fatal(format!("`{port}` holds a figure, which has no columns"))),
    }
}

/// A column for each axis over which the port was gathered.
fn label_columns(loaded: &[Loaded], rows: &[usize]) -> Vec<Column> {
    let axes = loaded.first().map_or(&[][..], |first| &first.labels);
    axes.iter()
        .enumerate()
        .map(|(i, (axis, _))| {
            let labels = loaded.iter().map(|item| item.labels.get(i).map_or_else(String::new, |l| l.1.clone()));
            Column { name: axis.clone(), unit: None, values: typed(repeated(labels, rows)) }
        })
        .collect()
}

fn repeated(labels: impl Iterator<Item = String>, rows: &[usize]) -> Vec<String> {
    labels.zip(rows).flat_map(|(label, &rows)| std::iter::repeat_n(label, rows)).collect()
}

/// Labels as integers or floats where all of them are.
pub fn typed(labels: Vec<String>) -> Values {
    if let Ok(integers) = labels.iter().map(|label| label.parse().map(Some)).collect() {
        Values::Int(integers)
    } else if let Ok(floats) = labels.iter().map(|label| label.parse()).collect() {
        Values::Float(floats)
    } else {
        Values::Text(labels)
    }
}

/// The parts' own columns, one below the other. Parts must have the same columns.
fn joined(port: &str, loaded: &[Loaded], parts: &[Table]) -> Result<Vec<Column>, Failure> {
    let Some((first, rest)) = parts.split_first() else { return Ok(vec![]) };
    let mut columns = first.columns.clone();
    for (item, part) in loaded[1..].iter().zip(rest) {
        if part.columns.len() != columns.len() {
            return Err(differ(port, &loaded[0], item));
        }
        for column in &mut columns {
            let more = part.column(&column.name).ok_or_else(|| differ(port, &loaded[0], item))?;
            column.values = append(&column.values, &more.values).ok_or_else(|| differ(port, &loaded[0], item))?;
        }
    }
    Ok(columns)
}

/// Tables of the same columns, in the same order, one below the other; none where they differ.
pub fn below<'t>(tables: impl IntoIterator<Item = &'t Table>) -> Option<Table> {
    let mut whole: Option<Table> = None;
    for table in tables {
        match &mut whole {
            None => whole = Some(table.clone()),
            Some(whole) if whole.columns.len() == table.columns.len() => {
                for (above, below) in whole.columns.iter_mut().zip(&table.columns) {
                    above.values = append(&above.values, &below.values).filter(|_| above.name == below.name)?;
                }
            }
            Some(_) => return None,
        }
    }
    Some(whole.unwrap_or_default())
}

fn differ(port: &str, first: &Loaded, other: &Loaded) -> Failure {
    Failure::fatal(format!(
        "`{port}` stacks `{}` and `{}`, but their columns differ: give them ports of their own",
        first.from, other.from
    ))
}

fn append(above: &Values, below: &Values) -> Option<Values> {
    Some(match (above, below) {
        (Values::Int(a), Values::Int(b)) => Values::Int([a.as_slice(), b].concat()),
        (Values::Text(a), Values::Text(b)) => Values::Text([a.as_slice(), b].concat()),
        (Values::Bool(a), Values::Bool(b)) => Values::Bool([a.as_slice(), b].concat()),
        _ => Values::Float([above.to_f64()?, below.to_f64()?].concat()),
    })
}

/// A record's scalars as one row; what lies deeper is named by its path, lists are left out. (Records hold numbers that
/// are not finite by name.)
fn one_row(record: &Value) -> Table {
    fn walk(path: &str, value: &Value, table: &mut Table) {
        let values = match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(&path, value, table);
                }
                return;
            }
            Value::Array(_) => return,
            Value::Null => Values::Float(vec![f64::NAN]),
            Value::Bool(value) => Values::Bool(vec![*value]),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Values::Int(vec![Some(integer)]),
                None => Values::Float(vec![number.as_f64().unwrap_or(f64::NAN)]),
            },
            Value::String(text) => match text.as_str() {
                "NaN" | "inf" | "-inf" => Values::Float(vec![text.parse().unwrap_or(f64::NAN)]),
                _ => Values::Text(vec![text.clone()]),
            },
        };
        table.columns.push(Column { name: path.to_owned(), unit: None, values });
    }
    let mut table = Table::default();
    walk("", record, &mut table);
    table
}

/// One row an element: the position on each axis (its label, where it has one), and `value`.
fn long_form(port: &str, tensor: &Tensor) -> Result<Table, Failure> {
    let values = tensor.data.to_f64();
    if values.len() > MOST_ELEMENTS {
        let shape = tensor.shape();
        return Err(Failure::fatal(format!("`{port}` holds a tensor of shape {shape:?}: reduce it first")));
    }
    let positions: Vec<_> = values.indexed_iter().map(|(position, _)| position).collect();
    let axes = tensor.axes.iter().enumerate().map(|(i, axis)| {
        let values = match &axis.labels {
            Some(labels) => typed(positions.iter().map(|position| labels[position[i]].clone()).collect()),
            None => Values::Int(positions.iter().map(|position| Some(position[i] as i64)).collect()),
        };
        Column { name: axis.name.clone(), unit: None, values }
    });
    let mut columns: Vec<_> = axes.collect();
    let values = Values::Float(values.iter().copied().collect());
    columns.push(Column { name: "value".to_owned(), unit: tensor.unit.clone(), values });
    Ok(Table { columns })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_cache::{Axis, Data};
    use ndarray::arr2;
    use serde_json::json;

    use super::*;
    use crate::tables::{numbers, texts};

    fn loaded(from: &str, labels: &[(&str, &str)], artifact: Artifact) -> Loaded {
        let labels = labels.iter().map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned())).collect();
        Loaded { labels, from: from.to_owned(), artifact: Arc::new(artifact) }
    }

    fn names(table: &Table) -> Vec<&str> {
        table.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn gathered_records_are_rows_with_their_labels() {
        let cells = [
            loaded("s.out", &[("region", "early"), ("sigma", "0.1")], Artifact::Record(json!({ "si": 0.5, "n": 3 }))),
            loaded("s.out", &[("region", "late"), ("sigma", "0.2")], Artifact::Record(json!({ "si": 0.25, "n": 4 }))),
        ];
        let table = stack("values", &cells).unwrap();
        assert_eq!(names(&table), ["region", "sigma", "n", "si"]);
        assert_eq!(numbers(&table, "sigma", "values").unwrap(), [0.1, 0.2]);
        assert_eq!(numbers(&table, "si", "values").unwrap(), [0.5, 0.25]);
    }

    #[test]
    fn listed_stages_are_told_apart() {
        let table = |score| Artifact::Table(Table::default().with("score", Values::Float(vec![score, 2.0])));
        let listed = [loaded("trained.summary", &[], table(1.0)), loaded("random.summary", &[], table(3.0))];
        let table = stack("layers", &listed).unwrap();
        assert_eq!(numbers(&table, "from", "layers").unwrap(), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(numbers(&table, "score", "layers").unwrap(), [1.0, 2.0, 3.0, 2.0]);
    }

    #[test]
    fn a_tensor_is_one_row_an_element() {
        let mut tensor = Tensor::new(&["layer", "head"], Data::F64(arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()));
        tensor.axes[1] = Axis::labelled("head", vec!["a".into(), "b".into()]);
        let one = [loaded("e.out", &[], Artifact::Tensor(tensor))];
        let table = stack("e", &one).unwrap();
        assert_eq!(names(&table), ["layer", "head", "value"]);
        assert_eq!(texts(&table.columns[1].values), ["a", "b", "a", "b"]);
        assert_eq!(numbers(&table, "value", "e").unwrap(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn tables_of_other_columns_are_not_stacked() {
        let table = |name: &str| Artifact::Table(Table::default().with(name, Values::Bool(vec![true])));
        let listed = [loaded("a.t", &[], table("x")), loaded("b.t", &[], table("y"))];
        let said = stack("rows", &listed).unwrap_err().to_string();
        assert!(said.contains("`a.t` and `b.t`"), "{said}");
    }
}
