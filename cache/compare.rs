//! How two artifacts differ: numbers with their differences, rows and fields matched by what names them.
//!
//! A statement about values, not about bytes: who wants to know whether two outputs are equal compares digests.

mod joined;

use ndarray::ArrayD;
use serde::Serialize;
use serde_json::Value;

use self::joined::Join;
use crate::{Artifact, Data, Table, Tensor, Weights, finite, lookup::cell};

/// How `b` differs from `a`. In JSON, the field `form` says of what form both are.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum Difference {
    /// They are not of one form.
    Other {
        a: &'static str,
        b: &'static str,
    },
    Tensor {
        a: Extent,
        b: Extent,
        /// None where axes or lengths differ.
        numbers: Option<Numbers>,
    },
    Table {
        /// The columns that name a row; none where rows are matched by position.
        key: Vec<String>,
        /// How many rows both have.
        rows: usize,
        rows_only_a: Vec<Vec<Value>>,
        rows_only_b: Vec<Vec<Value>>,
        columns_only_a: Vec<String>,
        columns_only_b: Vec<String>,
        columns: Vec<ColumnDifference>,
    },
    Record {
        fields: Vec<FieldDifference>,
    },
    Figure,
}

/// Two values of which one stands where the other stood.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    pub a: Value,
    pub b: Value,
    /// `b − a`, where both are finite numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// `(b − a) / |a|`, where `a` is not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

/// The axes of a tensor and their lengths.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Extent {
    pub axes: Vec<String>,
    pub shape: Vec<usize>,
}

/// The numbers of two tensors of one extent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Numbers {
    pub of: usize,
    pub differing: usize,
    /// How many are NaN or infinite on one side only, or differently; the means and the largest are of the others.
    pub not_finite: usize,
    pub mean_absolute: f64,
    pub largest: Option<Largest>,
}

/// Where two tensors differ most.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Largest {
    /// A position or label for each axis.
    pub at: Vec<String>,
    #[serde(flatten)]
    pub change: Change,
}

/// A column that both tables have, and the rows in which it differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ColumnDifference {
    pub column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub cells: Vec<CellDifference>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CellDifference {
    /// The values of the key, or the row's position.
    pub row: Vec<Value>,
    #[serde(flatten)]
    pub change: Change,
}

/// A field of a record: `values[2].mean`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FieldDifference {
    pub field: String,
    #[serde(flatten)]
    pub change: Change,
}

impl Artifact {
    /// How `b` differs from this.
    pub fn difference(&self, b: &Artifact) -> Difference {
        match (self, b) {
            (Self::Tensor(a), Self::Tensor(b)) => tensors(a, b),
            (Self::Table(a), Self::Table(b)) => tables(a, b),
            (Self::Record(a), Self::Record(b)) => {
                let mut fields = vec![];
                records(String::new(), a, b, &mut fields);
                Difference::Record { fields }
            }
            (Self::Weights(a), Self::Weights(b)) => weights(a, b),
            (Self::Figure(_), Self::Figure(_)) => Difference::Figure,
            (a, b) => Difference::Other { a: a.form_name(), b: b.form_name() },
        }
    }

    fn form_name(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "tensor",
            Self::Table(_) => "table",
            Self::Weights(_) => "weights",
            Self::Record(_) => "record",
            Self::Figure(_) => "figure",
        }
    }
}

impl Change {
    fn of(a: Value, b: Value) -> Self {
        let delta = a.as_f64().zip(b.as_f64()).map(|(a, b)| b - a).filter(|delta| delta.is_finite());
        let relative = delta.zip(a.as_f64().filter(|a| *a != 0.0)).map(|(delta, a)| delta / a.abs());
        Self { a, b, delta, relative: relative.filter(|relative| relative.is_finite()) }
    }

    /// How large it is, for ordering: what is no difference of numbers comes first.
    pub fn size(&self) -> f64 {
        self.delta.map_or(f64::INFINITY, f64::abs)
    }
}

/// All weights of a model in one row, in the order of their names.
fn weights(a: &Weights, b: &Weights) -> Difference {
    let shapes = |weights: &Weights| weights.0.iter().map(|(name, of)| (name.clone(), of.shape().to_vec())).collect();
    let (of_a, of_b): (Vec<_>, Vec<_>) = (shapes(a), shapes(b));
    let flat = |weights: &Weights| {
        let values: Vec<f32> = weights.0.values().flatten().copied().collect();
        Tensor::new(&["weight"], Data::F32(ArrayD::from_shape_vec(vec![values.len()], values).expect("one axis")))
    };
    match tensors(&flat(a), &flat(b)) {
        Difference::Tensor { a, b, .. } if of_a != of_b => Difference::Tensor { a, b, numbers: None },
        difference => difference,
    }
}

fn tensors(a: &Tensor, b: &Tensor) -> Difference {
    let extent = |tensor: &Tensor| Extent {
        axes: tensor.axis_names().into_iter().map(str::to_owned).collect(),
        shape: tensor.shape().to_vec(),
    };
    let (of_a, of_b) = (extent(a), extent(b));
    let numbers = (of_a == of_b).then(|| numbers(a, b));
    Difference::Tensor { a: of_a, b: of_b, numbers }
}

fn numbers(a: &Tensor, b: &Tensor) -> Numbers {
    let (of_a, of_b) = (a.data.to_f64(), b.data.to_f64());
    let mut numbers = Numbers { of: of_a.len(), differing: 0, not_finite: 0, mean_absolute: 0.0, largest: None };
    let (mut sum, mut finite_ones) = (0.0, 0_usize);
    let mut largest: Option<(usize, f64)> = None;
    for (position, (x, y)) in of_a.iter().zip(&of_b).enumerate() {
        let same = x == y || (x.is_nan() && y.is_nan());
        numbers.differing += usize::from(!same);
        if !x.is_finite() || !y.is_finite() {
            numbers.not_finite += usize::from(!same);
            continue;
        }
        finite_ones += 1;
        let size = (y - x).abs();
        sum += size;
        if size > largest.map_or(0.0, |(_, most)| most) {
            largest = Some((position, size));
        }
    }
    numbers.mean_absolute = if finite_ones == 0 { 0.0 } else { sum / finite_ones as f64 };
    let value = |array: &ndarray::ArrayD<f64>, at: usize| array.iter().nth(at).map_or(Value::Null, |v| finite(*v));
    numbers.largest =
        largest.map(|(at, _)| Largest { at: place(a, at), change: Change::of(value(&of_a, at), value(&of_b, at)) });
    numbers
}

/// The position of an element along each axis, by label where there are labels.
fn place(tensor: &Tensor, mut at: usize) -> Vec<String> {
    let mut place: Vec<String> = tensor
        .axes
        .iter()
        .zip(tensor.shape())
        .rev()
        .map(|(axis, &length)| {
            let here = at % length;
            at /= length;
            axis.labels.as_ref().and_then(|labels| labels.get(here).cloned()).unwrap_or_else(|| here.to_string())
        })
        .collect();
    place.reverse();
    place
}

fn tables(a: &Table, b: &Table) -> Difference {
    let join = Join::of(a, b);
    let lacking = |table: &Table, other: &Table| -> Vec<String> {
        let lacks = |name: &&String| other.column(name).is_none();
        table.columns.iter().map(|column| &column.name).filter(lacks).cloned().collect()
    };
    let both = a.columns.iter().filter_map(|column| Some((column, b.column(&column.name)?)));
    let columns = both.filter_map(|(of_a, of_b)| {
        let cells: Vec<_> = join
            .pairs
            .iter()
            .filter_map(|&(i, j)| {
                let (x, y) = (cell(&of_a.values, i), cell(&of_b.values, j));
                (x != y).then(|| CellDifference { row: join.name_in_a(i), change: Change::of(x, y) })
            })
            .collect();
        let differs = !cells.is_empty();
        differs.then(|| ColumnDifference { column: of_a.name.clone(), unit: of_a.unit.clone(), cells })
    });
    Difference::Table {
        rows: join.pairs.len(),
        rows_only_a: join.only_a.iter().map(|&row| join.name_in_a(row)).collect(),
        rows_only_b: join.only_b.iter().map(|&row| join.name_in_b(row)).collect(),
        columns_only_a: lacking(a, b),
        columns_only_b: lacking(b, a),
        columns: columns.collect(),
        key: join.key,
    }
}

fn records(field: String, a: &Value, b: &Value, fields: &mut Vec<FieldDifference>) {
    let at = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match (a, b) {
        (a, b) if a == b => {}
        (Value::Object(of_a), Value::Object(of_b)) => {
            for (name, value) in of_a {
                records(at(name), value, of_b.get(name).unwrap_or(&Value::Null), fields);
            }
            for (name, value) in of_b.iter().filter(|(name, _)| !of_a.contains_key(*name)) {
                records(at(name), &Value::Null, value, fields);
            }
        }
        (Value::Array(of_a), Value::Array(of_b)) => {
            for i in 0..of_a.len().max(of_b.len()) {
                let item = |items: &[Value]| items.get(i).cloned().unwrap_or(Value::Null);
                records(format!("{field}[{i}]"), &item(of_a), &item(of_b), fields);
            }
        }
        (a, b) => fields.push(FieldDifference { field, change: Change::of(a.clone(), b.clone()) }),
    }
}

#[cfg(test)]
mod tests;
