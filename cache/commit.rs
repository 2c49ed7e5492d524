//! How a finished recipe gets into the store: blobs first, then the entry, whose existence is the commit, then a pointer
//! to it from its inputs-key.
//!
//! A process that dies between the steps leaves blobs that nothing names, or an entry that early cutoff does not find:
//! both cost time at most. Nobody waits for anybody: of two that commit one key, the later adopts what the earlier made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Artifact, Digest, Entry, InputsKey, Key, Output, Store, StoreError, durable,
    store::{is_whole, line, parsed},
};

/// Text of at most this many bytes stands in the entry itself.
const INLINE: usize = 4096;

/// The outcome of a commit.
#[derive(Debug)]
pub enum Committed {
    New(Entry),
    /// Somebody else had committed this key: theirs is in force.
    Adopted(Entry),
}

/// The outcome of committing what was computed although an entry was there.
#[derive(Debug)]
pub enum Recommitted {
    /// No entry of this key was in force.
    New(Entry),
    /// The entry that was there says the same, and stays in force.
    Reproduced(Entry),
    /// The entry that was there says otherwise of these ports, or had read other bytes. It was set aside.
    Replaced { entry: Entry, ports: Vec<String>, aside: PathBuf },
}

/// The file behind an inputs-key.
#[derive(Serialize, Deserialize)]
struct Pointer {
    key: Key,
}

impl Store {
    /// An entry whose kind, version, parameters and input bytes are these, whichever stages made the inputs.
    pub fn same(&self, key: InputsKey) -> Result<Option<Entry>, StoreError> {
        let Some(pointed) = self.pointed(key)? else { return Ok(None) };
        Ok(self.entry(pointed)?.filter(|entry| entry.inputs_key == key))
    }

    /// The key that the pointer of an inputs-key names, if there is one that can be read.
    pub(crate) fn pointed(&self, key: InputsKey) -> Result<Option<Key>, StoreError> {
        let path = self.pointer_path(key);
        let bytes = durable::read(&path).map_err(StoreError::io("read", &path))?;
        Ok(bytes.and_then(|bytes| parsed::<Pointer>(&bytes)).map(|pointer| pointer.key))
    }

    /// Writes the outputs' blobs, then the entry. `entry.outputs` is filled in here.
    ///
    /// An entry of this key that is already there is adopted, unless it can no longer serve: then it is set aside.
    pub fn commit(&self, mut entry: Entry, outputs: &BTreeMap<String, Artifact>) -> Result<Committed, StoreError> {
        entry.outputs = self.put_all(outputs)?;
        self.enter(entry)
    }

    /// Like `commit`, but of two that differ the new one is in force. Until it is, the old one is.
    pub fn recommit(&self, mut entry: Entry, outputs: &BTreeMap<String, Artifact>) -> Result<Recommitted, StoreError> {
        entry.outputs = self.put_all(outputs)?;
        let Some(old) = self.entry(entry.key)? else {
            return Ok(match self.enter(entry)? {
                Committed::New(entry) => Recommitted::New(entry),
                Committed::Adopted(entry) => Recommitted::Reproduced(entry),
            });
        };
        if old.inputs == entry.inputs && old.outputs == entry.outputs {
            return Ok(Recommitted::Reproduced(old));
        }
        let (path, text) = (self.entry_path(entry.key), checked(&entry, &self.entry_path(entry.key))?);
        let aside = durable::supersede(&path, "superseded", text.as_bytes()).map_err(StoreError::io("write", &path))?;
        self.point(&entry)?;
        let ports = differing(&old, &entry);
        Ok(match aside {
            Some(aside) => Recommitted::Replaced { entry, ports, aside },
            None => Recommitted::New(entry), // somebody has set it aside meanwhile
        })
    }

    /// Commits an entry whose `outputs` are those of another that is in force: nothing is computed or written twice.
    pub fn commit_same(&self, entry: Entry) -> Result<Committed, StoreError> {
        for output in entry.outputs.values().filter(|output| output.inline.is_none()) {
            let path = self.blob_path(output.digest);
            if durable::touch(&path).is_err() {
                let bytes = self.bytes(output)?;
                self.replace(&path, &bytes, true)?;
            }
        }
        self.prepare()?;
        self.enter(entry)
    }

    /// Writes the entry, whose blobs are there.
    fn enter(&self, entry: Entry) -> Result<Committed, StoreError> {
        let path = self.entry_path(entry.key);
        let text = checked(&entry, &path)?;
        while !self.place_new(&path, text.as_bytes())? {
            match self.entry(entry.key)? {
                // Made young before it is relied on: one that the collector has just taken is written anew.
                Some(theirs) if self.serves(&theirs, &entry) => match durable::touch(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    _ => return Ok(Committed::Adopted(theirs)),
                },
                Some(_) => self.set_aside(entry.key)?,
                None => {} // it was damaged, or somebody else has set it aside
            }
        }
        self.point(&entry)?;
        Ok(Committed::New(entry))
    }

    fn put_all(&self, outputs: &BTreeMap<String, Artifact>) -> Result<BTreeMap<String, Output>, StoreError> {
        self.prepare()?;
        outputs.iter().map(|(port, artifact)| Ok((port.clone(), self.put(artifact)?))).collect()
    }

    /// Stores an output: inline where it is little text, else as a blob.
    fn put(&self, artifact: &Artifact) -> Result<Output, StoreError> {
        let (form, bytes) = artifact.encode();
        let (digest, length) = (Digest::of(&bytes), bytes.len() as u64);
        let inline = match artifact {
            Artifact::Tensor(_) | Artifact::Weights(_) => None,
            _ if bytes.len() > INLINE => None,
            _ => Some(String::from_utf8(bytes.clone()).expect("tables, records and figures are text")),
        };
        if inline.is_none() {
            self.put_blob(digest, &bytes)?;
        }
        Ok(Output { digest, bytes: length, form, inline })
    }

    /// Writes a blob, or makes the one that is there young. One of the wrong size is set aside first.
    fn put_blob(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match fs::metadata(&path) {
            Ok(found) if found.len() == bytes.len() as u64 => return self.keep_blob(&path, bytes),
            Ok(_) => {
                durable::set_aside(&path, "damaged").map_err(StoreError::io("set aside the damaged", &path))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("look at", &path)(error)),
        }
        if self.place_new(&path, bytes)? { Ok(()) } else { self.keep_blob(&path, bytes) }
    }

    /// Makes a blob young, so that it is not collected before the entry that will name it. Where its owner forbids
    /// that, or it has just gone, it is written anew.
    fn keep_blob(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        durable::touch(path).or_else(|_| self.replace(path, bytes, true))
    }

    /// Whether an entry found in place of `ours` can still serve: it was computed from the same bytes, its blobs are
    /// there, and they read as ours do.
    fn serves(&self, theirs: &Entry, ours: &Entry) -> bool {
        let alike = |(port, output): (&String, &Output)| {
            self.has(output)
                && ours.outputs.get(port).is_some_and(|our| our.digest != output.digest || our.form == output.form)
        };
        theirs.inputs == ours.inputs && theirs.outputs.len() == ours.outputs.len() && theirs.outputs.iter().all(alike)
    }

    /// Lets the inputs-key lead to this entry, unless it leads to another that is still there. Only a hint, so it need
    /// not be durable.
    fn point(&self, entry: &Entry) -> Result<(), StoreError> {
        if self.same(entry.inputs_key)?.is_some() {
            return Ok(());
        }
        self.replace(&self.pointer_path(entry.inputs_key), line(&Pointer { key: entry.key }).as_bytes(), false)
    }
}

/// The text of an entry, which must be one that is read again.
fn checked(entry: &Entry, path: &Path) -> Result<String, StoreError> {
    let text = line(entry);
    if parsed::<Entry>(text.as_bytes()).is_some_and(|read| is_whole(&read, entry.key)) {
        return Ok(text);
    }
    let reason = "its key is not its recipe's, or it would not be read again";
    Err(StoreError::io("write", path)(io::Error::new(ErrorKind::InvalidInput, reason)))
}

/// The ports in which two entries differ.
fn differing(old: &Entry, new: &Entry) -> Vec<String> {
    let ports: BTreeSet<_> = old.outputs.keys().chain(new.outputs.keys()).collect();
    let differs = |port: &&String| old.outputs.get(*port) != new.outputs.get(*port);
    ports.into_iter().filter(differs).cloned().collect()
}
