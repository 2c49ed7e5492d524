//! Lines of `[export]`: each names an output and a path inside the folder, a file for each cell, that nothing else is
//! written to, in a form that the output has.

use std::path::{Component, Path, PathBuf};

use assay_cache::Labels;
use assay_stages::{
    OutputPort,
    render::{self, forms},
};

use super::{
    Cell,
    expectations::{cells_of, some, unknown_stage},
    export_path::{ExportPath, RUN_STAMP},
    ports::unknown_output,
};
use crate::manifest::{Export, Manifest, Problem, suggest};

/// Reports every export that names something that does not exist, or a path that it cannot have.
pub fn check(manifest: &Manifest, cells: &[Option<Cell>], problems: &mut Vec<Problem>) {
    let mut taken = Taken { manifest, cells, files: vec![] };
    for export in &manifest.exports {
        let meant = artifact(manifest, cells, export, problems);
        let path = &export.path;
        if path.value.is_empty() {
            continue; // which is told
        }
        let parsed = match ExportPath::parse(&path.value) {
            Ok(parsed) => parsed,
            Err(why) => {
                let problem = Problem::new(path.span.clone(), format!("\"{}\" is no path: {why}", path.value));
                problems.push(problem.help("`{axis}` stands for a cell's label, `{{` for a brace"));
                continue;
            }
        };
        match meant {
            Some((cells, output)) => {
                let before = problems.len();
                problems.extend(check_form(export, output));
                check_names(manifest, export, &parsed, &cells, problems);
                if problems.len() == before {
                    taken.add_cells(export, &parsed, &cells, problems);
                }
                if problems.len() == before && output.ty.kind == "weights" {
                    cells.iter().for_each(|cell| problems.extend(taken.add_config(export, &parsed, cell)));
                }
            }
            None => problems.extend(taken.add(export, &parsed.filled(&Labels::new(), BRACES), None)),
        }
    }
}

/// What stands for the stamp while paths are compared: no label looks like it.
const BRACES: &str = "{run-stamp}";

/// The cells and the output that an export names, where they are known.
fn artifact<'c>(
    manifest: &Manifest,
    cells: &'c [Option<Cell>],
    export: &Export,
    problems: &mut Vec<Problem>,
) -> Option<(Vec<&'c Cell>, &'c OutputPort)> {
    let (stage, span) = (&export.what.value.stage, &export.what.span);
    let Some(cells) = cells_of(manifest, cells, stage) else {
        problems.extend(unknown_stage(manifest, stage, span.clone()));
        return None;
    };
    let first = *cells.first()?;
    let port = export.what.value.port.as_deref();
    let output = first.output(port);
    if output.is_none() {
        problems.push(unknown_output(first, stage, port.unwrap_or_default(), span.clone()));
    }
    Some((cells, output?))
}

/// The problem of a file's ending that says a form which the output has not.
fn check_form(export: &Export, output: &OutputPort) -> Option<Problem> {
    let path = &export.path;
    let known = forms(output.ty.kind);
    let extension = Path::new(&path.value).extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| known.contains(&extension)) {
        return None;
    }
    let known: Vec<_> = known.iter().map(|form| format!(".{form}")).collect();
    let message = match extension {
        Some(extension) => format!("a {} cannot be written as .{extension}", output.ty.kind),
        None => format!("\"{}\" has no ending that says in which form a {} is written", path.value, output.ty.kind),
    };
    Some(Problem::new(path.span.clone(), message).help(format!("it can be {}", known.join(" or "))))
}

/// Reports names in braces that the stage has no axis for.
fn check_names(manifest: &Manifest, export: &Export, path: &ExportPath, cells: &[&Cell], problems: &mut Vec<Problem>) {
    let axes = cells.first().map_or(&[][..], |cell| &cell.labels);
    let known = || axes.iter().map(|(axis, _)| axis.as_str()).chain([RUN_STAMP]);
    for name in path.names().filter(|name| !known().any(|known| known == *name)) {
        let message = match manifest.axes.iter().any(|axis| axis.name.value == name) {
            true => format!("`{}` does not have the axis `{name}`", export.what.value.stage),
            false => format!("nothing called `{name}` can stand in this path"),
        };
        let help = suggest(name, "names", known()).unwrap_or_default();
        problems.push(Problem::new(export.path.span.clone(), message).help(help));
    }
}

/// The files that exports write.
struct Taken<'a> {
    manifest: &'a Manifest,
    cells: &'a [Option<Cell>],
    files: Vec<(PathBuf, String)>,
}

impl Taken<'_> {
    /// A file for each cell, no two of them the same, unless each adds a line to it.
    fn add_cells(&mut self, export: &Export, path: &ExportPath, cells: &[&Cell], problems: &mut Vec<Problem>) {
        let files: Vec<String> = cells.iter().map(|cell| path.filled(&cell.labels, BRACES)).collect();
        for (i, file) in files.iter().enumerate() {
            match files[..i].iter().position(|earlier| earlier == file) {
                Some(_) if is_log(file) => {}
                Some(earlier) => {
                    let message = format!("`{}` and `{}` would be the same file", cells[earlier].id, cells[i].id);
                    let axes: Vec<_> = cells[i].labels.iter().map(|(axis, _)| format!("`{{{axis}}}`")).collect();
                    let help = format!(
                        "write {} in the path, or gather the cells in a stage without axes; they are {}",
                        axes.join(", "),
                        some(cells)
                    );
                    return problems.push(Problem::new(export.path.span.clone(), message).help(help));
                }
                None => problems.extend(self.add(export, file, Some(cells[i]))),
            }
        }
    }

    /// The configuration that is written beside weights.
    fn add_config(&mut self, export: &Export, path: &ExportPath, cell: &Cell) -> Option<Problem> {
        let config = inside(&path.filled(&cell.labels, BRACES))?.with_file_name(render::CONFIG);
        let other = self.files.iter().find(|(path, _)| *path == config).map(|(_, other)| other);
        let problem = other.map(|other| {
            let message = format!("{} is written beside weights, and \"{other}\" writes it there too", render::CONFIG);
            let help = "give each its own folder: one/model.safetensors";
            Problem::new(export.path.span.clone(), message).help(help)
        });
        self.files.push((config, export.path.value.clone()));
        problem
    }

    fn add(&mut self, export: &Export, file: &str, of: Option<&Cell>) -> Option<Problem> {
        let Some(path) = inside(file) else {
            let message = format!("\"{}\" leads out of the folder of the export", export.path.value);
            let problem = Problem::new(export.path.span.clone(), message);
            return Some(problem.help("write a path relative to that folder, without `..`"));
        };
        let problem = self.clash(export, &path, of);
        self.files.push((path, export.path.value.clone()));
        problem
    }

    /// The problem of a path that something else is written to.
    fn clash(&self, export: &Export, path: &Path, of: Option<&Cell>) -> Option<Problem> {
        let problem = |message: String| Problem::new(export.path.span.clone(), message).help("choose another name");
        let same = self.files.iter().find(|(other, _)| other == path);
        if let Some((_, other)) = same.filter(|_| !is_log(&export.path.value)) {
            return Some(problem(format!("\"{other}\" is the same file")));
        }
        let beside =
            |(other, _): &&(PathBuf, String)| other != path && (other.starts_with(path) || path.starts_with(other));
        if let Some((_, other)) = self.files.iter().find(beside) {
            return Some(problem(format!("beside \"{other}\", this would be a folder and a file")));
        }
        let owner = self.cells.iter().flatten().find(|cell| writes(self.manifest, cell, path))?;
        let what = &export.what.value;
        let meant = owner.output(what.port.as_deref()).map(|port| port.name.as_str());
        let is_own = match of {
            Some(cell) => owner.id == cell.id,
            None => owner.id == what.stage,
        };
        let same = is_own && meant == path.file_stem().and_then(|stem| stem.to_str());
        (!same).then(|| problem(format!("an output of `{}` is written there by every export", owner.id)))
    }
}

/// Whether what is written there is added to what is there.
fn is_log(path: &str) -> bool {
    path.ends_with(".jsonl")
}

/// The path as it is inside the folder, if it stays there.
fn inside(path: &str) -> Option<PathBuf> {
    let parts: Option<PathBuf> = Path::new(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| matches!(part, Component::Normal(_)).then_some(part))
        .collect();
    parts.filter(|path| path.file_name().is_some())
}

/// Whether an export writes an output of this cell to `<stage>/<port>.<extension>`, below the labels of a cell.
fn writes(manifest: &Manifest, cell: &Cell, path: &Path) -> bool {
    let stage = Path::new(&manifest.stages[cell.stage].name.value);
    let folder = cell.folder().map_or(stage.to_owned(), |labels| stage.join(labels));
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    path.parent() == Some(&folder)
        && path.extension().is_some()
        && stem.is_some_and(|stem| cell.output(Some(stem)).is_some())
}
