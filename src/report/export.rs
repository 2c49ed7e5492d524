//! Exports: every output in its stored form under a human name, other formats on request, and what `[export]` names.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use assay_cache::{Entry, Form, Output, Store, StoreError};
use assay_stages::render;

use super::{layout::place, results::replace};
use crate::{
    manifest::Export,
    plan::{Cell, Plan},
};

/// Formats beside the stored ones.
#[derive(Clone, Copy)]
pub struct Formats {
    pub npz: bool,
    pub png: bool,
}

/// What an export wrote, and the cells that were not finished.
pub struct Exported {
    pub files: usize,
    pub unfinished: Vec<String>,
}

/// Writes everything finished under `folder`.
pub fn export(plan: &Plan, store: &Store, folder: &Path, formats: Formats) -> Result<Exported, String> {
    let mut exported = Exported { files: 0, unfinished: vec![] };
    for cell in &plan.cells {
        match entry(cell, store)? {
            None => exported.unfinished.push(cell.id.clone()),
            Some(entry) => {
                for (port, output) in &entry.outputs {
                    for extension in extensions(&output.form, formats) {
                        let path = place(plan, cell, port);
                        let path = folder.join(path.with_file_name(format!("{port}.{extension}")));
                        exported.files += write(&path, extension, port, &entry, store)?;
                    }
                }
            }
        }
    }
    for named in &plan.manifest.exports {
        exported.files += named_export(plan, store, folder, named)?;
    }
    Ok(exported)
}

fn entry(cell: &Cell, store: &Store) -> Result<Option<Entry>, String> {
    cell.key().map_or(Ok(None), |key| store.entry(key).map_err(|error| error.to_string()))
}

fn extensions(form: &Form, formats: Formats) -> BTreeSet<&'static str> {
    let further = match form {
        Form::Tensor if formats.npz => Some("npz"),
        Form::Figure if formats.png => Some("png"),
        _ => None,
    };
    [form.extension()].into_iter().chain(further).collect()
}

/// Writes what a line of `[export]` names, and says how many files that made: none where its stage is not finished.
fn named_export(plan: &Plan, store: &Store, folder: &Path, export: &Export) -> Result<usize, String> {
    let path = inside(&export.path.value)?;
    let stage = &export.what.value.stage;
    let cells: Vec<_> = plan.cells.iter().filter(|cell| plan.stage_name(cell) == stage).collect();
    let [cell] = cells.as_slice() else {
        return Err(format!(
            "[export] \"{}\": `{stage}` has {} cells; name a stage without axes",
            path.display(),
            cells.len()
        ));
    };
    let Some(entry) = entry(cell, store)? else { return Ok(0) };
    let port = cell.output(export.what.value.port.as_deref()).ok_or("the plan has checked the port")?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    write(&folder.join(&path), extension, &port.name, &entry, store)
}

/// A path that stays inside the folder of the export.
fn inside(path: &str) -> Result<PathBuf, String> {
    let stays = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays { Ok(PathBuf::from(path)) } else { Err(format!("[export] \"{path}\" leads out of the folder")) }
}

/// Writes an output, and what belongs beside it; says how many files that made.
fn write(path: &Path, extension: &str, port: &str, entry: &Entry, store: &Store) -> Result<usize, String> {
    let output = &entry.outputs[port];
    let lost = |error: StoreError| {
        store.give_up(entry, &error);
        error.to_string()
    };
    let bytes = || store.bytes(output).map_err(lost);
    let bytes = match extension {
        stored if stored == output.form.extension() => bytes()?,
        "png" if output.form == Form::Figure => render::png(&String::from_utf8_lossy(&bytes()?))?,
        "npz" if output.form == Form::Tensor => render::npz(port, &store.read(output).map_err(lost)?)?,
        _ => {
            let form = output.form.extension();
            return Err(format!("{}: this is stored as .{form} and cannot be written as .{extension}", path.display()));
        }
    };
    save(path, &bytes)?;
    match beside(output, entry, store).map_err(lost)? {
        Some(config) => save(&path.with_file_name(render::CONFIG), &config).map(|()| 2),
        None => Ok(1),
    }
}

/// What makes a checkpoint of a folder with these weights: the configuration that another output of the stage holds.
fn beside(weights: &Output, entry: &Entry, store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
    if weights.form != Form::Weights {
        return Ok(None);
    }
    for record in entry.outputs.values().filter(|output| output.form == Form::Record) {
        if let Some(config) = render::config(&store.read(record)?, &weights.digest) {
            return Ok(Some(config));
        }
    }
    Ok(None)
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), String> {
    replace(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
