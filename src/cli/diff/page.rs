//! A comparison as text: what differs most first in the eye, and everything only when asked for.

use assay_cache::{Change, ColumnDifference, Difference, FieldDifference};
use serde_json::Value;

use super::compare::{Comparison, OutputDifference, Parameter, What};
use crate::{
    cli::{reasons::setting, values::value},
    plan::Setting,
};

/// Cells of a stage, and fields of a record, that are told unless all are asked for.
const SHOWN: usize = 6;

pub fn page(comparison: &Comparison, all: bool) -> String {
    let most = if all { usize::MAX } else { SHOWN };
    let mut page = format!("a  {}\nb  {}\n", comparison.a, comparison.b);
    section(&mut page, "parameters", parameters(&comparison.parameters));
    for (what, ids) in [
        ("only in a", &comparison.only_a),
        ("only in b", &comparison.only_b),
        ("not finished in a", &comparison.unfinished_a),
        ("not finished in b", &comparison.unfinished_b),
        ("outputs only in a", &comparison.outputs_only_a),
        ("outputs only in b", &comparison.outputs_only_b),
    ] {
        section(&mut page, what, several(ids, most));
    }
    let unreadable = comparison.unreadable.iter().map(|one| format!("{}.{}: {}", one.cell, one.port, one.reason));
    section(&mut page, "not readable", unreadable.collect());
    let verdicts = comparison.verdicts.iter().map(|one| format!("{}: {} → {}", one.cell, value(&one.a), value(&one.b)));
    section(&mut page, "verdicts", verdicts.collect());
    section(&mut page, "outputs", outputs(&comparison.outputs, most, all));
    let figures: Vec<_> = comparison.outputs.iter().filter(|one| one.difference == Difference::Figure).collect();
    section(&mut page, "figures that differ (--html FILE shows them)", figures.iter().map(|one| name(one)).collect());
    page + &format!("\n{}\n", sum(comparison))
}

/// `1 row`, `2 rows`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn section(page: &mut String, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        page.push_str(&format!("\n{title}\n"));
        lines.iter().for_each(|line| page.push_str(&format!("  {line}\n")));
    }
}

fn sum(comparison: &Comparison) -> String {
    let differ = comparison.outputs.len();
    match (differ, comparison.equal) {
        (0, 0) => "no output is finished on both sides".to_owned(),
        (0, equal) => format!("what both have is equal: {}", counted(equal, "output")),
        (differ, equal) => format!("{} differ, {equal} equal", counted(differ, "output")),
    }
}

/// A line for each thing that differs, the cells of a stage that agree in it together.
pub fn parameters(parameters: &[Parameter]) -> Vec<String> {
    let mut groups: Vec<(Vec<&str>, String)> = vec![];
    for parameter in parameters {
        let side = |side: &Setting| match (&parameter.what, side.value.as_str()) {
            (What::File(_), Some(digest)) => digest.chars().take(12).collect(),
            (What::Kind, Some(kind)) => kind.to_owned(),
            _ => setting(side),
        };
        let line = format!("{}: {} → {}", what(&parameter.what), side(&parameter.a), side(&parameter.b));
        let same = |(ids, told): &&mut (Vec<&str>, String)| *told == line && stage(ids[0]) == stage(&parameter.cell);
        match groups.iter_mut().find(same) {
            Some((ids, _)) => ids.push(&parameter.cell),
            None => groups.push((vec![&parameter.cell], line)),
        }
    }
    let cells = |ids: &[&str]| match ids {
        [id] => (*id).to_owned(),
        ids => format!("{} ({} cells)", stage(ids[0]), ids.len()),
    };
    groups.iter().map(|(ids, line)| format!("{}  {line}", cells(ids))).collect()
}

fn what(what: &What) -> String {
    match what {
        What::Kind => "kind".to_owned(),
        What::Version(part) => format!("version of {part}"),
        What::Field(field) => field.clone(),
        What::File(role) => format!("content of the file `{role}`"),
    }
}

fn stage(id: &str) -> &str {
    id.split('[').next().unwrap_or(id)
}

fn name(output: &OutputDifference) -> String {
    format!("{}.{}", output.cell, output.port)
}

fn several(names: &[String], most: usize) -> Vec<String> {
    let mut lines: Vec<_> = names.iter().take(most).cloned().collect();
    if names.len() > most {
        lines.push(format!("… and {} more", names.len() - most));
    }
    lines
}

fn outputs(outputs: &[OutputDifference], most: usize, all: bool) -> Vec<String> {
    let told: Vec<_> = outputs.iter().filter(|one| one.difference != Difference::Figure).collect();
    let mut lines = vec![];
    let mut at = 0;
    while at < told.len() {
        let of = |one: &OutputDifference| (stage(&one.cell).to_owned(), one.port.clone());
        let together = told[at..].iter().take_while(|one| of(one) == of(told[at])).count();
        for one in &told[at..at + together.min(most)] {
            lines.extend(output(one, most, all));
        }
        if together > most {
            let (stage, port) = of(told[at]);
            lines.push(format!("… and {port} of {} more cells of {stage} (--all tells them)", together - most));
        }
        at += together;
    }
    lines
}

fn output(output: &OutputDifference, most: usize, all: bool) -> Vec<String> {
    let name = name(output);
    match &output.difference {
        Difference::Other { a, b } => vec![format!("{name}: {a} → {b}")],
        Difference::Tensor { a, b, numbers: None } => {
            vec![format!("{name}: {} → {}", extent(&a.axes, &a.shape), extent(&b.axes, &b.shape))]
        }
        Difference::Tensor { a, numbers: Some(numbers), .. } => {
            let largest = numbers.largest.as_ref().map_or(String::new(), |largest| {
                format!(
                    ", at most by {} at ({}), by {} in the mean",
                    size(&largest.change),
                    largest.at.join(", "),
                    short(numbers.mean_absolute)
                )
            });
            let odd = if numbers.not_finite == 0 {
                String::new()
            } else {
                format!(", {} of them not finite", numbers.not_finite)
            };
            vec![format!(
                "{name} {}: {} of {} differ{odd}{largest}",
                extent(&a.axes, &a.shape),
                numbers.differing,
                numbers.of
            )]
        }
        Difference::Table { key, rows, rows_only_a, rows_only_b, columns_only_a, columns_only_b, columns } => {
            let by = if key.is_empty() {
                "matched by position".to_owned()
            } else {
                format!("matched by {}", key.join(", "))
            };
            let only = |what: &str, count: usize| (count > 0).then(|| format!(", {} {what}", counted(count, "row")));
            let names =
                |what: &str, names: &[String]| (!names.is_empty()).then(|| format!(", {what}: {}", names.join(", ")));
            let parts = [
                only("only in a", rows_only_a.len()),
                only("only in b", rows_only_b.len()),
                names("columns only in a", columns_only_a),
                names("columns only in b", columns_only_b),
            ];
            let head =
                format!("{name}: {} {by}{}", counted(*rows, "row"), parts.into_iter().flatten().collect::<String>());
            let width = columns.iter().map(|column| column.column.chars().count()).max().unwrap_or(0);
            let lines = columns.iter().flat_map(|of| column(of, key, width, all));
            [head].into_iter().chain(lines.map(|line| format!("  {line}"))).collect()
        }
        Difference::Record { fields } => {
            let mut lines: Vec<_> = fields.iter().take(most).map(field).collect();
            if fields.len() > most {
                lines.push(format!("… and {} more fields (--all tells them)", fields.len() - most));
            }
            [name + ":"].into_iter().chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
        }
        Difference::Figure => vec![],
    }
}

/// One line for a column, with the row that differs most; or a line for each row.
fn column(column: &ColumnDifference, key: &[String], width: usize, all: bool) -> Vec<String> {
    let row = |names: &[Value]| {
        let names: Vec<_> = names.iter().map(|name| name.as_str().map_or_else(|| value(name), str::to_owned)).collect();
        match key {
            [] => format!("row {}", names.join(", ")),
            key => key.iter().zip(&names).map(|(key, name)| format!("{key}={name}")).collect::<Vec<_>>().join(", "),
        }
    };
    let one = |cell: &assay_cache::CellDifference| format!("{} at {}", change(&cell.change), row(&cell.row));
    let unit = column.unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
    if all {
        return column.cells.iter().map(|cell| format!("{:<width$}  {}{unit}", column.column, one(cell))).collect();
    }
    let most =
        column.cells.iter().reduce(|most, cell| if cell.change.size() > most.change.size() { cell } else { most });
    let most = most.map_or(String::new(), |cell| format!(", most: {}", one(cell)));
    vec![format!("{:<width$}  {} differ{most}{unit}", column.column, column.cells.len())]
}

fn field(field: &FieldDifference) -> String {
    let name = if field.field.is_empty() { "the whole" } else { &field.field };
    format!("{name}: {}", change(&field.change))
}

/// `0.5 → 0.75 (+0.25, +50 %)`.
pub fn change(change: &Change) -> String {
    let told = format!("{} → {}", value(&change.a), value(&change.b));
    match (change.delta, change.relative) {
        (None, _) => told,
        (Some(delta), None) => format!("{told} ({})", signed(delta)),
        (Some(delta), Some(relative)) => format!("{told} ({}, {} %)", signed(delta), signed(100.0 * relative)),
    }
}

fn size(change: &Change) -> String {
    short(change.size())
}

fn signed(number: f64) -> String {
    let sign = if number > 0.0 { "+" } else { "" };
    format!("{sign}{}", short(number))
}

/// Four digits are enough for a difference.
fn short(number: f64) -> String {
    if number == 0.0 || (1e-3..1e6).contains(&number.abs()) {
        let digits = (3 - number.abs().max(1e-3).log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{number:.digits$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    }
    format!("{number:.3e}")
}

/// `[head 24, step 10]`.
pub fn extent(axes: &[String], shape: &[usize]) -> String {
    let axes: Vec<_> = axes.iter().zip(shape).map(|(axis, length)| format!("{axis} {length}")).collect();
    format!("[{}]", axes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_four_digits() {
        let told = [0.0, 0.25, -0.123456, 12345.678, 1234567.0, 1e-9, 50.0, 0.5].map(short);
        assert_eq!(told, ["0", "0.25", "-0.1235", "12346", "1.235e6", "1.000e-9", "50", "0.5"]);
        assert_eq!([signed(0.25), signed(-1.0)], ["+0.25", "-1"]);
    }
}
