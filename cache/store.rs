//! The store on disk: blobs, entries, the index of inputs, and what each study named last.
//!
//! `README.md` specifies every file; `layout.rs` says where each stands, `commit.rs` how a finished recipe gets in.
//! Reading takes no lock, creates nothing and writes nothing, except that damage is set aside by name. Leases are in
//! `lease.rs`, the collection of garbage in `gc.rs`, the check of a whole store in `verify.rs`.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Artifact, Digest, Entry, FORMAT, InputsKey, Key, Output, Units, canonical, durable};

/// What tells backup programs to pass this folder by (https://bford.info/cachedir/).
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                            # The store of Assay: everything here can be computed again.\n";

/// A folder of blobs, entries and units.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Bytes are not what their digest says. They were set aside; the stage that made them must run again.
    #[error("{path} is damaged ({reason}); its stage must run again")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} is missing; its stage must run again")]
    Missing { path: PathBuf },
}

/// The file behind the name of a study.
#[derive(Serialize, Deserialize)]
pub(crate) struct Study {
    pub format: u32,
    pub study: String,
    pub stages: BTreeMap<String, Key>,
    /// What a run that is under way, or was killed, set out to finish.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<String, Key>,
}

impl StoreError {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

impl Store {
    /// The store at `root`, which is created by the first write, not by this.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a store stands there: a folder that a run has made.
    pub fn exists(&self) -> bool {
        fs::read_to_string(self.root.join("CACHEDIR.TAG"))
            .is_ok_and(|tag| tag.starts_with("Signature: ") && tag.contains("Assay"))
    }

    /// The entry of `key`. One that cannot be parsed is set aside and counts as none.
    pub fn entry(&self, key: Key) -> Result<Option<Entry>, StoreError> {
        let path = self.entry_path(key);
        let Some(bytes) = durable::read(&path).map_err(StoreError::io("read", &path))? else { return Ok(None) };
        let entry = parsed::<Entry>(&bytes).filter(|entry| is_whole(entry, key));
        if entry.is_none() {
            durable::set_aside(&path, "damaged").map_err(StoreError::io("set aside the damaged", &path))?;
        }
        Ok(entry)
    }

    /// The verified content of an output.
    pub fn read(&self, output: &Output) -> Result<Artifact, StoreError> {
        let bytes = self.bytes(output)?;
        Artifact::decode(&output.form, &bytes).map_err(|malformed| match output.inline {
            Some(_) => StoreError::Damaged { path: self.root.join("entries"), reason: malformed.to_string() },
            None => self.damaged(&self.blob_path(output.digest), &malformed.to_string()),
        })
    }

    /// Like [`Store::read`], for who only looks on: damaged bytes stay where they are, for the run to find.
    pub fn look(&self, output: &Output) -> Result<Artifact, StoreError> {
        let damaged = |reason| StoreError::Damaged { path: self.blob_path(output.digest), reason };
        let bytes = self.verified(output)?.map_err(damaged)?;
        Artifact::decode(&output.form, &bytes).map_err(|malformed| damaged(malformed.to_string()))
    }

    /// The verified canonical bytes of an output. (Those inline were verified with their entry.)
    pub fn bytes(&self, output: &Output) -> Result<Vec<u8>, StoreError> {
        self.verified(output)?.map_err(|reason| self.damaged(&self.blob_path(output.digest), &reason))
    }

    /// The bytes of an output, or how they differ from what its digest says.
    fn verified(&self, output: &Output) -> Result<Result<Vec<u8>, String>, StoreError> {
        if let Some(text) = &output.inline {
            return Ok(Ok(text.clone().into_bytes()));
        }
        let path = self.blob_path(output.digest);
        let bytes = durable::read(&path).map_err(StoreError::io("read", &path))?;
        let bytes = bytes.ok_or_else(|| StoreError::Missing { path: path.clone() })?;
        Ok(match Digest::of(&bytes) {
            found if found == output.digest => Ok(bytes),
            found => Err(format!("the digest of its {} bytes is {found}", bytes.len())),
        })
    }

    /// Sets an entry aside of which this error says that an output is lost, so that the next run makes it again.
    pub fn give_up(&self, entry: &Entry, error: &StoreError) {
        if !matches!(error, StoreError::Io { .. }) {
            let _ = self.set_aside(entry.key); // what cannot be set aside is found lost again
        }
    }

    /// The file of an output that is a blob, verified.
    pub fn file(&self, output: &Output) -> Result<PathBuf, StoreError> {
        let path = self.blob_path(output.digest);
        if !path.exists() {
            return Err(StoreError::Missing { path });
        }
        match Digest::of_file(&path).map_err(StoreError::io("read", &path))? {
            found if found == output.digest => Ok(path),
            found => Err(self.damaged(&path, &format!("the digest of its bytes is {found}"))),
        }
    }

    /// Whether the output's bytes are there (not whether they are whole).
    pub fn has(&self, output: &Output) -> bool {
        output.inline.is_some() || self.blob_path(output.digest).exists()
    }

    /// Sets an entry aside as `<key>.superseded-N`; it is never deleted or changed.
    pub fn set_aside(&self, key: Key) -> Result<(), StoreError> {
        let path = self.entry_path(key);
        durable::set_aside(&path, "superseded").map_err(StoreError::io("set aside", &path))?;
        Ok(())
    }

    /// The units of a computation, those that are whole.
    pub fn units(&self, key: InputsKey) -> Result<Units, StoreError> {
        Units::open(self.clone(), self.units_path(key))
    }

    /// Drops the units of a computation that is committed.
    pub fn drop_units(&self, key: InputsKey) -> Result<(), StoreError> {
        let path = self.units_path(key);
        let removed = durable::ignore(fs::remove_dir_all(&path), ErrorKind::NotFound);
        // Another process may be saving there still.
        durable::ignore(removed, ErrorKind::DirectoryNotEmpty).map_err(StoreError::io("remove", &path))
    }

    /// Notes which keys a run sets out to finish, so that `gc` keeps what it finishes even where it is killed. Nothing
    /// is written where all of them were finished before.
    pub fn begin_study(&self, study: &str, keys: &BTreeMap<String, Key>) -> Result<(), StoreError> {
        let stages = self.study_record(study)?.map(|record| record.stages).unwrap_or_default();
        if stages == *keys {
            return Ok(());
        }
        self.write_study(Study { format: FORMAT, study: study.to_owned(), stages, begun: keys.clone() })
    }

    /// Remembers under which key each stage of a study was finished last: what `--why` compares with and what `gc`
    /// starts from. Written only when it differs from what is there.
    pub fn remember_study(&self, study: &str, keys: &BTreeMap<String, Key>) -> Result<(), StoreError> {
        if self.study_record(study)?.is_some_and(|record| record.stages == *keys && record.begun.is_empty()) {
            return Ok(());
        }
        self.write_study(Study {
            format: FORMAT,
            study: study.to_owned(),
            stages: keys.clone(),
            begun: BTreeMap::new(),
        })
    }

    /// What `remember_study` wrote last; none where no run has finished anything.
    pub fn study(&self, study: &str) -> Result<Option<BTreeMap<String, Key>>, StoreError> {
        let finished = |record: Study| (!record.stages.is_empty() || record.begun.is_empty()).then_some(record.stages);
        Ok(self.study_record(study)?.and_then(finished))
    }

    fn study_record(&self, study: &str) -> Result<Option<Study>, StoreError> {
        let path = self.study_path(study);
        let Some(bytes) = durable::read(&path).map_err(StoreError::io("read", &path))? else { return Ok(None) };
        let found = parsed::<Study>(&bytes);
        if found.is_none() {
            durable::set_aside(&path, "damaged").map_err(StoreError::io("set aside the damaged", &path))?;
        }
        Ok(found.filter(|found| found.format == FORMAT))
    }

    fn write_study(&self, record: Study) -> Result<(), StoreError> {
        self.prepare()?;
        self.replace(&self.study_path(&record.study), line(&record).as_bytes(), true)
    }

    /// Sets damaged bytes aside, and says so.
    fn damaged(&self, path: &Path, reason: &str) -> StoreError {
        match durable::set_aside(path, "damaged") {
            Ok(_) => StoreError::Damaged { path: path.to_owned(), reason: format!("{reason}; it was set aside") },
            Err(error) => StoreError::io("set aside the damaged", path)(error),
        }
    }

    /// Makes the folder of the store, before the first write.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        let tag = self.root.join("CACHEDIR.TAG");
        if tag.exists() {
            return Ok(());
        }
        self.place_new(&tag, CACHEDIR_TAG.as_bytes()).map(|_| ())
    }

    pub(crate) fn place_new(&self, path: &Path, bytes: &[u8]) -> Result<bool, StoreError> {
        self.folder_of(path)?;
        durable::place_new(path, bytes).map_err(StoreError::io("write", path))
    }

    /// Like `place_new`, for what nothing depends on.
    pub(crate) fn place_hint(&self, path: &Path, bytes: &[u8]) -> Result<bool, StoreError> {
        self.prepare()?;
        self.folder_of(path)?;
        durable::place_hint(path, bytes).map_err(StoreError::io("write", path))
    }

    pub(crate) fn replace(&self, path: &Path, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        self.folder_of(path)?;
        let mut written = durable::replace(path, bytes, durable);
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.folder_of(path)?; // another process that committed the same has just dropped the folder of units
            written = durable::replace(path, bytes, durable);
        }
        written.map_err(StoreError::io("write", path))
    }

    fn folder_of(&self, path: &Path) -> Result<(), StoreError> {
        let folder = path.parent().expect("every file of a store is in a folder");
        durable::folder(folder).map_err(StoreError::io("create", folder))
    }
}

/// The canonical JSON of a file in the store.
pub(crate) fn line(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("what a store writes has text for keys");
    canonical(&value) + "\n"
}

pub(crate) fn parsed<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    serde_json::from_value(value).ok()
}

/// Whether an entry is the one of this key, and the outputs that it holds have their digests.
pub(crate) fn is_whole(entry: &Entry, key: Key) -> bool {
    let inline =
        |output: &Output| output.inline.as_ref().is_none_or(|text| Digest::of(text.as_bytes()) == output.digest);
    entry.key == key && entry.recipe.key() == key && entry.outputs.values().all(inline)
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
