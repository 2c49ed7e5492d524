//! The digest by which the hub knows a file, computed while it comes, and of what lies in the cache.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{git::GitBlob, listing::RemoteDigest};

/// The digest of the bytes so far.
pub enum Sum {
    Sha256(Box<Sha256>),
    Git(GitBlob),
}

impl Sum {
    /// Of a file of `size` bytes, as the hub names it.
    pub fn of(digest: &RemoteDigest, size: u64) -> Self {
        match digest {
            RemoteDigest::Sha256(_) => Self::Sha256(Box::default()),
            RemoteDigest::Git(_) => Self::Git(GitBlob::of_size(size)),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sum) => sum.update(bytes),
            Self::Git(sum) => sum.update(bytes),
        }
    }

    pub fn finish(self) -> String {
        match self {
            Self::Sha256(sum) => sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Git(sum) => sum.finish(),
        }
    }
}

/// Refuses a file of the cache whose bytes are not those that its blob is named by. A file that is no blob (a file
/// system without links has copies) is taken as it is.
pub fn check(path: &Path) -> Result<(), String> {
    let refused = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let blob = fs::canonicalize(path).map_err(refused)?;
    let Some(digest) = blob.file_name().and_then(|name| RemoteDigest::named(&name.to_string_lossy())) else {
        return Ok(());
    };
    let found = of_file(&blob, &digest).map_err(refused)?;
    if found == digest.hex() {
        return Ok(());
    }
    Err(format!(
        "{} is damaged: its digest is {found}, and its name in the hub's cache says {}; delete {} and fetch it again",
        path.display(),
        digest.hex(),
        blob.display()
    ))
}

fn of_file(path: &Path, digest: &RemoteDigest) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sum::of(digest, file.metadata()?.len());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.finish()),
            count => sum.update(&buffer[..count]),
        }
    }
}
