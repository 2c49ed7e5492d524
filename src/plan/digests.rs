//! The digests of files, remembered by path, size, modification time and inode.
//!
//! Hashing a model's weights takes seconds, so a digest is kept in the user's cache folder from run to run. This is
//! best effort: a memory that cannot be read or written is no memory, and a file younger than two seconds is never
//! remembered, since it could still change without its modification time telling.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use assay_cache::Digest;
use assay_stages::Check;
use serde::{Deserialize, Serialize};

/// The digests of files that were hashed before.
#[derive(Default)]
pub struct Digests {
    file: Option<PathBuf>,
    known: BTreeMap<PathBuf, Remembered>,
    changed: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    modified: i128,
    inode: u64,
    digest: Digest,
}

const TOO_YOUNG: Duration = Duration::from_secs(2);

impl Digests {
    /// What this user's earlier runs remembered.
    pub fn remembered() -> Self {
        let file = assay_stages::user_cache().map(|folder| folder.join("digests.json"));
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let known = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file, known, changed: false }
    }

    /// The digest of a file: remembered, or computed now, of a file that then passes the check.
    pub fn of(&mut self, path: &Path, check: Option<Check>) -> Result<Digest, String> {
        let refused = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let place = fs::canonicalize(path).map_err(refused)?;
        let before = fs::metadata(&place).map_err(refused)?;
        if let Some(known) = self.known.get(&place).filter(|known| known.describes(&before)) {
            return Ok(known.digest);
        }
        check.map_or(Ok(()), |check| check(path))?;
        let digest = Digest::of_file(&place).map_err(refused)?;
        let after = fs::metadata(&place).map_err(refused)?;
        if unchanged(&before, &after) && !young(&after) {
            self.known.insert(place, Remembered::new(&after, digest));
            self.changed = true;
        }
        Ok(digest)
    }

    /// Keeps what was learned for the next run, where that can be done.
    pub fn keep(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.changed) else { return };
        if let Err(error) = write(file, &self.known) {
            tracing::debug!("digests of files are not remembered: {error}");
        }
        self.changed = false;
    }
}

impl Remembered {
    fn new(file: &fs::Metadata, digest: Digest) -> Self {
        Self { size: file.size(), modified: modified(file), inode: file.ino(), digest }
    }

    fn describes(&self, file: &fs::Metadata) -> bool {
        self.size == file.size() && self.modified == modified(file) && self.inode == file.ino()
    }
}

fn modified(file: &fs::Metadata) -> i128 {
    i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec())
}

fn unchanged(before: &fs::Metadata, after: &fs::Metadata) -> bool {
    before.size() == after.size() && modified(before) == modified(after) && before.ino() == after.ino()
}

fn young(file: &fs::Metadata) -> bool {
    let age = file.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age < TOO_YOUNG)
}

fn write(file: &Path, known: &BTreeMap<PathBuf, Remembered>) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut temporary, known)?;
    temporary.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn aged(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn a_file_is_hashed_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let mut digests = Digests::default();
        aged(&path, "one");
        assert_eq!(digests.of(&path, None).unwrap(), Digest::of(b"one"));
        assert_eq!(digests.known.len(), 1);
        aged(&path, "other");
        assert_eq!(digests.of(&path, None).unwrap(), Digest::of(b"other"));
    }

    #[test]
    fn a_file_that_fails_its_check_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        aged(&path, "one");
        let mut digests = Digests::default();
        assert_eq!(digests.of(&path, Some(|_| Err("damaged".to_owned()))).unwrap_err(), "damaged");
        assert!(digests.known.is_empty());
        digests.of(&path, Some(|_| Ok(()))).unwrap();
        digests.of(&path, Some(|_| Err("asked again".to_owned()))).unwrap();
    }

    #[test]
    fn a_young_file_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, "one").unwrap();
        let mut digests = Digests::default();
        digests.of(&path, None).unwrap();
        assert!(digests.known.is_empty());
    }

    #[test]
    fn what_was_learned_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        aged(&path, "one");
        let file = folder.path().join("cache/digests.json");
        let mut digests = Digests { file: Some(file.clone()), ..Digests::default() };
        digests.of(&path, None).unwrap();
        digests.keep();
        let kept: BTreeMap<PathBuf, Remembered> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert!(kept == digests.known);
    }
}
