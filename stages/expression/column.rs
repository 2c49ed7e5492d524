//! A new column of a table: an expression evaluated row by row.

use std::collections::BTreeSet;

use assay_cache::{Table, Values};
use minijinja::{Value, value::ValueKind};

use super::{Language, Scope, identifier, parse, view::Rows};

/// The values of `text` in each row of `table`: a column's name is that row's value, beside the names of `scope`. A
/// missing integer is NaN, and so is a statistic that is not defined.
///
/// Fails with the row (from 0) in which it went wrong, and why; or without a row, if the expression is wrong itself.
pub fn by_row(text: &str, table: &Table, scope: &Scope) -> Result<Values, (Option<usize>, String)> {
    let whole = |why| (None, why);
    let named: Vec<_> = table.columns.iter().map(|column| (identifier(&column.name), column)).collect();
    // A column may be called as a function is: it is meant where nothing is called.
    let own: BTreeSet<String> =
        named.iter().map(|(name, _)| name.clone()).filter(|name| !text.contains(&format!("{name}("))).collect();
    let used = parse(text, &own).map_err(whole)?;
    let rows = Rows::of(table);
    let columns: Vec<_> = named
        .into_iter()
        .filter(|(name, _)| used.iter().any(|(used, _)| used == name))
        .filter_map(|(name, column)| Some((name, rows.column(&column.name)?)))
        .collect();
    let language = Language::new();
    let formula = language.formula(text).map_err(whole)?;
    let value = |row: usize| {
        let cells = columns.iter().map(|(name, cells)| (name.clone(), present(cells.at(row))));
        formula.cell(&scope.with_cells(cells)).map_err(|why| (Some(row), why))
    };
    typed((0..table.rows()).map(value).collect::<Result<_, _>>()?)
}

fn present(value: &Value) -> Value {
    if value.is_none() { Value::from(f64::NAN) } else { value.clone() }
}

/// Values as a column of the type that all of them have.
fn typed(values: Vec<Value>) -> Result<Values, (Option<usize>, String)> {
    let all = |kind: ValueKind| values.iter().all(|value| value.kind() == kind);
    if all(ValueKind::Number) {
        let integers: Option<Vec<_>> =
            values.iter().map(|value| value.as_i64().filter(|_| value.is_integer()).map(Some)).collect();
        return Ok(match integers {
            Some(integers) if !integers.is_empty() => Values::Int(integers),
            _ => Values::Float(
                values.into_iter().map(|value| f64::try_from(value).expect("a number is a float")).collect(),
            ),
        });
    }
    if all(ValueKind::Bool) {
        return Ok(Values::Bool(values.iter().map(Value::is_true).collect()));
    }
    if all(ValueKind::String) {
        return Ok(Values::Text(values.iter().map(ToString::to_string).collect()));
    }
    let odd = values.iter().position(|value| value.kind() != values[0].kind()).unwrap_or(0);
    let (first, other) = (values[0].kind(), values[odd].kind());
    Err((
        Some(odd),
        match first == other {
            true => format!("it is a {other}, and a cell is one number, text or truth value"),
            false => format!("it is a {other}, and in the first row a {first}"),
        },
    ))
}
