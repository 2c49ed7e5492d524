//! The check of a whole store: every entry is whole, every blob has its digest, every output has its blob, every file of
//! units is whole. What is wrong is set aside, never deleted, and told with those who named it. An entry that has lost an
//! output is set aside too: a plan reads entries only, and would promise what is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Digest, Entry, Key, Store, StoreError,
    census::Item,
    durable,
    store::{is_whole, parsed},
};

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    pub entries: usize,
    pub blobs: usize,
    /// Files of units.
    pub units: usize,
    /// All that was read.
    pub bytes: u64,
    pub faults: Vec<Fault>,
}

/// Something that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// Inside the store.
    pub path: PathBuf,
    #[serde(flatten)]
    pub wrong: Wrong,
    /// Where it is now, inside the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<PathBuf>,
    /// Whose output it is; none where no entry names it.
    pub named_by: Vec<NamedBy>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "wrong", content = "reason", rename_all = "kebab-case")]
pub enum Wrong {
    /// The bytes are not what they should be.
    Damaged(String),
    /// An entry names a blob that is not there.
    Missing,
    /// It could not be read, or not be set aside.
    Unreadable(String),
}

/// An output of an entry, and the stages that have this entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct NamedBy {
    pub key: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// `study: stage[axis=label]`, of the studies that this store remembers.
    pub stages: Vec<String>,
}

/// Which outputs each digest is: a key, the kind and the port.
type Owners = BTreeMap<Digest, Vec<(Key, String, String)>>;

impl Store {
    /// Reads everything. `advance` is told how many bytes more have been read, of how many.
    pub fn verify(&self, advance: &(dyn Fn(u64, u64) + Sync)) -> Result<Checked, StoreError> {
        let census = self.census()?;
        let stages = self.stages_of_keys()?;
        let units: Vec<&Item<String>> =
            census.units.values().flatten().filter(|item| item.name.ends_with(".units")).collect();
        let sizes = census.blobs.iter().map(|item| item.bytes).chain(units.iter().map(|item| item.bytes));
        let sizes = sizes.chain(census.entries.iter().map(|item| item.bytes));
        let all: u64 = sizes.sum();
        let advance = |bytes| advance(bytes, all);
        let entries: Vec<_> = census.entries.par_iter().map(|item| self.checked_entry(item, &advance)).collect();
        let owners = owners(entries.iter().filter_map(|found| found.as_ref().ok()?.as_ref()));
        let blobs = census.blobs.par_iter().map(|item| self.checked_blob(item, &advance));
        let blobs: Vec<Fault> = blobs.filter_map(Result::err).collect();
        let torn: Vec<Fault> =
            units.par_iter().map(|item| self.checked_units(item, &advance)).filter_map(Result::err).collect();
        let mut faults: Vec<Fault> = entries.into_iter().filter_map(Result::err).chain(blobs).chain(torn).collect();
        faults.extend(self.missing(&owners, &faults));
        for fault in &mut faults {
            fault.named_by = named_by(&fault.path, &owners, &stages);
            self.set_owners_aside(fault);
        }
        faults.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Checked { entries: census.entries.len(), blobs: census.blobs.len(), units: units.len(), bytes: all, faults })
    }

    /// `study: stage` for each key that a study of this store had last.
    fn stages_of_keys(&self) -> Result<BTreeMap<Key, Vec<String>>, StoreError> {
        let mut stages = BTreeMap::<Key, Vec<String>>::new();
        for (study, cells) in self.studies()? {
            for (cell, key) in cells {
                stages.entry(key).or_default().push(format!("{study}: {cell}"));
            }
        }
        Ok(stages)
    }

    /// The entry, if it is whole; none where it has gone meanwhile.
    fn checked_entry(&self, item: &Item<Key>, advance: &(dyn Fn(u64) + Sync)) -> Result<Option<Entry>, Fault> {
        let bytes = durable::read(&item.path).map_err(|error| self.unreadable(&item.path, &error))?;
        advance(item.bytes);
        let Some(bytes) = bytes else { return Ok(None) };
        match parsed::<Entry>(&bytes).filter(|entry| is_whole(entry, item.name)) {
            Some(entry) => Ok(Some(entry)),
            None => Err(self.set_aside_as_damaged(&item.path, "it is not the entry of this key".to_owned())),
        }
    }

    fn checked_blob(&self, item: &Item<Digest>, advance: &(dyn Fn(u64) + Sync)) -> Result<(), Fault> {
        match opened(&item.path).and_then(|file| file.map(|file| Digest::of_reader(Told { file, advance })).transpose())
        {
            Ok(None) => Ok(()),
            Ok(Some(found)) if found == item.name => Ok(()),
            Ok(Some(found)) => {
                let reason = format!("the digest of its {} bytes is {found}", item.bytes);
                Err(self.set_aside_as_damaged(&item.path, reason))
            }
            Err(error) => Err(self.unreadable(&item.path, &error)),
        }
    }

    fn checked_units(&self, item: &Item<String>, advance: &(dyn Fn(u64) + Sync)) -> Result<(), Fault> {
        match opened(&item.path).and_then(|file| file.map(|file| is_whole_bundle(Told { file, advance })).transpose()) {
            Ok(None | Some(true)) => Ok(()),
            Ok(Some(false)) => {
                let reason = "it does not have the digest in its first line".to_owned();
                Err(self.set_aside_as_damaged(&item.path, reason))
            }
            Err(error) => Err(self.unreadable(&item.path, &error)),
        }
    }

    /// Outputs of whole entries that have no blob, apart from those that were just set aside.
    fn missing(&self, owners: &Owners, faults: &[Fault]) -> Vec<Fault> {
        let told: BTreeSet<PathBuf> = faults.iter().map(|fault| fault.path.clone()).collect();
        let paths = owners.keys().map(|digest| self.blob_path(*digest)).filter(|path| !path.exists());
        let fault = |path: PathBuf| Fault { path, wrong: Wrong::Missing, aside: None, named_by: vec![] };
        paths.map(|path| self.inside(&path)).filter(|path| !told.contains(path)).map(fault).collect()
    }

    /// Sets the entries aside that name a blob which is not there any more.
    fn set_owners_aside(&self, fault: &mut Fault) {
        if !fault.path.starts_with("blobs") || matches!(fault.wrong, Wrong::Unreadable(_)) {
            return;
        }
        let failed = fault.named_by.iter().find_map(|named| self.set_aside(named.key).err());
        if let Some(error) = failed {
            fault.wrong = Wrong::Unreadable(format!("an entry that names it stays, since {error}"));
        }
    }

    fn set_aside_as_damaged(&self, path: &Path, reason: String) -> Fault {
        let (wrong, aside) = match durable::set_aside(path, "damaged") {
            Ok(aside) => (Wrong::Damaged(reason), aside.map(|aside| self.inside(&aside))),
            Err(error) => (Wrong::Unreadable(format!("{reason}, and it cannot be set aside: {error}")), None),
        };
        Fault { path: self.inside(path), wrong, aside, named_by: vec![] }
    }

    fn unreadable(&self, path: &Path, error: &io::Error) -> Fault {
        Fault { path: self.inside(path), wrong: Wrong::Unreadable(error.to_string()), aside: None, named_by: vec![] }
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root()).unwrap_or(path).to_owned()
    }
}

/// A file that tells how much of it was read.
struct Told<'a> {
    file: File,
    advance: &'a (dyn Fn(u64) + Sync),
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        (self.advance)(read as u64);
        Ok(read)
    }
}

/// A file, or none where it has gone meanwhile.
fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file of units has the digest of its first line.
fn is_whole_bundle(mut file: impl Read) -> io::Result<bool> {
    const DIGEST_LINE: usize = 65;
    let mut first = [0; DIGEST_LINE];
    match file.read_exact(&mut first) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let said = std::str::from_utf8(&first).ok().and_then(|line| line.strip_suffix('\n')?.parse::<Digest>().ok());
    Ok(said == Some(Digest::of_reader(file)?))
}

/// Which outputs have a blob of their own, by digest.
fn owners<'e>(entries: impl Iterator<Item = &'e Entry>) -> Owners {
    let mut owners = Owners::new();
    for entry in entries {
        for (port, output) in entry.outputs.iter().filter(|(_, output)| output.inline.is_none()) {
            let owner = (entry.key, entry.recipe.kind.clone(), port.clone());
            owners.entry(output.digest).or_default().push(owner);
        }
    }
    owners
}

/// Who named a blob or an entry, by its path.
fn named_by(path: &Path, owners: &Owners, stages: &BTreeMap<Key, Vec<String>>) -> Vec<NamedBy> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(digest) = name.trim_end_matches(".json").parse::<Digest>() else { return vec![] };
    let of = |key: Key| stages.get(&key).cloned().unwrap_or_default();
    if path.starts_with("entries") {
        return vec![NamedBy { key: Key(digest), kind: None, port: None, stages: of(Key(digest)) }];
    }
    let outputs = owners.get(&digest).into_iter().flatten();
    let outputs = outputs.map(|(key, kind, port)| NamedBy {
        key: *key,
        kind: Some(kind.clone()),
        port: Some(port.clone()),
        stages: of(*key),
    });
    outputs.collect()
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
