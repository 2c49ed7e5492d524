//! Where every number comes from: recipe, files, sources, device, machine, host, time, and what the stage noted.

use assay_cache::Entry;
use serde::Serialize;
use serde_json::Value;

use super::{known::Known, number::Shown, records::Leaf, tensors::size};
use crate::report::clock::{date, span};

#[derive(Serialize)]
pub struct ProvenanceView {
    pub cell: String,
    pub kind: String,
    pub version: String,
    pub key: String,
    pub short: String,
    pub state: &'static str,
    pub at: String,
    pub took: String,
    pub device: String,
    pub host: String,
    pub machine: String,
    pub assay: String,
    pub params: Vec<Leaf>,
    pub files: Vec<Leaf>,
    pub sources: Vec<Leaf>,
    pub notes: Vec<Leaf>,
    /// Each output: its form, digest and size.
    pub outputs: Vec<Leaf>,
}

/// A warning of a finished stage.
#[derive(Serialize)]
pub struct WarningView {
    pub cell: String,
    pub text: String,
    pub count: usize,
}

/// The cells whose provenance stands in the page; the others have it in their entries.
const MOST_CELLS: usize = 200;

/// The provenance of finished cells, and how many more there are.
pub fn provenance(known: &Known) -> (Vec<ProvenanceView>, usize) {
    let finished = || known.entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.as_ref()?)));
    let views = finished().take(MOST_CELLS).map(|(index, entry)| view(known, index, entry)).collect();
    (views, finished().count().saturating_sub(MOST_CELLS))
}

fn view(known: &Known, index: usize, entry: &Entry) -> ProvenanceView {
    let (recipe, made) = (&entry.recipe, &entry.made);
    let digest = |(role, digest): (&String, &assay_cache::Digest)| leaf(role, Shown::text(format!("blake3:{digest}")));
    let output = |(port, output): (&String, &assay_cache::Output)| {
        let text = format!("{} · blake3:{} · {}", output.form.extension(), output.digest, size(output.bytes));
        leaf(port, Shown::text(text))
    };
    ProvenanceView {
        cell: known.plan.cells[index].id.clone(),
        kind: recipe.kind.clone(),
        version: recipe.version.clone(),
        key: entry.key.to_string(),
        short: entry.key.0.short(),
        state: known.cells[index].word,
        at: date(made.at),
        took: span(made.seconds),
        device: made.device.clone(),
        host: made.host.clone(),
        machine: made.machine.clone(),
        assay: made.assay.clone(),
        params: fields(&recipe.params),
        files: recipe.files.iter().map(digest).collect(),
        sources: fields(&entry.provenance),
        notes: made
            .notes
            .iter()
            .filter(|(name, _)| *name != WARNINGS)
            .map(|(name, v)| leaf(name, Shown::json(v)))
            .collect(),
        outputs: entry.outputs.iter().map(output).collect(),
    }
}

const WARNINGS: &str = "warnings";

fn leaf(path: &str, value: Shown) -> Leaf {
    Leaf { path: path.to_owned(), value }
}

/// The fields of a table that are not null.
fn fields(value: &Value) -> Vec<Leaf> {
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.map(|(name, value)| leaf(name, Shown::json(value))).collect()
}

/// What finished stages warned of; the same words of several cells once, with their count.
pub fn warnings(known: &Known) -> Vec<WarningView> {
    let mut warnings: Vec<WarningView> = vec![];
    for (cell, entry) in known.plan.cells.iter().zip(known.entries) {
        let said = entry.as_ref().and_then(|entry| entry.made.notes.get(WARNINGS)?.as_array());
        for text in said.into_iter().flatten().filter_map(Value::as_str) {
            match warnings.iter_mut().find(|warning| warning.text == text) {
                Some(warning) => warning.count += 1,
                None => warnings.push(WarningView { cell: cell.id.clone(), text: text.to_owned(), count: 1 }),
            }
        }
    }
    warnings
}
