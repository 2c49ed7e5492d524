//! The one owner of a run's state: what is ready, what runs, what became of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Scope, scope},
    time::Duration,
};

use assay_cache::{Claim, Digest, Entry, InputsKey, Key, Leases, Store, StoreError};
use assay_stages::{Lane, Session};

use super::{
    Event, Observer, Outcome, Record, Stop,
    elsewhere::Elsewhere,
    event::Heard,
    found::{Ready, has_outputs},
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
    /// For each cell, whether it is to be computed whatever the store holds of it.
    pub forced: Vec<bool>,
    /// How often the leases of this run are renewed.
    pub heartbeat: Duration,
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
    let forced = forced_keys(plan, options);
    let mut coordinator = Coordinator {
        plan,
        options,
        observer,
        cells: statuses(plan, states(plan, store)?, options, &forced),
        forced,
        running: BTreeMap::new(),
        elsewhere: Elsewhere::new(),
        changed: true,
        leases: Some(Leases::of(store, options.heartbeat)),
        upstream: (0..plan.cells.len()).map(|cell| plan.upstream(cell)).collect(),
        downstream: plan.downstream(),
        lanes: Lanes::new(options.jobs),
        last_on_device: vec![],
        lost: BTreeMap::new(),
        ending: false,
    };
    coordinator.begin();
    if coordinator.cells.iter().any(|status| matches!(status, Status::Waiting)) {
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
    /// Something upstream is not finished.
    Waiting,
    /// Its inputs are finished, and it has to be computed.
    Ready(Box<Ready>),
    Running,
    Finished(Outcome, Box<Entry>),
    /// Will have no entry in this run.
    Ended(Outcome),
}

/// The keys that are forced. A cell with the key of one that is forced is forced with it: they have one entry.
fn forced_keys(plan: &Plan, options: &Options) -> BTreeSet<Key> {
    let forced = plan.cells.iter().zip(&options.wanted).zip(&options.forced);
    forced.filter(|((_, wanted), forced)| **wanted && **forced).filter_map(|((cell, _), _)| cell.key()).collect()
}

/// Where each cell stands before anything runs. Below one that is forced nothing is certain.
fn statuses(plan: &Plan, states: Vec<State>, options: &Options, forced: &BTreeSet<Key>) -> Vec<Status> {
    let mut statuses: Vec<Status> = Vec::with_capacity(states.len());
    for (cell, state) in states.into_iter().enumerate() {
        let planned = &plan.cells[cell];
        let is_forced = planned.key().is_some_and(|key| forced.contains(&key));
        let certain = |up: &usize| matches!(statuses[*up], Status::Finished(..));
        let status = match state {
            _ if !options.wanted[cell] => Status::Ended(Outcome::Unwanted),
            State::Cached(entry)
                if !is_forced && has_outputs(planned, &entry) && planned.upstream().iter().all(certain) =>
            {
                Status::Finished(Outcome::Cached, entry)
            }
            _ => Status::Waiting,
        };
        statuses.push(status);
    }
    statuses
}

struct Coordinator<'a> {
    plan: &'a Plan,
    options: &'a Options,
    observer: &'a mut dyn Observer,
    cells: Vec<Status>,
    /// The keys that are still to be computed, whatever the store holds of them.
    forced: BTreeSet<Key>,
    /// Each running cell, and under what its units and its lease stand.
    running: BTreeMap<usize, InputsKey>,
    elsewhere: Elsewhere,
    /// Something may have become ready since the last look.
    changed: bool,
    /// None once they turned out not to work.
    leases: Option<Leases>,
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
            for cell in self.elsewhere.due() {
                self.look_again(cell, threads, shared, tell);
            }
            while !self.is_over(shared) {
                self.find_ready(shared);
                let Some(cell) = self.next() else { break };
                self.start(cell, threads, shared, tell);
            }
            if self.running.is_empty() && (self.elsewhere.is_empty() || self.is_over(shared)) {
                return;
            }
            self.listen(heard, shared);
        }
    }

    /// Whether nothing new is started any more.
    fn is_over(&self, shared: &Shared) -> bool {
        self.ending || shared.stop.asked().is_some()
    }

    /// Waits until something may have become ready, or it is time to look at what other runners do.
    fn listen(&mut self, heard: &Receiver<Heard>, shared: &Shared) {
        loop {
            let next = match self.elsewhere.rest() {
                None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(rest) => heard.recv_timeout(rest),
            };
            match next {
                Ok(heard) => {
                    if self.hear(heard, shared) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => unreachable!("the coordinator holds a sender itself"),
            }
        }
    }

    /// Takes note of what was heard; true where that may have changed what there is to do.
    fn hear(&mut self, heard: Heard, shared: &Shared) -> bool {
        match heard {
            Heard::Event(event) => {
                self.observer.on(&event);
                false
            }
            Heard::Stop(kind) => {
                self.observer.on(&Event::Stopping(kind));
                true
            }
            Heard::Ended(cell, ended) => {
                self.ended(cell, ended, shared.store, shared.session);
                true
            }
        }
    }

    /// Looks in the store for every cell whose inputs are finished: nothing may have to run for it. Cells stand after
    /// those that they depend on, so one pass finds all.
    fn find_ready(&mut self, shared: &Shared) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for cell in 0..self.cells.len() {
            let finished = |&up: &usize| matches!(self.cells[up], Status::Finished(..));
            if matches!(self.cells[cell], Status::Waiting) && self.upstream[cell].iter().all(finished) {
                let planned = &self.plan.cells[cell];
                let digests = input_digests(planned, |up| self.entry(up)).expect("finished cells have their outputs");
                let forced = planned.key().is_some_and(|key| self.forced.contains(&key));
                self.find(cell, Box::new(Ready::new(planned, digests, forced)), shared.store);
            }
        }
    }

    /// Finishes a ready cell with what the store holds of it, or leaves it ready.
    fn find(&mut self, cell: usize, ready: Box<Ready>, store: &Store) {
        match ready.find(&self.plan.cells[cell], store) {
            Ok(Some((outcome, entry))) => self.finish(cell, outcome, entry),
            Ok(None) => self.cells[cell] = Status::Ready(ready),
            Err(error) => self.fail(cell, error.to_string()),
        }
    }

    /// The cell to start next: one that is ready and whose lane is free, on the device preferably one that shares its
    /// model with the last.
    fn next(&self) -> Option<usize> {
        let shares = |cell: usize| self.upstream[cell].iter().filter(|up| self.last_on_device.contains(up)).count();
        let ready = (0..self.cells.len()).filter(|&cell| self.can_start(cell) && !self.elsewhere.has(cell));
        ready.max_by_key(|&cell| (shares(cell), std::cmp::Reverse(cell)))
    }

    /// Whether a cell is ready, its lane is free, and nobody here computes the same: two are computed once.
    fn can_start(&self, cell: usize) -> bool {
        let Status::Ready(ready) = &self.cells[cell] else { return false };
        let lane = self.plan.cells[cell].kind.lane;
        let open = self.lanes.is_free(lane) || self.lanes.closed(lane).is_some();
        open && !self.running.values().any(|running| *running == ready.place())
    }

    /// Looks again at a cell that another runner was computing: it may be done, or have been given up.
    fn look_again<'s, 'e>(
        &mut self,
        cell: usize,
        threads: &'s Scope<'s, 'e>,
        shared: &'e Shared<'e>,
        tell: &Sender<Heard>,
    ) {
        let Status::Ready(ready) = &self.cells[cell] else { return self.elsewhere.forget(cell) };
        self.find(cell, ready.clone(), shared.store);
        if self.can_start(cell) && !self.is_over(shared) {
            self.start(cell, threads, shared, tell);
        }
    }

    fn start<'s, 'e>(&mut self, cell: usize, threads: &'s Scope<'s, 'e>, shared: &'e Shared<'e>, tell: &Sender<Heard>) {
        let lane = self.plan.cells[cell].kind.lane;
        if let Some(cause) = self.lanes.closed(lane) {
            let cause = format!("the device is closed, because a stage panicked on it ({cause}); run again");
            return self.fail(cell, cause);
        }
        let Some(ready) = self.claim(cell, shared.store) else { return };
        let upstream = self.upstream[cell].iter().filter_map(|&up| Some((up, self.entry(up)?.clone()))).collect();
        let job = Job { cell, ready, upstream };
        if lane == Lane::Device {
            self.last_on_device = self.upstream[cell].clone();
        }
        self.lanes.occupy(lane);
        self.cells[cell] = Status::Running;
        self.running.insert(cell, job.ready.place());
        self.observer.on(&Event::Started { cell });
        let tell = tell.clone();
        threads.spawn(move || {
            let ended = work(shared, &job, &tell);
            // The coordinator waits for every thread, so it is still there to hear this.
            let _ = tell.send(Heard::Ended(cell, ended));
        });
    }

    /// A ready cell that is now this run's to compute. None where another runner computes it, or has done so since
    /// the store was last asked: whoever gives a lease back has committed before.
    fn claim(&mut self, cell: usize, store: &Store) -> Option<Ready> {
        let Status::Ready(ready) = &self.cells[cell] else { return None };
        let ready = ready.clone();
        let watched = self.elsewhere.watched(cell);
        match self.leases.as_ref().map(|leases| leases.claim(ready.place(), watched)) {
            Some(Ok(Claim::Theirs(watch))) => {
                if let Some(holder) = self.elsewhere.note(cell, watch) {
                    self.observer.on(&Event::Waiting { cell, holder });
                }
                return None;
            }
            Some(Err(error)) => {
                self.leases = None;
                self.observer.on(&Event::Unleased { cause: error.to_string() });
            }
            Some(Ok(Claim::Ours)) | None => {}
        }
        self.elsewhere.forget(cell);
        self.find(cell, ready.clone(), store);
        if matches!(self.cells[cell], Status::Ready(_)) {
            return Some(*ready);
        }
        self.release(ready.place());
        None
    }

    fn release(&self, place: InputsKey) {
        if let Some(leases) = &self.leases {
            leases.release(place);
        }
    }

    fn entry(&self, cell: usize) -> Option<&Entry> {
        if let Status::Finished(_, entry) = &self.cells[cell] { Some(entry) } else { None }
    }

    fn ended(&mut self, cell: usize, ended: Ended, store: &Store, session: &dyn Session) {
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

    fn finish(&mut self, cell: usize, outcome: Outcome, entry: Box<Entry>) {
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

    fn fail(&mut self, cell: usize, cause: String) {
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

    fn record(self, stop: &Stop) -> Record {
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
