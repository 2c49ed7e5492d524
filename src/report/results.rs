//! The folder of results: tables, records and figures, written as stages finish.
//!
//! `index.json` says of each file which stage, key and device stand behind it; it is also how a later run knows that a
//! file is up to date without reading it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use assay_cache::{Digest, Entry, Key, Store};
use assay_stages::render;
use serde::{Deserialize, Serialize};

use super::{
    document::{filled, is_document},
    layout::stored,
    page::PAGE,
};
use crate::plan::{Cell, Plan};

/// The results of one study.
pub struct Results {
    folder: PathBuf,
    index: BTreeMap<PathBuf, Behind>,
    changed: bool,
}

/// What stands behind a file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Behind {
    stage: String,
    key: Key,
    digest: Digest,
    device: String,
}

const INDEX: &str = "index.json";

/// The port types that people read; prompts, tokens and models are for other stages.
pub const READ_BY_PEOPLE: [&str; 3] = ["table", "record", "figure"];

impl Results {
    pub fn at(folder: PathBuf) -> Self {
        let index = fs::read(folder.join(INDEX)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { folder, index: index.unwrap_or_default(), changed: false }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key of each cell that has files here, by its id.
    pub fn keys(&self) -> BTreeMap<String, Key> {
        self.index.values().map(|behind| (behind.stage.clone(), behind.key)).collect()
    }

    /// The study on one page, which stands among the results.
    pub fn page(&self) -> PathBuf {
        self.folder.join(PAGE)
    }

    /// Writes what people read of a finished cell, unless it is there already.
    pub fn write(&mut self, plan: &Plan, cell: &Cell, entry: &Entry, store: &Store) -> Result<(), String> {
        for port in cell.ports.outputs.iter().filter(|port| READ_BY_PEOPLE.contains(&port.ty.kind)) {
            let output = &entry.outputs[&port.name];
            let place = stored(plan, cell, &port.name, output);
            let device = entry.made.device.clone();
            let behind = Behind { stage: cell.id.clone(), key: entry.key, digest: output.digest, device };
            if self.index.get(&place) == Some(&behind) && self.folder.join(&place).is_file() {
                continue;
            }
            let mut bytes = store.bytes(output).map_err(|error| error.to_string())?;
            if is_document(cell, &port.name) {
                let document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
                bytes = render::laid_out(&filled(plan, cell, store, &document)?).into_bytes();
            }
            replace(&self.folder.join(&place), &bytes)
                .map_err(|error| format!("cannot write {}: {error}", self.folder.join(&place).display()))?;
            self.index.insert(place, behind);
            self.changed = true;
        }
        Ok(())
    }

    /// Adds a line to `errors.log`: time, stage, cell, the beginning of its key, cause, separated by tabs.
    pub fn log_error(&self, plan: &Plan, cell: &Cell, cause: &str) -> io::Result<()> {
        use io::Write;
        fs::create_dir_all(&self.folder)?;
        let mut log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("errors.log"))?;
        let (stage, id, key) = (plan.stage_name(cell), &cell.id, short_key(cell));
        writeln!(log, "{}\t{stage}\t{id}\t{key}\t{}", now(), cause.replace('\n', " "))
    }

    /// Writes the index, if anything changed. Files of stages that the study no longer has are left alone.
    pub fn finish(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            let text = serde_json::to_string_pretty(&self.index)?;
            replace(&self.folder.join(INDEX), text.as_bytes())?;
        }
        Ok(())
    }
}

/// The beginning of a cell's key, by which `errors.log` tells what it was that failed; `-` where it has none yet.
pub fn short_key(cell: &Cell) -> String {
    cell.key().map_or("-".to_owned(), |key| key.0.short())
}

/// Writes a file whole, or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A temporary file is private by default; results are for whoever may read the folder.
    let mode = fs::Permissions::from_mode(0o644);
    let mut temporary = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    io::Write::write_all(&mut temporary, bytes)?;
    temporary.persist(path)?;
    Ok(())
}

/// The time, as RFC 3339.
fn now() -> String {
    use tracing_subscriber::fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    };
    let mut text = String::new();
    // A clock that cannot be formatted leaves the line without its time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}
