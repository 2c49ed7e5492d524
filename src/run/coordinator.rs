//! The one owner of a run's state: what is ready, what runs, what became of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Scope, scope},
};

use assay_cache::{Digest, Entry, Store, StoreError};
use assay_stages::{Lane, Session};

use super::{
    Event, Observer, Outcome, Record, Stop,
    event::Heard,
    lanes::Lanes,
    work::{Ended, Job, Shared, work},
};
use crate::plan::{Plan, Sources, State, input_digests, states};

/// How a run goes about it.
pub struct Options {
    /// Stages on the host's cores at the same time.
    pub jobs: usize,
    /// Go on with independent stages when one fails.
    pub keep_going: bool,
    /// Further attempts at a stage that fails for a cause that can pass.
    pub retries: u32,
    /// For each cell, whether it was asked for.
    pub wanted: Vec<bool>,
}

/// Runs every wanted cell that is not finished. An error is one of the store itself, before anything ran.
pub fn run(
    plan: &Plan,
    store: &Store,
    session: &dyn Session,
    stop: &Arc<Stop>,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Record, StoreError> {
    let cells = states(plan, store)?.into_iter().zip(&options.wanted).map(|(state, &wanted)| Status::of(state, wanted));
    let mut coordinator = Coordinator {
        plan,
        options,
        observer,
        cells: cells.collect(),
        running: vec![],
        upstream: (0..plan.cells.len()).map(|cell| plan.upstream(cell)).collect(),
        downstream: plan.downstream(),
        lanes: Lanes::new(options.jobs),
        last_on_device: vec![],
        lost: BTreeMap::new(),
        ending: false,
    };
    coordinator.begin();
    if coordinator.waiting().next().is_some() {
        let shared = Shared { plan, store, session, stop, places: plan.places(), retries: options.retries };
        let (tell, heard) = channel();
        let signals = tell.clone();
        stop.when_asked(move |kind| drop(signals.send(Heard::Stop(kind))));
        scope(|threads| coordinator.drive(threads, &shared, &tell, &heard));
    }
    Ok(coordinator.record(stop))
}

/// Where a cell stands.
enum Status {
    Waiting,
    Running,
    Finished(Outcome, Box<Entry>),
    /// Will have no entry in this run.
    Ended(Outcome),
}

impl Status {
    fn of(state: State, wanted: bool) -> Self {
        match state {
            State::Cached(entry) if wanted => Self::Finished(Outcome::Cached, entry),
            _ if !wanted => Self::Ended(Outcome::Unwanted),
            _ => Self::Waiting,
        }
    }
}

struct Coordinator<'a> {
    plan: &'a Plan,
    options: &'a Options,
    observer: &'a mut dyn Observer,
    cells: Vec<Status>,
    running: Vec<usize>,
    upstream: Vec<Vec<usize>>,
    downstream: Vec<Vec<usize>>,
    lanes: Lanes,
    /// What the last stage on the device took: the next one should take the same model.
    last_on_device: Vec<usize>,
    /// How often the outputs of a cell were found damaged.
    lost: BTreeMap<usize, u32>,
    /// Nothing new is started any more.
    ending: bool,
}

/// A store that damages what it is given again and again is no store.
const MOST_LOSSES: u32 = 3;

impl Coordinator<'_> {
    /// Tells of what is finished already, and fails what cannot be had.
    fn begin(&mut self) {
        for cell in 0..self.cells.len() {
            if let Status::Finished(outcome, entry) = &self.cells[cell] {
                let event = Event::Ended { cell, outcome: outcome.clone(), entry: Some(entry.clone()) };
                self.observer.on(&event);
            } else if let (Status::Waiting, Sources::NotFetched(reason)) =
                (&self.cells[cell], &self.plan.cells[cell].sources)
            {
                self.fail(cell, format!("not fetched: {reason}"));
            }
        }
    }

    fn drive<'s, 'e>(
        &mut self,
        threads: &'s Scope<'s, 'e>,
        shared: &'e Shared<'e>,
        tell: &Sender<Heard>,
        heard: &Receiver<Heard>,
    ) {
        loop {
            while let Some(cell) = self.next(shared) {
                self.start(cell, threads, shared, tell);
            }
            if self.running.is_empty() {
                return;
            }
            while !self.hear(heard.recv().expect("the coordinator holds a sender itself"), shared) {}
        }
    }

    /// Takes note of what was heard; true where that may have made something ready.
    fn hear(&mut self, heard: Heard, shared: &Shared) -> bool {
        match heard {
            Heard::Event(event) => {
                self.observer.on(&event);
                false
            }
            Heard::Stop(kind) => {
                self.observer.on(&Event::Stopping(kind));
                false
            }
            Heard::Ended(cell, ended) => {
                self.ended(cell, ended, shared.store, shared.session);
                true
            }
        }
    }

    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.cells.len()).filter(|&cell| matches!(self.cells[cell], Status::Waiting))
    }

    /// The cell to start next: one whose inputs are finished and whose lane is free, on the device preferably one that
    /// shares its model with the last.
    fn next(&self, shared: &Shared) -> Option<usize> {
        if self.ending || shared.stop.asked().is_some() {
            return None;
        }
        let shares = |cell: usize| self.upstream[cell].iter().filter(|up| self.last_on_device.contains(up)).count();
        self.waiting().filter(|&cell| self.is_ready(cell)).max_by_key(|&cell| (shares(cell), std::cmp::Reverse(cell)))
    }

    fn is_ready(&self, cell: usize) -> bool {
        let lane = self.plan.cells[cell].kind.lane;
        let open = self.lanes.is_free(lane) || self.lanes.closed(lane).is_some();
        let finished = |&up: &usize| matches!(self.cells[up], Status::Finished(..));
        open && self.upstream[cell].iter().all(finished) && !self.is_being_computed(self.plan.cells[cell].key())
    }

    /// Whether another cell with this key is running: the two are computed once.
    fn is_being_computed(&self, key: Option<assay_cache::Key>) -> bool {
        self.running.iter().any(|&cell| self.plan.cells[cell].key() == key)
    }

    fn start<'s, 'e>(&mut self, cell: usize, threads: &'s Scope<'s, 'e>, shared: &'e Shared<'e>, tell: &Sender<Heard>) {
        let lane = self.plan.cells[cell].kind.lane;
        if let Some(cause) = self.lanes.closed(lane) {
            let cause = format!("the device is closed, because a stage panicked on it ({cause}); run again");
            return self.fail(cell, cause);
        }
        let job = match self.job(cell, shared.store) {
            Ok(Ok(job)) => job,
            Ok(Err(entry)) => return self.finish(cell, Outcome::Cached, entry),
            Err(error) => return self.fail(cell, error.to_string()),
        };
        if lane == Lane::Device {
            self.last_on_device = self.upstream[cell].clone();
        }
        self.lanes.occupy(lane);
        self.cells[cell] = Status::Running;
        self.running.push(cell);
        self.observer.on(&Event::Started { cell });
        let tell = tell.clone();
        threads.spawn(move || {
            let ended = work(shared, &job, &tell);
            // The coordinator waits for every thread, so it is still there to hear this.
            let _ = tell.send(Heard::Ended(cell, ended));
        });
    }

    /// The work on a ready cell; or its entry, where its twin or another process has finished it meanwhile. An entry
    /// that was computed from other bytes is set aside.
    fn job(&self, cell: usize, store: &Store) -> Result<Result<Job, Box<Entry>>, StoreError> {
        let planned = &self.plan.cells[cell];
        let keyed = planned.keyed.clone().expect("a cell that waits has a key");
        let digests = input_digests(planned, |up| self.entry(up)).expect("a ready cell's inputs are finished");
        match store.entry(keyed.key)? {
            Some(entry) if entry.inputs == digests => return Ok(Err(Box::new(entry))),
            Some(_) => store.set_aside(keyed.key)?,
            None => {}
        }
        let upstream = self.upstream[cell].iter().filter_map(|&up| Some((up, self.entry(up)?.clone()))).collect();
        Ok(Ok(Job { cell, keyed, digests, upstream }))
    }

    fn entry(&self, cell: usize) -> Option<&Entry> {
        if let Status::Finished(_, entry) = &self.cells[cell] { Some(entry) } else { None }
    }

    fn ended(&mut self, cell: usize, ended: Ended, store: &Store, session: &dyn Session) {
        let lane = self.plan.cells[cell].kind.lane;
        self.running.retain(|&running| running != cell);
        match &ended {
            Ended::Panicked(cause) => self.lanes.release_broken(lane, cause),
            _ => self.lanes.release(lane),
        }
        self.settle(cell, ended, store);
        if lane == Lane::Device {
            session.keep_only(&self.needed());
        }
    }

    /// The digests of everything that an unfinished cell may still ask for.
    fn needed(&self) -> BTreeSet<Digest> {
        let unfinished = |cell: &usize| matches!(self.cells[*cell], Status::Waiting | Status::Running);
        let entries = (0..self.cells.len()).filter(unfinished).flat_map(|cell| &self.upstream[cell]);
        let outputs = entries.filter_map(|&up| self.entry(up)).flat_map(|entry| entry.outputs.values());
        outputs.map(|output| output.digest).collect()
    }

    fn settle(&mut self, cell: usize, ended: Ended, store: &Store) {
        match ended {
            Ended::Done(entry) => self.finish(cell, Outcome::Ran { seconds: entry.made.seconds }, entry),
            Ended::Stopped => self.end(cell, Outcome::Stopped),
            Ended::Failed(cause) | Ended::Panicked(cause) => self.fail(cell, cause),
            Ended::Lost { upstream, cause } => self.lose(cell, upstream, cause, store),
        }
    }

    fn finish(&mut self, cell: usize, outcome: Outcome, entry: Box<Entry>) {
        let event = Event::Ended { cell, outcome: outcome.clone(), entry: Some(entry.clone()) };
        self.cells[cell] = Status::Finished(outcome, entry);
        self.observer.on(&event);
    }

    fn end(&mut self, cell: usize, outcome: Outcome) {
        self.cells[cell] = Status::Ended(outcome.clone());
        self.observer.on(&Event::Ended { cell, outcome, entry: None });
    }

    fn fail(&mut self, cell: usize, cause: String) {
        self.end(cell, Outcome::Failed { cause });
        self.ending |= !self.options.keep_going;
        let because = format!("`{}` failed", self.plan.cells[cell].id);
        let mut above = self.downstream[cell].clone();
        while let Some(next) = above.pop() {
            if matches!(self.cells[next], Status::Waiting) {
                self.end(next, Outcome::Skipped { because: because.clone() });
                above.extend(&self.downstream[next]);
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
    }

    fn record(self, stop: &Stop) -> Record {
        let stopped = stop.asked();
        let mut record = Record { outcomes: vec![], entries: vec![], stopped: None };
        for status in self.cells {
            let (outcome, entry) = match status {
                Status::Finished(outcome, entry) => (outcome, Some(*entry)),
                Status::Ended(outcome) => (outcome, None),
                Status::Waiting | Status::Running if stopped.is_some() => (Outcome::Stopped, None),
                Status::Waiting | Status::Running => {
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
