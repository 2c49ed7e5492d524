//! Parts of an unfinished stage, saved as soon as they are done.
//!
//! A file holds one unit or several, and the digest of itself: one that is torn or corrupt is as good as none, because
//! what it held can be computed again. So units need not survive a loss of power, and are not flushed; checkpoints, of
//! which only two are kept, are. What units are called is the stage's affair, not known here.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    Artifact, Digest, FORMAT, Form, Store, StoreError, durable,
    store::{line, parsed},
};

/// The named parts of one unit.
pub type Unit = BTreeMap<String, Artifact>;

/// The units of one computation: those found when it was opened, and those saved since.
pub struct Units {
    store: Store,
    folder: PathBuf,
    found: Mutex<Found>,
}

/// Where everything is.
#[derive(Default)]
struct Found {
    units: BTreeMap<String, Place>,
    checkpoints: BTreeMap<u64, Place>,
}

/// A unit in a file, and the byte of the file at which its parts' places begin to count.
#[derive(Clone)]
struct Place {
    file: PathBuf,
    payload: u64,
    parts: Parts,
}

/// The second line of a file.
#[derive(Serialize, Deserialize)]
struct Index {
    format: u32,
    units: BTreeMap<String, Parts>,
}

/// The parts of one unit, by name.
type Parts = BTreeMap<String, Part>;

/// Where in the payload the canonical bytes of an artifact stand.
#[derive(Clone, Serialize, Deserialize)]
struct Part {
    at: u64,
    bytes: u64,
    #[serde(flatten)]
    form: Form,
}

const UNITS: &str = ".units";
const CHECKPOINT: &str = "checkpoint-";

/// 64 hexadecimal digits and the end of the line.
const DIGEST_LINE: usize = 65;

/// How many checkpoints are kept: the newest, and one in case that is torn.
const CHECKPOINTS: usize = 2;

impl Units {
    /// Looks at every file in the folder, and verifies it.
    pub(crate) fn open(store: Store, folder: PathBuf) -> Result<Self, StoreError> {
        let mut found = Found::default();
        for file in files(&folder).map_err(StoreError::io("list", &folder))? {
            let Some(bytes) = durable::read(&file).map_err(StoreError::io("read", &file))? else { continue };
            if let Some((units, payload)) = unpack(&bytes) {
                found.note(&file, payload, units);
            }
        }
        Ok(Self { store, folder, found: Mutex::new(found) })
    }

    /// The unit of this name, if it was saved whole. A torn or corrupt one is as good as none.
    pub fn get(&self, name: &str) -> Result<Option<Unit>, StoreError> {
        let place = self.found().units.get(name).cloned();
        place.map_or(Ok(None), |place| place.read())
    }

    /// Saves units in one file, atomically.
    pub fn save(&self, units: &[(String, Unit)]) -> Result<(), StoreError> {
        if units.is_empty() {
            return Ok(());
        }
        let (digest, index, bytes) = pack(units);
        self.write(&self.folder.join(format!("{digest}{UNITS}")), index, &bytes, false)
    }

    /// Saves a checkpoint: like a unit called by its step, but only the last two are kept.
    pub fn checkpoint(&self, step: u64, unit: &Unit) -> Result<(), StoreError> {
        let (_, index, bytes) = pack(&[(step.to_string(), unit.clone())]);
        self.write(&self.folder.join(format!("{CHECKPOINT}{step:020}{UNITS}")), index, &bytes, true)?;
        let dropped: Vec<Place> = {
            let checkpoints = &mut self.found().checkpoints;
            let surplus = checkpoints.len().saturating_sub(CHECKPOINTS);
            (0..surplus).filter_map(|_| checkpoints.pop_first()).map(|(_, place)| place).collect()
        };
        for Place { file, .. } in dropped {
            durable::ignore(fs::remove_file(&file), io::ErrorKind::NotFound)
                .map_err(StoreError::io("remove", &file))?;
        }
        Ok(())
    }

    /// The last whole checkpoint and its step.
    pub fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, StoreError> {
        let places: Vec<_> =
            self.found().checkpoints.iter().rev().map(|(step, place)| (*step, place.clone())).collect();
        for (step, place) in places {
            if let Some(unit) = place.read()? {
                return Ok(Some((step, unit)));
            }
        }
        Ok(None)
    }

    /// How many units are there (checkpoints aside).
    pub fn len(&self) -> usize {
        self.found().units.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(&self, path: &Path, index: Index, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        self.store.prepare()?;
        self.store.replace(path, bytes, durable)?;
        let payload = payload_at(bytes).expect("a packed file has two lines");
        self.found().note(path, payload, index.units);
        Ok(())
    }

    /// A panic elsewhere cannot have left this half changed: what is noted is noted after its file is in place.
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn note(&mut self, file: &Path, payload: u64, units: BTreeMap<String, Parts>) {
        let step = step_of(file);
        for (name, parts) in units {
            let place = Place { file: file.to_owned(), payload, parts };
            match step {
                Some(step) => self.checkpoints.insert(step, place),
                None => self.units.insert(name, place),
            };
        }
    }
}

impl Place {
    /// The unit, or none where it has gone or changed since its file was verified.
    fn read(&self) -> Result<Option<Unit>, StoreError> {
        match self.parts_of_file() {
            Ok(parts) => Ok(parts.into_iter().collect()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(None),
            Err(error) => Err(StoreError::io("read", &self.file)(error)),
        }
    }

    fn parts_of_file(&self) -> io::Result<Vec<Option<(String, Artifact)>>> {
        let file = File::open(&self.file)?;
        let read = |(name, part): (&String, &Part)| {
            let mut bytes = vec![0; part.bytes as usize];
            file.read_exact_at(&mut bytes, self.payload + part.at)?;
            Ok(Artifact::decode(&part.form, &bytes).ok().map(|artifact| (name.clone(), artifact)))
        };
        self.parts.iter().map(read).collect()
    }
}

/// The files of units in a folder, which need not exist.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(UNITS) && !name.starts_with('.')
    };
    Ok(paths.into_iter().filter(ours).collect())
}

/// The step of a checkpoint, by its file's name.
pub(crate) fn step_of(file: &Path) -> Option<u64> {
    let name = file.file_name()?.to_str()?;
    name.strip_prefix(CHECKPOINT)?.strip_suffix(UNITS)?.parse().ok()
}

/// How many units the second line of a file names.
pub(crate) fn names_in(index: &str) -> Option<usize> {
    parsed::<Index>(index.as_bytes()).filter(|index| index.format == FORMAT).map(|index| index.units.len())
}

/// A file of units: its digest, its index, its bytes.
fn pack(units: &[(String, Unit)]) -> (Digest, Index, Vec<u8>) {
    let mut index = Index { format: FORMAT, units: BTreeMap::new() };
    let mut payload = Vec::new();
    let mut end = 0;
    for (name, unit) in units {
        let mut parts = BTreeMap::new();
        for (part, artifact) in unit {
            let (form, bytes) = artifact.encode();
            parts.insert(part.clone(), Part { at: end, bytes: bytes.len() as u64, form });
            end += bytes.len() as u64;
            payload.push(bytes);
        }
        index.units.insert(name.clone(), parts);
    }
    let mut bytes = vec![0; DIGEST_LINE];
    bytes.extend(line(&index).into_bytes());
    bytes.reserve(end as usize);
    payload.into_iter().for_each(|part| bytes.extend(part)); // one by one freed: a checkpoint may be large
    let digest = Digest::of(&bytes[DIGEST_LINE..]);
    bytes[..DIGEST_LINE].copy_from_slice(format!("{digest}\n").as_bytes());
    (digest, index, bytes)
}

/// The units in the bytes of a file and where its payload begins, if the bytes are whole.
fn unpack(bytes: &[u8]) -> Option<(BTreeMap<String, Parts>, u64)> {
    let (digest, rest) = bytes.split_at_checked(DIGEST_LINE)?;
    let digest: Digest = std::str::from_utf8(digest).ok()?.strip_suffix('\n')?.parse().ok()?;
    if Digest::of(rest) != digest {
        return None;
    }
    let payload = payload_at(bytes)?;
    let index: Index = parsed(&bytes[DIGEST_LINE..payload as usize])?;
    let end = bytes.len() as u64 - payload;
    let inside = |part: &Part| part.at.checked_add(part.bytes).is_some_and(|last| last <= end);
    let whole = index.format == FORMAT && index.units.values().flat_map(Parts::values).all(inside);
    whole.then_some((index.units, payload))
}

/// The byte after the second line.
fn payload_at(bytes: &[u8]) -> Option<u64> {
    let mut lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at as u64 + 1);
    lines.nth(1)
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
