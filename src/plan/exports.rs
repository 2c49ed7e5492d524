//! Lines of `[export]`: each names one artifact, and a path inside the folder that nothing else is written to.

use std::path::{Component, Path, PathBuf};

use super::{
    Cell,
    expectations::{cells_of, some, unknown_stage},
    ports::unknown_output,
};
use assay_stages::render::CONFIG;

use crate::manifest::{Export, Manifest, Problem};

/// Reports every export that names something that does not exist, or a path that it cannot have.
pub fn check(manifest: &Manifest, cells: &[Option<Cell>], problems: &mut Vec<Problem>) {
    let mut taken: Vec<(PathBuf, &str)> = vec![];
    for export in &manifest.exports {
        check_artifact(manifest, cells, export, problems);
        match inside(&export.path.value) {
            None if export.path.value.is_empty() => {} // which is told
            None => {
                let message = format!("\"{}\" leads out of the folder of the export", export.path.value);
                let problem = Problem::new(export.path.span.clone(), message);
                problems.push(problem.help("write a path relative to that folder, without `..`"));
            }
            Some(path) => {
                problems.extend(clash(manifest, cells, export, &path, &taken));
                if exports_weights(manifest, cells, export) {
                    let config = path.with_file_name(CONFIG);
                    problems.extend(shared_config(export, &config, &taken));
                    taken.push((config, &export.path.value));
                }
                taken.push((path, &export.path.value));
            }
        }
    }
}

fn check_artifact(manifest: &Manifest, cells: &[Option<Cell>], export: &Export, problems: &mut Vec<Problem>) {
    let (stage, span) = (&export.what.value.stage, &export.what.span);
    let Some(cells) = cells_of(manifest, cells, stage) else {
        problems.extend(unknown_stage(manifest, stage, span.clone()));
        return;
    };
    let Some(first) = cells.first() else { return };
    if let Some(port) = export.what.value.port.as_deref().filter(|port| first.output(Some(port)).is_none()) {
        problems.push(unknown_output(first, stage, port, span.clone()));
    } else if cells.len() > 1 {
        let message = format!("`{stage}` has {} cells, and a file holds one artifact", cells.len());
        let help = format!("gather them in a stage without axes; its cells are {}", some(&cells));
        problems.push(Problem::new(span.clone(), message).help(help));
    }
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

/// The problem of a path that something else is written to.
fn clash(
    manifest: &Manifest,
    cells: &[Option<Cell>],
    export: &Export,
    path: &Path,
    taken: &[(PathBuf, &str)],
) -> Option<Problem> {
    let problem = |message: String| Problem::new(export.path.span.clone(), message);
    if let Some((_, other)) = taken.iter().find(|(other, _)| other == path) {
        return Some(problem(format!("\"{other}\" is the same file")).help("choose another name"));
    }
    if let Some((_, other)) = taken.iter().find(|(other, _)| other.starts_with(path) || path.starts_with(other)) {
        return Some(
            problem(format!("beside \"{other}\", this would be a folder and a file")).help("choose another name"),
        );
    }
    let owner = cells.iter().flatten().find(|cell| writes(manifest, cell, path))?;
    let what = &export.what.value;
    let meant = owner.output(what.port.as_deref()).map(|port| port.name.as_str());
    let same = owner.id == what.stage && meant == path.file_stem().and_then(|stem| stem.to_str());
    let message = format!("an output of `{}` is written there by every export", owner.id);
    (!same).then(|| problem(message).help("choose another name"))
}

/// Whether this is of weights, beside which their configuration is written.
fn exports_weights(manifest: &Manifest, cells: &[Option<Cell>], export: &Export) -> bool {
    let what = &export.what.value;
    let cell = cells_of(manifest, cells, &what.stage).and_then(|cells| cells.first().copied());
    let port = cell.and_then(|cell| cell.output(what.port.as_deref()));
    port.is_some_and(|port| port.ty.kind == "weights")
}

/// The problem of a configuration that another line of `[export]` writes too.
fn shared_config(export: &Export, config: &Path, taken: &[(PathBuf, &str)]) -> Option<Problem> {
    let (_, other) = taken.iter().find(|(path, _)| path == config)?;
    let message = format!("{CONFIG} is written beside weights, and \"{other}\" writes it there too");
    Some(Problem::new(export.path.span.clone(), message).help("give each its own folder: one/model.safetensors"))
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
