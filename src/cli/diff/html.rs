//! A comparison as one self-contained page: tables with their differences, figures side by side.
//!
//! Figures stand in `img` elements as data, so that nothing inside an SVG can run. The template escapes everything.

use std::fmt::Write;

use assay_cache::{Difference, Output};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use serde_json::json;

use super::{
    compare::Comparison,
    page::{change, extent, parameters},
    side::{Known, Side},
};

const TEMPLATE: &str = include_str!("page.html");

/// Rows of a table that the page shows.
const ROWS: usize = 500;

/// Two drawings of one output. One that is missing on a side, or cannot be read, is none.
#[derive(Serialize)]
struct Figures {
    name: String,
    same: bool,
    a: Option<String>,
    b: Option<String>,
}

/// An output in rows of text.
#[derive(Serialize)]
struct Block {
    name: String,
    note: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    left_out: usize,
}

pub fn page(comparison: &Comparison, a: &Side, b: &Side) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", TEMPLATE).map_err(|error| error.to_string())?;
    let template = environment.get_template("page").map_err(|error| error.to_string())?;
    let blocks: Vec<_> =
        comparison.outputs.iter().filter_map(|one| block(&one.cell, &one.port, &one.difference)).collect();
    let context = template_value(&json!({
        "c": comparison,
        "parameters": parameters(&comparison.parameters),
        "figures": figures(a, b),
        "blocks": blocks,
    }));
    template.render(context).map_err(|error| format!("the page cannot be written: {error:#}"))
}

/// JSON as the template takes it.
fn template_value(json: &serde_json::Value) -> minijinja::Value {
    match json {
        serde_json::Value::Null => minijinja::Value::from(()),
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, float) => float.unwrap_or(f64::NAN).into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => items.iter().map(template_value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(fields) => {
            minijinja::Value::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), template_value(value))))
        }
    }
}

/// Every figure that a side has, in the order of `a`, then those that only `b` has.
fn figures(a: &Side, b: &Side) -> Vec<Figures> {
    let in_a = a.cells.iter().flat_map(|cell| {
        ports(cell).map(move |(port, output)| {
            let other = b.cells.iter().find(|other| other.name == cell.name).and_then(|other| figure(other, port));
            let same = other.is_some_and(|other| other.digest == output.digest);
            Figures {
                name: format!("{}.{port}", cell.id),
                same,
                a: drawn(a, output),
                b: other.and_then(|other| drawn(b, other)),
            }
        })
    });
    let only_b = b.cells.iter().flat_map(|cell| {
        ports(cell).filter_map(move |(port, output)| {
            let other = a.cells.iter().find(|other| other.name == cell.name).and_then(|other| figure(other, port));
            other.is_none().then(|| Figures {
                name: format!("{}.{port}", cell.id),
                same: false,
                a: None,
                b: drawn(b, output),
            })
        })
    });
    in_a.chain(only_b).collect()
}

/// The figures of a finished cell.
fn ports(cell: &Known) -> impl Iterator<Item = (&str, &Output)> {
    let outputs = cell.entry.iter().flat_map(|entry| &entry.outputs);
    outputs.filter(|(_, output)| output.form == assay_cache::Form::Figure).map(|(port, output)| (port.as_str(), output))
}

fn figure<'k>(cell: &'k Known, port: &str) -> Option<&'k Output> {
    ports(cell).find(|(own, _)| *own == port).map(|(_, output)| output)
}

/// The drawing as the content of a data URL. One that cannot be read is among what the comparison calls unreadable.
fn drawn(side: &Side, output: &Output) -> Option<String> {
    let svg = side.store.bytes(output).ok()?;
    let mut data = String::with_capacity(2 * svg.len());
    for byte in svg {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b' ' | b'-' | b'.' | b'=' | b',' | b';' | b'(' | b')' => {
                data.push(byte.into())
            }
            other => write!(data, "%{other:02X}").expect("a string takes all"),
        }
    }
    Some(data)
}

fn block(cell: &str, port: &str, difference: &Difference) -> Option<Block> {
    let block = |note: String, head: &[&str], mut rows: Vec<Vec<String>>| {
        let left_out = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
        let head = head.iter().map(|&name| name.to_owned()).collect();
        Some(Block { name: format!("{cell}.{port}"), note, head, rows, left_out })
    };
    match difference {
        Difference::Figure => None,
        Difference::Other { a, b } => block(format!("{a} → {b}"), &[], vec![]),
        Difference::Tensor { a, b, numbers: None } => {
            block(format!("{} → {}", extent(&a.axes, &a.shape), extent(&b.axes, &b.shape)), &[], vec![])
        }
        Difference::Tensor { a, numbers: Some(numbers), .. } => {
            let largest = numbers.largest.iter().map(|largest| vec![largest.at.join(", "), change(&largest.change)]);
            let note = format!("{}: {} of {} numbers differ", extent(&a.axes, &a.shape), numbers.differing, numbers.of);
            block(note, &["where most", "a → b"], largest.collect())
        }
        Difference::Table { key, rows, rows_only_a, rows_only_b, columns, .. } => {
            let by = if key.is_empty() { "position".to_owned() } else { key.join(", ") };
            let note = format!(
                "{rows} rows matched by {by}; {} only in a, {} only in b",
                rows_only_a.len(),
                rows_only_b.len()
            );
            let row = |names: &[serde_json::Value]| {
                names.iter().map(crate::cli::values::value).collect::<Vec<_>>().join(", ")
            };
            let lines = columns.iter().flat_map(|column| {
                column.cells.iter().map(|cell| vec![row(&cell.row), column.column.clone(), change(&cell.change)])
            });
            block(note, &[&by, "column", "a → b"], lines.collect())
        }
        Difference::Record { fields } => {
            let lines = fields.iter().map(|field| vec![field.field.clone(), change(&field.change)]);
            block(String::new(), &["field", "a → b"], lines.collect())
        }
    }
}
