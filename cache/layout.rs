//! Where in the store each file stands.

use std::path::PathBuf;

use crate::{Digest, InputsKey, Key, Store};

impl Store {
    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.root().join("blobs").join(digest.shard()).join(digest.to_string())
    }

    pub(crate) fn entry_path(&self, key: Key) -> PathBuf {
        self.root().join("entries").join(key.0.shard()).join(format!("{key}.json"))
    }

    pub(crate) fn pointer_path(&self, key: InputsKey) -> PathBuf {
        self.root().join("inputs").join(key.0.shard()).join(format!("{key}.json"))
    }

    pub(crate) fn units_path(&self, key: InputsKey) -> PathBuf {
        self.root().join("units").join(key.to_string())
    }

    pub(crate) fn study_path(&self, study: &str) -> PathBuf {
        self.root().join("studies").join(format!("{}.json", file_name(study)))
    }
}

/// A study's name as a file name: every byte that is not a letter, digit, `_`, `+`, `-` or inner `.` is percent-encoded.
fn file_name(study: &str) -> String {
    let mut name = String::new();
    for (i, byte) in study.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'-' => name.push(byte.into()),
            b'.' if i > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_study_leaves_its_folder() {
        assert_eq!(file_name("indra-smollm2+1.5_b"), "indra-smollm2+1.5_b");
        assert_eq!(file_name(".."), "%2E.");
        assert_eq!(file_name("../a"), "%2E.%2Fa");
        assert_eq!(file_name("é"), "%C3%A9");
    }
}
