//! Repositories of the Hugging Face hub: from the hub's own cache on this machine, filled from the network when it may
//! be.
//!
//! The cache has the layout that `huggingface_hub` writes (`models--org--name/{blobs,refs,snapshots}`), so that both
//! programs share what either fetched. A branch means the commit that it had when it was fetched: what is here is
//! never asked for again, and what was fetched once works offline for ever.

mod blob;
mod client;
mod fetch;
mod git;
mod listing;
#[cfg(test)]
mod server;
mod settings;
mod sum;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use self::settings::Settings;
use super::{Found, Wanted, local};
use crate::contract::{Fetch, SourceError};

/// A repository at a revision: a branch, a tag or a commit.
pub struct Hub<'a> {
    pub repository: &'a str,
    pub revision: &'a str,
}

/// `name` or `org/name`, in the letters that the hub allows.
pub fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.contains("--")
            && !part.contains("..")
    };
    let parts: Vec<_> = text.split('/').collect();
    parts.len() <= 2 && parts.into_iter().all(part)
}

impl Hub<'_> {
    /// The files of the model, brought here first if they may be.
    pub fn find(&self, wanted: Wanted, fetch: Fetch) -> Result<Found, SourceError> {
        self.find_with(&Settings::from_env()?, wanted, fetch)
    }

    fn find_with(&self, settings: &Settings, wanted: Wanted, fetch: Fetch) -> Result<Found, SourceError> {
        let place = self.place(settings)?;
        let here = self.cached(&place, wanted);
        match fetch {
            Fetch::IfMissing if settings.offline => here.map_err(|error| match error {
                SourceError::NotFetched(what) => SourceError::NotFetched(format!("{what} (HF_HUB_OFFLINE is set)")),
                other => other,
            }),
            Fetch::IfMissing if !here.as_ref().is_ok_and(|found| place.has_what_there_is(found)) => {
                fetch::fetch(self, settings, &place, wanted)?;
                self.cached(&place, wanted)
            }
            _ => here,
        }
    }

    /// Its folder in the cache.
    fn place(&self, settings: &Settings) -> Result<Place, SourceError> {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
        if !self.revision.split('/').all(plain) {
            return Err(SourceError::Unavailable(format!("`{}` is no revision of a repository", self.revision)));
        }
        let name = format!("models--{}", self.repository.replace('/', "--"));
        Ok(Place { folder: settings.cache.join(&name), locks: settings.cache.join(".locks").join(name) })
    }

    /// The files in the cache, if nothing that is wanted is missing there.
    fn cached(&self, place: &Place, wanted: Wanted) -> Result<Found, SourceError> {
        let commit = place.commit(self.revision);
        let snapshot = place.snapshot(&commit);
        if !is_repository(&commit) || !snapshot.is_dir() {
            return Err(self.not_fetched("it"));
        }
        // a snapshot can be partial: somebody fetched one file alone
        let files = local::find(&snapshot).map_err(|error| self.not_fetched(&format!("all of it ({error})")))?;
        let provenance = json!({ "repository": self.repository, "revision": self.revision, "commit": commit });
        let found = Found { files, provenance, check: Some(sum::check) };
        match wanted == Wanted::Configuration || found.has_weights() {
            true => Ok(found),
            false => Err(self.not_fetched("its weights (*.safetensors)")),
        }
    }

    fn not_fetched(&self, what: &str) -> SourceError {
        let Self { repository, revision } = self;
        SourceError::NotFetched(format!("{repository} at {revision}; `assay fetch MANIFEST` brings {what}"))
    }

    /// A failure that fetching again does not mend.
    fn wrong(&self, message: &str) -> SourceError {
        SourceError::Unavailable(format!("{} at {}: {message}", self.repository, self.revision))
    }
}

/// The folder of one repository in the cache.
struct Place {
    folder: PathBuf,
    locks: PathBuf,
}

impl Place {
    fn blob(&self, name: &str) -> PathBuf {
        self.folder.join("blobs").join(name)
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// An empty file that says that the commit has no such file.
    fn absent(&self, commit: &str, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(name)
    }

    /// The commit that a revision had when it was fetched; a commit names itself.
    fn commit(&self, revision: &str) -> String {
        let named = fs::read_to_string(self.reference(revision));
        named.map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned())
    }

    /// Whether each file that a model may have without needing it is there, or is known not to exist.
    fn has_what_there_is(&self, found: &Found) -> bool {
        let commit = found.provenance["commit"].as_str().unwrap_or_default();
        local::NAMED.iter().all(|(role, name)| found.files.contains_key(*role) || self.absent(commit, name).is_file())
    }
}

/// What went wrong with a file or folder of the cache.
fn in_cache(path: &Path) -> impl Fn(std::io::Error) -> SourceError {
    move |error| SourceError::Unavailable(format!("the hub's cache: {}: {error}", path.display()))
}
