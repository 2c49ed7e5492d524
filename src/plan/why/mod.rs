//! Why a run would compute a cell: what has changed since a run of the study finished it last, held against the recipe
//! in the store.
//!
//! A change is told where it was made; what stands downstream of it only says what it follows. Nothing here is text for
//! people: the command line makes sentences of it. Only [`explain`] looks further than a run itself would.

mod lost;
mod recipes;

use std::{collections::BTreeMap, path::PathBuf};

use assay_cache::{Aside, Digest, Store, StoreError};
use serde::Serialize;

use self::recipes::Comparison;
pub use self::recipes::parts;
use super::{Cell, Memory, Plan, Setting, Sources, State, input_digests};
use crate::manifest::{FieldPath, Shape, Written};

/// One reason. In `plan --json` the field `cause` names the variant, in kebab-case.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Why {
    /// No entry has its key. A plan that was not asked why says no more than this.
    NotInStore,
    /// A source is not on this machine.
    NotFetched { reason: String },
    /// These cells upstream run, or have another result than the one that was used last.
    Upstream { cells: Vec<String> },
    /// It was computed from other bytes than those that now stand in these ports.
    OtherInputs { ports: Vec<String> },
    /// No run of this study has finished any cell of its stage.
    NewStage,
    /// No run of this study has finished it, but other cells of its stage.
    NewCell,
    /// The stage is of another kind.
    Kind { was: String, now: String, line: usize },
    /// The version of its kind or of a part that it shares is another.
    Version { part: String, was: Option<u32>, now: Option<u32> },
    /// A parameter has another value.
    Param { field: FieldPath, was: Setting, now: Setting, at: Written },
    /// A file has other content.
    File { role: String, path: Option<PathBuf>, was: Option<Digest>, now: Option<Digest>, line: usize },
    /// An input comes from another output: `stage.port`.
    Input { port: String, was: Option<String>, now: Option<String>, line: usize },
    /// A port gathers what it did not, or no longer gathers what it did.
    Gathered { port: String, added: Vec<String>, removed: Vec<String>, line: usize },
    /// Its entry is gone from the store.
    Gone,
    /// Its entry was set aside.
    SetAside { because: Fate },
    /// It is cached, but these outputs are no longer in the store. Where cells that run need them, it runs again.
    Lost { ports: Vec<String>, needed_by: Vec<String> },
    /// The record of its last run is gone, so what has changed since cannot be told.
    Forgotten,
    /// Parts of it are saved: the run goes on from there.
    Saved { units: usize, checkpoint: Option<u64> },
}

impl Why {
    /// Whether a run computes the cell for it: not for outputs that nothing reads.
    fn is_reason_to_run(&self) -> bool {
        !matches!(self, Self::Lost { needed_by, .. } if needed_by.is_empty())
    }
}

/// Why an entry was set aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Damaged,
    Superseded,
}

/// The states of all cells as a run would find them, and all reasons of each.
pub struct Explanation {
    pub states: Vec<State>,
    pub why: Vec<Vec<Why>>,
}

/// Looks for every reason of what `states` says will run. Reads entries and asks whether blobs exist; reads none.
pub fn explain(plan: &Plan, states: Vec<State>, store: &Store, memory: &Memory) -> Result<Explanation, StoreError> {
    let lost = lost::outputs(plan, &states, store);
    let mut explainer = Explainer { plan, states: &states, store, memory, shapes: BTreeMap::new() };
    let mut why: Vec<Vec<Why>> = (0..plan.cells.len()).map(|cell| explainer.reasons(cell)).collect::<Result<_, _>>()?;
    let mut states = states;
    for (cell, reason) in lost {
        if reason.is_reason_to_run() {
            states[cell] = State::Run(reason.clone());
        }
        why[cell].push(reason);
    }
    Ok(Explanation { states, why })
}

struct Explainer<'a> {
    plan: &'a Plan,
    states: &'a [State],
    store: &'a Store,
    memory: &'a Memory,
    /// By kind: compiled once.
    shapes: BTreeMap<&'static str, Shape>,
}

impl<'a> Explainer<'a> {
    fn reasons(&mut self, at: usize) -> Result<Vec<Why>, StoreError> {
        let cell = &self.plan.cells[at];
        let mut reasons = match &self.states[at] {
            State::Cached(_) => return Ok(vec![]),
            State::Unknown(why) => return Ok(vec![why.clone()]),
            State::Run(why) => self.since_last_run(at, why)?,
        };
        reasons.extend(self.saved(cell)?);
        Ok(reasons)
    }

    /// What has changed since a run finished this cell last.
    fn since_last_run(&mut self, at: usize, why: &Why) -> Result<Vec<Why>, StoreError> {
        let cell = &self.plan.cells[at];
        let keyed = cell.keyed.as_ref().expect("the state of a cell without a key is unknown");
        let Some(was) = self.memory.key(&cell.id) else { return Ok(vec![self.never_finished(cell)]) };
        if was == keyed.key {
            return self.unchanged(cell, why);
        }
        let Some(recipe) = self.store.recipe(was)? else {
            let follows = matches!(why, Why::Upstream { .. }).then(|| why.clone());
            return Ok([Why::Forgotten].into_iter().chain(follows).collect());
        };
        let (plan, states, memory) = (self.plan, self.states, self.memory);
        let shape = self.shapes.entry(cell.kind.name).or_insert_with(|| Shape::of(&cell.kind.schema()));
        let reasons = Comparison { plan, states, memory, cell, shape }.reasons(&recipe, &keyed.recipe);
        Ok(if reasons.is_empty() { vec![why.clone()] } else { reasons })
    }

    fn never_finished(&self, cell: &Cell) -> Why {
        if self.memory.has_stage(self.plan.stage_name(cell)) { Why::NewCell } else { Why::NewStage }
    }

    /// The recipe is that of the last run: its entry is not there, or something upstream runs.
    fn unchanged(&self, cell: &Cell, why: &Why) -> Result<Vec<Why>, StoreError> {
        let key = cell.key().expect("the caller has seen the key");
        let own = match (why, self.store.entry(key)?) {
            (Why::NotInStore, _) | (Why::Upstream { .. }, None) => Some(match self.store.aside(key) {
                Some(Aside::Damaged) => Why::SetAside { because: Fate::Damaged },
                Some(Aside::Superseded) => Why::SetAside { because: Fate::Superseded },
                None => Why::Gone,
            }),
            _ => None,
        };
        let above = (*why != Why::NotInStore).then(|| why.clone());
        Ok(own.into_iter().chain(above).collect())
    }

    /// What an earlier attempt has saved, where the bytes of the inputs are known.
    fn saved(&self, cell: &Cell) -> Result<Option<Why>, StoreError> {
        let entry = |up: usize| if let State::Cached(entry) = &self.states[up] { Some(&**entry) } else { None };
        let Some((digests, keyed)) = input_digests(cell, entry).zip(cell.keyed.as_ref()) else { return Ok(None) };
        let saved = self.store.saved(keyed.recipe.inputs_key(&digests))?;
        let any = saved.units > 0 || saved.checkpoint.is_some();
        Ok(any.then_some(Why::Saved { units: saved.units, checkpoint: saved.checkpoint }))
    }
}

/// Where a file of a cell lies.
fn path_of(cell: &Cell, role: &str) -> Option<PathBuf> {
    match &cell.sources {
        Sources::Here { resolved, .. } => resolved.files.get(role).cloned(),
        Sources::NotFetched(_) => None,
    }
}
