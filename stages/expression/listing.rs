//! Tables as the lists and objects that other programs read.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, Value};

use super::functions::rows;

pub fn add(environment: &mut Environment) {
    environment.add_function("rows", |table: Value| {
        let table = rows(&table)?;
        let columns: Vec<_> = table.names().filter_map(|name| Some((name, table.column(name)?))).collect();
        let row = |i: usize| -> BTreeMap<String, Value> {
            columns.iter().map(|(name, cells)| ((*name).to_owned(), cells.at(i).clone())).collect()
        };
        Ok::<_, Error>((0..table.count()).map(|i| Value::from(row(i))).collect::<Vec<_>>())
    });
    environment.add_function("columns", |table: Value| {
        let table = rows(&table)?;
        let cells = |name| table.column(name).map(|cells| cells.iter().cloned().collect::<Vec<_>>());
        let columns = table.names().filter_map(|name| Some((name.to_owned(), Value::from(cells(name)?))));
        Ok::<_, Error>(Value::from(columns.collect::<BTreeMap<_, _>>()))
    });
}
