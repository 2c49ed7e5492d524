//! Tables as the lists and objects that other programs read.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, Value};

use super::functions::{columns, refused};

pub fn add(environment: &mut Environment) {
    environment.add_function("rows", |table: Value| {
        let table = columns(&table)?;
        let length = table.0.values().map(Vec::len).max().unwrap_or(0);
        if let Some((name, _)) = table.0.iter().find(|(_, column)| column.len() != length) {
            return Err(refused(format!("`rows` takes a table, and `{name}` is shorter than its other columns")));
        }
        let row = |i: usize| -> BTreeMap<String, Value> {
            table.0.iter().map(|(name, column)| (name.clone(), column[i].clone())).collect()
        };
        Ok::<_, Error>((0..length).map(|i| Value::from(row(i))).collect::<Vec<_>>())
    });
    environment.add_function("columns", |table: Value| {
        let table = columns(&table)?;
        Ok::<_, Error>(Value::from(
            table.0.into_iter().map(|(name, column)| (name, Value::from(column))).collect::<BTreeMap<_, _>>(),
        ))
    });
}
