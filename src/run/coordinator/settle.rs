//! What follows from the end of a cell: which cells wait, are skipped, or are looked up again.

use std::collections::BTreeSet;

use assay_cache::{Digest, Entry, InputsKey, Store};
use assay_stages::{Lane, Session};

use super::Coordinator;
use crate::run::{Event, Outcome, Record, Stop, status::Status, work::Ended};

/// A store that damages what it is given again and again is no store.
const MOST_LOSSES: u32 = 3;

impl Coordinator<'_> {
    pub(super) fn ended(&mut self, cell: usize, ended: Ended, store: &Store, session: &dyn Session) {
        let lane = self.plan.cells[cell].kind.lane;
        let place = self.running.remove(&cell).expect("only what runs can end");
        self.release(place);
        match &ended {
            Ended::Panicked(cause) => self.lanes.release_broken(lane, cause),
            _ => self.lanes.release(lane),
        }
        self.settle(cell, ended, store);
        self.reconsider(place);
        if lane == Lane::Device {
            session.keep_only(&self.needed());
        }
    }

    /// Lets what waited for this computation be looked up again: its result may be there now.
    fn reconsider(&mut self, place: InputsKey) {
        for status in &mut self.cells {
            if matches!(status, Status::Ready(ready) if ready.place() == place) {
                *status = Status::Waiting;
            }
        }
        self.changed = true;
    }

    /// The digests of everything that an unfinished cell may still ask for.
    fn needed(&self) -> BTreeSet<Digest> {
        let unfinished =
            |cell: &usize| matches!(self.cells[*cell], Status::Waiting | Status::Ready(_) | Status::Running);
        let entries = (0..self.cells.len()).filter(unfinished).flat_map(|cell| &self.upstream[cell]);
        let outputs = entries.filter_map(|&up| self.entry(up)).flat_map(|entry| entry.outputs.values());
        outputs.map(|output| output.digest).collect()
    }

    fn settle(&mut self, cell: usize, ended: Ended, store: &Store) {
        match ended {
            Ended::Done(outcome, entry) => {
                self.forced.remove(&entry.key);
                self.finish(cell, outcome, entry);
            }
            Ended::Stopped => self.end(cell, Outcome::Stopped),
            Ended::Failed(cause) | Ended::Panicked(cause) => self.fail(cell, cause),
            Ended::Lost { upstream, cause } => self.lose(cell, upstream, cause, store),
        }
    }

    pub(super) fn finish(&mut self, cell: usize, outcome: Outcome, entry: Box<Entry>) {
        let event = Event::Ended { cell, outcome: outcome.clone(), entry: Some(entry.clone()) };
        self.cells[cell] = Status::Finished(outcome, entry);
        self.observer.on(&event);
        self.changed = true;
        self.elsewhere.forget(cell);
        self.elsewhere.news();
    }

    fn end(&mut self, cell: usize, outcome: Outcome) {
        self.cells[cell] = Status::Ended(outcome.clone());
        self.observer.on(&Event::Ended { cell, outcome, entry: None });
    }

    pub(super) fn fail(&mut self, cell: usize, cause: String) {
        self.end(cell, Outcome::Failed { cause });
        self.ending |= !self.options.keep_going;
        let because = format!("`{}` failed", self.plan.cells[cell].id);
        let mut below = BTreeSet::from([cell]);
        // Cells stand after those that they depend on, so this goes through all below, in the order of the plan.
        while let Some(next) = below.pop_first() {
            if next == cell || matches!(self.cells[next], Status::Waiting) {
                below.extend(&self.downstream[next]);
            }
            if next != cell && matches!(self.cells[next], Status::Waiting) {
                self.end(next, Outcome::Skipped { because: because.clone() });
            }
        }
    }

    /// An output of `upstream` is damaged or missing: it runs again, and `cell` waits for it.
    fn lose(&mut self, cell: usize, upstream: usize, cause: String, store: &Store) {
        if !matches!(self.cells[upstream], Status::Finished(..)) {
            // Another cell has told of it already: this one waits for the same new run.
            self.cells[cell] = Status::Waiting;
            return;
        }
        let losses = self.lost.entry(upstream).or_default();
        *losses += 1;
        if *losses > MOST_LOSSES {
            return self.fail(cell, cause);
        }
        let key = self.plan.cells[upstream].key().expect("a finished cell has a key");
        if let Err(error) = store.set_aside(key) {
            return self.fail(cell, error.to_string());
        }
        self.observer.on(&Event::Lost { cell: upstream, cause });
        self.cells[upstream] = Status::Waiting;
        self.cells[cell] = Status::Waiting;
        for &below in &self.downstream[upstream] {
            if matches!(self.cells[below], Status::Ready(_)) {
                self.cells[below] = Status::Waiting;
            }
        }
    }

    pub(super) fn record(self, stop: &Stop) -> Record {
        let stopped = stop.asked();
        let mut record = Record { outcomes: vec![], entries: vec![], stopped: None };
        for status in self.cells {
            let (outcome, entry) = match status {
                Status::Finished(outcome, entry) => (outcome, Some(*entry)),
                Status::Ended(outcome) => (outcome, None),
                Status::Waiting | Status::Ready(_) | Status::Running if stopped.is_some() => (Outcome::Stopped, None),
                Status::Waiting | Status::Ready(_) | Status::Running => {
                    (Outcome::Skipped { because: "the run ended before its turn".to_owned() }, None)
                }
            };
            record.outcomes.push(outcome);
            record.entries.push(entry);
        }
        record.stopped = stopped.filter(|_| record.outcomes.contains(&Outcome::Stopped));
        record
    }
}
