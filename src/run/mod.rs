//! Plan + store → [`Record`]: what became of each cell.
//!
//! One coordinator owns all state. Each running stage has a thread of its own, which computes on rayon's pool or on
//! the device; everything that happens reaches the coordinator through one channel of [`Event`]s, so nothing polls.

mod context;
mod coordinator;
mod event;
mod expect;
mod fetch;
mod lanes;
mod stop;
mod verdicts;
mod work;

use assay_cache::Entry;

pub use coordinator::{Options, run};
pub use event::{Event, Observer};
pub use expect::{Finding, Held, findings};
pub use fetch::{complete, fetch};
pub use stop::{Stop, StopKind};
pub use verdicts::{Verdict, verdicts};

/// What became of a cell.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Its entry was there.
    Cached,
    Ran {
        seconds: f64,
    },
    Failed {
        cause: String,
    },
    /// Something upstream failed, or the run ended before its turn.
    Skipped {
        because: String,
    },
    /// The stop flag went up while it ran; its units are saved.
    Stopped,
    /// Not asked for.
    Unwanted,
}

impl Outcome {
    /// The word for it in `run --json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Ran { .. } => "ran",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Stopped => "stopped",
            Self::Unwanted => "unwanted",
        }
    }

    /// How long it took in this run.
    pub fn seconds(&self) -> f64 {
        if let Self::Ran { seconds } = self { *seconds } else { 0.0 }
    }

    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Failed { cause } => Some(cause),
            Self::Skipped { because } => Some(because),
            _ => None,
        }
    }
}

/// What became of a run.
pub struct Record {
    /// For each cell of the plan.
    pub outcomes: Vec<Outcome>,
    /// For each cell of the plan, its entry if it is finished.
    pub entries: Vec<Option<Entry>>,
    /// Whether a signal ended the run early.
    pub stopped: Option<StopKind>,
}

impl Record {
    /// Whether every cell that was asked for is finished.
    pub fn complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Cached | Outcome::Ran { .. } | Outcome::Unwanted))
    }

    /// Whether nothing had to be computed.
    pub fn nothing_to_do(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Cached | Outcome::Unwanted))
    }
}
