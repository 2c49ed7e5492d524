//! Tables of finished stages. The cells of a stage stand in one table, with a column for each axis and the key of each
//! row's cell.

use assay_cache::{Artifact, Values};
use serde::Serialize;

use super::{
    known::{Known, Made, Stamp},
    number::{Shown, decimals},
};

#[derive(Serialize)]
pub struct TableView {
    pub title: String,
    /// `rank.ranking`.
    pub name: String,
    pub columns: Vec<ColumnView>,
    pub rows: Vec<Vec<Shown>>,
    /// `540 rows × 7 columns`.
    pub size: String,
    /// What is left out, and where it is.
    pub note: Option<String>,
    pub links: Vec<Link>,
    /// Who made the table; of several cells, nobody: then each row has its key.
    pub stamp: Option<Stamp>,
    pub devices: Vec<String>,
    pub broken: Vec<String>,
}

#[derive(Clone, PartialEq, Serialize)]
pub struct ColumnView {
    pub name: String,
    pub unit: Option<String>,
    pub number: bool,
}

#[derive(Serialize)]
pub struct Link {
    pub text: String,
    pub href: String,
}

/// Values that a page shows of all tables together, and rows that it shows of one; of those behind them, only a few.
const MOST_VALUES: usize = 24_000;
const MOST_ROWS: usize = 500;
const FEW_ROWS: usize = 40;
/// Links to the files of cells that a table names.
const MOST_LINKS: usize = 12;
/// A table of more bytes is not read for the page.
const MOST_BYTES: u64 = 32 << 20;

/// The tables of a study, a view for each port of each stage.
pub fn tables(known: &Known, made: &[Made]) -> Vec<TableView> {
    let tables: Vec<Made> = made.iter().filter(|made| made.kind == "table").copied().collect();
    let mut left = MOST_VALUES;
    let ports = tables.chunk_by(|a, b| a.cell.stage == b.cell.stage);
    let mut views = vec![];
    for of_stage in ports {
        let mut names: Vec<&str> = of_stage.iter().map(|made| made.port).collect();
        names.sort_unstable();
        names.dedup();
        for port in names {
            let cells: Vec<Made> = of_stage.iter().filter(|made| made.port == port).copied().collect();
            let view = view(known, &cells, left);
            left -= (view.rows.len() * view.columns.len()).min(left);
            views.push(view);
        }
    }
    views
}

fn view(known: &Known, cells: &[Made], left: usize) -> TableView {
    let first = cells[0];
    let single = first.cell.labels.is_empty();
    let most = if left == 0 { FEW_ROWS } else { MOST_ROWS }.div_ceil(cells.len());
    let mut view = TableView {
        title: known.title(first.cell),
        name: first.name(known.plan),
        columns: vec![],
        rows: vec![],
        size: String::new(),
        note: None,
        links: links(known, cells),
        stamp: single.then(|| known.stamp(first.index, first.entry)),
        devices: devices(cells),
        broken: vec![],
    };
    let mut of_all = 0;
    for made in cells {
        match read(known, made) {
            Ok(table) => {
                of_all += table.rows();
                if view.rows.len() < MOST_ROWS {
                    add(&mut view, made, table, most, single);
                }
            }
            Err(error) => view.broken.push(format!("{}: {error}", made.cell.id)),
        }
    }
    let some = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    view.size = format!("{} × {}", some(of_all, "row"), some(view.columns.len(), "column"));
    view.note = (view.rows.len() < of_all).then(|| match single {
        true => format!("The first {} of {of_all} rows.", view.rows.len()),
        false => format!("{} of {of_all} rows, at most the first {most} of each cell.", view.rows.len()),
    });
    view
}

fn read(known: &Known, made: &Made) -> Result<assay_cache::Table, String> {
    if made.output.bytes > MOST_BYTES {
        return Err(format!("{} bytes are too many to show here", made.output.bytes));
    }
    match known.store.look(made.output).map_err(|error| error.to_string())? {
        Artifact::Table(table) => Ok(table),
        _ => Err("is no table".to_owned()),
    }
}

fn add(view: &mut TableView, made: &Made, table: assay_cache::Table, most: usize, single: bool) {
    let shown = table.rows().min(most);
    let key = (!single).then(|| {
        let key = made.entry.key;
        Shown { text: key.0.short(), full: Some(key.to_string()), number: false }
    });
    let labels = made.cell.labels.iter();
    let mut columns: Vec<ColumnView> = labels.clone().map(|(axis, _)| named(axis)).collect();
    let mut values: Vec<Vec<Shown>> = labels.map(|(_, label)| vec![Shown::text(label); shown]).collect();
    for column in table.columns {
        let number = matches!(column.values, Values::Int(_) | Values::Float(_));
        columns.push(ColumnView { name: column.name, unit: column.unit, number });
        values.push(texts(&column.values, shown));
    }
    if let Some(key) = key {
        columns.push(named("key"));
        values.push(vec![key; shown]);
    }
    if view.columns.is_empty() {
        view.columns = columns;
    } else if view.columns != columns {
        view.broken.push(format!("{}: its columns differ from those of the first cell", made.cell.id));
        return;
    }
    view.rows.extend((0..shown).map(|row| values.iter().map(|column| column[row].clone()).collect()));
}

fn named(name: &str) -> ColumnView {
    ColumnView { name: name.to_owned(), unit: None, number: false }
}

fn texts(values: &Values, rows: usize) -> Vec<Shown> {
    match values {
        Values::Int(values) => values[..rows]
            .iter()
            .map(|value| value.map_or(Shown { number: true, ..Shown::text("") }, Shown::integer))
            .collect(),
        Values::Float(values) => {
            let decimals = decimals(values[..rows].iter().copied());
            values[..rows].iter().map(|value| Shown::with_decimals(*value, Some(decimals))).collect()
        }
        Values::Text(values) => values[..rows].iter().map(Shown::text).collect(),
        Values::Bool(values) => values[..rows].iter().map(|value| Shown::text(value.to_string())).collect(),
    }
}

fn links(known: &Known, cells: &[Made]) -> Vec<Link> {
    let text = |made: &Made| made.labels().unwrap_or_else(|| format!("{}.csv", made.port));
    cells.iter().take(MOST_LINKS).map(|made| Link { text: text(made), href: known.link(made) }).collect()
}

/// The devices that computed these outputs, each once.
pub fn devices(cells: &[Made]) -> Vec<String> {
    let mut devices: Vec<String> = cells.iter().map(|made| made.entry.made.device.clone()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}
