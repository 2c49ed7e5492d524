//! One side of a comparison: the cells of a study, each with its recipe and, if it is finished, its entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use assay_cache::{Entry, Key, Recipe, Store, StoreError};
use assay_stages::Kind;
use rayon::prelude::*;

use crate::{
    cli::{
        Exit,
        study::{StudyArguments, store_for},
    },
    report::Results,
};

/// What cells are matched by: the stage's name, and the labels whatever their order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CellName {
    stage: String,
    labels: BTreeSet<String>,
}

/// One cell.
pub struct Known {
    pub id: String,
    pub name: CellName,
    /// None where the key is not known, or was forgotten.
    pub recipe: Option<Recipe>,
    pub entry: Option<Entry>,
}

pub struct Side {
    /// As people call it.
    pub name: String,
    pub store: Store,
    /// In the order of the study.
    pub cells: Vec<Known>,
}

impl CellName {
    /// Of an id such as `treated[region=early,sigma=0.1]`; labels in ids are encoded, so they hold no comma.
    fn of(id: &str) -> Self {
        match id.split_once('[') {
            None => Self { stage: id.to_owned(), labels: BTreeSet::new() },
            Some((stage, labels)) => Self {
                stage: stage.to_owned(),
                labels: labels.trim_end_matches(']').split(',').map(str::to_owned).collect(),
            },
        }
    }
}

impl Side {
    pub fn of_manifest(study: &StudyArguments, catalogue: &'static [Kind], json: bool) -> Result<Self, Exit> {
        let plan = study.plan(catalogue, json)?;
        let store = study.store();
        let known = |cell: &crate::plan::Cell| -> Result<Known, StoreError> {
            let entry = cell.key().map_or(Ok(None), |key| store.entry(key))?;
            let recipe = cell.keyed.as_ref().map(|keyed| keyed.recipe.clone());
            Ok(Known { id: cell.id.clone(), name: CellName::of(&cell.id), recipe, entry })
        };
        let cells = plan.cells.par_iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { name: study.results_name(&plan), store, cells })
    }

    /// What the index of a folder of results names, and what the store remembers of the study beside that.
    pub fn of_results(folder: &Path, named: Option<&Path>) -> Result<Self, Exit> {
        let mut keys: BTreeMap<String, Key> = Results::at(folder.to_owned()).keys();
        if keys.is_empty() {
            let message = format!("{} is no folder of results: it has no index.json that names any", folder.display());
            return Err(Exit::usage(message));
        }
        let store = store_for(named, folder);
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let name = absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        for (id, key) in store.study(&name)?.unwrap_or_default() {
            keys.entry(id).or_insert(key);
        }
        let known = |(id, key): (&String, &Key)| -> Result<Known, StoreError> {
            let entry = store.entry(*key)?;
            let recipe = entry.as_ref().map(|entry| entry.recipe.clone());
            Ok(Known { id: id.clone(), name: CellName::of(id), recipe, entry })
        };
        let cells = keys.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { name: folder.display().to_string(), store, cells })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_a_cell_in_any_order() {
        assert_eq!(CellName::of("a[x=1,y=2]"), CellName::of("a[y=2,x=1]"));
        assert_ne!(CellName::of("a[x=1]"), CellName::of("a"));
        assert_ne!(CellName::of("a[x=1]"), CellName::of("b[x=1]"));
    }
}
