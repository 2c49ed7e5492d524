//! What the hub says of a repository: its commit, its files with their sizes and digests, and which of them a model is
//! read from.

use std::path::Path;

use serde::Deserialize;

use super::{Hub, client::Client, local};
use crate::{contract::SourceError, lm::source::Wanted};

/// A repository at one commit.
pub struct Listing {
    /// 40 hexadecimal digits.
    pub commit: String,
    files: Vec<Sibling>,
}

/// A file as the hub describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    pub name: String,
    pub size: u64,
    pub digest: RemoteDigest,
}

/// How the hub names the content of a file; also the name of its blob in the cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RemoteDigest {
    /// Of large files.
    Sha256(String),
    /// Git's name, of small ones.
    Git(String),
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl RemoteDigest {
    /// What the name of a blob says, if it is one.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.len() {
            64 if is_hex(&name, 64) => Some(Self::Sha256(name)),
            40 if is_hex(&name, 40) => Some(Self::Git(name)),
            _ => None,
        }
    }

    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Sibling {
    /// Its size and digest, if it has both in their form.
    fn described(&self) -> Option<Remote> {
        let (size, digest) = match (&self.lfs, &self.blob_id) {
            (Some(lfs), _) if is_hex(&lfs.sha256, 64) => {
                (lfs.size, RemoteDigest::Sha256(lfs.sha256.to_ascii_lowercase()))
            }
            (None, Some(id)) if is_hex(id, 40) => (self.size?, RemoteDigest::Git(id.to_ascii_lowercase())),
            _ => return None,
        };
        Some(Remote { name: self.rfilename.clone(), size, digest })
    }
}

impl Listing {
    /// Asks the hub what the repository is at `revision`.
    pub fn ask(hub: &Hub, client: &Client, revision: &str) -> Result<Self, SourceError> {
        let path = format!("/api/models/{}/revision/{}?blobs=true", hub.repository, encoded(revision));
        let text = client.text(hub, &path)?;
        let answer: Answer = serde_json::from_str(&text)
            .map_err(|error| hub.wrong(&format!("the hub's answer to {path} is not what it should be: {error}")))?;
        if !is_hex(&answer.sha, 40) {
            return Err(hub.wrong(&format!("the hub says that its commit is `{}`, which is none", answer.sha)));
        }
        Ok(Self { commit: answer.sha, files: answer.siblings })
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.rfilename.clone()).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.rfilename == name)
    }

    /// Those of the files beside the weights that there are; what there is not.
    pub fn beside(&self, hub: &Hub) -> Result<(Vec<Remote>, Vec<&'static str>), SourceError> {
        if !self.has(local::CONFIG) {
            let (config, weights) = (local::CONFIG, local::no_weights(&self.names()));
            return Err(hub.wrong(&format!("it has no {config}, and {weights}")));
        }
        let (there, absent): (Vec<&str>, Vec<&str>) =
            local::NAMED.iter().map(|(_, name)| *name).partition(|name| self.has(name));
        let there = there.into_iter().map(|name| self.remote(hub, name)).collect::<Result<_, _>>()?;
        Ok((there, absent))
    }

    /// The index of the weights, if they are several files.
    pub fn index(&self, hub: &Hub, wanted: Wanted) -> Result<Option<Remote>, SourceError> {
        let indexed = wanted == Wanted::Everything && self.has(local::INDEX);
        indexed.then(|| self.remote(hub, local::INDEX)).transpose()
    }

    /// The weights: what the index at `index` names, else the one file that there is.
    pub fn weights(&self, hub: &Hub, index: Option<&Path>) -> Result<Vec<Remote>, SourceError> {
        let names = match index {
            Some(index) => local::indexed(index)?,
            None => local::unindexed(&self.names()).map_err(|message| hub.wrong(&message))?,
        };
        if names.is_empty() {
            return Err(hub.wrong(&format!("it has {}", local::no_weights(&self.names()))));
        }
        names.iter().map(|name| self.remote(hub, name)).collect()
    }

    fn remote(&self, hub: &Hub, name: &str) -> Result<Remote, SourceError> {
        let Some(file) = self.files.iter().find(|file| file.rfilename == name) else {
            return Err(hub.wrong(&format!("{} names {name}, which the repository does not have", local::INDEX)));
        };
        file.described().ok_or_else(|| hub.wrong(&format!("the hub gives no digest and size for {name}")))
    }
}

/// A revision inside a URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let letter = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(letter).collect()
}
