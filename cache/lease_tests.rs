//! What leases promise: one holder at a time where all live, a dead one's taken over, and none left behind.

use tempfile::TempDir;

use super::*;
use crate::Digest;

const BEAT: Duration = Duration::from_millis(40);

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::at(home.path().join("store"));
    (home, store)
}

fn key() -> InputsKey {
    InputsKey(Digest::of(b"a"))
}

/// A lease of a process on another machine, of which nothing is known but its file.
fn foreign(count: u64) -> String {
    format!(r#"{{"count":{count},"format":1,"holder":{{"boot":"b","host":"elsewhere","pid":7,"started":1}}}}"#)
}

fn write(store: &Store, text: &str) {
    fs::create_dir_all(store.root().join("leases")).unwrap();
    fs::write(store.lease_path(key()), text).unwrap();
}

fn theirs(claim: Claim) -> Watch {
    match claim {
        Claim::Theirs(watch) => watch,
        Claim::Ours => panic!("somebody else has it"),
    }
}

fn text(store: &Store) -> String {
    fs::read_to_string(store.lease_path(key())).unwrap()
}

#[test]
fn a_lease_is_held_renewed_and_given_back() {
    let (_home, store) = store();
    let leases = Leases::of(&store, BEAT);
    assert!(!store.root().exists(), "nothing is written before the first claim");
    assert!(matches!(leases.claim(key(), None).unwrap(), Claim::Ours));
    let first = text(&store);
    let begun = Instant::now();
    while text(&store) == first {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is renewed");
        thread::sleep(BEAT / 4);
    }
    let lease: Lease = parsed(text(&store).as_bytes()).unwrap();
    assert!(lease.count >= 1 && lease.holder == Holder::this_process());
    leases.release(key());
    assert!(!store.lease_path(key()).exists());
    leases.claim(key(), None).unwrap();
    drop(leases);
    assert!(!store.lease_path(key()).exists(), "what is still held is given back at the end");
}

#[test]
fn a_lease_of_another_machine_is_over_when_it_stands_still() {
    let (_home, store) = store();
    let leases = Leases::of(&store, BEAT);
    write(&store, &foreign(0));
    let mut watch = theirs(leases.claim(key(), None).unwrap());
    assert_eq!(watch.holder().unwrap().to_string(), "elsewhere pid 7");
    // As long as it moves it is respected, however long that is.
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < BEAT * 8 {
        count += 1;
        write(&store, &foreign(count));
        watch = theirs(leases.claim(key(), Some(watch)).unwrap());
        thread::sleep(BEAT / 4);
    }
    let mut since = Instant::now();
    loop {
        match leases.claim(key(), Some(watch)).unwrap() {
            Claim::Ours => break,
            Claim::Theirs(seen) => watch = seen,
        }
        since = since.min(watch.since);
        thread::sleep(BEAT / 4);
    }
    assert!(since.elapsed() >= BEAT * PATIENCE);
    assert!(leases.desk.is_ours(key()));
}

#[test]
fn a_lease_that_says_nothing_is_over_when_it_stands_still_too() {
    let (_home, store) = store();
    let leases = Leases::of(&store, BEAT);
    write(&store, "");
    let watch = theirs(leases.claim(key(), None).unwrap());
    assert!(watch.holder().is_none());
    thread::sleep(BEAT * PATIENCE);
    assert!(matches!(leases.claim(key(), Some(watch)).unwrap(), Claim::Ours));
}

#[test]
fn the_lease_of_a_dead_process_is_taken_over_at_once() {
    let (_home, store) = store();
    let mut dead = serde_json::to_value(Holder::this_process()).unwrap();
    dead["pid"] = i32::MAX.into();
    write(&store, &line(&Lease { format: FORMAT, holder: serde_json::from_value(dead).unwrap(), count: 5 }));
    let leases = Leases::of(&store, Duration::from_secs(3600));
    assert!(matches!(leases.claim(key(), None).unwrap(), Claim::Ours));
}

#[test]
fn what_was_taken_over_is_neither_renewed_nor_given_back() {
    let (_home, store) = store();
    let leases = Leases::of(&store, BEAT);
    leases.claim(key(), None).unwrap();
    write(&store, &foreign(3));
    leases.desk.renew(key());
    assert!(leases.desk.held().counts.is_empty());
    drop(leases);
    assert_eq!(text(&store), foreign(3));
}

#[test]
fn of_many_that_claim_at_once_one_gets_it() {
    let (_home, store) = store();
    for round in 0..20 {
        let all: Vec<_> = (0..8).map(|_| Leases::of(&store, HEARTBEAT)).collect();
        let ours = thread::scope(|scope| {
            let claims: Vec<_> = all.iter().map(|leases| scope.spawn(|| leases.desk.take(key()).unwrap())).collect();
            claims.into_iter().map(|claim| claim.join().unwrap()).filter(|ours| *ours).count()
        });
        assert_eq!(ours, 1, "round {round}");
    }
}

#[test]
fn where_no_lease_can_be_written_the_claim_says_so() {
    let (_home, store) = store();
    fs::create_dir_all(store.root()).unwrap();
    fs::write(store.root().join("leases"), "a file where a folder belongs").unwrap();
    assert!(Leases::of(&store, BEAT).claim(key(), None).is_err());
}
