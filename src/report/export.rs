//! Exports: every output in its stored form under a human name, other formats on request, and what `[export]` names.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use assay_cache::{Artifact, Entry, Form, Store, StoreError, canonical};
use assay_stages::render;
use serde_json::Value;

use super::{
    clock::stamp,
    document::{filled, is_document},
    layout::place,
    results::replace,
};
use crate::{
    manifest::Export,
    plan::{Cell, ExportPath, Plan},
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
                        exported.files +=
                            write(&path, &Source { plan, cell, port, entry: &entry, store, whole: false })?;
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

/// Writes what a line of `[export]` names, a file for each finished cell and what belongs beside it; how many that were.
fn named_export(plan: &Plan, store: &Store, folder: &Path, export: &Export) -> Result<usize, String> {
    let stage = &export.what.value.stage;
    let path = ExportPath::parse(&export.path.value)?;
    let mut files = 0;
    for cell in plan.cells.iter().filter(|cell| plan.stage_name(cell) == stage) {
        let Some(entry) = entry(cell, store)? else { continue };
        let port = &cell.output(export.what.value.port.as_deref()).ok_or("the plan has checked the port")?.name;
        let path = inside(&path.filled(&cell.labels, &stamp(entry.made.run_started())))?;
        let whole = export.what.value.port.is_none();
        files += write(&folder.join(path), &Source { plan, cell, port, entry: &entry, store, whole })?;
    }
    Ok(files)
}

/// A path that stays inside the folder of the export.
fn inside(path: &str) -> Result<PathBuf, String> {
    let stays = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays { Ok(PathBuf::from(path)) } else { Err(format!("[export] \"{path}\" leads out of the folder")) }
}

/// An output that is to be written.
struct Source<'a> {
    plan: &'a Plan,
    cell: &'a Cell,
    port: &'a str,
    entry: &'a Entry,
    store: &'a Store,
    /// Whether the stage was named without an output: an archive then holds all its tensors.
    whole: bool,
}

impl Source<'_> {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        self.store.bytes(&self.entry.outputs[self.port]).map_err(|error| self.lost(&error))
    }

    fn artifact(&self) -> Result<Artifact, String> {
        self.store.read(&self.entry.outputs[self.port]).map_err(|error| self.lost(&error))
    }

    /// Of weights: the configuration that another output of the stage holds, with which their folder is a checkpoint.
    fn config(&self) -> Result<Option<Vec<u8>>, String> {
        let weights = &self.entry.outputs[self.port];
        if weights.form != Form::Weights {
            return Ok(None);
        }
        for record in self.entry.outputs.values().filter(|output| output.form == Form::Record) {
            let artifact = self.store.read(record).map_err(|error| self.lost(&error))?;
            if let Some(config) = render::config(&artifact, &weights.digest) {
                return Ok(Some(config));
            }
        }
        Ok(None)
    }

    /// The tensors that an archive holds, by their ports.
    fn arrays(&self) -> Result<Vec<(&str, Artifact)>, String> {
        let tensors = self.entry.outputs.iter().filter(|(_, output)| output.form == Form::Tensor);
        let own = tensors.filter(|(port, _)| self.whole || *port == self.port);
        own.map(|(port, output)| {
            let artifact = self.store.read(output).map_err(|error| self.lost(&error))?;
            Ok((port.as_str(), artifact))
        })
        .collect()
    }

    fn lost(&self, error: &StoreError) -> String {
        self.store.give_up(self.entry, error);
        error.to_string()
    }

    /// The record, as it is written out.
    fn record(&self) -> Result<Value, String> {
        match self.artifact()? {
            Artifact::Record(record) if is_document(self.cell, self.port) => {
                filled(self.plan, self.cell, self.store, &record)
            }
            Artifact::Record(record) => Ok(record),
            _ => Err(format!("`{}.{}` is no record", self.cell.id, self.port)),
        }
    }
}

/// Writes an output in the form that the path's ending says, and what belongs beside it; how many files that made.
fn write(path: &Path, source: &Source) -> Result<usize, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let form = &source.entry.outputs[source.port].form;
    let bytes = match (extension, form) {
        ("jsonl", Form::Record) => {
            add_line(path, &canonical(&source.record()?)).map_err(|error| failed(path, &error))?;
            return Ok(1);
        }
        ("json", Form::Record) if is_document(source.cell, source.port) => {
            render::laid_out(&source.record()?).into_bytes()
        }
        ("json", Form::Table { .. }) => match source.artifact()? {
            Artifact::Table(table) => render::rows(&table).into_bytes(),
            _ => return Err(format!("`{}.{}` is no table", source.cell.id, source.port)),
        },
        ("png", Form::Figure) => render::png(&String::from_utf8_lossy(&source.bytes()?))?,
        ("npz", Form::Tensor) => render::npz(&source.arrays()?)?,
        (stored, form) if stored == form.extension() => source.bytes()?,
        (other, form) => {
            let stored = form.extension();
            return Err(format!("{}: this is stored as .{stored} and cannot be written as .{other}", path.display()));
        }
    };
    replace(path, &bytes).map_err(|error| failed(path, &error))?;
    let Some(config) = source.config()? else { return Ok(1) };
    let beside = path.with_file_name(render::CONFIG);
    replace(&beside, &config).map_err(|error| failed(&beside, &error)).map(|()| 2)
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Adds a line to a file, unless it holds that line. The file is replaced whole, so that no line is ever torn; of two
/// exports at one moment, the later may drop the other's line.
fn add_line(path: &Path, line: &str) -> io::Result<()> {
    let mut text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => vec![],
        Err(error) => return Err(error),
    };
    if text.split(|byte| *byte == b'\n').any(|known| known == line.as_bytes()) {
        return Ok(());
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    replace(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_added_once_and_what_was_there_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/a.jsonl");
        add_line(&path, "{\"a\":1}").unwrap();
        add_line(&path, "{\"a\":2}").unwrap();
        add_line(&path, "{\"a\":1}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
        fs::write(&path, "somebody's line without its end").unwrap();
        add_line(&path, "{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's line without its end\n{}\n");
    }
}
