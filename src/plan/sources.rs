//! The files of a cell, where they are at hand, and their digests.

use std::collections::BTreeMap;

use assay_stages::{DynStage, Fetch, Resolved, SourceError};

use super::{Digests, Sources};

/// Finds the files that a stage reads, without fetching, and digests them; or says why that is a mistake.
pub fn find(body: &dyn DynStage, digests: &mut Digests) -> Result<Sources, String> {
    match body.resolve(Fetch::Never) {
        Ok(resolved) => digest(resolved, digests),
        Err(SourceError::NotFetched(reason)) => Ok(Sources::NotFetched(reason)),
        Err(SourceError::Unavailable(reason)) => Err(reason),
    }
}

fn digest(resolved: Resolved, memory: &mut Digests) -> Result<Sources, String> {
    let mut digests = BTreeMap::new();
    for (role, path) in &resolved.files {
        let digest = memory.of(path, resolved.check)?;
        digests.insert(role.clone(), digest);
    }
    Ok(Sources::Here { resolved, digests })
}
