//! Brings the sources of a plan to this machine.

use assay_stages::{Fetch, SourceError};

use crate::plan::{Plan, Sources};

/// Fetches what the wanted cells lack. Gives back, for each source that could not be had, the cell's id and the cause.
pub fn fetch(plan: &Plan, wanted: &[bool], mut tell: impl FnMut(&str)) -> Vec<(String, SourceError)> {
    let mut failures = Vec::new();
    for (cell, _) in plan.cells.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
        if matches!(cell.sources, Sources::NotFetched(_)) {
            tell(&cell.id);
            if let Err(error) = cell.body.resolve(Fetch::IfMissing) {
                failures.push((cell.id.clone(), error));
            }
        }
    }
    failures
}
