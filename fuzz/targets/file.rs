//! The bytes of one case as a file, since our readers map files.

use std::{cell::OnceCell, fs, path::PathBuf};

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// A file of this name and content. The next case overwrites it.
pub fn holding(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.with(|folder| folder.get_or_init(|| tempfile::tempdir().expect("a folder")).path().join(name));
    fs::write(&path, bytes).expect("the file can be written");
    path
}
