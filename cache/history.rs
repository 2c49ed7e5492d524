//! What a store tells of work that has no entry in force: what became of an entry, and what is saved of a computation
//! that was not finished. Everything here reads little and changes nothing; no computation rests on it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{
    Entry, InputsKey, Key, Recipe, Store, StoreError, durable,
    store::{is_whole, parsed},
    unit,
};

/// Why an entry is no longer in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aside {
    /// It was damaged.
    Damaged,
    /// An output of it was lost, its inputs had other bytes, or it was forced to run again.
    Superseded,
}

/// What is saved of a computation that was not finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    pub units: usize,
    /// The step of the last checkpoint.
    pub checkpoint: Option<u64>,
}

impl Store {
    /// The recipe behind a key: that of its entry, else of the last one that was superseded.
    pub fn recipe(&self, key: Key) -> Result<Option<Recipe>, StoreError> {
        if let Some(entry) = self.entry(key)? {
            return Ok(Some(entry.recipe));
        }
        let mut last = None;
        for n in 1_u32.. {
            let path = self.aside_path(key, Aside::Superseded, n);
            let Some(bytes) = durable::read(&path).map_err(StoreError::io("read", &path))? else { break };
            last = parsed::<Entry>(&bytes).filter(|entry| is_whole(entry, key)).or(last);
        }
        Ok(last.map(|entry| entry.recipe))
    }

    /// Whether an entry of this key was set aside, and why. Where both happened, the damage is told.
    pub fn aside(&self, key: Key) -> Option<Aside> {
        [Aside::Damaged, Aside::Superseded].into_iter().find(|why| self.aside_path(key, *why, 1).exists())
    }

    fn aside_path(&self, key: Key, why: Aside, n: u32) -> PathBuf {
        let why = match why {
            Aside::Damaged => "damaged",
            Aside::Superseded => "superseded",
        };
        self.entry_path(key).with_file_name(format!("{key}.{why}-{n}"))
    }

    /// How much is saved of a computation. Files are counted by what they say of themselves; they are verified when
    /// they are used.
    pub fn saved(&self, key: InputsKey) -> Result<Saved, StoreError> {
        let folder = self.units_path(key);
        let mut saved = Saved::default();
        for file in unit::files(&folder).map_err(StoreError::io("list", &folder))? {
            match unit::step_of(&file) {
                Some(step) => saved.checkpoint = saved.checkpoint.max(Some(step)),
                None => {
                    let units = units_in(&file);
                    let units = units.or_else(|error| match error.kind() {
                        // Committed meanwhile, so dropped; or torn.
                        ErrorKind::NotFound | ErrorKind::InvalidData => Ok(0),
                        _ => Err(error),
                    });
                    saved.units += units.map_err(StoreError::io("read", &file))?;
                }
            }
        }
        Ok(saved)
    }
}

/// How many units a file says that it holds.
fn units_in(file: &Path) -> io::Result<usize> {
    let mut lines = BufReader::new(File::open(file)?).lines();
    lines.next().transpose()?;
    let index = lines.next().transpose()?.unwrap_or_default();
    Ok(unit::names_in(&index).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use serde_json::json;

    use super::*;
    use crate::{Artifact, Digest, FORMAT, InputDigests, Made};

    fn entry() -> Entry {
        let recipe = Recipe {
            format: FORMAT,
            kind: "rank".into(),
            version: "rank=1".into(),
            params: json!({}),
            files: BTreeMap::new(),
            inputs: BTreeMap::new(),
        };
        Entry {
            key: recipe.key(),
            inputs_key: recipe.inputs_key(&InputDigests::new()),
            recipe,
            inputs: InputDigests::new(),
            outputs: BTreeMap::new(),
            made: Made::default(),
            provenance: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_superseded_entry_still_tells_its_recipe() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let key = entry().key;
        assert_eq!((store.recipe(key).unwrap(), store.aside(key)), (None, None));
        let outputs = BTreeMap::from([("out".to_owned(), Artifact::Record(json!(1)))]);
        store.commit(entry(), &outputs).unwrap();
        assert_eq!(store.recipe(key).unwrap(), Some(entry().recipe));
        store.set_aside(key).unwrap();
        assert_eq!(store.recipe(key).unwrap(), Some(entry().recipe));
        assert_eq!(store.aside(key), Some(Aside::Superseded));
        store.commit(entry(), &outputs).unwrap();
        fs::write(store.entry_path(key), "{").unwrap();
        assert_eq!(store.recipe(key).unwrap(), Some(entry().recipe), "the superseded one is still whole");
        assert_eq!(store.aside(key), Some(Aside::Damaged));
    }

    #[test]
    fn units_are_counted_without_reading_them() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let key = InputsKey(Digest::of(b"inputs"));
        assert_eq!(store.saved(key).unwrap(), Saved::default());
        let unit = |n: i64| (format!("prompt-{n}"), BTreeMap::from([("z".to_owned(), Artifact::Record(json!(n)))]));
        let units = store.units(key).unwrap();
        units.save(&[unit(1), unit(2)]).unwrap();
        units.save(&[unit(3)]).unwrap();
        units.checkpoint(7, &unit(0).1).unwrap();
        units.checkpoint(30, &unit(0).1).unwrap();
        fs::write(home.path().join(format!("units/{key}/torn.units")), "half a dig").unwrap();
        fs::write(home.path().join(format!("units/{key}/bytes.units")), b"\xff\xfe\n\xff").unwrap();
        assert_eq!(store.saved(key).unwrap(), Saved { units: 3, checkpoint: Some(30) });
    }
}
