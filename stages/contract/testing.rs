//! A [`Ctx`] for unit tests of stages: units and checkpoints in memory, and a stop flag that rises on demand.
//!
//! It keeps what was saved, so that a test can stop a stage, run it again on the same `TestCtx` and compare.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use assay_cache::{Digest, Unit};

use super::{Ctx, Failure, Session};

pub struct TestCtx {
    units: Mutex<HashMap<String, Unit>>,
    checkpoints: Mutex<Vec<(u64, Unit)>>,
    saves: AtomicU64,
    stop_at: AtomicU64,
    warnings: Mutex<Vec<String>>,
    files: BTreeMap<String, Digest>,
    places: HashMap<Digest, PathBuf>,
    session: crate::lm::Session,
}

impl Default for TestCtx {
    fn default() -> Self {
        Self {
            units: Mutex::default(),
            checkpoints: Mutex::default(),
            saves: AtomicU64::new(0),
            stop_at: AtomicU64::new(u64::MAX),
            warnings: Mutex::default(),
            files: BTreeMap::new(),
            places: HashMap::new(),
            session: crate::lm::Session::on("cpu"),
        }
    }
}

impl TestCtx {
    /// A context on the CPU with nothing saved and no reason to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a file at hand: its role, digest and place.
    pub fn with_file(mut self, role: &str, digest: Digest, path: PathBuf) -> Self {
        self.files.insert(role.to_owned(), digest);
        self.places.insert(digest, path);
        self
    }

    /// Raises the stop flag after `saves` more calls of `save` or `checkpoint`; at once for 0.
    pub fn stop_after(&self, saves: u64) {
        self.stop_at.store(self.saves.load(Ordering::SeqCst) + saves, Ordering::SeqCst);
    }

    /// Takes the stop flag down.
    pub fn carry_on(&self) {
        self.stop_at.store(u64::MAX, Ordering::SeqCst);
    }

    /// How often something was saved.
    pub fn saves(&self) -> u64 {
        self.saves.load(Ordering::SeqCst)
    }

    /// The names of the units that are saved, sorted.
    pub fn saved(&self) -> Vec<String> {
        let mut names: Vec<_> = self.units.lock().unwrap().keys().cloned().collect();
        names.sort();
        names
    }

    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }
}

impl Ctx for TestCtx {
    fn unit(&self, name: &str) -> Result<Option<Unit>, Failure> {
        Ok(self.units.lock().unwrap().get(name).cloned())
    }

    fn save(&self, units: &[(String, Unit)]) -> Result<(), Failure> {
        self.units.lock().unwrap().extend(units.iter().cloned());
        self.saves.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn checkpoint(&self, step: u64, state: &Unit) -> Result<(), Failure> {
        let mut checkpoints = self.checkpoints.lock().unwrap();
        checkpoints.push((step, state.clone()));
        let surplus = checkpoints.len().saturating_sub(2);
        checkpoints.drain(..surplus);
        self.saves.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure> {
        Ok(self.checkpoints.lock().unwrap().last().cloned())
    }

    fn stopping(&self) -> bool {
        self.saves() >= self.stop_at.load(Ordering::SeqCst)
    }

    fn progress(&self, done: u64, of: u64, what: &str) {
        assert!(done <= of, "{done} of {of} {what}");
    }

    fn warn(&self, message: &str) {
        self.warnings.lock().unwrap().push(message.to_owned());
    }

    fn files(&self) -> &BTreeMap<String, Digest> {
        &self.files
    }

    fn place(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        self.places.get(digest).cloned().ok_or_else(|| Failure::fatal(format!("no file has the digest {digest}")))
    }

    fn session(&self) -> &dyn Session {
        &self.session
    }
}
