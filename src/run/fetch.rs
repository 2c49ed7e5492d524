//! Brings the sources of a plan to this machine.

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
    for cell in cells {
        if is_missing(cell) {
            tell(&cell.id);
        }
        if let Err(error) = cell.body.resolve(Fetch::IfMissing) {
            failures.push((cell.id.clone(), error));
        }
    }
    failures
}
