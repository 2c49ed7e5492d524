//! Artifacts as people look at them: a table in columns, a tensor by its axes and first numbers; and as JSON.

use std::fmt::Write;

use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::{Artifact, Data, Table, Tensor, Values, Weights, finite};

impl Artifact {
    /// Text for a terminal, with at most `rows` rows or numbers.
    pub fn preview(&self, rows: usize) -> String {
        match self {
            Self::Tensor(tensor) => tensor.preview(rows),
            Self::Table(table) => table.preview(rows),
            Self::Weights(weights) => weights.preview(rows),
            Self::Record(record) => format!("{record:#}\n"),
            Self::Figure(svg) => svg.clone(),
        }
    }

    /// The whole artifact as JSON, non-finite numbers as tagged strings.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Tensor(tensor) => tensor.to_json(),
            Self::Table(table) => table.to_json(),
            Self::Weights(weights) => weights.to_json(),
            Self::Record(record) => record.clone(),
            Self::Figure(svg) => Value::from(svg.as_str()),
        }
    }
}

impl Table {
    fn preview(&self, rows: usize) -> String {
        let shown = self.rows().min(rows);
        let columns: Vec<Vec<String>> =
            self.columns.iter().map(|column| cells(&column.name, &column.values, shown)).collect();
        let widths: Vec<usize> =
            columns.iter().map(|cells| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for row in 0..=shown {
            let padded: Vec<_> =
                columns.iter().zip(&widths).map(|(cells, width)| format!("{:>width$}", cells[row])).collect();
            text.push_str(&padded.join("  "));
            text.push('\n');
        }
        if shown < self.rows() {
            let _ = writeln!(text, "… {} rows more", self.rows() - shown);
        }
        text
    }

    fn to_json(&self) -> Value {
        let column = |values: &Values| match values {
            Values::Int(values) => json!(values),
            Values::Float(values) => values.iter().map(|&value| finite(value)).collect(),
            Values::Text(values) => json!(values),
            Values::Bool(values) => json!(values),
        };
        Value::Object(self.columns.iter().map(|c| (c.name.clone(), column(&c.values))).collect())
    }
}

/// The name of a column and its first cells.
fn cells(name: &str, values: &Values, rows: usize) -> Vec<String> {
    let cell = |row: usize| match values {
        Values::Int(values) => values[row].map_or(String::new(), |value| value.to_string()),
        Values::Float(values) => glance(values[row], DIGITS),
        Values::Text(values) => values[row].clone(),
        Values::Bool(values) => values[row].to_string(),
    };
    std::iter::once(name.to_owned()).chain((0..rows).map(cell)).collect()
}

/// A number in so many significant digits, for people: exports hold all of them.
pub fn glance(value: f64, digits: usize) -> String {
    let size = value.abs();
    let decimals = || (digits as i32 - 1 - size.log10().floor() as i32).max(0) as usize;
    match () {
        () if value == 0.0 || !value.is_finite() => format!("{value}"),
        () if (1e-4..1e7).contains(&size) => format!("{value:.*}", decimals()),
        () => format!("{value:.*e}", digits.saturating_sub(1)),
    }
}

/// Digits that a terminal shows of a number.
const DIGITS: usize = 6;

impl Tensor {
    fn preview(&self, rows: usize) -> String {
        let axes = self.axes.iter().zip(self.shape()).map(|(axis, length)| format!("{} {length}", axis.name));
        let kind = match self.data {
            Data::F32(_) => "f32",
            Data::F64(_) => "f64",
            Data::I64(_) => "i64",
        };
        let unit = self.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}"));
        let mut text = format!("tensor [{}] {kind}{unit}\n", axes.collect::<Vec<_>>().join(", "));
        match &self.data {
            Data::I64(array) => self.listed(array, rows, &i64::to_string, &mut text),
            Data::F32(array) => self.listed(array, rows, &|value| glance(f64::from(*value), DIGITS), &mut text),
            Data::F64(array) => self.listed(array, rows, &|value| glance(*value, DIGITS), &mut text),
        }
        text
    }

    /// The first numbers, each in a line with its place.
    fn listed<T>(&self, array: &ArrayD<T>, rows: usize, shown: &dyn Fn(&T) -> String, text: &mut String) {
        for (index, value) in array.indexed_iter().take(rows) {
            let place = (0..array.ndim()).map(|axis| self.place(axis, index[axis])).collect::<Vec<_>>();
            let _ = writeln!(text, "{}  {}", place.join(" "), shown(value));
        }
        if rows < array.len() {
            let _ = writeln!(text, "… {} numbers more", array.len() - rows);
        }
    }

    /// The label of a position on an axis, or its number.
    fn place(&self, axis: usize, position: usize) -> String {
        match &self.axes[axis].labels {
            Some(labels) => labels[position].clone(),
            None => position.to_string(),
        }
    }

    fn to_json(&self) -> Value {
        let data = match &self.data {
            Data::F32(array) => nested(array, &|value| finite(f64::from(*value))),
            Data::F64(array) => nested(array, &|value| finite(*value)),
            Data::I64(array) => nested(array, &|value| Value::from(*value)),
        };
        json!({ "axes": self.axes, "unit": self.unit, "data": data })
    }
}

impl Weights {
    fn preview(&self, rows: usize) -> String {
        let mut text = format!("weights of {} tensors\n", self.0.len());
        for (name, tensor) in self.0.iter().take(rows) {
            let _ = writeln!(text, "{name}  {:?}", tensor.shape());
        }
        if rows < self.0.len() {
            let _ = writeln!(text, "… {} tensors more", self.0.len() - rows);
        }
        text
    }

    fn to_json(&self) -> Value {
        let tensor = |array: &ArrayD<f32>| nested(array, &|value| finite(f64::from(*value)));
        Value::Object(self.0.iter().map(|(name, array)| (name.clone(), tensor(array))).collect())
    }
}

/// An array as nested lists.
fn nested<T: Clone>(array: &ArrayD<T>, value: &dyn Fn(&T) -> Value) -> Value {
    match array.ndim() {
        0 => array.first().map_or(Value::Null, value),
        _ => array.outer_iter().map(|inner| nested(&inner.to_owned(), value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_cut() {
        let table = Table::default()
            .with("head", Values::Text(vec!["L0H1".into(), "L10H7".into(), "L2H2".into()]))
            .with("score", Values::Float(vec![0.5, f64::NAN, 123456.7]));
        let text = Artifact::Table(table).preview(2);
        assert_eq!(text, " head     score\n L0H1  0.500000\nL10H7       NaN\n… 1 rows more\n");
    }

    #[test]
    fn numbers_have_six_digits() {
        assert_eq!(
            [0.1234567, 1234.5678, 1e-9, -2.5e7].map(|value| glance(value, DIGITS)),
            ["0.123457", "1234.57", "1.00000e-9", "-2.50000e7"]
        );
    }

    #[test]
    fn integers_are_shown_as_integers() {
        let tensor = Tensor::new(&["step"], Data::I64(ndarray::arr1(&[7, -1, 9_007_199_254_740_993]).into_dyn()));
        let text = Artifact::Tensor(tensor).preview(10);
        assert_eq!(text, "tensor [step 3] i64\n0  7\n1  -1\n2  9007199254740993\n");
    }

    #[test]
    fn a_tensor_is_nested_lists_in_json() {
        let tensor = Tensor::new(&["a", "b"], Data::F64(arr2(&[[1.0, f64::INFINITY]]).into_dyn()));
        assert_eq!(Artifact::Tensor(tensor).to_json()["data"], json!([[1.0, "inf"]]));
    }
}
