//! What a store promises: a commit is whole or absent, damage is found, and reading changes nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Barrier,
    time::{Duration, Instant, SystemTime},
};

use ndarray::Array1;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{Committed, Data, Digest, InputsKey, Made, Output, Recipe, Recommitted, Slot, Table, Tensor, Values};

pub(crate) fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::at(home.path().join("store"));
    (home, store)
}

/// An entry that still lacks outputs; `n` makes its recipe, `inputs` its inputs-key.
pub(crate) fn entry(n: u64, inputs: &str) -> Entry {
    let recipe = Recipe {
        format: FORMAT,
        kind: "count".into(),
        version: "count=1".into(),
        params: json!({"n": n, "rate": 0.1 + 0.2}),
        files: BTreeMap::new(),
        inputs: BTreeMap::new(),
    };
    Entry {
        key: recipe.key(),
        inputs_key: InputsKey(Digest::of(inputs.as_bytes())),
        recipe,
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        made: Made { seconds: 0.25, host: "host".into(), ..Made::default() },
        provenance: json!({"path": "/somewhere"}),
    }
}

pub(crate) fn tensor(n: u64) -> Artifact {
    Artifact::Tensor(Tensor::new(&["step"], Data::F64(Array1::from_elem(1000, n as f64).into_dyn())))
}

pub(crate) fn outputs(n: u64) -> BTreeMap<String, Artifact> {
    let table = Table::default().with("n", Values::Int(vec![Some(n as i64), None]));
    let long = "long ".repeat(1000);
    BTreeMap::from([
        ("table".into(), Artifact::Table(table)),
        ("tensor".into(), tensor(n)),
        ("record".into(), Artifact::Record(json!({ "n": n }))),
        ("long".into(), Artifact::Record(json!(long))),
        ("figure".into(), Artifact::Figure("<svg/>".into())),
    ])
}

pub(crate) fn new(committed: Committed) -> Entry {
    match committed {
        Committed::New(entry) => entry,
        Committed::Adopted(_) => panic!("nobody else commits here"),
    }
}

/// Every file in the store, by its path in it.
pub(crate) fn files(store: &Store) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(store.root(), &mut found);
    let relative = |path: PathBuf| path.strip_prefix(store.root()).unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<_> = found.into_iter().map(relative).collect();
    found.sort();
    found
}

pub(crate) fn blob(store: &Store, output: &Output) -> PathBuf {
    let digest = output.digest.to_string();
    store.root().join("blobs").join(&digest[..2]).join(digest)
}

#[test]
fn what_is_committed_is_read_back() {
    let (_home, store) = store();
    let committed = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    let found = store.entry(committed.key).unwrap().unwrap();
    assert_eq!(found, committed);
    for (port, artifact) in outputs(1) {
        let output = &found.outputs[&port];
        assert!(store.has(output));
        assert_eq!(store.read(output).unwrap(), artifact, "{port}");
        assert_eq!(store.bytes(output).unwrap().len() as u64, output.bytes);
        assert_eq!(output.inline.is_none(), ["tensor", "long"].contains(&port.as_str()), "{port}");
    }
}

#[test]
fn the_layout_is_the_specified_one() {
    let (_home, store) = store();
    let committed = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    store.remember_study("a/b .c", &BTreeMap::from([("x".into(), committed.key)])).unwrap();
    let (key, inputs) = (committed.key.to_string(), committed.inputs_key.to_string());
    let named = |digest: Digest| format!("blobs/{}/{digest}", digest.shard());
    let mut expected = vec![
        "CACHEDIR.TAG".to_owned(),
        named(committed.outputs["tensor"].digest),
        named(committed.outputs["long"].digest),
        format!("entries/{}/{key}.json", &key[..2]),
        format!("inputs/{}/{inputs}.json", &inputs[..2]),
        "studies/a%2Fb%20.c.json".to_owned(),
    ];
    expected.sort();
    assert_eq!(files(&store), expected);
    let text = |path: &str| fs::read_to_string(store.root().join(path)).unwrap();
    assert_eq!(text(&format!("inputs/{}/{inputs}.json", &inputs[..2])), format!("{{\"key\":\"{key}\"}}\n"));
    assert_eq!(
        text("studies/a%2Fb%20.c.json"),
        format!("{{\"format\":1,\"stages\":{{\"x\":\"{key}\"}},\"study\":\"a/b .c\"}}\n")
    );
    assert!(text("CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
}

#[test]
fn reading_creates_nothing() {
    let (_home, store) = store();
    let key = entry(1, "a").key;
    assert!(store.entry(key).unwrap().is_none());
    assert!(store.same(entry(1, "a").inputs_key).unwrap().is_none());
    assert!(store.study("s").unwrap().is_none());
    assert!(store.units(entry(1, "a").inputs_key).unwrap().is_empty());
    store.set_aside(key).unwrap();
    store.drop_units(entry(1, "a").inputs_key).unwrap();
    assert!(!store.root().exists());
}

#[test]
fn of_two_commits_of_one_key_one_is_adopted() {
    let (_home, store) = store();
    for n in 0..20 {
        let start = Barrier::new(2);
        let commit = |host: &str| {
            let mut entry = entry(n, "a");
            entry.made.host = host.into();
            start.wait();
            store.commit(entry, &outputs(n)).unwrap()
        };
        let (a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| commit("b"));
            (commit("a"), other.join().unwrap())
        });
        let (Committed::New(winner), Committed::Adopted(adopted)) = (match (&a, &b) {
            (Committed::New(_), _) => (a, b),
            _ => (b, a),
        }) else {
            panic!("one is new and one adopted")
        };
        assert_eq!(winner, adopted);
        assert_eq!(store.entry(winner.key).unwrap(), Some(winner));
    }
    assert_eq!(files(&store).iter().filter(|file| file.starts_with("entries/")).count(), 20);
    assert!(!files(&store).iter().any(|file| file.contains("tmp") || file.contains("damaged")));
}

#[test]
fn a_damaged_blob_is_found_set_aside_and_healed() {
    let (_home, store) = store();
    let committed = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    let output = &committed.outputs["tensor"];
    let path = blob(&store, output);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = store.read(output).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { path: at, .. } if *at == path), "{error}");
    assert!(error.to_string().ends_with("it was set aside); its stage must run again"), "{error}");
    assert_eq!(fs::read(path.with_added_extension("damaged-1")).unwrap(), bytes);
    assert!(matches!(store.read(output).unwrap_err(), StoreError::Missing { path: at } if at == path));
    assert!(!store.has(output));
    // The stage runs again and makes the same: the entry that is there serves again.
    assert!(matches!(store.commit(entry(1, "a"), &outputs(1)).unwrap(), Committed::Adopted(_)));
    assert_eq!(store.read(output).unwrap(), tensor(1));
}

#[test]
fn an_entry_whose_blob_is_gone_gives_way() {
    let (_home, store) = store();
    let committed = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    fs::remove_file(blob(&store, &committed.outputs["tensor"])).unwrap();
    // The stage runs again and, on another machine, makes something else.
    let second = new(store.commit(entry(1, "a"), &outputs(2)).unwrap());
    assert_eq!(store.read(&second.outputs["tensor"]).unwrap(), tensor(2));
    let aside = format!("{}.superseded-1", committed.key);
    assert!(files(&store).iter().any(|file| file.ends_with(&aside)));
}

#[test]
fn a_blob_of_the_wrong_size_is_not_trusted_and_one_of_the_right_size_is_made_young() {
    let (_home, store) = store();
    let output = new(store.commit(entry(1, "a"), &outputs(1)).unwrap()).outputs["tensor"].clone();
    let path = blob(&store, &output);
    let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
    fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    new(store.commit(entry(2, "a"), &outputs(1)).unwrap());
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > old + Duration::from_secs(86_400));
    fs::write(&path, "torn").unwrap();
    new(store.commit(entry(3, "a"), &outputs(1)).unwrap());
    assert_eq!(store.read(&output).unwrap(), tensor(1));
    assert_eq!(fs::read(path.with_added_extension("damaged-1")).unwrap(), b"torn");
}

#[test]
fn an_entry_that_is_not_whole_counts_as_none() {
    let (_home, store) = store();
    let committed = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    let path = store.entry_path(committed.key);
    let whole = fs::read_to_string(&path).unwrap();
    let other =
        fs::read_to_string(store.entry_path(new(store.commit(entry(2, "b"), &outputs(2)).unwrap()).key)).unwrap();
    let damages = [
        whole[..whole.len() / 2].to_owned(),
        String::new(),
        whole.replace("<svg/>", "<svg >"),
        whole.replace(r#""kind":"count""#, r#""kind":"mount""#),
        other,
    ];
    for (i, damage) in damages.into_iter().enumerate() {
        fs::write(&path, damage).unwrap();
        assert_eq!(store.entry(committed.key).unwrap(), None, "damage {i}");
        assert!(path.with_extension(format!("damaged-{}", i + 1)).exists());
        assert_eq!(new(store.commit(entry(1, "a"), &outputs(1)).unwrap()), committed);
    }
}

#[test]
fn an_entry_that_could_not_be_read_again_is_refused() {
    let (_home, store) = store();
    let mut wrong = entry(1, "a");
    wrong.key = entry(2, "a").key;
    let error = store.commit(wrong, &outputs(1)).unwrap_err();
    assert!(error.to_string().contains("its key is not its recipe's"), "{error}");
    let mut endless = entry(1, "a");
    endless.made.seconds = f64::NAN;
    assert!(store.commit(endless, &outputs(1)).is_err());
    assert!(!files(&store).iter().any(|file| file.starts_with("entries/")));
}

#[test]
fn what_is_set_aside_makes_room() {
    let (_home, store) = store();
    for n in 1..=3 {
        let committed = new(store.commit(entry(1, "a"), &outputs(n)).unwrap());
        assert_eq!(store.same(committed.inputs_key).unwrap().as_ref(), Some(&committed));
        store.set_aside(committed.key).unwrap();
        assert_eq!(store.entry(committed.key).unwrap(), None);
        assert!(store.entry_path(committed.key).with_extension(format!("superseded-{n}")).exists());
    }
}

#[test]
fn the_same_computation_is_found_by_its_inputs() {
    let (_home, store) = store();
    let first = new(store.commit(entry(1, "bytes"), &outputs(1)).unwrap());
    let found = store.same(first.inputs_key).unwrap().unwrap();
    assert_eq!(found, first);
    let alias = Entry { outputs: found.outputs, ..entry(2, "bytes") };
    let alias = new(store.commit_same(alias).unwrap());
    assert_eq!(store.read(&store.entry(alias.key).unwrap().unwrap().outputs["tensor"]).unwrap(), tensor(1));
    // The pointer leads to the first for as long as that is there, then to whoever commits next.
    assert_eq!(store.same(first.inputs_key).unwrap().unwrap().key, first.key);
    store.set_aside(first.key).unwrap();
    assert_eq!(store.same(first.inputs_key).unwrap(), None);
    let third = new(store.commit(entry(3, "bytes"), &outputs(1)).unwrap());
    assert_eq!(store.same(first.inputs_key).unwrap().unwrap().key, third.key);
    // A torn pointer is none.
    fs::write(store.pointer_path(first.inputs_key), "{\"key\":").unwrap();
    assert_eq!(store.same(first.inputs_key).unwrap(), None);
}

#[test]
fn an_entry_of_other_inputs_gives_way() {
    let (_home, store) = store();
    let reading = |bytes: &str| {
        let digest = Slot::One(Digest::of(bytes.as_bytes()));
        Entry { inputs: BTreeMap::from([("port".to_owned(), digest)]), ..entry(1, bytes) }
    };
    let first = new(store.commit(reading("a"), &outputs(1)).unwrap());
    let second = new(store.commit(reading("b"), &outputs(1)).unwrap());
    assert_eq!(store.entry(first.key).unwrap(), Some(second));
    assert!(store.entry_path(first.key).with_extension("superseded-1").exists());
}

#[test]
fn what_is_computed_again_is_held_against_what_was_there() {
    let (_home, store) = store();
    let forced = |n, at| {
        let made = Made { at, ..Made::default() };
        store.recommit(Entry { made, ..entry(1, "a") }, &outputs(n)).unwrap()
    };
    let Recommitted::New(first) = forced(1, 1) else { panic!("nothing was there") };
    let Recommitted::Reproduced(again) = forced(1, 2) else { panic!("it is the same") };
    assert_eq!((again.made.at, store.entry(first.key).unwrap().as_ref()), (1, Some(&first)));
    let Recommitted::Replaced { entry: third, ports, aside } = forced(2, 3) else { panic!("it differs") };
    assert_eq!(ports, ["record", "table", "tensor"], "what is long and the figure are the same");
    assert_eq!(aside, store.entry_path(first.key).with_extension("superseded-1"));
    assert_eq!(parsed::<Entry>(&fs::read(aside).unwrap()).unwrap(), first);
    assert_eq!(store.entry(first.key).unwrap().as_ref(), Some(&third));
    assert_eq!(store.same(first.inputs_key).unwrap(), Some(third));
}

#[test]
fn what_is_reproduced_heals_a_blob_that_is_gone() {
    let (_home, store) = store();
    let first = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    fs::remove_file(blob(&store, &first.outputs["tensor"])).unwrap();
    assert!(matches!(store.recommit(entry(1, "a"), &outputs(1)).unwrap(), Recommitted::Reproduced(_)));
    assert_eq!(store.read(&first.outputs["tensor"]).unwrap(), tensor(1));
}

#[test]
fn an_alias_of_what_is_gone_is_refused() {
    let (_home, store) = store();
    let first = new(store.commit(entry(1, "bytes"), &outputs(1)).unwrap());
    fs::remove_file(blob(&store, &first.outputs["tensor"])).unwrap();
    let alias = Entry { outputs: first.outputs, ..entry(2, "bytes") };
    let key = alias.key;
    assert!(matches!(store.commit_same(alias).unwrap_err(), StoreError::Missing { .. }));
    assert_eq!(store.entry(key).unwrap(), None);
}

#[test]
fn a_folder_that_cannot_be_written_fails_the_commit_and_leaves_no_entry() {
    // Root may write read-only folders, so files stand where folders should.
    for taken in ["entries", "blobs", "inputs"] {
        let (_home, store) = store();
        fs::create_dir_all(store.root()).unwrap();
        fs::write(store.root().join(taken), "").unwrap();
        let error = store.commit(entry(1, "a"), &outputs(1)).unwrap_err();
        assert!(matches!(&error, StoreError::Io { path, .. } if path.starts_with(store.root().join(taken))), "{error}");
        let committed = files(&store).iter().any(|file| file.starts_with("entries/"));
        assert_eq!(committed, taken == "inputs", "the pointer comes after the commit");
        assert!(!files(&store).iter().any(|file| file.contains(".tmp-")));
    }
    let (_home, store) = store();
    fs::write(store.root(), "a file").unwrap();
    assert!(store.commit(entry(1, "a"), &outputs(1)).is_err());
    assert!(store.remember_study("s", &BTreeMap::new()).is_err());
}

#[test]
fn a_study_is_written_only_when_it_differs() {
    let (_home, store) = store();
    let keys = BTreeMap::from([("a[x=1]".to_owned(), entry(1, "a").key)]);
    store.remember_study("s", &keys).unwrap();
    assert_eq!(store.study("s").unwrap(), Some(keys.clone()));
    let path = store.study_path("s");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    store.remember_study("s", &keys).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
    store.remember_study("s", &BTreeMap::new()).unwrap();
    assert_eq!(store.study("s").unwrap(), Some(BTreeMap::new()));
    fs::write(&path, "torn").unwrap();
    assert_eq!(store.study("s").unwrap(), None);
    assert_eq!(fs::read_to_string(path.with_extension("damaged-1")).unwrap(), "torn");
}

/// The store in which the child process of the test below commits until it is killed.
const CHILD: &str = "ASSAY_CACHE_TEST_STORE";

#[test]
#[ignore = "run by `a_commit_that_is_killed_is_whole_or_absent` in a process of its own"]
fn commits_until_killed() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let store = Store::at(root);
    for n in 0..100_000 {
        store.commit(entry(n, &n.to_string()), &outputs(n)).unwrap();
    }
}

#[test]
fn a_commit_that_is_killed_is_whole_or_absent() {
    let (_home, store) = store();
    for round in 1..=8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::commits_until_killed", "--ignored"])
            .env(CHILD, store.root())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let entries = || files(&store).iter().filter(|f| f.starts_with("entries/") && f.ends_with(".json")).count();
        let patience = Instant::now() + Duration::from_secs(60);
        while entries() < 6 * round && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(entries() >= 6 * round, "the child commits");
    }
    for file in files(&store) {
        let name = file.rsplit('/').next().unwrap();
        let bytes = fs::read(store.root().join(&file)).unwrap();
        if file.starts_with("blobs/") && !name.starts_with(".tmp-") {
            assert_eq!(Digest::of(&bytes).to_string(), name);
        }
        if file.starts_with("entries/") && !name.starts_with(".tmp-") {
            let key = Key(name.strip_suffix(".json").unwrap().parse().unwrap());
            let entry = store.entry(key).unwrap().unwrap();
            entry.outputs.values().for_each(|output| drop(store.read(output).unwrap()));
        }
    }
}

#[test]
fn who_only_looks_on_leaves_damage_for_the_run_to_find() {
    let (_home, store) = store();
    let entry = new(store.commit(entry(1, "a"), &outputs(1)).unwrap());
    let output = &entry.outputs["tensor"];
    assert_eq!(store.look(output).unwrap(), tensor(1));
    let blob = store.blob_path(output.digest);
    fs::write(&blob, "torn").unwrap();
    assert!(matches!(store.look(output), Err(StoreError::Damaged { .. })));
    assert!(blob.exists(), "it is still there");
    assert!(matches!(store.read(output), Err(StoreError::Damaged { .. })) && !blob.exists());
}
