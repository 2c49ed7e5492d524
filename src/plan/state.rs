//! What a run would do with each cell, as far as the store can tell before anything runs.

use assay_cache::{Entry, InputDigests, Store, StoreError};
use rayon::prelude::*;
use serde::Serialize;

use super::{Cell, From, Plan, Sources};

/// What a run would do with a cell.
pub enum State {
    Cached(Box<Entry>),
    Run(Why),
    /// Its key is not known, because something is not fetched.
    Unknown(Why),
}

/// Why a cell is not cached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No entry has its key.
    New,
    /// A cell that it depends on runs.
    Upstream(String),
    /// There is an entry, but it was computed from other bytes than those that its inputs have now.
    OtherInputs,
    /// A source is not on this machine.
    NotFetched(String),
}

impl State {
    /// The word for it in `plan --json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cached(_) => "cached",
            Self::Run(_) => "run",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New => f.write_str("not in the store"),
            Self::Upstream(id) => write!(f, "`{id}` runs"),
            Self::OtherInputs => f.write_str("its inputs have other bytes now"),
            Self::NotFetched(reason) => write!(f, "not fetched: {reason}"),
        }
    }
}

/// The state of every cell, in the order of the plan.
pub fn states(plan: &Plan, store: &Store) -> Result<Vec<State>, StoreError> {
    let found: Vec<Option<Entry>> = plan
        .cells
        .par_iter()
        .map(|cell| cell.key().map_or(Ok(None), |key| store.entry(key)))
        .collect::<Result<_, _>>()?;
    let mut states: Vec<State> = Vec::with_capacity(found.len());
    for (cell, found) in plan.cells.iter().zip(found) {
        let state = state(plan, cell, found, &states);
        states.push(state);
    }
    Ok(states)
}

fn state(plan: &Plan, cell: &Cell, found: Option<Entry>, above: &[State]) -> State {
    if let Sources::NotFetched(reason) = &cell.sources {
        return State::Unknown(Why::NotFetched(reason.clone()));
    }
    let upstream = cell.upstream();
    if let Some(&up) = upstream.iter().find(|&&up| matches!(above[up], State::Unknown(_))) {
        return State::Unknown(Why::Upstream(plan.cells[up].id.clone()));
    }
    if let Some(&up) = upstream.iter().find(|&&up| matches!(above[up], State::Run(_))) {
        return State::Run(Why::Upstream(plan.cells[up].id.clone()));
    }
    let entry = |up: usize| if let State::Cached(entry) = &above[up] { Some(&**entry) } else { None };
    match found {
        Some(found) if input_digests(cell, entry).is_some_and(|digests| digests == found.inputs) => {
            State::Cached(Box::new(found))
        }
        Some(_) => State::Run(Why::OtherInputs),
        None => State::Run(Why::New),
    }
}

/// The digests of what stands in a cell's inputs, given the entries of the cells upstream; `None` where one is missing
/// or lacks the output.
pub fn input_digests<'e>(cell: &Cell, entry: impl Fn(usize) -> Option<&'e Entry>) -> Option<InputDigests> {
    let digest =
        |from: &From| entry(from.cell).and_then(|entry| entry.outputs.get(&from.port)).map(|out| out.digest).ok_or(());
    cell.inputs.iter().map(|(port, slot)| Ok((port.clone(), slot.try_map(digest)?))).collect::<Result<_, ()>>().ok()
}
