//! Cached cells whose outputs have gone from the store. Where something that runs needs them, a run would find out and
//! compute them again; where nothing does, it would not look.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::Store;

use super::Why;
use crate::plan::{Plan, State};

/// The cells, and what they have lost. What one of them that runs needs itself is looked at in turn.
pub fn outputs(plan: &Plan, states: &[State], store: &Store) -> BTreeMap<usize, Why> {
    let mut lost = BTreeMap::<usize, Why>::new();
    // Output → the cells that run and need it. Cells come after what they depend on, so the last come first here.
    let mut needed = BTreeMap::<usize, BTreeMap<&str, BTreeSet<usize>>>::new();
    for at in (0..plan.cells.len()).rev() {
        if let State::Cached(entry) = &states[at] {
            let gone = entry.outputs.iter().filter(|(_, output)| !store.has(output)).map(|(port, _)| port.as_str());
            let gone: Vec<&str> = gone.collect();
            if !gone.is_empty() {
                let ports = needed.get(&at);
                let by = gone.iter().flat_map(|port| ports.and_then(|ports| ports.get(port)).into_iter().flatten());
                let by: BTreeSet<usize> = by.copied().collect();
                let needed_by = by.into_iter().map(|cell| plan.cells[cell].id.clone()).collect();
                lost.insert(at, Why::Lost { ports: gone.into_iter().map(str::to_owned).collect(), needed_by });
            }
        }
        if matches!(states[at], State::Run(_)) || lost.get(&at).is_some_and(Why::is_reason_to_run) {
            for from in plan.cells[at].inputs.values().flat_map(assay_cache::Slot::items) {
                needed.entry(from.cell).or_default().entry(&from.port).or_default().insert(at);
            }
        }
    }
    lost
}
