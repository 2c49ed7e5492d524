//! Brings the sources of a plan to this machine.

use std::collections::BTreeMap;

use assay_stages::{Fetch, SourceError};

use crate::plan::{Cell, Plan, Sources};

/// Fetches what the wanted cells lack. Gives back, for each source that could not be had, the cell's id and the cause.
pub fn fetch(plan: &Plan, wanted: &[bool], tell: impl FnMut(&str)) -> Vec<(String, SourceError)> {
    let lacking = plan.cells.iter().zip(wanted).filter(|(cell, wanted)| **wanted && is_missing(cell));
    bring(lacking.map(|(cell, _)| cell), tell)
}

/// Fetches what any cell lacks, and what belongs to its sources without being needed yet: the tokenizer of a model
/// whose weights somebody else's program brought.
pub fn complete(plan: &Plan, tell: impl FnMut(&str)) -> Vec<(String, SourceError)> {
    bring(plan.cells.iter(), tell)
}

fn is_missing(cell: &Cell) -> bool {
    matches!(cell.sources, Sources::NotFetched(_))
}

fn bring<'a>(cells: impl Iterator<Item = &'a Cell>, mut tell: impl FnMut(&str)) -> Vec<(String, SourceError)> {
    let mut failures = Vec::new();
    let mut tried = BTreeMap::new();
    for cell in cells {
        // what is missing twice, for the same reason, is fetched and waited for once
        let brought = match &cell.sources {
            Sources::NotFetched(reason) => tried
                .entry(reason.as_str())
                .or_insert_with(|| {
                    tell(&cell.id);
                    cell.body.resolve(Fetch::IfMissing).map(drop)
                })
                .clone(),
            Sources::Here { .. } => cell.body.resolve(Fetch::IfMissing).map(drop),
        };
        failures.extend(brought.err().map(|error| (cell.id.clone(), error)));
    }
    failures
}
