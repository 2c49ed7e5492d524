//! The collection of garbage: what no kept study reaches goes, unless it is young.
//!
//! It takes no lock and may run beside any number of runs. What a run has written or touched lately is young; what it
//! reads is named by its study, which is remembered when the run starts. Entries go before the blobs that they name, so
//! that one which is killed half way leaves a store in which nothing is promised that is not there. Whatever is lost to
//! an unlucky moment is computed again; nothing is ever wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    time::{Duration, SystemTime},
};

use crate::{
    Digest, Entry, InputsKey, Key, Store, StoreError,
    census::{Census, Item},
    durable,
    store::{is_whole, parsed},
};

/// What to collect.
#[derive(Clone, Debug)]
pub struct Collect {
    /// Studies that are no longer kept. All others are.
    pub forget: BTreeSet<String>,
    /// What was written or touched since is spared.
    pub older_than: Duration,
    /// Only tell what would go.
    pub dry_run: bool,
}

/// What has gone, or would go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    pub entries: Freed,
    pub blobs: Freed,
    /// Files of units of computations that are finished, or that no kept study waits for.
    pub units: Freed,
    /// Pointers to entries that are gone, files set aside, temporary files of processes that died.
    pub leftovers: Freed,
    /// Entries and blobs that stay.
    pub kept: Freed,
    /// Computations that are under way.
    pub leases: usize,
}

/// So many files, of so many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Freed {
    pub files: u64,
    pub bytes: u64,
}

impl Collected {
    pub fn freed(&self) -> Freed {
        [self.entries, self.blobs, self.units, self.leftovers]
            .into_iter()
            .fold(Freed::default(), |sum, part| Freed { files: sum.files + part.files, bytes: sum.bytes + part.bytes })
    }
}

impl Store {
    /// Drops what no kept study reaches.
    pub fn collect(&self, collect: &Collect) -> Result<Collected, StoreError> {
        let now = SystemTime::now();
        let sweep = Sweep {
            store: self,
            // An age that reaches back before all files leaves them all young.
            then: now.checked_sub(collect.older_than).unwrap_or(SystemTime::UNIX_EPOCH),
            dry_run: collect.dry_run,
            leases: self.live_leases()?,
        };
        let (forgotten, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.studies()?.into_iter().partition(|(study, _)| collect.forget.contains(study));
        let census = self.census()?;
        let reached = sweep.reach(&census, &kept)?;
        sweep.forget(forgotten.keys())?;
        sweep.all(&census, &reached)
    }
}

/// What a kept study, a young entry or a computation under way leads to.
#[derive(Default)]
struct Reached {
    entries: BTreeSet<Key>,
    blobs: BTreeSet<Digest>,
    /// Keys that a kept study names and that have no entry: somebody may still be at work on them.
    unfinished: bool,
}

struct Sweep<'a> {
    store: &'a Store,
    then: SystemTime,
    dry_run: bool,
    leases: Vec<InputsKey>,
}

impl Sweep<'_> {
    /// From the roots up: an entry, its blobs, and the entries that it was computed from.
    fn reach(&self, census: &Census, kept: &BTreeMap<String, BTreeSet<(String, Key)>>) -> Result<Reached, StoreError> {
        let mut reached = Reached::default();
        let named: BTreeSet<Key> = kept.values().flatten().map(|(_, key)| *key).collect();
        let young = census.entries.iter().filter(|item| self.is_young(item)).map(|item| item.name);
        let under_way = census.pointers.iter().filter(|item| self.leases.contains(&item.name));
        let under_way = under_way.map(|item| self.store.pointed(item.name)).collect::<Result<Vec<_>, _>>()?;
        let mut above: Vec<Key> = named.iter().copied().chain(young).chain(under_way.into_iter().flatten()).collect();
        while let Some(key) = above.pop() {
            if reached.entries.contains(&key) {
                continue;
            }
            let Some(entry) = self.entry(key)? else {
                reached.unfinished |= named.contains(&key);
                continue;
            };
            above.extend(entry.recipe.inputs.values().flat_map(|slot| slot.items()).map(|upstream| upstream.key));
            reached.blobs.extend(entry.outputs.values().map(|output| output.digest));
            reached.entries.insert(key);
        }
        Ok(reached)
    }

    /// A whole entry. One that is not names nothing that could be trusted.
    fn entry(&self, key: Key) -> Result<Option<Entry>, StoreError> {
        let path = self.store.entry_path(key);
        let bytes = durable::read(&path).map_err(StoreError::io("read", &path))?;
        Ok(bytes.and_then(|bytes| parsed::<Entry>(&bytes)).filter(|entry| is_whole(entry, key)))
    }

    fn forget<'s>(&self, studies: impl Iterator<Item = &'s String>) -> Result<(), StoreError> {
        for study in studies.filter(|_| !self.dry_run) {
            let path = self.store.study_path(study);
            let removed = durable::ignore(fs::remove_file(&path), ErrorKind::NotFound);
            removed.map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    fn all(&self, census: &Census, reached: &Reached) -> Result<Collected, StoreError> {
        let mut collected = Collected { leases: self.leases.len(), ..Collected::default() };
        let mut left: BTreeSet<Key> = BTreeSet::new();
        for item in &census.entries {
            if reached.entries.contains(&item.name) || !self.drop(item, &mut collected.entries)? {
                left.insert(item.name);
                collected.kept.note(item.bytes);
            }
        }
        let mut finished: BTreeSet<InputsKey> = BTreeSet::new();
        for item in &census.pointers {
            if self.store.pointed(item.name)?.is_some_and(|key| left.contains(&key)) {
                finished.insert(item.name);
            } else {
                self.drop(item, &mut collected.leftovers)?;
            }
        }
        for item in &census.blobs {
            if reached.blobs.contains(&item.name) || !self.drop(item, &mut collected.blobs)? {
                collected.kept.note(item.bytes);
            }
        }
        for (key, files) in &census.units {
            let wanted = self.leases.contains(key) || (reached.unfinished && !finished.contains(key));
            if !wanted {
                self.drop_units(*key, files, &mut collected.units)?;
            }
        }
        for item in &census.unread {
            self.drop(item, &mut collected.leftovers)?;
        }
        Ok(collected)
    }

    /// The units of one computation, all together: while one file of them is young, somebody is at work.
    fn drop_units(&self, key: InputsKey, files: &[Item<String>], freed: &mut Freed) -> Result<(), StoreError> {
        if files.iter().any(|item| self.is_young(item)) {
            return Ok(());
        }
        for item in files {
            self.drop(item, freed)?;
        }
        if !self.dry_run {
            // Not empty: somebody has saved a unit just now.
            let folder = self.store.units_path(key);
            let removed = durable::ignore(fs::remove_dir(&folder), ErrorKind::DirectoryNotEmpty);
            durable::ignore(removed, ErrorKind::NotFound).map_err(StoreError::io("remove", &folder))?;
        }
        Ok(())
    }

    /// Whether an old file has gone, or would go.
    fn drop<N>(&self, item: &Item<N>, freed: &mut Freed) -> Result<bool, StoreError> {
        if self.is_young(item) {
            return Ok(false);
        }
        let gone = self.dry_run
            || durable::remove_if_older(&item.path, self.then).map_err(StoreError::io("remove", &item.path))?;
        if gone {
            freed.note(item.bytes);
        }
        Ok(gone)
    }

    fn is_young<N>(&self, item: &Item<N>) -> bool {
        item.modified > self.then
    }
}

impl Freed {
    fn note(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

#[cfg(test)]
#[path = "gc_tests.rs"]
mod tests;
