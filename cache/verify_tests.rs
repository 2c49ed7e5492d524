//! What a check finds, whom it names, and that it deletes nothing.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    Unit,
    store::tests::{blob, entry, files, new, outputs, store, tensor},
};

fn checked(store: &Store) -> Checked {
    store.verify(&|_, _| {}).unwrap()
}

fn whole() -> (tempfile::TempDir, Store, Entry) {
    let (home, store) = store();
    let made = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    store.remember_study("spine", &BTreeMap::from([("count[n=1]".into(), made.key)])).unwrap();
    let unit = [("rows-0".to_owned(), Unit::from([("part".to_owned(), tensor(3))]))];
    store.units(made.inputs_key).unwrap().save(&unit).unwrap();
    (home, store, made)
}

#[test]
fn a_whole_store_is_read_to_the_last_byte_and_left_as_it_is() {
    let (_home, store, _) = whole();
    let before = files(&store);
    let read = AtomicU64::new(0);
    let told = |bytes, _| {
        read.fetch_add(bytes, Ordering::Relaxed);
    };
    let found = store.verify(&told).unwrap();
    assert_eq!((found.entries, found.blobs, found.units), (1, 2, 1));
    assert_eq!(found.faults, []);
    assert_eq!(read.into_inner(), found.bytes);
    assert_eq!(files(&store), before);
}

#[test]
fn a_damaged_blob_is_set_aside_and_told_with_its_stage() {
    let (_home, store, made) = whole();
    let path = blob(&store, &made.outputs["tensor"]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let found = checked(&store).faults;
    let [fault] = &found[..] else { panic!("one fault, not {found:?}") };
    assert!(matches!(&fault.wrong, Wrong::Damaged(reason) if reason.contains("the digest of its")), "{fault:?}");
    let [named] = &fault.named_by[..] else { panic!("one owner, not {fault:?}") };
    assert_eq!((named.key, named.port.as_deref(), named.kind.as_deref()), (made.key, Some("tensor"), Some("count")));
    assert_eq!(named.stages, ["spine: count[n=1]"]);
    assert_eq!(fs::read(store.root().join(fault.aside.as_ref().unwrap())).unwrap(), bytes, "nothing is deleted");

    assert!(store.entry(made.key).unwrap().is_none(), "a plan promises nothing that is not there");
    assert!(files(&store).iter().any(|file| file.ends_with(".superseded-1")));
    assert_eq!(checked(&store).faults, []);
}

#[test]
fn a_blob_that_is_not_there_is_told_and_its_entry_set_aside() {
    let (_home, store, made) = whole();
    fs::remove_file(blob(&store, &made.outputs["long"])).unwrap();
    let found = checked(&store).faults;
    let [Fault { wrong: Wrong::Missing, named_by, .. }] = &found[..] else { panic!("one is missing, not {found:?}") };
    assert_eq!((named_by[0].key, named_by[0].port.as_deref()), (made.key, Some("long")));
    assert!(store.entry(made.key).unwrap().is_none());
}

#[test]
fn a_damaged_entry_and_torn_units_are_set_aside() {
    let (_home, store, made) = whole();
    let path = store.entry_path(made.key);
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("count", "cound")).unwrap();
    let units = fs::read_dir(store.units_path(made.inputs_key)).unwrap().next().unwrap().unwrap().path();
    for torn in [40, 500] {
        let bytes = fs::read(&units).unwrap();
        fs::write(&units, &bytes[..torn]).unwrap();
        let found = checked(&store).faults;
        let torn = found.iter().find(|fault| fault.path.starts_with("units")).expect("the units are torn");
        fs::rename(store.root().join(torn.aside.as_ref().unwrap()), &units).unwrap();
        fs::write(&units, bytes).unwrap();
        if let Some(entry) = found.iter().find(|fault| fault.path.starts_with("entries")) {
            assert_eq!(entry.named_by[0].stages, ["spine: count[n=1]"]);
            assert!(entry.aside.is_some());
        }
    }
    assert_eq!(checked(&store).faults, [], "blobs that no entry names are no fault");
    assert!(store.entry(made.key).unwrap().is_none());
}
