//! Manifest + catalogue → [`Plan`]: axes expanded into cells, ports type-checked, keys computed, everything in an
//! order in which it can run.
//!
//! A plan is exact before anything runs: keys come from parameters, files and upstream keys, never from results.
//! Planning reads configs and digests files, but fetches nothing and writes nothing.

mod cells;
mod digests;
mod expectations;
mod export_path;
mod exports;
mod memory;
mod order;
mod params;
mod ports;
mod sources;
mod state;
mod why;
mod wiring;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use assay_cache::{Digest, Key, Labels, Recipe, Slot};
use assay_stages::{DynStage, Kind, Ports, Resolved};
use serde_json::Value;

pub use digests::Digests;
pub use expectations::picks;
pub use export_path::ExportPath;
pub use memory::{Memory, begin, remember};
pub use params::{Setting, differences};
pub use state::{State, input_digests, states};
pub use why::{Explanation, Fate, Why, explain, parts};

use crate::manifest::{self, Manifest, Problem, Problems, Span, Spanned};

/// A study, ready to run.
pub struct Plan {
    pub manifest: Manifest,
    /// Every cell of every stage, each after all those it depends on.
    pub cells: Vec<Cell>,
}

/// One combination of axis values of a stage.
pub struct Cell {
    /// Position of its stage in the manifest.
    pub stage: usize,
    /// `treated[region=early,sigma=0.1]`; without axes, the stage's name.
    pub id: String,
    pub labels: Labels,
    pub kind: &'static Kind,
    pub body: Box<dyn DynStage>,
    pub ports: Ports,
    pub inputs: BTreeMap<String, Slot<From>>,
    pub sources: Sources,
    /// Parameters as they enter the key: without defaults, paths and provenance.
    params: Value,
    /// The recipe and its key, unless a source of this cell or of one upstream is not fetched.
    pub keyed: Option<Keyed>,
}

/// A recipe and its key, which is worth computing once.
#[derive(Clone)]
pub struct Keyed {
    pub recipe: Recipe,
    pub key: Key,
}

/// An output of another cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct From {
    pub cell: usize,
    pub port: String,
}

/// The files that a cell reads.
pub enum Sources {
    Here { resolved: Resolved, digests: BTreeMap<String, Digest> },
    NotFetched(String),
}

impl Plan {
    /// Reads and plans a manifest, or reports everything that is wrong with it.
    pub fn read(
        path: &Path,
        sets: &[String],
        catalogue: &'static [Kind],
        digests: &mut Digests,
    ) -> Result<Self, Problems> {
        match Manifest::recover(path, sets) {
            (Some(manifest), problems) => Self::of(manifest, problems.list, catalogue, digests),
            (None, problems) => Err(problems),
        }
    }

    /// Plans a manifest in which `problems` were found so far.
    fn of(
        manifest: Manifest,
        mut problems: Vec<Problem>,
        catalogue: &'static [Kind],
        digests: &mut Digests,
    ) -> Result<Self, Problems> {
        let order = order::stages(&manifest, &mut problems);
        let cells = cells::expand(&manifest, catalogue, &order, digests, &mut problems);
        expectations::check(&manifest, &cells, &mut problems);
        if !problems.is_empty() {
            return Err(Problems::new(manifest.text.clone(), problems));
        }
        Ok(Self { manifest, cells: cells.into_iter().map(|cell| cell.expect("a broken cell has a problem")).collect() })
    }

    /// The cells that stand directly upstream of `cell`, each once.
    pub fn upstream(&self, cell: usize) -> Vec<usize> {
        self.cells[cell].upstream()
    }

    /// For each cell, those that take an output of it.
    pub fn downstream(&self) -> Vec<Vec<usize>> {
        let mut downstream = vec![vec![]; self.cells.len()];
        for cell in 0..self.cells.len() {
            self.upstream(cell).into_iter().for_each(|up| downstream[up].push(cell));
        }
        downstream
    }

    /// Whether every source is on this machine.
    pub fn is_fetched(&self) -> bool {
        self.cells.iter().all(|cell| matches!(cell.sources, Sources::Here { .. }))
    }

    /// Where each file of the study lies, by digest.
    pub fn places(&self) -> BTreeMap<Digest, PathBuf> {
        let mut places = BTreeMap::new();
        for cell in &self.cells {
            if let Sources::Here { resolved, digests } = &cell.sources {
                places.extend(digests.iter().map(|(role, digest)| (*digest, resolved.files[role].clone())));
            }
        }
        places
    }

    /// The cells of the stages with these names and everything upstream of them; all cells where no name is given.
    pub fn wanted(&self, stages: &[String]) -> Vec<bool> {
        let named = |cell: &Cell| stages.is_empty() || stages.iter().any(|name| *name == self.stage_name(cell));
        self.with_upstream(self.cells.iter().map(named).collect())
    }

    /// These cells and everything upstream of them.
    pub fn with_upstream(&self, mut wanted: Vec<bool>) -> Vec<bool> {
        for cell in (0..self.cells.len()).rev() {
            if wanted[cell] {
                self.upstream(cell).into_iter().for_each(|up| wanted[up] = true);
            }
        }
        wanted
    }

    pub fn stage_name(&self, cell: &Cell) -> &str {
        &self.manifest.stages[cell.stage].name.value
    }
}

/// The problem of a name that is not among those that are known.
fn unknown<'a>(span: Span, what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Problem {
    manifest::unknown(&Spanned { span, value: name.to_owned() }, what, known)
}

impl Cell {
    pub fn upstream(&self) -> Vec<usize> {
        let mut cells: Vec<_> = self.inputs.values().flat_map(Slot::items).map(|from| from.cell).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    pub fn key(&self) -> Option<Key> {
        self.keyed.as_ref().map(|keyed| keyed.key)
    }

    /// Where its files came from; null where it reads none.
    pub fn provenance(&self) -> Value {
        match &self.sources {
            Sources::Here { resolved, .. } => resolved.provenance.clone(),
            Sources::NotFetched(_) => Value::Null,
        }
    }

    /// What the study calls the model whose files it reads; none where it reads none.
    pub fn model(&self) -> Option<&str> {
        match &self.sources {
            Sources::Here { resolved, .. } => resolved.model.as_deref(),
            Sources::NotFetched(_) => None,
        }
    }

    /// The folder of this cell under its stage's: `region=early,sigma=0.1`; none without axes.
    pub fn folder(&self) -> Option<&str> {
        self.id.split_once('[').map(|(_, labels)| labels.trim_end_matches(']'))
    }
}
