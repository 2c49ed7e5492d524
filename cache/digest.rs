//! A blake3 digest, written as 64 hexadecimal digits everywhere: in entries, in file names, in messages.

use std::{fmt, fs::File, io, path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Below this many bytes, handing work to other cores costs more than it saves (blake3 documents 128 KiB).
const WORTH_ALL_CORES: usize = 1 << 20;

/// The name of some content: its blake3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected 64 hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        if bytes.len() < WORTH_ALL_CORES {
            hasher.update(bytes);
        } else {
            hasher.update_rayon(bytes);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of a preimage of the given type, so that no two types of preimage can ever collide.
    pub fn tagged(tag: &str, preimage: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tag.as_bytes()).update(b"\0").update(preimage);
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of a file's content, memory-mapped and hashed on all cores.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        File::open(path)?; // `update_mmap_rayon` reports a missing file less clearly on some platforms
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(path)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The digest of all that a reader gives, however much that is.
    pub fn of_reader(reader: impl io::Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The first two hexadecimal digits: the folder in which a store keeps what has this name.
    pub fn shard(&self) -> String {
        format!("{:02x}", self.0[0])
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| DigestError(text.to_owned()))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_the_one_that_blake3_publishes() {
        assert_eq!(Digest::of(b"").to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn text_round_trips_and_junk_is_refused() {
        let digest = Digest::of(b"assay");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("af13".parse::<Digest>().is_err());
    }

    #[test]
    fn a_tag_separates_types() {
        assert_ne!(Digest::tagged("a", b"b"), Digest::tagged("", b"a\0b"));
        assert_ne!(Digest::tagged("recipe", b"x"), Digest::tagged("inputs", b"x"));
    }
}
