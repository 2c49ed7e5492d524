//! The engine as a running stage sees it: units, stop flag, progress, files, session.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};

use assay_cache::{Digest, Entry, Store, StoreError, Unit, Units};
use assay_stages::{Ctx, Failure, Session};

use super::{Event, Stop, event::Heard};

/// One attempt to run one cell.
pub struct Context<'a> {
    pub cell: usize,
    pub units: Units,
    /// Digests of the cell's own files, by role.
    pub files: &'a BTreeMap<String, Digest>,
    pub places: &'a BTreeMap<Digest, PathBuf>,
    pub store: &'a Store,
    /// The entries of the cells upstream: what they made has a place in the store.
    pub upstream: &'a BTreeMap<usize, Entry>,
    pub session: &'a dyn Session,
    pub stop: &'a Stop,
    pub events: Sender<Heard>,
    pub told: Mutex<Told>,
}

/// What the stage has said so far.
#[derive(Default)]
pub struct Told {
    pub warnings: Vec<String>,
    /// The cell upstream of which an output turned out damaged or missing, and what was wrong with it.
    pub lost: Option<(usize, String)>,
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

    /// Where the store keeps an output of a cell upstream: the weights of a model that was trained in the study.
    fn made_upstream(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        let outputs =
            self.upstream.iter().flat_map(|(cell, entry)| entry.outputs.values().map(move |out| (*cell, out)));
        let found = outputs.into_iter().find(|(_, output)| output.digest == *digest);
        let (cell, output) =
            found.ok_or_else(|| Failure::fatal(format!("no file of this study has the digest {digest}")))?;
        self.store.file(output).map_err(|error| {
            if !matches!(error, StoreError::Io { .. }) {
                self.told().lost = Some((cell, error.to_string()));
            }
            error.into()
        })
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
        match self.places.get(digest) {
            Some(place) => Ok(place.clone()),
            None => self.made_upstream(digest),
        }
    }

    fn files(&self) -> &BTreeMap<String, Digest> {
        self.files
    }

    fn session(&self) -> &dyn Session {
        self.session
    }
}
