//! Expectations name stages, cells, ports and columns: a name that leads nowhere is a mistake of the manifest, as far as
//! it is known before anything is computed.

use std::collections::BTreeSet;

use super::{Cell, exports, unknown};
use crate::manifest::{Expect, Manifest, Problem, Span, encode_label};

/// Reports every expectation and export that cannot be met.
pub fn check(manifest: &Manifest, cells: &[Option<Cell>], problems: &mut Vec<Problem>) {
    for expect in &manifest.expects {
        check_expect(manifest, cells, expect, problems);
    }
    exports::check(manifest, cells, problems);
}

fn check_expect(manifest: &Manifest, cells: &[Option<Cell>], expect: &Expect, problems: &mut Vec<Problem>) {
    let stage = &expect.that.value[0];
    let Some(cells) = cells_of(manifest, cells, stage) else {
        return problems.extend(unknown_stage(manifest, stage, expect.that.span.clone()));
    };
    // A stage with a mistake of its own has no cells to hold the expectation against.
    let Some(first) = cells.first() else { return };
    match cells.iter().filter(|cell| picks(expect, cell)).count() {
        1 => {}
        _ if expect.is_partial => {}
        0 => {
            let span = expect.cell.first().map_or(&expect.that.span, |(axis, _)| &axis.span);
            problems.push(Problem::new(span.clone(), format!("`cell` picks no cell of `{stage}`")).help(
                match first.folder() {
                    None => "it has no axes: leave `cell` out".to_owned(),
                    Some(_) => format!("its cells are {}", some(&cells)),
                },
            ));
        }
        _ => problems.push(
            Problem::new(expect.that.span.clone(), format!("`{stage}` has several cells"))
                .help(format!("pick one with `cell = {{ axis = \"label\" }}`; its cells are {}", some(&cells))),
        ),
    }
    check_address(expect, first, stage, problems);
}

/// Holds what an expectation addresses against what is known of the output before it is computed.
fn check_address(expect: &Expect, cell: &Cell, stage: &str, problems: &mut Vec<Problem>) {
    let (port, path) = cell.address(&expect.that.value);
    let Some(output) = cell.output(port) else { return };
    let outputs = || cell.ports.outputs.iter().map(|port| port.name.as_str());
    let columns = output.facts.get("columns").and_then(|columns| columns.as_array());
    let columns: Option<Vec<&str>> = columns.map(|names| names.iter().filter_map(|name| name.as_str()).collect());
    let span = expect.that.span.clone();
    match (output.ty.kind, columns, path) {
        ("figure", ..) => {
            let problem = Problem::new(span, format!("`{stage}.{}` is a figure, which holds no values", output.name));
            problems.push(problem.help("expect something of what is drawn"));
        }
        ("tensor", _, []) => {
            let axes: BTreeSet<&str> = output.ty.axes.iter().map(String::as_str).collect();
            rows(expect, "axis", axes.iter().copied(), problems);
        }
        ("tensor", _, [name, ..]) => problems.push(unknown(span, &format!("output of `{stage}`"), name, outputs())),
        ("table", Some(columns), []) => {
            let problem = Problem::new(span, format!("`{stage}.{}` is a table: which column?", output.name));
            problems.push(problem.help(format!("columns: {}", columns.join(", "))));
        }
        ("table", Some(columns), [name, ..]) if !columns.contains(&name.as_str()) => {
            problems.push(unknown(span, "output or column", name, columns.iter().copied().chain(outputs())));
        }
        ("table", Some(columns), _) => rows(expect, "column", columns.iter().copied(), problems),
        _ => {}
    }
}

/// Holds the names in `where` against those that there are.
fn rows<'a>(expect: &Expect, what: &str, names: impl Iterator<Item = &'a str> + Clone, problems: &mut Vec<Problem>) {
    for (name, _) in &expect.r#where {
        if !names.clone().any(|known| known == name.value) {
            problems.push(unknown(name.span.clone(), what, &name.value, names.clone()));
        }
    }
}

/// Whether an expectation's `cell` agrees with a cell's labels.
pub fn picks(expect: &Expect, cell: &Cell) -> bool {
    expect.cell.iter().all(|(axis, label)| {
        cell.labels.iter().any(|(name, own)| *name == axis.value && encode_label(own) == encode_label(&label.value))
    })
}

impl Cell {
    /// The output and the path inside it that `stage.port.column` or `stage.column` means.
    pub fn address<'a>(&self, that: &'a [String]) -> (Option<&'a str>, &'a [String]) {
        match that {
            [_, port, path @ ..] if self.output(Some(port)).is_some() => (Some(port), path),
            [_, path @ ..] => (None, path),
            [] => (None, &[]),
        }
    }
}

/// The whole cells of a stage; `None` where there is no such stage.
pub fn cells_of<'a>(manifest: &Manifest, cells: &'a [Option<Cell>], stage: &str) -> Option<Vec<&'a Cell>> {
    let position = manifest.stages.iter().position(|decl| decl.name.value == stage)?;
    Some(cells.iter().flatten().filter(|cell| cell.stage == position).collect())
}

/// The problem of a name that no stage has, unless it is that of a stage with a problem of its own.
pub fn unknown_stage(manifest: &Manifest, name: &str, span: Span) -> Option<Problem> {
    let names = manifest.stages.iter().map(|stage| stage.name.value.as_str());
    let misread = manifest.misread.iter().any(|misread| misread == name);
    (!misread).then(|| unknown(span, "stage", name, names))
}

pub fn some(cells: &[&Cell]) -> String {
    const SHOWN: usize = 6;
    let mut ids: Vec<_> = cells.iter().take(SHOWN).map(|cell| cell.id.as_str()).collect();
    if cells.len() > SHOWN {
        ids.push("…");
    }
    ids.join(", ")
}
