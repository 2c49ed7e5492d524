//! Repositories of the Hugging Face hub, from the hub's own cache on this machine.
//!
//! Reads the layout that `huggingface_hub` writes (`models--org--name/refs/REVISION`, `…/snapshots/COMMIT/`), and
//! honours `HF_HUB_CACHE` and `HF_HOME`. It downloads nothing: what is not there is "not fetched", with the command that
//! brings it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Found, local};
use crate::contract::SourceError;

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

/// The files of `repository` at `revision` (a branch, a tag or a commit).
pub fn find(repository: &str, revision: &str) -> Result<Found, SourceError> {
    find_in(&cache()?, repository, revision)
}

fn cache() -> Result<PathBuf, SourceError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_HUB_CACHE")
        .or_else(|| Some(set("HF_HOME")?.join("hub")))
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(set("HOME")?.join(".cache/huggingface/hub")))
        .ok_or_else(|| SourceError::Unavailable("the hub's cache has no place: set HF_HOME".to_owned()))
}

/// What to do about something of a repository that is not in the cache.
pub fn not_fetched(repository: &str, revision: Option<&str>, what: &str) -> SourceError {
    let revision = revision.unwrap_or("main");
    SourceError::NotFetched(format!(
        "{repository} at {revision}: {what} is not in the hub's cache on this machine, which this build reads but does \
         not fill. `huggingface-cli download {repository} --revision {revision}` does"
    ))
}

fn find_in(cache: &Path, repository: &str, revision: &str) -> Result<Found, SourceError> {
    if revision.is_empty() || revision.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Err(SourceError::Unavailable(format!("`{revision}` is no revision of a repository")));
    }
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let missing = |what: &str| not_fetched(repository, Some(revision), what);
    let commit = match fs::read_to_string(folder.join("refs").join(revision)) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => revision.to_owned(), // a commit names itself
    };
    let snapshot = folder.join("snapshots").join(&commit);
    if !is_repository(&commit) || !snapshot.is_dir() {
        return Err(missing("a snapshot"));
    }
    // a snapshot can be partial: somebody fetched one file alone
    let files = local::find(&snapshot).map_err(|error| missing(&format!("a whole snapshot ({error})")))?;
    let provenance = json!({ "repository": repository, "revision": revision, "commit": commit });
    Ok(Found { files, provenance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_leads_to_its_commit() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--org--tiny");
        let snapshot = folder.join("snapshots/0123abcd");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(folder.join("refs")).unwrap();
        fs::write(folder.join("refs/main"), "0123abcd\n").unwrap();
        let partial = find_in(cache.path(), "org/tiny", "main").unwrap_err();
        assert!(matches!(&partial, SourceError::NotFetched(why) if why.contains("no config.json")), "{partial}");

        fs::write(snapshot.join("config.json"), "{}").unwrap();
        for revision in ["main", "0123abcd"] {
            let found = find_in(cache.path(), "org/tiny", revision).unwrap();
            assert_eq!(found.files["config"], snapshot.join("config.json"));
            assert_eq!(found.provenance["commit"], "0123abcd");
        }
    }

    #[test]
    fn what_is_not_there_is_not_fetched() {
        let cache = tempfile::tempdir().unwrap();
        let error = find_in(cache.path(), "org/tiny", "step0").unwrap_err();
        assert!(matches!(&error, SourceError::NotFetched(_)));
        assert!(error.to_string().contains("huggingface-cli download org/tiny --revision step0"), "{error}");
        let escape = find_in(cache.path(), "org/tiny", "../../x").unwrap_err();
        assert!(matches!(escape, SourceError::Unavailable(_)));
    }

    #[test]
    fn repositories_have_names() {
        assert!(is_repository("gpt2") && is_repository("EleutherAI/pythia-1b") && is_repository("a/b_c.d"));
        for text in ["", "a/b/c", "a//b", "../b", "a/..", "a b/c", "-a/b", "a--b/c", "http://a"] {
            assert!(!is_repository(text), "{text}");
        }
    }
}
