//! Units survive a reopening, damage costs only what it hit, and two checkpoints are kept.

use std::fs;

use ndarray::Array1;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{Data, InputsKey, Table, Tensor, Values};

const KEY: &str = "some inputs";

fn key() -> InputsKey {
    InputsKey(Digest::of(KEY.as_bytes()))
}

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::at(home.path().join("store"));
    (home, store)
}

fn unit(n: u32) -> Unit {
    let tensor = Tensor::new(&["step"], Data::F32(Array1::from_elem(10, n as f32).into_dyn())).with_unit("nats");
    BTreeMap::from([
        ("tensor".to_owned(), Artifact::Tensor(tensor)),
        ("table".to_owned(), Artifact::Table(Table::default().with("n\n", Values::Int(vec![Some(n.into())])))),
        ("record".to_owned(), Artifact::Record(json!(["line\n", n]))),
    ])
}

fn named(names: impl IntoIterator<Item = u32>) -> Vec<(String, Unit)> {
    names.into_iter().map(|n| (format!("prompt {n}\n"), unit(n))).collect()
}

fn folder(store: &Store) -> PathBuf {
    store.root().join("units").join(key().to_string())
}

#[test]
fn units_survive_a_reopening() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    assert!(units.is_empty());
    units.save(&[]).unwrap();
    assert!(!store.root().exists(), "nothing to save, nothing written");
    units.save(&named([1])).unwrap();
    units.save(&named([2, 3])).unwrap();
    for units in [units, store.units(key()).unwrap()] {
        assert_eq!(units.len(), 3);
        for (name, unit) in named([1, 2, 3]) {
            assert_eq!(units.get(&name).unwrap(), Some(unit));
        }
        assert_eq!(units.get("prompt 4").unwrap(), None);
    }
    store.drop_units(key()).unwrap();
    assert!(store.units(key()).unwrap().is_empty());
    assert!(!folder(&store).exists());
}

#[test]
fn a_file_is_the_specified_three_things() {
    let (_home, store) = store();
    let unit =
        BTreeMap::from([("a".to_owned(), Artifact::Record(json!(1))), ("b".into(), Artifact::Figure("<svg/>".into()))]);
    store.units(key()).unwrap().save(&[("u".to_owned(), unit)]).unwrap();
    let rest = "{\"format\":1,\"units\":{\"u\":{\"a\":{\"at\":0,\"bytes\":1,\"form\":\"record\"},\
                \"b\":{\"at\":1,\"bytes\":6,\"form\":\"figure\"}}}}\n1<svg/>";
    let digest = Digest::of(rest.as_bytes());
    assert_eq!(
        fs::read_to_string(folder(&store).join(format!("{digest}.units"))).unwrap(),
        format!("{digest}\n{rest}")
    );
}

#[test]
fn damage_costs_only_the_file_that_it_hit() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    units.save(&named([1, 2])).unwrap();
    let file = files(&folder(&store)).unwrap().remove(0);
    units.save(&named([3])).unwrap();
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut damages: Vec<Vec<u8>> = (0..whole.len()).step_by(37).map(|length| whole[..length].to_vec()).collect();
    damages.extend([0, 64, 70, whole.len() - 1].map(flipped));
    damages.push([whole.as_slice(), b"more"].concat());
    for damage in damages {
        fs::write(&file, damage).unwrap();
        let units = store.units(key()).unwrap();
        assert_eq!(units.len(), 1);
        assert_eq!(units.get("prompt 1\n").unwrap(), None);
        assert_eq!(units.get("prompt 3\n").unwrap(), Some(unit(3)));
    }
    // What was lost is saved again, in place of what was torn.
    store.units(key()).unwrap().save(&named([1, 2])).unwrap();
    assert_eq!(store.units(key()).unwrap().len(), 3);
}

#[test]
fn a_unit_that_vanishes_while_it_is_open_counts_as_none() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    units.save(&named([1])).unwrap();
    store.drop_units(key()).unwrap();
    assert_eq!(units.get("prompt 1\n").unwrap(), None);
    units.save(&named([1])).unwrap();
    assert_eq!(units.get("prompt 1\n").unwrap(), Some(unit(1)));
}

#[test]
fn the_last_two_checkpoints_are_kept() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    assert_eq!(units.last_checkpoint().unwrap(), None);
    for step in [9, 10, 100] {
        units.checkpoint(step, &unit(step as u32)).unwrap();
        assert_eq!(units.last_checkpoint().unwrap(), Some((step, unit(step as u32))));
    }
    let mut kept: Vec<_> = files(&folder(&store)).unwrap().iter().filter_map(|file| step_of(file)).collect();
    kept.sort();
    assert_eq!(kept, [10, 100]);
    let units = store.units(key()).unwrap();
    assert_eq!((units.len(), units.last_checkpoint().unwrap().unwrap().0), (0, 100));
}

#[test]
fn a_torn_checkpoint_gives_way_to_the_one_before() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    for step in [10, 20] {
        units.checkpoint(step, &unit(step as u32)).unwrap();
    }
    let newest = files(&folder(&store)).unwrap().into_iter().find(|file| step_of(file) == Some(20)).unwrap();
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let units = store.units(key()).unwrap();
    assert_eq!(units.last_checkpoint().unwrap(), Some((10, unit(10))));
    units.checkpoint(20, &unit(20)).unwrap();
    units.checkpoint(30, &unit(30)).unwrap();
    assert_eq!(units.last_checkpoint().unwrap(), Some((30, unit(30))));
    assert_eq!(files(&folder(&store)).unwrap().len(), 2);
}

#[test]
fn several_threads_save_and_read() {
    let (_home, store) = store();
    let units = store.units(key()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let units = &units;
            scope.spawn(move || {
                for n in (thread * 10)..(thread * 10 + 10) {
                    units.save(&named([n])).unwrap();
                    assert_eq!(units.get(&format!("prompt {n}\n")).unwrap(), Some(unit(n)));
                }
            });
        }
    });
    assert_eq!((units.len(), store.units(key()).unwrap().len()), (40, 40));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let (_home, store) = store();
    fs::create_dir_all(store.root()).unwrap();
    fs::write(store.root().join("units"), "").unwrap();
    assert!(store.units(key()).is_err());
    fs::remove_file(store.root().join("units")).unwrap();
    let units = store.units(key()).unwrap();
    fs::write(store.root().join("units"), "").unwrap();
    assert!(units.save(&named([1])).is_err());
    assert!(units.is_empty());
}
