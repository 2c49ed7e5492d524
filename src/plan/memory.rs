//! What a store remembers of a study: for each cell, the key under which a run of it was finished last.
//!
//! A run that fails or is stopped keeps the older keys of what it did not finish, so that `--why` still tells what has
//! changed since there was a result. Variants made with `--set` have memories of their own; a variant that has none yet
//! is compared with the study that it varies.

use std::collections::BTreeMap;

use assay_cache::{Entry, Key, Store, StoreError};

use super::Plan;

/// What is known of the last run.
#[derive(Default)]
pub struct Memory {
    /// The name of what ran: the study, or a variant of it. `None` where none has.
    pub of: Option<String>,
    keys: BTreeMap<String, Key>,
    ids: BTreeMap<Key, Vec<String>>,
}

impl Memory {
    /// The memory of the first of these names that has one.
    pub fn of(store: &Store, names: &[&str]) -> Result<Self, StoreError> {
        for name in names {
            if let Some(keys) = store.study(name)? {
                let mut ids = BTreeMap::<Key, Vec<String>>::new();
                keys.iter().for_each(|(id, key)| ids.entry(*key).or_default().push(id.clone()));
                return Ok(Self { of: Some((*name).to_owned()), keys, ids });
            }
        }
        Ok(Self::default())
    }

    pub fn key(&self, id: &str) -> Option<Key> {
        self.keys.get(id).copied()
    }

    /// The cells that had this key; none where it is older than the memory.
    pub fn ids(&self, key: Key) -> &[String] {
        self.ids.get(&key).map_or(&[], Vec::as_slice)
    }

    pub fn has_stage(&self, stage: &str) -> bool {
        self.keys.keys().any(|id| id.split('[').next() == Some(stage))
    }
}

/// Notes the keys that a run sets out to finish.
pub fn begin(plan: &Plan, store: &Store, name: &str) -> Result<(), StoreError> {
    let keys = plan.cells.iter().filter_map(|cell| Some((cell.id.clone(), cell.key()?))).collect();
    store.begin_study(name, &keys)
}

/// Notes the keys of what is finished after a run: `entries` are those of the run, by cell.
pub fn remember(plan: &Plan, entries: &[Option<Entry>], store: &Store, name: &str) -> Result<(), StoreError> {
    let unfinished = entries.iter().any(Option::is_none);
    let before = if unfinished { store.study(name)?.unwrap_or_default() } else { BTreeMap::new() };
    let mut keys = BTreeMap::new();
    for (cell, entry) in plan.cells.iter().zip(entries) {
        let finished = match entry {
            Some(entry) => Some(entry.key),
            // It was not asked for, or not finished: an older result is still one.
            None => before.get(&cell.id).copied(),
        };
        keys.extend(finished.map(|key| (cell.id.clone(), key)));
    }
    store.remember_study(name, &keys)
}
