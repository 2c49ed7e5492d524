//! What a run would do with each cell, as far as the store can tell before anything runs.

use assay_cache::{Entry, InputDigests, Store, StoreError};
use rayon::prelude::*;

use super::{Cell, From, Plan, Sources, Why};

/// What a run would do with a cell.
pub enum State {
    Cached(Box<Entry>),
    Run(Why),
    /// Its key is not known, because something is not fetched.
    Unknown(Why),
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
        return State::Unknown(Why::NotFetched { reason: reason.clone() });
    }
    let upstream = |is: fn(&State) -> bool| -> Vec<String> {
        cell.upstream().into_iter().filter(|&up| is(&above[up])).map(|up| plan.cells[up].id.clone()).collect()
    };
    let unknown = upstream(|above| matches!(above, State::Unknown(_)));
    if !unknown.is_empty() {
        return State::Unknown(Why::Upstream { cells: unknown });
    }
    let running = upstream(|above| matches!(above, State::Run(_)));
    if !running.is_empty() {
        return State::Run(Why::Upstream { cells: running });
    }
    let entry = |up: usize| if let State::Cached(entry) = &above[up] { Some(&**entry) } else { None };
    match found {
        Some(found) if input_digests(cell, entry).is_some_and(|digests| digests == found.inputs) => {
            State::Cached(Box::new(found))
        }
        Some(found) => State::Run(Why::OtherInputs { ports: other_inputs(cell, &found, entry) }),
        None => State::Run(Why::NotInStore),
    }
}

/// The ports in which something else stands than what an entry was computed from.
fn other_inputs<'e>(cell: &Cell, found: &Entry, entry: impl Fn(usize) -> Option<&'e Entry>) -> Vec<String> {
    let digests = input_digests(cell, entry).unwrap_or_default();
    cell.inputs.keys().filter(|port| digests.get(*port) != found.inputs.get(*port)).cloned().collect()
}

/// The digests of what stands in a cell's inputs, given the entries of the cells upstream; `None` where one is missing
/// or lacks the output.
pub fn input_digests<'e>(cell: &Cell, entry: impl Fn(usize) -> Option<&'e Entry>) -> Option<InputDigests> {
    let digest =
        |from: &From| entry(from.cell).and_then(|entry| entry.outputs.get(&from.port)).map(|out| out.digest).ok_or(());
    cell.inputs.iter().map(|(port, slot)| Ok((port.clone(), slot.try_map(digest)?))).collect::<Result<_, ()>>().ok()
}
