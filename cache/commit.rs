//! How a finished recipe gets into the store: blobs first, then the entry, whose existence is the commit, then a pointer
//! to it from its inputs-key.
//!
//! A process that dies between the steps leaves blobs that nothing names, or an entry that early cutoff does not find:
//! both cost time at most. Nobody waits for anybody: of two that commit one key, the later adopts what the earlier made.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::Path,
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
        self.prepare()?;
        entry.outputs = outputs
            .iter()
            .map(|(port, artifact)| Ok((port.clone(), self.put(artifact)?)))
            .collect::<Result<_, StoreError>>()?;
        self.enter(entry)
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
        let text = line(&entry);
        if !parsed::<Entry>(text.as_bytes()).is_some_and(|read| is_whole(&read, entry.key)) {
            let reason = "its key is not its recipe's, or it would not be read again";
            return Err(StoreError::io("write", &path)(io::Error::new(ErrorKind::InvalidInput, reason)));
        }
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

    /// Stores an output: inline where it is little text, else as a blob.
    fn put(&self, artifact: &Artifact) -> Result<Output, StoreError> {
        let (form, bytes) = artifact.encode();
        let (digest, length) = (Digest::of(&bytes), bytes.len() as u64);
        let inline = match artifact {
            Artifact::Tensor(_) => None,
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

    /// Whether an entry found in place of `ours` can still serve: its blobs are there, and read as ours do.
    fn serves(&self, theirs: &Entry, ours: &Entry) -> bool {
        let alike = |(port, output): (&String, &Output)| {
            self.has(output)
                && ours.outputs.get(port).is_some_and(|our| our.digest != output.digest || our.form == output.form)
        };
        theirs.outputs.len() == ours.outputs.len() && theirs.outputs.iter().all(alike)
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
