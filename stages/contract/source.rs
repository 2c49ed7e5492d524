//! From what a manifest names (a path, a package, a repository) to files on this machine.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// May a missing file be brought here?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetch {
    /// No: `plan`, and everything under `--offline`.
    Never,
    /// Yes: `run` and `fetch`.
    IfMissing,
}

/// The files that a stage reads, by role (`file`, `config`, `weights/0`, `tokenizer`).
///
/// The engine digests them, puts role → digest into the recipe, and hands the places back through
/// [`Ctx::place`](super::Ctx::place).
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    pub files: BTreeMap<String, PathBuf>,
    /// Where they came from: recorded in the entry, never hashed.
    pub provenance: Value,
    /// What a study calls the model that they are. Never hashed; an expectation may say which model it holds for.
    pub model: Option<String>,
    /// Of files that were fetched. The engine asks it where it digests a file, which it does once.
    pub check: Option<Check>,
}

/// Refuses a file that is no longer what was fetched, and says what to do about it.
pub type Check = fn(&Path) -> Result<(), String>;

/// Why files are not at hand.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// Not on this machine yet: `plan` shows `unknown`, `run` fetches.
    #[error("not fetched: {0}")]
    NotFetched(String),
    /// It cannot be had: no such file, a bad source string, a failed download. The message says what to do.
    #[error("{0}")]
    Unavailable(String),
}

impl Resolved {
    /// One file of the role `file`.
    pub fn file(path: PathBuf) -> Self {
        let provenance = serde_json::json!({ "file": path });
        Self { files: BTreeMap::from([("file".to_owned(), path)]), provenance, model: None, check: None }
    }
}

/// The user's cache folder: what was fetched, and digests of files. `$ASSAY_CACHE_HOME`, else `assay` in
/// `$XDG_CACHE_HOME`, else in `~/.cache`; none where there is no home either.
pub fn user_cache() -> Option<PathBuf> {
    let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("ASSAY_CACHE_HOME")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("assay")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/assay")))
}
