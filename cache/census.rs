//! Everything that lies in a store, by what the names of the files say. Looking changes nothing; what to do with a file
//! is for those who ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    Digest, FORMAT, InputsKey, Key, Store, StoreError, durable,
    store::{Study, parsed},
};

/// A file of a store.
#[derive(Clone, Debug)]
pub(crate) struct Item<N> {
    pub name: N,
    pub path: PathBuf,
    pub bytes: u64,
    pub modified: SystemTime,
}

/// What a name says that nobody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unread {
    /// `.tmp-…`: being written, or left by a process that died.
    Temporary,
    /// `….damaged-N`, `….superseded-N`.
    Aside,
}

/// The files of a store that have a name of the format; others are nobody's business.
#[derive(Default)]
pub(crate) struct Census {
    pub blobs: Vec<Item<Digest>>,
    pub entries: Vec<Item<Key>>,
    pub pointers: Vec<Item<InputsKey>>,
    /// The files of each folder of units.
    pub units: BTreeMap<InputsKey, Vec<Item<String>>>,
    pub unread: Vec<Item<Unread>>,
}

impl Store {
    pub(crate) fn census(&self) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for (folder, shards) in [("blobs", true), ("entries", true), ("inputs", true), ("studies", false)] {
            let folder = self.root().join(folder);
            for folder in if shards { subfolders(&folder)? } else { vec![folder.clone()] } {
                for (path, found) in files(&folder)? {
                    census.note(&path, &found)?;
                }
            }
        }
        for folder in subfolders(&self.root().join("units"))? {
            let Some(key) = name_of(&folder).parse().ok().map(InputsKey) else { continue };
            let units = census.units.entry(key).or_default();
            for (path, found) in files(&folder)? {
                units.push(item(name_of(&path).into_owned(), &path, &found)?);
            }
        }
        Ok(census)
    }

    /// What each study that this store remembers names: for each stage (each cell) the key under which it was finished
    /// last, and that under which an unfinished run set out to. A record that cannot be understood is an error, for
    /// nobody knows what it names.
    pub fn studies(&self) -> Result<BTreeMap<String, BTreeSet<(String, Key)>>, StoreError> {
        let mut studies = BTreeMap::new();
        let records = files(&self.root().join("studies"))?;
        for (path, _) in records.iter().filter(|(path, _)| name_of(path).ends_with(".json")) {
            let Some(bytes) = durable::read(path).map_err(StoreError::io("read", path))? else { continue };
            let study = parsed::<Study>(&bytes).filter(|study| study.format == FORMAT).ok_or_else(|| {
                let reason = "it is damaged, or of another version of Assay; what it names is not known";
                StoreError::io("understand", path)(io::Error::new(io::ErrorKind::InvalidData, reason))
            })?;
            studies.insert(study.study, study.stages.into_iter().chain(study.begun).collect());
        }
        Ok(studies)
    }
}

impl Census {
    fn note(&mut self, path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
        let name = name_of(path);
        let (folder, stem) = (folder_of(path), name.strip_suffix(".json"));
        if name.starts_with(".tmp-") {
            self.unread.push(item(Unread::Temporary, path, found)?);
        } else if is_aside(&name) {
            self.unread.push(item(Unread::Aside, path, found)?);
        } else if let (Some("blobs"), Ok(digest)) = (folder, name.parse()) {
            self.blobs.push(item(digest, path, found)?);
        } else if let (Some("entries"), Some(Ok(key))) = (folder, stem.map(str::parse)) {
            self.entries.push(item(Key(key), path, found)?);
        } else if let (Some("inputs"), Some(Ok(key))) = (folder, stem.map(str::parse)) {
            self.pointers.push(item(InputsKey(key), path, found)?);
        }
        Ok(())
    }
}

fn item<N>(name: N, path: &Path, found: &fs::Metadata) -> Result<Item<N>, StoreError> {
    let modified = found.modified().map_err(StoreError::io("look at", path))?;
    Ok(Item { name, path: path.to_owned(), bytes: found.len(), modified })
}

/// Whether a name ends in `.damaged-N` or `.superseded-N`.
fn is_aside(name: &str) -> bool {
    let Some((_, last)) = name.rsplit_once('.') else { return false };
    let number = last.strip_prefix("damaged-").or(last.strip_prefix("superseded-"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// `blobs` for `…/blobs/xx/<digest>`.
fn folder_of(path: &Path) -> Option<&str> {
    path.parent()?.parent()?.file_name()?.to_str()
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(list(folder)?.into_iter().filter(|(_, found)| found.is_dir()).map(|(path, _)| path).collect())
}

/// The files in a folder, by name; nothing where there is no such folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    Ok(list(folder)?.into_iter().filter(|(_, found)| found.is_file()).collect())
}

/// What stands in a folder, by name; nothing where there is no such folder. What goes away meanwhile is not there.
fn list(folder: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut items = Vec::new();
    for item in found {
        let path = item.map_err(StoreError::io("list", folder))?.path();
        match fs::symlink_metadata(&path) {
            Ok(found) => items.push((path, found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("look at", &path)(error)),
        }
    }
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_names_were_set_aside() {
        assert!(is_aside("ab12.damaged-1") && is_aside("ab12.superseded-20") && is_aside("a.b.damaged-3"));
        assert!(!is_aside("ab12.damaged") && !is_aside("ab12.damaged-x") && !is_aside("damaged-1"));
    }
}
