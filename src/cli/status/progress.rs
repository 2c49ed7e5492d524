//! How far each stage is, from its entries, its units, its leases and the log of errors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use assay_cache::{Holder, Store, StoreError};
use serde::Serialize;

use crate::{
    plan::{Plan, State, Why, input_digests},
    report::short_key,
};

/// How far cells are. Each is one of `done`, `running`, `failed`, `ready`, `waiting` and `unknown`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    pub cells: usize,
    pub done: usize,
    /// Somebody holds its lease.
    pub running: usize,
    /// It was tried as it is now, and failed; the next run tries it again.
    pub failed: usize,
    /// All it needs is finished.
    pub ready: usize,
    /// Something upstream is not finished.
    pub waiting: usize,
    /// Something is not fetched, so its key is not known.
    pub unknown: usize,
    /// Seconds that the finished cells took.
    pub seconds: f64,
}

/// How far a stage is.
#[derive(Debug, Default, Serialize)]
pub struct StageStatus {
    pub stage: String,
    pub kind: &'static str,
    #[serde(flatten)]
    pub counts: Counts,
    /// Units that unfinished cells have saved, and how many cells have.
    pub units: usize,
    pub begun: usize,
    /// The furthest checkpoint of an unfinished cell.
    pub checkpoint: Option<u64>,
    pub runners: Vec<Holder>,
    pub waits_for: BTreeSet<String>,
    /// The last failure of those that have failed.
    pub failure: Option<Failure>,
}

/// A line of `errors.log`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    pub time: String,
    pub cell: String,
    /// The beginning of the key that the cell had: after a change it is another cell, which nobody has tried.
    pub key: String,
    pub cause: String,
}

/// The last failure of each cell, by its id; none where there is no log.
pub fn failures(log: &Path) -> io::Result<BTreeMap<String, Failure>> {
    let bytes = match fs::read(log) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(failure)
        .map(|failure| (failure.cell.clone(), failure))
        .collect())
}

/// Time, stage, cell, key and cause, separated by tabs. A line that was cut off has no cause, and is passed over.
fn failure(line: &str) -> Option<Failure> {
    let mut fields = line.splitn(5, '\t').map(str::to_owned);
    let (time, _stage, cell, key) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Failure { time, cell, key, cause: fields.next()? })
}

/// What is looked at.
pub struct Study<'a> {
    pub plan: &'a Plan,
    pub states: &'a [State],
    pub store: &'a Store,
    pub failures: &'a BTreeMap<String, Failure>,
}

/// The stages, in the order of the plan.
pub fn stages(study: &Study) -> Result<Vec<StageStatus>, StoreError> {
    let mut stages: Vec<StageStatus> = vec![];
    for (at, cell) in study.plan.cells.iter().enumerate() {
        let name = study.plan.stage_name(cell);
        if stages.last().is_none_or(|stage| stage.stage != name) {
            stages.push(StageStatus { stage: name.to_owned(), kind: cell.kind.name, ..StageStatus::default() });
        }
        let stage = stages.last_mut().expect("one has just been pushed");
        stage.counts.cells += 1;
        stage.count(study, at)?;
    }
    Ok(stages)
}

impl StageStatus {
    fn count(&mut self, study: &Study, at: usize) -> Result<(), StoreError> {
        match &study.states[at] {
            State::Cached(entry) => {
                self.counts.done += 1;
                self.counts.seconds += entry.made.seconds;
            }
            State::Unknown(_) => self.counts.unknown += 1,
            State::Run(Why::Upstream { cells }) => {
                self.counts.waiting += 1;
                self.waits_for.extend(cells.iter().map(|id| id.split('[').next().unwrap_or(id).to_owned()));
            }
            State::Run(_) => self.count_ready(study, at)?,
        }
        Ok(())
    }

    /// A cell whose inputs are finished: their bytes say where its units and its lease are.
    fn count_ready(&mut self, study: &Study, at: usize) -> Result<(), StoreError> {
        let cell = &study.plan.cells[at];
        let failure = study.failures.get(&cell.id).filter(|failure| failure.key == short_key(cell));
        let entry = |up: usize| if let State::Cached(entry) = &study.states[up] { Some(&**entry) } else { None };
        let Some((digests, keyed)) = input_digests(cell, entry).zip(cell.keyed.as_ref()) else {
            self.rests(failure);
            return Ok(());
        };
        let key = keyed.recipe.inputs_key(&digests);
        match study.store.runner(key)? {
            Some(runner) => {
                self.counts.running += 1;
                if !self.runners.contains(&runner) {
                    self.runners.push(runner);
                }
            }
            None => self.rests(failure),
        }
        let saved = study.store.saved(key)?;
        self.units += saved.units;
        self.begun += usize::from(saved.units > 0 || saved.checkpoint.is_some());
        self.checkpoint = self.checkpoint.max(saved.checkpoint);
        Ok(())
    }

    /// Counts a cell that could run, and that nobody runs.
    fn rests(&mut self, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            self.counts.ready += 1;
            return;
        };
        self.counts.failed += 1;
        // RFC 3339 times of one clock are in the order of their text.
        if self.failure.as_ref().is_none_or(|last| last.time <= failure.time) {
            self.failure = Some(failure.clone());
        }
    }
}

impl Counts {
    /// Those of a whole study.
    pub fn of(stages: &[StageStatus]) -> Self {
        stages.iter().fold(Self::default(), |sum, StageStatus { counts, .. }| Self {
            cells: sum.cells + counts.cells,
            done: sum.done + counts.done,
            running: sum.running + counts.running,
            failed: sum.failed + counts.failed,
            ready: sum.ready + counts.ready,
            waiting: sum.waiting + counts.waiting,
            unknown: sum.unknown + counts.unknown,
            seconds: sum.seconds + counts.seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failure_of_a_cell_counts_and_torn_lines_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("errors.log");
        assert_eq!(failures(&log).unwrap(), BTreeMap::new());
        fs::write(&log, "t1\trank\trank[a=1]\tk1\tno room\nt2\trank\trank[a=1]\tk2\tno\tluck\n\nt3\trank\tra").unwrap();
        let last = Failure { time: "t2".into(), cell: "rank[a=1]".into(), key: "k2".into(), cause: "no\tluck".into() };
        assert_eq!(failures(&log).unwrap(), BTreeMap::from([("rank[a=1]".to_owned(), last)]));
    }
}
