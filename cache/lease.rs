//! Leases: who is computing what, so that two that run one study share the work.
//!
//! A lease only saves duplicate work. Nothing is wrong where two hold one, where one is lost, or where none can be
//! written: both compute, and one commit adopts the other. So leases are not flushed, there is no lock, and a lease is
//! over when its holder is known to be gone, or when its file has stood still for three heartbeats on the watcher's own
//! monotonic clock. Clocks of different machines are never compared.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    FORMAT, Holder, InputsKey, Store, StoreError, durable,
    store::{line, parsed},
};

/// The leases that this process holds, and the thread that keeps them alive.
pub struct Leases {
    desk: Arc<Desk>,
    heart: Mutex<Option<JoinHandle<()>>>,
}

/// What claiming a lease gave.
#[derive(Debug)]
pub enum Claim {
    Ours,
    Theirs(Watch),
}

/// What a watcher has seen of somebody else's lease.
#[derive(Debug)]
pub struct Watch {
    seen: Vec<u8>,
    /// When the file was first seen as it is.
    since: Instant,
    holder: Option<Holder>,
}

/// What the thread and its owner share.
struct Desk {
    store: Store,
    me: Holder,
    heartbeat: Duration,
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    /// How often each was renewed.
    counts: BTreeMap<InputsKey, u64>,
    over: bool,
}

/// Whether a lease is over, for everybody who asks: its holder is known to have ended, or its file has stood still for
/// too long. A file that does not say who holds it is somebody's as long as it is young.
pub(crate) fn is_over(holder: Option<&Holder>, me: &Holder, still: Duration, patience: Duration) -> bool {
    holder.is_some_and(|holder| holder.is_gone(me)) || still >= patience
}

/// The file of a lease.
#[derive(Serialize, Deserialize)]
pub(crate) struct Lease {
    format: u32,
    pub(crate) holder: Holder,
    count: u64,
}

/// Longer than a third of the minute for which network file systems may show an old file.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// A lease that stands still for so many heartbeats is over.
const PATIENCE: u32 = 3;

/// The same for who only looks once, and goes by the age of the file: the clock behind that may be another machine's.
pub(crate) const STALE: Duration = Duration::from_secs(600);

/// How often a lease may change hands between two looks at it.
const TRIES: usize = 100;

impl Leases {
    /// Leases in `store`, renewed every `heartbeat`. Nothing is written before the first is claimed.
    pub fn of(store: &Store, heartbeat: Duration) -> Self {
        let (store, me) = (store.clone(), Holder::this_process());
        let desk = Desk { store, me, heartbeat, held: Mutex::default(), changed: Condvar::new() };
        Self { desk: Arc::new(desk), heart: Mutex::default() }
    }

    /// Takes the lease, unless somebody has it who may still live. `watched` is what an earlier claim gave.
    pub fn claim(&self, key: InputsKey, mut watched: Option<Watch>) -> Result<Claim, StoreError> {
        let path = self.desk.store.lease_path(key);
        for _ in 0..TRIES {
            if self.desk.take(key)? {
                self.keep_alive().map_err(StoreError::io("keep alive", &path))?;
                return Ok(Claim::Ours);
            }
            let seen = durable::read(&path).map_err(StoreError::io("read", &path))?;
            let Some(seen) = seen else { continue }; // it was released meanwhile
            let watch = watched.take().filter(|watch| watch.seen == seen).unwrap_or_else(|| Watch::of(seen));
            if !watch.is_over(&self.desk.me, self.desk.heartbeat) {
                return Ok(Claim::Theirs(watch));
            }
            durable::remove_exactly(&path, &watch.seen).map_err(StoreError::io("take over", &path))?;
        }
        let unsteady = io::Error::new(ErrorKind::ResourceBusy, "it changes hands again and again");
        Err(StoreError::io("claim", &path)(unsteady))
    }

    /// Gives a lease back. One that could not be removed is over as soon as this process is.
    pub fn release(&self, key: InputsKey) {
        let mut held = self.desk.held();
        if held.counts.remove(&key).is_some() {
            self.desk.give_back(key);
        }
    }

    fn keep_alive(&self) -> io::Result<()> {
        let mut heart = self.heart.lock().unwrap_or_else(PoisonError::into_inner);
        if heart.is_none() {
            let desk = Arc::clone(&self.desk);
            *heart = Some(thread::Builder::new().name("leases".into()).spawn(move || desk.beat())?);
        }
        Ok(())
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let held = {
            let mut held = self.desk.held();
            held.over = true;
            std::mem::take(&mut held.counts)
        };
        self.desk.changed.notify_all();
        held.into_keys().for_each(|key| self.desk.give_back(key));
        if let Some(heart) = self.heart.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It only sleeps and writes; should it have panicked, the leases are given back all the same.
            let _ = heart.join();
        }
    }
}

impl Watch {
    fn of(seen: Vec<u8>) -> Self {
        let holder = parsed::<Lease>(&seen).map(|lease| lease.holder);
        Self { seen, since: Instant::now(), holder }
    }

    /// Who holds it; none where the file does not say.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Also where it is our own: one that could not be removed.
    fn is_over(&self, me: &Holder, heartbeat: Duration) -> bool {
        let holder = self.holder.as_ref();
        holder == Some(me) || is_over(holder, me, self.since.elapsed(), heartbeat * PATIENCE)
    }
}

impl Desk {
    /// Writes the lease where there is none; false where there is one, unless it is our own.
    fn take(&self, key: InputsKey) -> Result<bool, StoreError> {
        let mut held = self.held();
        if held.counts.contains_key(&key) {
            return Ok(true);
        }
        let (path, text) = (self.store.lease_path(key), self.text(0));
        if !self.store.place_hint(&path, text.as_bytes())? {
            return Ok(false);
        }
        if held.counts.insert(key, 0).is_none() && held.counts.len() == 1 {
            self.changed.notify_all();
        }
        Ok(true)
    }

    fn text(&self, count: u64) -> String {
        line(&Lease { format: FORMAT, holder: self.me.clone(), count })
    }

    /// Renews what is held, every heartbeat, until all is over. Sleeps without end while nothing is held.
    fn beat(&self) {
        let mut next = Instant::now() + self.heartbeat;
        let mut held = self.held();
        while !held.over {
            if held.counts.is_empty() {
                held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                next = Instant::now() + self.heartbeat;
                continue;
            }
            let rest = next.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                held = self.changed.wait_timeout(held, rest).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let keys: Vec<_> = held.counts.keys().copied().collect();
            drop(held);
            keys.into_iter().for_each(|key| self.renew(key));
            next = Instant::now() + self.heartbeat;
            held = self.held();
        }
    }

    /// Counts one on, unless the lease was given back meanwhile or somebody else has taken it over.
    fn renew(&self, key: InputsKey) {
        let mut held = self.held();
        let Some(count) = held.counts.get_mut(&key) else { return };
        *count += 1;
        if self.is_ours(key) {
            let path = self.store.lease_path(key);
            // What cannot be renewed goes stale, and is computed twice at most.
            let _ = durable::replace(&path, self.text(*count).as_bytes(), false);
        } else {
            held.counts.remove(&key);
        }
    }

    fn give_back(&self, key: InputsKey) {
        if self.is_ours(key) {
            // One that stays is over when this process is.
            let _ = fs::remove_file(self.store.lease_path(key));
        }
    }

    fn is_ours(&self, key: InputsKey) -> bool {
        let bytes = durable::read(&self.store.lease_path(key)).ok().flatten();
        bytes.and_then(|bytes| parsed::<Lease>(&bytes)).is_some_and(|lease| lease.holder == self.me)
    }

    /// A panic elsewhere leaves the counts whole.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    pub(crate) fn lease_path(&self, key: InputsKey) -> PathBuf {
        self.root().join("leases").join(format!("{key}.json"))
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
