//! Cached cells whose outputs have gone from the store while something that runs needs them: a run would find out and
//! compute them again.

use std::collections::{BTreeMap, BTreeSet};

use assay_cache::Store;

use super::Why;
use crate::plan::{Plan, State};

/// The cells, and why they run. What one of them needs itself is looked at in turn.
pub fn outputs(plan: &Plan, states: &[State], store: &Store) -> BTreeMap<usize, Why> {
    let mut lost = BTreeMap::<usize, Why>::new();
    // Output → the cells that run and need it. Cells come after what they depend on, so the last come first here.
    let mut needed = BTreeMap::<usize, BTreeMap<&str, BTreeSet<usize>>>::new();
    for at in (0..plan.cells.len()).rev() {
        if let (State::Cached(entry), Some(ports)) = (&states[at], needed.get(&at)) {
            let gone = |port: &&&str| entry.outputs.get(**port).is_some_and(|output| !store.has(output));
            let gone: Vec<_> = ports.keys().filter(gone).copied().collect();
            if !gone.is_empty() {
                let by: BTreeSet<usize> = gone.iter().flat_map(|port| &ports[port]).copied().collect();
                let needed_by = by.into_iter().map(|cell| plan.cells[cell].id.clone()).collect();
                lost.insert(at, Why::Lost { ports: gone.into_iter().map(str::to_owned).collect(), needed_by });
            }
        }
        if matches!(states[at], State::Run(_)) || lost.contains_key(&at) {
            for from in plan.cells[at].inputs.values().flat_map(assay_cache::Slot::items) {
                needed.entry(from.cell).or_default().entry(&from.port).or_default().insert(at);
            }
        }
    }
    lost
}
