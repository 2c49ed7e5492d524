//! What stands in a store: tensors, tables, records, unit files, entries. The first byte says which.

#![no_main]

use std::{cell::OnceCell, fs};

use assay_cache::{Artifact, ColumnKind, ColumnSchema, Digest, Form, InputsKey, Key, Store};

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 5 {
        0 => decoded(&Form::Tensor, bytes),
        1 => decoded(&Form::Table { schema: schema() }, bytes),
        2 => decoded(&Form::Record, bytes),
        3 => units(bytes),
        _ => entry(bytes),
    }
});

/// What can be read can be written, and read again to the same.
fn decoded(form: &Form, bytes: &[u8]) {
    let Ok(artifact) = Artifact::decode(form, bytes) else { return };
    let (form, written) = artifact.encode();
    let again = Artifact::decode(&form, &written).expect("what a store wrote can be read");
    assert_eq!(again.encode().1, written);
}

fn schema() -> Vec<ColumnSchema> {
    let column = |name: &str, kind| ColumnSchema { name: name.to_owned(), kind, unit: None };
    vec![column("a", ColumnKind::Float), column("b", ColumnKind::Int), column("c", ColumnKind::Text)]
}

/// A file of units whose own digest is right: whatever stands in it, it is read or counts as none.
fn units(bytes: &[u8]) {
    let store = store();
    let folder = store.root().join("units").join(digest().to_string());
    let file = [Digest::of(bytes).to_string().as_bytes(), b"\n", bytes].concat();
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("case.units"), file).expect("a file");
    let units = store.units(InputsKey(digest())).expect("a file of units is read or ignored");
    let _ = units.get("a");
    let _ = units.last_checkpoint();
}

fn entry(bytes: &[u8]) {
    let store = store();
    let name = digest().to_string();
    // the layout of `cache/README.md`
    let folder = store.root().join("entries").join(&name[..2]);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("{name}.json")), bytes).expect("a file");
    let _ = store.entry(Key(digest()));
    fs::remove_dir_all(&folder).expect("what was set aside can go");
}

fn digest() -> Digest {
    Digest::of(b"case")
}

fn store() -> Store {
    FOLDER.with(|folder| Store::at(folder.get_or_init(|| tempfile::tempdir().expect("a folder")).path()))
}
