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

/// How far the cells of a stage are. Each cell is one of `done`, `running`, `failed`, `ready`, `waiting` and `unknown`.
#[derive(Debug, Default, Serialize)]
pub struct StageStatus {
    pub stage: String,
    pub kind: &'static str,
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

/// The whole study.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    pub cells: usize,
    pub done: usize,
    pub running: usize,
    pub failed: usize,
    pub ready: usize,
    pub waiting: usize,
    pub unknown: usize,
    pub seconds: f64,
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

/// The stages, in the order of the plan.
pub fn stages(
    plan: &Plan,
    states: &[State],
    store: &Store,
    failures: &BTreeMap<String, Failure>,
) -> Result<Vec<StageStatus>, StoreError> {
    let mut stages: Vec<StageStatus> = vec![];
    for (at, cell) in plan.cells.iter().enumerate() {
        let name = plan.stage_name(cell);
        if stages.last().is_none_or(|stage| stage.stage != name) {
            stages.push(StageStatus { stage: name.to_owned(), kind: cell.kind.name, ..StageStatus::default() });
        }
        let stage = stages.last_mut().expect("one has just been pushed");
        stage.cells += 1;
        let failure = failures.get(&cell.id).filter(|failure| failure.key == short_key(cell));
        stage.count(plan, at, states, store, failure)?;
    }
    Ok(stages)
}

impl StageStatus {
    fn count(
        &mut self,
        plan: &Plan,
        at: usize,
        states: &[State],
        store: &Store,
        failure: Option<&Failure>,
    ) -> Result<(), StoreError> {
        match &states[at] {
            State::Cached(entry) => {
                self.done += 1;
                self.seconds += entry.made.seconds;
            }
            State::Unknown(_) => self.unknown += 1,
            State::Run(Why::Upstream { cells }) => {
                self.waiting += 1;
                self.waits_for.extend(cells.iter().map(|id| id.split('[').next().unwrap_or(id).to_owned()));
            }
            State::Run(_) => self.count_ready(plan, at, states, store, failure)?,
        }
        Ok(())
    }

    /// A cell whose inputs are finished: their bytes say where its units and its lease are.
    fn count_ready(
        &mut self,
        plan: &Plan,
        at: usize,
        states: &[State],
        store: &Store,
        failure: Option<&Failure>,
    ) -> Result<(), StoreError> {
        let cell = &plan.cells[at];
        let entry = |up: usize| if let State::Cached(entry) = &states[up] { Some(&**entry) } else { None };
        let Some((digests, keyed)) = input_digests(cell, entry).zip(cell.keyed.as_ref()) else {
            self.rests(failure);
            return Ok(());
        };
        let key = keyed.recipe.inputs_key(&digests);
        match store.runner(key)? {
            Some(runner) => {
                self.running += 1;
                if !self.runners.contains(&runner) {
                    self.runners.push(runner);
                }
            }
            None => self.rests(failure),
        }
        let saved = store.saved(key)?;
        self.units += saved.units;
        self.begun += usize::from(saved.units > 0 || saved.checkpoint.is_some());
        self.checkpoint = self.checkpoint.max(saved.checkpoint);
        Ok(())
    }

    /// Counts a cell that could run, and that nobody runs.
    fn rests(&mut self, failure: Option<&Failure>) {
        let Some(failure) = failure else {
            self.ready += 1;
            return;
        };
        self.failed += 1;
        // RFC 3339 times of one clock are in the order of their text.
        if self.failure.as_ref().is_none_or(|last| last.time <= failure.time) {
            self.failure = Some(failure.clone());
        }
    }
}

impl Totals {
    pub fn of(stages: &[StageStatus]) -> Self {
        stages.iter().fold(Self::default(), |totals, stage| Self {
            cells: totals.cells + stage.cells,
            done: totals.done + stage.done,
            running: totals.running + stage.running,
            failed: totals.failed + stage.failed,
            ready: totals.ready + stage.ready,
            waiting: totals.waiting + stage.waiting,
            unknown: totals.unknown + stage.unknown,
            seconds: totals.seconds + stage.seconds,
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
