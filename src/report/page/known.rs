//! What a page is made from: the plan, where each cell stands, and the entries of those that are finished.

use std::path::Path;

use assay_cache::{Entry, Output, Store};
use serde::Serialize;

use super::Standing;
use crate::{
    plan::{Cell, Plan},
    report::layout::stored,
};

pub struct Known<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub folder: &'a Path,
    pub sets: &'a [String],
    pub cells: &'a [Standing],
    pub entries: &'a [Option<Entry>],
    pub log_began: u64,
}

/// What stands behind a number: invariant 5 of the house.
#[derive(Clone, Serialize)]
pub struct Stamp {
    pub cell: String,
    pub key: String,
    pub short: String,
    pub device: String,
    /// The word for how this run came by it: `ran`, `cached`, …
    pub state: &'static str,
}

/// An output of a finished cell.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    pub cell: &'a Cell,
    pub index: usize,
    pub entry: &'a Entry,
    /// The name of its port.
    pub port: &'a str,
    /// What stands in the port, as the plan has it: `table`, `tokens`, …
    pub kind: &'static str,
    pub output: &'a Output,
}

impl<'a> Known<'a> {
    /// Every output of every finished cell, in the order of the plan.
    pub fn made(&self) -> Vec<Made<'a>> {
        let cells = self.plan.cells.iter().zip(self.entries).enumerate();
        let finished = cells.filter_map(|(index, (cell, entry))| Some((index, cell, entry.as_ref()?)));
        finished
            .flat_map(|(index, cell, entry)| {
                cell.ports.outputs.iter().filter_map(move |port| {
                    let output = entry.outputs.get(&port.name)?;
                    Some(Made { cell, index, entry, port: &port.name, kind: port.ty.kind, output })
                })
            })
            .collect()
    }

    pub fn stamp(&self, index: usize, entry: &Entry) -> Stamp {
        Stamp {
            cell: self.plan.cells[index].id.clone(),
            key: entry.key.to_string(),
            short: entry.key.0.short(),
            device: entry.made.device.clone(),
            state: self.cells[index].word,
        }
    }

    /// The title of a stage, else its name.
    pub fn title(&self, cell: &Cell) -> String {
        let stage = &self.plan.manifest.stages[cell.stage];
        stage.title.clone().unwrap_or_else(|| stage.name.value.clone())
    }

    /// Where an output stands in the folder of results, as a link that a browser follows.
    pub fn link(&self, made: &Made) -> String {
        let path = stored(self.plan, made.cell, made.port, made.output);
        let parts = path.iter().map(|part| encoded(&part.to_string_lossy()));
        parts.collect::<Vec<_>>().join("/")
    }
}

impl Made<'_> {
    /// `stage.port`; only `stage`, where that is its one output.
    pub fn name(&self, plan: &Plan) -> String {
        let stage = plan.stage_name(self.cell);
        match self.cell.ports.outputs.len() {
            1 => stage.to_owned(),
            _ => format!("{stage}.{}", self.port),
        }
    }

    /// `region=early, sigma=0.1`; nothing without axes.
    pub fn labels(&self) -> Option<String> {
        let labels: Vec<_> = self.cell.labels.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        (!labels.is_empty()).then(|| labels.join(", "))
    }
}

/// A part of a path as a relative link has it: what has a meaning in links, and all that is not ASCII, as `%2F`.
fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+=,~".contains(&byte);
    part.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_file_and_nowhere_else() {
        assert_eq!(encoded("a%2Fb,sigma=0.1"), "a%252Fb,sigma=0.1");
        assert_eq!(encoded("javascript:x"), "javascript%3Ax");
    }
}
