//! `report.html`: a study on one page that needs nothing else, neither a network nor a script, to be read.
//!
//! [`Page`] hears of everything that happens in a run and decides when the page is written: at most every two seconds
//! while the run goes on, in a thread of its own, and at the end, however that comes. What stands in it is made by `view`, from finished entries
//! alone: a number of an earlier run is shown where its entry is the one that this plan asks for, and nowhere else.
//!
//! A run with nothing to do reads no blob and writes nothing, if the page that is there is of the same plan and the
//! same entries: the page carries their digest.

mod figures;
mod judgement;
mod known;
mod number;
mod provenance;
mod records;
mod stages;
mod tables;
mod template;
mod tensors;
mod text;
mod view;

use std::{
    borrow::Cow,
    fs,
    io::Read,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use assay_cache::{Digest, Entry, Store, StoreError};

use self::{known::Known, tensors::Summaries, view::Ending};
use super::results::replace;
use crate::{
    plan::{Plan, State, states},
    run::{Event, Outcome, Record, StopKind},
};

/// The name of the page in the folder of results.
pub const PAGE: &str = "report.html";

/// The report of one run.
pub struct Page<'a> {
    plan: &'a Plan,
    store: &'a Store,
    folder: PathBuf,
    /// What `--set` changed, as it was written.
    sets: &'a [String],
    cells: Vec<Standing>,
    /// The entries of cells that this run finished, and of cached ones once a page shows them.
    entries: Vec<Option<Entry>>,
    /// How long `errors.log` was when the run began: what stands before is of earlier runs.
    log_began: u64,
    /// Something happened that the page on disk does not tell.
    stale: bool,
    written: Option<Written>,
    summaries: Summaries,
}

/// Where a cell stands.
#[derive(Clone, Default)]
pub struct Standing {
    /// The word for it: an outcome's, `waiting` or `running`.
    pub word: &'static str,
    pub cause: Option<String>,
    /// How far it is, while it runs.
    pub progress: Option<String>,
}

/// What the page takes down of events.
enum Note {
    /// These were finished before. Their entries are read again where a page is written.
    Cached(Vec<usize>),
    Started(usize),
    Progress(usize, String),
    Lost(usize),
    Ended(usize, Outcome, Option<Box<Entry>>),
}

/// Takes down what happens in a run, for the thread that writes the page. It tells of cached cells when something else
/// happens: in a run with nothing to do, never.
pub struct Notes {
    tell: Sender<Note>,
    cached: Vec<usize>,
}

impl Notes {
    pub fn take(&mut self, event: &Event) {
        let note = match event {
            Event::Started { cell } => Note::Started(*cell),
            Event::Progress { cell, done, of, what, .. } => Note::Progress(*cell, format!("{done} of {of} {what}")),
            Event::Lost { cell, .. } => Note::Lost(*cell),
            Event::Ended { cell, outcome: Outcome::Cached, .. } => return self.cached.push(*cell),
            Event::Ended { cell, outcome, entry } => Note::Ended(*cell, outcome.clone(), entry.clone()),
            _ => return,
        };
        let cached = std::mem::take(&mut self.cached);
        // The writer listens as long as somebody can tell.
        let _ = self.tell.send(Note::Cached(cached));
        let _ = self.tell.send(note);
    }
}

/// When the page was last written, and how long that took.
struct Written {
    at: Instant,
    took: Duration,
}

/// The page is rewritten at most this often, and takes at most this share of a run's time.
const EVERY: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;

impl<'a> Page<'a> {
    pub fn of(plan: &'a Plan, store: &'a Store, folder: &Path, sets: &'a [String]) -> Self {
        let log = fs::metadata(folder.join("errors.log"));
        Self {
            plan,
            store,
            folder: folder.to_owned(),
            sets,
            cells: vec![Standing { word: "waiting", ..Standing::default() }; plan.cells.len()],
            entries: vec![None; plan.cells.len()],
            log_began: log.map_or(0, |log| log.len()),
            stale: false,
            written: None,
            summaries: Summaries::default(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join(PAGE)
    }

    /// Does `work` while a thread of its own writes the page of what `work` tells, so that no stage waits for a page.
    pub fn beside<R>(self, work: impl FnOnce(Notes) -> R) -> (R, Self) {
        let (tell, notes) = channel();
        thread::scope(|threads| {
            let writer = threads.spawn(move || self.keep(&notes));
            let done = work(Notes { tell, cached: vec![] });
            (done, writer.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// Takes notes until nobody is left to tell, and writes the page whenever it is stale and due.
    fn keep(mut self, notes: &Receiver<Note>) -> Self {
        loop {
            let patience = if self.stale { self.due_in() } else { Duration::MAX };
            match notes.recv_timeout(patience) {
                Ok(note) => self.on(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self,
            }
            if self.stale && self.due_in().is_zero() {
                // The last page of the run is written in any case, and tells where it cannot be.
                let _ = self.write(None);
            }
        }
    }

    fn on(&mut self, note: Note) {
        match note {
            Note::Cached(cells) => {
                return cells.into_iter().for_each(|cell| self.cells[cell] = Standing::of(&Outcome::Cached));
            }
            Note::Started(cell) => self.stands(cell, "running"),
            Note::Progress(cell, text) => self.cells[cell].progress = Some(text),
            Note::Lost(cell) => {
                self.entries[cell] = None;
                self.stands(cell, "waiting");
            }
            Note::Ended(cell, outcome, entry) => {
                self.cells[cell] = Standing::of(&outcome);
                self.entries[cell] = entry.map(|entry| *entry);
            }
        }
        self.stale = true;
    }

    fn stands(&mut self, cell: usize, word: &'static str) {
        self.cells[cell] = Standing { word, ..Standing::default() };
    }

    /// How long it is until the page may be written again.
    fn due_in(&self) -> Duration {
        self.written
            .as_ref()
            .map_or(Duration::ZERO, |last| EVERY.max(last.took * SHARE).saturating_sub(last.at.elapsed()))
    }

    /// The last page of a run, unless the one that is there says the same.
    pub fn finish(&mut self, record: &Record) -> Result<(), String> {
        let entries = self.with_earlier(record).map_err(|error| error.to_string())?;
        let content = record.complete().then(|| self.content(&entries));
        if record.nothing_to_do() && self.written.is_none() && content.is_some() && content == self.content_on_disk() {
            return Ok(());
        }
        self.cells = record.outcomes.iter().map(Standing::of).collect();
        self.entries = entries.into_owned();
        let ending = match record.stopped {
            Some(StopKind::Interrupted) => Ending::Interrupted,
            Some(StopKind::Terminated) => Ending::Stopped,
            None if !record.complete() => Ending::Failed,
            None => Ending::Done,
        };
        self.write(Some((ending, content)))
    }

    /// The entries of a run, and those of cells that it was not asked for but that are finished all the same.
    fn with_earlier<'r>(&self, record: &'r Record) -> Result<Cow<'r, [Option<Entry>]>, StoreError> {
        if !record.outcomes.contains(&Outcome::Unwanted) {
            return Ok(Cow::Borrowed(&record.entries));
        }
        let mut entries = record.entries.clone();
        for (cell, state) in states(self.plan, self.store)?.into_iter().enumerate() {
            if let (Outcome::Unwanted, State::Cached(entry)) = (&record.outcomes[cell], state) {
                entries[cell] = Some(*entry);
            }
        }
        Ok(Cow::Owned(entries))
    }

    /// The digest of all that the page of a complete run is made from.
    fn content(&self, entries: &[Option<Entry>]) -> String {
        let mut preimage = format!("{}\n{:?}\n", env!("CARGO_PKG_VERSION"), self.sets);
        for (cell, entry) in self.plan.cells.iter().zip(entries) {
            if let Some(entry) = entry {
                preimage.push_str(&format!("{} {} {}\n", cell.id, entry.key, entry.made.at));
            }
        }
        preimage.push_str(&self.plan.manifest.text.content);
        Digest::tagged("assay report", preimage.as_bytes()).to_string()
    }

    /// The digest that the page on disk carries in its first lines.
    fn content_on_disk(&self) -> Option<String> {
        let mut head = vec![];
        fs::File::open(self.path()).ok()?.take(1024).read_to_end(&mut head).ok()?;
        let head = String::from_utf8_lossy(&head);
        let (_, rest) = head.split_once("name=\"assay-content\" content=\"")?;
        rest.split_once('"').map(|(digest, _)| digest.to_owned()).filter(|digest| !digest.is_empty())
    }

    fn write(&mut self, end: Option<(Ending, Option<String>)>) -> Result<(), String> {
        let began = Instant::now();
        self.load_cached()?;
        let (ending, content) = end.unwrap_or((Ending::GoesOn, None));
        let known = Known {
            plan: self.plan,
            store: self.store,
            folder: &self.folder,
            sets: self.sets,
            cells: &self.cells,
            entries: &self.entries,
            log_began: self.log_began,
        };
        let view = view::view(&known, ending, content.unwrap_or_default(), &mut self.summaries);
        let html = template::render(&view).map_err(|error| format!("cannot make the report: {error}"))?;
        let path = self.path();
        replace(&path, html.as_bytes()).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.stale = false;
        self.written = Some(Written { at: Instant::now(), took: began.elapsed() });
        Ok(())
    }

    /// The entries of cached cells, which a page shows and a run does not hand out.
    fn load_cached(&mut self) -> Result<(), String> {
        for (cell, standing) in self.cells.iter().enumerate() {
            if standing.word == Outcome::Cached.name() && self.entries[cell].is_none() {
                let key = self.plan.cells[cell].key();
                let entry = key.map(|key| self.store.entry(key)).transpose().map_err(|error| error.to_string())?;
                self.entries[cell] = entry.flatten();
            }
        }
        Ok(())
    }
}

impl Standing {
    fn of(outcome: &Outcome) -> Self {
        Self { word: outcome.name(), cause: outcome.cause().map(str::to_owned), progress: None }
    }
}
