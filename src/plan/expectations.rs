//! Expectations and exports name stages, cells and ports: a name that leads nowhere is a mistake of the manifest.

use super::{Cell, ports::unknown_output, unknown};
use crate::manifest::{Expect, Manifest, Problem, Span, encode_label};

/// Reports every expectation and export that names something that does not exist.
pub fn check(manifest: &Manifest, cells: &[Option<Cell>], problems: &mut Vec<Problem>) {
    for expect in &manifest.expects {
        check_expect(manifest, cells, expect, problems);
    }
    for export in &manifest.exports {
        let stage = &export.what.value.stage;
        let Some(cells) = cells_of(manifest, cells, stage) else {
            problems.extend(unknown_stage(manifest, stage, export.what.span.clone()));
            continue;
        };
        if let (Some(port), Some(cell)) = (&export.what.value.port, cells.first())
            && cell.output(Some(port)).is_none()
        {
            problems.push(unknown_output(cell, stage, port, export.what.span.clone()));
        }
    }
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
        0 => {
            let span = expect.cell.first().map_or(&expect.that.span, |(axis, _)| &axis.span);
            problems.push(
                Problem::new(span.clone(), format!("`cell` picks no cell of `{stage}`"))
                    .help(format!("its cells are {}", some(&cells))),
            );
        }
        _ => problems.push(
            Problem::new(expect.that.span.clone(), format!("`{stage}` has several cells"))
                .help(format!("pick one with `cell = {{ axis = \"label\" }}`; its cells are {}", some(&cells))),
        ),
    }
    let (port, path) = first.address(&expect.that.value);
    let columns = first.output(port).and_then(|port| port.facts.get("columns")).and_then(|columns| columns.as_array());
    if let (Some(columns), [column, ..]) = (columns, path)
        && !columns.iter().any(|name| name == column.as_str())
    {
        let names = columns.iter().filter_map(|name| name.as_str());
        problems.push(unknown(expect.that.span.clone(), "output or column", column, names));
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
fn cells_of<'a>(manifest: &Manifest, cells: &'a [Option<Cell>], stage: &str) -> Option<Vec<&'a Cell>> {
    let position = manifest.stages.iter().position(|decl| decl.name.value == stage)?;
    Some(cells.iter().flatten().filter(|cell| cell.stage == position).collect())
}

/// The problem of a name that no stage has, unless it is that of a stage with a problem of its own.
fn unknown_stage(manifest: &Manifest, name: &str, span: Span) -> Option<Problem> {
    let names = manifest.stages.iter().map(|stage| stage.name.value.as_str());
    let misread = manifest.misread.iter().any(|misread| misread == name);
    (!misread).then(|| unknown(span, "stage", name, names))
}

fn some(cells: &[&Cell]) -> String {
    const SHOWN: usize = 6;
    let mut ids: Vec<_> = cells.iter().take(SHOWN).map(|cell| cell.id.as_str()).collect();
    if cells.len() > SHOWN {
        ids.push("…");
    }
    ids.join(", ")
}
