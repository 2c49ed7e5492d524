//! What happens during a run, as the coordinator hears of it and as it tells an observer.

use assay_cache::Entry;

use super::{Outcome, StopKind, work::Ended};

/// Something that happened to a cell, or to the run.
pub enum Event {
    Started {
        cell: usize,
    },
    /// Another runner is computing it: `holder` says which.
    Waiting {
        cell: usize,
        holder: String,
    },
    /// `done` of `of` things are finished. Where some of them were taken from an earlier run since the last report, they
    /// are `resumed`.
    Progress {
        cell: usize,
        done: u64,
        of: u64,
        what: String,
        resumed: bool,
    },
    Warning {
        cell: usize,
        message: String,
    },
    /// An attempt failed for a cause that can pass; another follows.
    Retry {
        cell: usize,
        attempt: u32,
        cause: String,
    },
    /// A stored output of this cell turned out damaged or missing; the cell runs again.
    Lost {
        cell: usize,
        cause: String,
    },
    Ended {
        cell: usize,
        outcome: Outcome,
        entry: Option<Box<Entry>>,
    },
    Stopping(StopKind),
    /// No leases can be written: stages that another runner computes at the same time are computed twice.
    Unleased {
        cause: String,
    },
}

/// What reaches the coordinator through its channel.
pub(super) enum Heard {
    Event(Event),
    Ended(usize, Ended),
    Stop(StopKind),
}

/// Hears of everything that happens during a run, on the coordinator's thread.
pub trait Observer {
    fn on(&mut self, event: &Event);
}
