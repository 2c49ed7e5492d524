//! The one owner of a run's state: what is ready, what runs, what became of it.

mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Scope, scope},
    time::Duration,
};

use assay_cache::{Claim, Entry, InputsKey, Key, Leases, Store, StoreError};
use assay_stages::{Lane, Session};

use super::{
    Event, Observer, Record, Stop, checkout,
    elsewhere::Elsewhere,
    event::Heard,
    found::Ready,
    lanes::Lanes,
    status::{Status, forced_keys, statuses},
    work::{Job, Shared, now, work},
};
use crate::plan::{Plan, Sources, input_digests, states};

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
        let shared = Shared {
            plan,
            store,
            session,
            stop,
            places: plan.places(),
            retries: options.retries,
            began: now(),
            git_commit: checkout::commit(&plan.manifest.text.path),
        };
        let (tell, heard) = channel();
        let signals = tell.clone();
        stop.when_asked(move |kind| drop(signals.send(Heard::Stop(kind))));
        scope(|threads| coordinator.drive(threads, &shared, &tell, &heard));
    }
    Ok(coordinator.record(stop))
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
}
