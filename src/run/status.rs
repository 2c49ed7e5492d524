//! Where each cell of a run stands, at first and from then on.

use std::collections::BTreeSet;

use assay_cache::{Entry, Key};

use super::{
    Options, Outcome,
    found::{Ready, has_outputs},
};
use crate::plan::{Plan, State};

/// Where a cell stands.
pub enum Status {
    /// Something upstream is not finished.
    Waiting,
    /// Its inputs are finished, and it has to be computed.
    Ready(Box<Ready>),
    Running,
    Finished(Outcome, Box<Entry>),
    /// Will have no entry in this run.
    Ended(Outcome),
}

/// The keys that are forced. A cell with the key of one that is forced is forced with it: they have one entry.
pub fn forced_keys(plan: &Plan, options: &Options) -> BTreeSet<Key> {
    let forced = plan.cells.iter().zip(&options.wanted).zip(&options.forced);
    forced.filter(|((_, wanted), forced)| **wanted && **forced).filter_map(|((cell, _), _)| cell.key()).collect()
}

/// Where each cell stands before anything runs. Below one that is forced nothing is certain.
pub fn statuses(plan: &Plan, states: Vec<State>, options: &Options, forced: &BTreeSet<Key>) -> Vec<Status> {
    let mut statuses: Vec<Status> = Vec::with_capacity(states.len());
    for (cell, state) in states.into_iter().enumerate() {
        let planned = &plan.cells[cell];
        let is_forced = planned.key().is_some_and(|key| forced.contains(&key));
        let certain = |up: &usize| matches!(statuses[*up], Status::Finished(..));
        let status = match state {
            _ if !options.wanted[cell] => Status::Ended(Outcome::Unwanted),
            State::Cached(entry)
                if !is_forced && has_outputs(planned, &entry) && planned.upstream().iter().all(certain) =>
            {
                Status::Finished(Outcome::Cached, entry)
            }
            _ => Status::Waiting,
        };
        statuses.push(status);
    }
    statuses
}
