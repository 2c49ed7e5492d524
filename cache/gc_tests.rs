//! What a collection promises: whatever a kept study reaches is still whole, and what nobody reaches is gone.

use std::{
    fs::File,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::prelude::*;

use super::*;
use crate::{
    Artifact, Committed, Slot, Unit, Upstream,
    store::tests::{entry, files, new, store, tensor},
};

const DAY: Duration = Duration::from_secs(86_400);

fn collect(forget: &[&str], dry_run: bool) -> Collect {
    Collect { forget: forget.iter().map(|name| (*name).to_owned()).collect(), older_than: DAY, dry_run }
}

/// Makes everything in a folder three days old.
fn age(path: &Path) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|item| age(&item.unwrap().path()));
    } else {
        let old = SystemTime::now() - 3 * DAY;
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
}

fn parts(value: u64) -> BTreeMap<String, Artifact> {
    BTreeMap::from([("tensor".into(), tensor(value)), ("record".into(), Artifact::Record(value.into()))])
}

/// Commits an entry that was computed from these others.
fn commit(store: &Store, n: u64, value: u64, upstream: &[Key]) -> Entry {
    let mut made = entry(n, &format!("inputs {n}"));
    for (i, key) in upstream.iter().enumerate() {
        made.recipe.inputs.insert(format!("in{i}"), Slot::One(Upstream { key: *key, port: "tensor".into() }));
    }
    made.key = made.recipe.key();
    new(store.commit(made, &parts(value)).unwrap())
}

fn remember(store: &Store, study: &str, keys: &[Key]) {
    let keys = keys.iter().enumerate().map(|(i, key)| (format!("stage{i}"), *key)).collect();
    store.remember_study(study, &keys).unwrap();
}

/// Names of upstream entries, the value of the tensor, and whether it is young.
type Node = (Vec<prop::sample::Index>, u64, bool);

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..5_u64, any::<bool>()), 1..10)
}

fn studies() -> impl Strategy<Value = Vec<(Vec<prop::sample::Index>, bool)>> {
    prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_kept_study_reaches_is_whole_and_nothing_else_is_left(nodes in nodes(), studies in studies()) {
        let (_home, store) = store();
        let mut made: Vec<(Entry, Vec<usize>, u64)> = vec![];
        for (n, (upstream, value, _)) in nodes.iter().enumerate() {
            let upstream: Vec<usize> = upstream.iter().filter(|_| n > 0).map(|index| index.index(n)).collect();
            let keys: Vec<Key> = upstream.iter().map(|&up| made[up].0.key).collect();
            made.push((commit(&store, n as u64, *value, &keys), upstream, *value));
        }
        age(store.root());
        for (n, _) in nodes.iter().enumerate().filter(|(_, (.., young))| *young) {
            durable::touch(&store.entry_path(made[n].0.key)).unwrap();
        }
        let mut wanted: Vec<usize> = (0..nodes.len()).filter(|&n| nodes[n].2).collect();
        let mut forget = vec![];
        for (s, (named, kept)) in studies.iter().enumerate() {
            let named: Vec<usize> = named.iter().map(|index| index.index(nodes.len())).collect();
            remember(&store, &format!("study{s}"), &named.iter().map(|&n| made[n].0.key).collect::<Vec<_>>());
            if *kept { wanted.extend(named) } else { forget.push(format!("study{s}")) }
        }
        let mut reached = vec![false; nodes.len()];
        while let Some(n) = wanted.pop() {
            if !std::mem::replace(&mut reached[n], true) {
                wanted.extend(&made[n].1);
            }
        }

        let forget: Vec<&str> = forget.iter().map(String::as_str).collect();
        let before = files(&store);
        let foretold = store.collect(&collect(&forget, true)).unwrap();
        prop_assert_eq!(&files(&store), &before, "a dry run changes nothing");
        prop_assert_eq!(store.collect(&collect(&forget, false)).unwrap(), foretold);

        for (n, (entry, _, value)) in made.iter().enumerate() {
            prop_assert_eq!(store.entry(entry.key).unwrap().is_some(), reached[n]);
            let needed = (0..nodes.len()).any(|other| reached[other] && made[other].2 == *value);
            prop_assert_eq!(store.has(&entry.outputs["tensor"]), needed);
            prop_assert_eq!(store.same(entry.inputs_key).unwrap().is_some(), reached[n]);
        }
        prop_assert_eq!(store.verify(&|_, _| {}).unwrap().faults, []);
        prop_assert_eq!(store.studies().unwrap().len(), studies.len() - forget.len());
        prop_assert_eq!(store.collect(&collect(&[], false)).unwrap().freed(), Freed::default());
    }
}

#[test]
fn a_writer_never_loses_what_it_needs() {
    const MANY: u64 = 60;
    let (_home, store) = store();
    (0..MANY).for_each(|n| drop(commit(&store, MANY + n, n, &[])));
    age(store.root());
    // Two writers need just the blobs that the collector is about to remove, and one adopts what the other made.
    let over = AtomicBool::new(false);
    let commit = |n: u64| {
        let (Committed::New(made) | Committed::Adopted(made)) = store.commit(entry(n, "in"), &parts(n)).unwrap();
        made
    };
    let needed = thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.collect(&collect(&[], false)).unwrap();
            }
        });
        let writers = [(); 2].map(|()| scope.spawn(|| (0..MANY).map(&commit).collect::<Vec<_>>()));
        let made: Vec<Entry> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        collector.join().unwrap();
        made
    });
    for entry in needed {
        let found = store.entry(entry.key).unwrap().expect("a young entry stays");
        assert!(store.read(&found.outputs["tensor"]).is_ok());
    }
}

#[test]
fn units_go_when_nobody_waits_for_them() {
    let (_home, store) = store();
    let done = commit(&store, 1, 1, &[]);
    let unfinished = entry(2, "unfinished");
    let unit = [("rows-0".to_owned(), Unit::from([("part".to_owned(), tensor(3))]))];
    for key in [done.inputs_key, unfinished.inputs_key] {
        store.units(key).unwrap().save(&unit).unwrap();
    }
    remember(&store, "study", &[done.key, unfinished.key]);
    let units = |key: InputsKey| store.units(key).unwrap().len();

    assert_eq!(store.collect(&collect(&[], false)).unwrap().units.files, 0, "they are young");
    age(store.root());
    assert_eq!(store.collect(&collect(&[], false)).unwrap().units.files, 1);
    assert_eq!((units(done.inputs_key), units(unfinished.inputs_key)), (0, 1), "a study waits for the other");
    remember(&store, "study", &[done.key]);
    assert_eq!(store.collect(&collect(&[], false)).unwrap().units.files, 1);
    assert_eq!(units(unfinished.inputs_key), 0);
    assert!(!store.units_path(unfinished.inputs_key).exists());
}

#[test]
fn what_is_under_a_live_lease_is_spared() {
    let (_home, store) = store();
    let upstream = commit(&store, 1, 1, &[]);
    let claimed = commit(&store, 2, 2, &[upstream.key]);
    let other = commit(&store, 3, 3, &[]);
    let unit = [("rows-0".to_owned(), Unit::from([("part".to_owned(), tensor(3))]))];
    store.units(claimed.inputs_key).unwrap().save(&unit).unwrap();
    age(store.root());
    let leases = store.root().join("leases");
    fs::create_dir_all(&leases).unwrap();
    let lease = leases.join(format!("{}.json", claimed.inputs_key));
    fs::write(&lease, "{}").unwrap();
    let collected = store.collect(&collect(&[], false)).unwrap();
    assert_eq!((collected.leases, collected.entries.files, collected.units.files), (1, 1, 0));
    assert!(store.entry(upstream.key).unwrap().is_some() && store.entry(claimed.key).unwrap().is_some());
    assert!(store.entry(other.key).unwrap().is_none());
    age(&lease);
    let collected = store.collect(&collect(&[], false)).unwrap();
    assert_eq!((collected.leases, collected.entries.files, collected.units.files), (0, 2, 1));
}

#[test]
fn what_nobody_reads_goes_when_it_is_old() {
    let (_home, store) = store();
    let made = commit(&store, 1, 1, &[]);
    let damaged = store.root().join("blobs/00").join(format!("{}.damaged-1", Digest::of(b"x")));
    let temporary = store.root().join("entries/00/.tmp-Ab12");
    let strange = store.root().join("blobs/notes.txt");
    for path in [&damaged, &temporary, &strange] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "12345").unwrap();
    }
    remember(&store, "study", &[made.key]);
    store.set_aside(made.key).unwrap();
    assert_eq!(store.collect(&collect(&[], false)).unwrap().freed(), Freed::default());
    age(store.root());
    let collected = store.collect(&collect(&[], false)).unwrap();
    assert_eq!(collected.leftovers.files, 4, "damaged, temporary, superseded, and the pointer to what is gone");
    assert_eq!(collected.blobs.files, 1, "only the superseded entry named it");
    assert!(strange.exists(), "what has no name of the format is nobody's business");
}

#[test]
fn a_study_that_is_not_understood_stops_the_collection() {
    let (_home, store) = store();
    let made = commit(&store, 1, 1, &[]);
    age(store.root());
    fs::create_dir_all(store.root().join("studies")).unwrap();
    for text in ["{", "{\"format\":99,\"stages\":{},\"study\":\"later\"}"] {
        fs::write(store.root().join("studies/later.json"), text).unwrap();
        let error = store.collect(&collect(&[], false)).unwrap_err().to_string();
        assert!(error.contains("cannot understand") && error.contains("later.json"), "{error}");
        assert!(store.entry(made.key).unwrap().is_some());
    }
}
