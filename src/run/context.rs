//! The engine as a running stage sees it: units, stop flag, progress, files, session.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};

use assay_cache::{Digest, Unit, Units};
use assay_stages::{Ctx, Failure, Session};

use super::{Event, Stop, event::Heard};

/// One attempt to run one cell.
pub struct Context<'a> {
    pub cell: usize,
    pub units: Units,
    /// Digests of the cell's own files, by role.
    pub files: &'a BTreeMap<String, Digest>,
    pub places: &'a BTreeMap<Digest, PathBuf>,
    pub session: &'a dyn Session,
    pub stop: &'a Stop,
    pub events: Sender<Heard>,
    pub told: Mutex<Told>,
}

/// What the stage has said so far.
#[derive(Default)]
pub struct Told {
    pub warnings: Vec<String>,
    progress: Option<Instant>,
    /// A unit was found since the last report of progress.
    resumed: bool,
}

/// Progress is reported at most this often; the last report of a stage always is.
const PACE: Duration = Duration::from_millis(50);

impl Context<'_> {
    fn tell(&self, event: Event) {
        // The coordinator outlives its stages; should it be gone, nobody is left to listen.
        let _ = self.events.send(Heard::Event(event));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ctx for Context<'_> {
    fn unit(&self, name: &str) -> Result<Option<Unit>, Failure> {
        let unit = self.units.get(name)?;
        if unit.is_some() {
            self.told().resumed = true;
        }
        Ok(unit)
    }

    fn save(&self, units: &[(String, Unit)]) -> Result<(), Failure> {
        Ok(self.units.save(units)?)
    }

    fn checkpoint(&self, step: u64, state: &Unit) -> Result<(), Failure> {
        Ok(self.units.checkpoint(step, state)?)
    }

    fn last_checkpoint(&self) -> Result<Option<(u64, Unit)>, Failure> {
        let checkpoint = self.units.last_checkpoint()?;
        if checkpoint.is_some() {
            self.told().resumed = true;
        }
        Ok(checkpoint)
    }

    fn stopping(&self) -> bool {
        self.stop.asked().is_some()
    }

    fn progress(&self, done: u64, of: u64, what: &str) {
        let mut told = self.told();
        if done < of && told.progress.is_some_and(|last| last.elapsed() < PACE) {
            return;
        }
        told.progress = Some(Instant::now());
        let resumed = std::mem::take(&mut told.resumed);
        self.tell(Event::Progress { cell: self.cell, done, of, what: what.to_owned(), resumed });
    }

    fn warn(&self, message: &str) {
        let mut told = self.told();
        if !told.warnings.iter().any(|said| said == message) {
            told.warnings.push(message.to_owned());
            self.tell(Event::Warning { cell: self.cell, message: message.to_owned() });
        }
    }

    fn place(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        let missing = || Failure::fatal(format!("no file of this study has the digest {digest}"));
        self.places.get(digest).cloned().ok_or_else(missing)
    }

    fn files(&self) -> &BTreeMap<String, Digest> {
        self.files
    }

    fn session(&self) -> &dyn Session {
        self.session
    }
}
