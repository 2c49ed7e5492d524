//! What a store already holds of a cell whose inputs are finished: its own entry, or the same computation under
//! another key (early cutoff).

use assay_cache::{Committed, Entry, InputDigests, InputsKey, Store, StoreError};

use super::Outcome;
use crate::plan::{Cell, Keyed};

/// A cell whose inputs are finished.
#[derive(Clone)]
pub struct Ready {
    pub keyed: Keyed,
    pub digests: InputDigests,
    pub inputs_key: InputsKey,
    /// Nothing that the store holds of it counts.
    pub forced: bool,
}

impl Ready {
    pub fn new(cell: &Cell, digests: InputDigests, forced: bool) -> Self {
        let keyed = cell.keyed.clone().expect("the inputs of a cell without a key are not finished");
        let inputs_key = keyed.recipe.inputs_key(&digests);
        Self { keyed, digests, inputs_key, forced }
    }

    /// The key under which its units and its lease stand.
    pub fn place(&self) -> InputsKey {
        if self.forced { self.inputs_key.forced() } else { self.inputs_key }
    }

    /// The finished entry of the cell, if nothing has to run for it. An entry that was computed from other bytes is
    /// left where it is: it gives way to the one that will be committed.
    pub fn find(&self, cell: &Cell, store: &Store) -> Result<Option<(Outcome, Box<Entry>)>, StoreError> {
        if self.forced {
            return Ok(None);
        }
        let own = store.entry(self.keyed.key)?;
        if let Some(entry) = own.filter(|entry| entry.inputs == self.digests && has_outputs(cell, entry)) {
            return Ok(Some((Outcome::Cached, Box::new(entry))));
        }
        let Some(other) = store.same(self.inputs_key)?.filter(|entry| has_outputs(cell, entry)) else {
            return Ok(None);
        };
        let keyed = self.keyed.clone();
        let alias = Entry {
            key: keyed.key,
            recipe: keyed.recipe,
            provenance: cell.provenance(),
            inputs: self.digests.clone(),
            ..other
        };
        match store.commit_same(alias) {
            Ok(Committed::New(entry) | Committed::Adopted(entry)) => Ok(Some((Outcome::Same, Box::new(entry)))),
            // What the other entry names is gone: the cell has to run.
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an entry has all that its cell promises. A kind that gained an output without a new version has not.
pub fn has_outputs(cell: &Cell, entry: &Entry) -> bool {
    cell.ports.outputs.iter().all(|port| entry.outputs.contains_key(&port.name))
}
